"""Let every call to the system fail once, in small commands, and check that nothing that was good is lost.

    make test-faults, or: python -m tests.faults.every [--only import] [--every 10]

A command is run once to count its calls (tests/faults/injection.py). Then it is run again for each of them, from the
same start, with that call failing: the disk full, an error of the disk, no permission, no memory. After each:

    exit code 0      the result is that of the run without a fault, byte for byte
    another one      one line says why, or one for each file at fault; what was there is as it was, all else is whole
    the next run     ends with 0, and with the same bytes

It prints a row for each command, and a line for each fault that did otherwise. Exit code 1 with any.
"""

import argparse
import contextlib
import errno
import importlib
import io
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from detector.base import errors, files
from detector.checkpointing import work_dir
from stages import csv2record, xml2csv
from tests.faults import injection
from tests.faults.injection import Injection
from tests.support import faults
from tools import continue_training, convert, dataset

SECONDS = 60  # that a command may take
# What is not compared: notes of DVC and git, what DVC has not finished, the number of a process, checkpoints set aside.
PASSING = re.compile(r"\.dvc/tmp/|\.dvc/cache/(runs/|.*\.tmp$)|\.git/|\.work/.*/(lock$|damaged-)")
LEFT_OUT = re.compile(r"cannot be read|\d skipped")  # a photo or an XML that the disk does not give back
TEMPORARY = (files.TEMPORARY, ".import.")

Tree = Mapping[str, bytes]


@dataclass(frozen=True)
class Command:
    """A command, with what makes its start in an empty folder."""

    name: str
    main: Callable[[], None]
    arguments: tuple[str, ...]
    prepare: Callable[[Path], None]
    kept: str = ""  # where an unfinished run may leave what it likes: it knows what is whole there


@dataclass
class Outcome:
    """How a run ended."""

    code: int
    stdout: str
    stderr: str
    kinds: list[str]


def run(command: Command, root: Path, point: int = -1, error: int = 0) -> Outcome:
    """The command in a child of this process, with a fault at one of its calls; -1 for none."""
    folder = Path(tempfile.mkdtemp(dir=root.parent))
    child = os.fork()
    if not child:
        _child(command, root, folder, Injection(root, point, error, []))
    _, status = os.waitpid(child, 0)
    out, err = ((folder / name).read_text() for name in ("out", "err"))
    if point < 0:
        for name in json.loads((folder / "modules").read_text()):
            with contextlib.suppress(Exception):
                importlib.import_module(name)  # so that it need not be imported by each of the next children
    outcome = Outcome(os.waitstatus_to_exitcode(status), out, err, json.loads((folder / "kinds").read_text()))
    shutil.rmtree(folder)
    return outcome


def _child(command: Command, root: Path, folder: Path, fault: Injection) -> None:
    """Never returns."""
    code = 1
    try:
        signal.alarm(SECONDS)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
        os.chdir(root)
        sys.argv = [command.name, *command.arguments]
        fault.install()
        errors.run(command.main)
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        fault.point, fault.error = -1, 0
        (folder / "kinds").write_text(json.dumps(fault.kinds))
        (folder / "modules").write_text(json.dumps([*sys.modules]))
        os._exit(code)


def tree(root: Path) -> dict[str, bytes]:
    """{path: content} of all files but those whose bytes nobody promises."""
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(found.items()) if not PASSING.match(name)}


def verdict(before: Tree, whole: Tree, after: Tree, outcome: Outcome, kind: str, kept: str) -> str:
    """What is wrong after a fault; empty where nothing is."""
    lines = outcome.stderr.splitlines()
    if "Traceback" in outcome.stderr:
        return f"a traceback: {lines[-1]}"
    if outcome.code == 0 and kind == injection.READ and LEFT_OUT.search(outcome.stdout):
        return ""  # a file of the user's, and he is told
    may_leave = kind in (injection.REMOVE, injection.FOLDER)
    if outcome.code == 0:
        return "" if without_leftovers(after) == whole else f"exit code 0, but {difference(whole, after)}"
    if outcome.code not in (errors.EXIT_FINDINGS, errors.EXIT_USER_ERROR):
        return f"exit code {outcome.code}: {outcome.stderr}"
    if not lines or not all(line.startswith("error: ") for line in lines):
        return f"{len(lines)} lines: {lines}"
    wrong = {name for name in {*before, *after} if after.get(name) not in (before.get(name), whole.get(name))}
    wrong = {name for name in wrong if not (kept and name.startswith(kept))}
    if lost := wrong & before.keys():
        return f"lost or changed: {sorted(lost)}"
    new = {name for name in wrong if not (is_leftover(name) and may_leave)}
    return f"left behind, or not whole: {sorted(new)}" if new else ""


def is_leftover(name: str) -> bool:
    return any(part.startswith(TEMPORARY) for part in Path(name).parts)


def without_leftovers(found: Tree) -> dict[str, bytes]:
    return {name: content for name, content in found.items() if not is_leftover(name)}


def difference(whole: Tree, after: Tree) -> str:
    names = [name for name in sorted({*whole, *after}) if whole.get(name) != after.get(name)]
    return f"others than without a fault: {names[:5]}"


def points(command: Command, start: Path, every: int, offset: int) -> Iterator[tuple[int, str, int]]:
    """The faults to try: the number of the call, its kind, the error."""
    kinds = run(command, start).kinds
    numbered = [(point, kind, error) for point, kind in enumerate(kinds) for error in injection.ERRORS[kind]]
    yield from numbered[offset::every]


def try_all(command: Command, folder: Path, every: int = 1, offset: int = 0) -> tuple[int, list[str]]:
    """Returns: how many faults were tried, and a line for each that did not end as it should."""
    start, place = folder / "start" / "project", folder / "now" / "project"
    os.environ |= {"DVC_SITE_CACHE_DIR": str(place.parent / "site"), "DVC_NO_ANALYTICS": "1"}
    start.mkdir(parents=True)
    command.prepare(start)
    before = tree(start)
    shutil.copytree(start, place, symlinks=True)
    first = run(command, place)
    assert first.code == 0, first.stderr
    whole = tree(place)
    wrong, count = [], 0
    shutil.rmtree(place.parent)
    shutil.copytree(start, place, symlinks=True)
    for point, kind, error in list(points(command, place, every, offset)):
        shutil.rmtree(place.parent)
        shutil.copytree(start, place, symlinks=True)
        outcome = run(command, place, point, error)
        fault = verdict(before, whole, tree(place), outcome, kind, command.kept)
        if not fault and outcome.code:
            again = run(command, place)
            after = without_leftovers(tree(place))
            if again.code:
                fault = f"the next run ended with {again.code}: {again.stderr}"
            elif after != whole:
                fault = f"the next run made {difference(whole, after)}"
        count += 1
        if fault:
            wrong.append(f"{command.name}: call {point} ({kind}), {errno.errorcode[error]}: {fault}")
    shutil.rmtree(folder)
    return count, wrong


# The commands.


def _source(folder: Path) -> Path:
    return faults.dataset(folder, train=4, test=2)


def _repository(root: Path) -> None:
    from dvc.repo import Repo

    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    logging.getLogger("dvc").setLevel(logging.ERROR)
    Repo.init(str(root)).close()


def _to_import(root: Path) -> None:
    _repository(root)
    faults.workspace(root)
    _source(root / "photos")


def _zip_to_import(root: Path) -> None:
    _to_import(root)
    with zipfile.ZipFile(root / "photos.zip", "w") as file:
        for path in sorted((root / "photos").rglob("*.*")):
            file.write(path, path.relative_to(root / "photos"))
    shutil.rmtree(root / "photos")


def _to_add(root: Path) -> None:
    _repository(root)
    faults.workspace(root)
    _source(root / "dataset/pets")
    for number in range(3):
        faults.pair(root / "photos", f"new{number}.jpg")


def _dataset(root: Path) -> None:
    """With results of another one."""
    _source(root / "dataset/pets")
    faults.workspace(root)
    for name in ("train.csv", "val.csv", "test.csv", "annotation_report.csv", "train.record", "val.record"):
        files.write_text(root / "dataset/data" / name, f"an older {name}\n")


def _tables(root: Path) -> None:
    _dataset(root)
    with contextlib.chdir(root), contextlib.redirect_stdout(io.StringIO()):
        xml2csv.main()


def _model(root: Path) -> None:
    _repository(root)
    _source(root / "dataset/pets")
    faults.workspace(root)
    for name in ("best/ckpt-1.index", "best/ckpt-1.data-00000-of-00001", "pipeline.config"):
        files.write_text(root / "model/train" / name, name)
    shutil.copy(root / "dataset/pets/label_map.pbtxt", root / "model/train")
    files.write_text(root / "model/train/train.json", json.dumps({"model": "ssd_mobilenet_v2_320x320"}))
    (root / "model/start/none").mkdir(parents=True)


def train(interrupted: int = 0) -> None:
    """What a training writes, without the training: it resumes, saves, finishes, and hands its model on."""

    def write(content: str) -> Callable[[Path], object]:
        return lambda folder: [(folder / name).write_text(content) for name in ("ckpt-1.index", "ckpt-1.data")]

    with work_dir.opened(".work", {"train": {"steps": 4}}, keep=2) as work:
        found = work.latest()
        for step in range(found.step + 1 if found else 1, 5):
            if step % 2 == 0:
                work.save_best(step, 20, write(f"best {step}"))
            work.save({"step": step, "best_step": step // 2 * 2}, 20, write(f"step {step}"))
            if step == interrupted:
                raise KeyboardInterrupt
        work.finish({"steps": 4})
        with files.whole_folder("model/train") as folder:
            shutil.copytree(work.best(4), folder / "best", ignore=shutil.ignore_patterns(work_dir.STATE))


def _trained_before(root: Path) -> None:
    files.write_text(root / "model/train/best/ckpt-1.index", "an older one")


def _interrupted(root: Path) -> None:
    _trained_before(root)
    with contextlib.chdir(root), contextlib.suppress(KeyboardInterrupt):
        train(interrupted=3)


BRING = ("--name=pets", "--test-fraction=0.3")
COMMANDS = (
    Command("import", dataset.main, ("--src=photos", *BRING), _to_import),
    Command("import a zip", dataset.main, ("--src=photos.zip", *BRING), _zip_to_import),
    Command("add", dataset.main, ("--src=photos", *BRING, "--add"), _to_add),
    Command("xml2csv", xml2csv.main, (), _dataset, "dataset/data/annotation_report.csv"),  # written with errors, too
    Command("csv2record", csv2record.main, (), _tables),
    *(Command(f"convert to {to}", convert.main, (f"--to={to}",), _dataset) for to in ("csv", "coco", "yolo", "voc")),
    Command("train", train, (), _trained_before, ".work/"),
    Command("resume", train, (), _interrupted, ".work/"),
    Command("continue", continue_training.main, ("--name=mine",), _model),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.every", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--only", default="", help="the name of a command")
    parser.add_argument("--every", type=int, default=1, help="only each tenth fault, say")
    arguments = parser.parse_args()
    total, wrong = 0, []
    for command in COMMANDS:
        if arguments.only in ("", command.name):
            with tempfile.TemporaryDirectory() as folder:
                count, faulty = try_all(command, Path(folder) / "tried", arguments.every)
            print(f"{command.name:<18} {count:>5} faults, {len(faulty)} wrong", flush=True)
            for line in faulty:
                print(f"  {line}", flush=True)
            total, wrong = total + count, [*wrong, *faulty]
    print(f"{total} faults, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
