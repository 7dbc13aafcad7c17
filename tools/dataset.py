"""Bring a user's labelled photos into the project: dataset/<name>/{train,test}/ and label_map.pbtxt, tracked by DVC.

    make dataset SRC=<folder, zip or tar, https://..., gs://..., kaggle:owner/name> NAME=pets [SHA256=...]
    make dataset SRC=... NAME=pets ADD=1 [RELABEL=1]
    python -m tools.dataset --src=... --name=pets [--sha256=...] [--test-fraction=0.1] [--add [--relabel]]

importing/sources.py lists what SRC may be. What is in it is found by content, wherever it lies: importing/plan.py.
`SRC=photos.zip#folder` takes a folder of what SRC holds. The source is only read. An image keeps its bytes, and its
name where no other has it; images without a label beside labelled ones, and XML without image, are copied too, so that
xml2csv can report them. The folder appears atomically, and an existing one is never written to, but with ADD=1.

ADD=1 adds the photos of SRC that the dataset does not have (importing/adding.py). Those that it has keep their names,
splits and bytes; with RELABEL=1 the labels of SRC replace theirs. A kill leaves the old dataset.
"""

import argparse
import filecmp
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from detector.base import errors, files, paths
from detector.base.bars import bar
from detector.base.errors import UserError
from detector.storage import zip_archive
from tools.cloud import dvc_add
from tools.importing import adding, descriptions, linking, plan, receipts, sources
from tools.importing import tree as trees
from tools.importing.adding import Addition
from tools.importing.formats import records
from tools.importing.plan import Plan
from tools.importing.tree import Tree

RESERVED = ("sample", "data")  # the embedded dataset, and the stages' own folder
DATASETS = Path("dataset")
State = dict[Path, tuple[int, int, int]]


def main() -> None:
    arguments = parse_arguments()
    target = dvc_add.folder(DATASETS, arguments.name, RESERVED, "pets")
    with readable(sources.shown(arguments.src)), opened(arguments.src, arguments.sha256) as (tree, notes, temporary):
        if arguments.add:
            before = state(target.resolve())
            addition = adding.make(
                tree, arguments.test_fraction, temporary / "whole", adding.read(target), relabel=arguments.relabel
            )
            planned, outcome = addition.plan, add(addition, target, before)
            notes = [*notes, *planned.notes, *descriptions.counts(planned)]
        else:
            planned = plan.make(tree, arguments.test_fraction, temporary / "whole")
            outcome = copy(planned, target)
            notes = [*notes, *planned.notes, *descriptions.lines(planned, target)]
    dvc_add.track(target)
    errors.say(f"{target}: {outcome}")
    errors.say(*(f"  {errors.printable(note)}" for note in notes))
    errors.say(f"next: make train DATASET={target.name}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.dataset", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--src", default="", help="a folder or an archive with labelled photos, or its address")
    parser.add_argument("--name", default="", help="of the dataset: it goes to dataset/<name>")
    parser.add_argument("--sha256", default="", help="of the archive")
    parser.add_argument(
        "--test-fraction", type=float, default=0.1, help="for test/, where the source has none (default 0.1)"
    )
    parser.add_argument("--add", action="store_true", help="add the photos to a dataset that exists")
    parser.add_argument("--relabel", action="store_true", help="with --add: take other labels for photos that it has")
    arguments = parser.parse_args()
    if arguments.relabel and not arguments.add:
        raise UserError("RELABEL", "is for photos that are added", "give ADD=1, too")
    for option, value in (("SRC", arguments.src), ("NAME", arguments.name)):
        if not value:
            raise UserError(option, "is empty", "run: make dataset SRC=<folder or archive> NAME=pets")
    if not 0 < arguments.test_fraction < 1:
        raise UserError(
            "--test-fraction", f"{arguments.test_fraction:g} is not allowed", "give a share between 0 and 1"
        )
    return arguments


@contextmanager
def opened(source: str, sha256: str) -> Iterator[tuple[Tree, list[str], Path]]:
    """The files of a source, notes on them, and a folder for more; all that was unpacked is removed again."""
    DATASETS.mkdir(exist_ok=True)
    notes: list[str] = []
    source, inner = sources.folder_of(source)
    with (
        sources.opened(source, sha256) as path,
        tempfile.TemporaryDirectory(dir=DATASETS, prefix=".import.") as temporary,
        errors_of(source, temporary),
    ):
        is_folder = path.is_dir() and Path(source).exists()
        if path.is_file():
            if sources.is_web(source) and not sha256:
                notes.append(f"its sha256 is {files.sha256(path)}; SHA256=... refuses any other")
            path = zip_archive.unpack(path, Path(temporary) / "archive", sources.shown(source))
        tree = trees.walk(path, sources.shown(source), is_folder=is_folder)
        if tfrecords := records.find(tree):
            path, unpacked = records.unpack(tfrecords, Path(temporary) / "records")
            tree = trees.walk(path, tree.source, is_folder=is_folder)
            notes += unpacked
        yield tree.below(PurePosixPath(inner), Path(temporary) / "packed"), notes, Path(temporary)


@contextmanager
def errors_of(source: str, temporary: str) -> Iterator[None]:
    """Errors about files in a temporary folder become errors about files in the source."""
    try:
        yield
    except UserError as error:
        where = re.sub(
            re.escape(temporary) + r"/(archive|packed|records|whole)", lambda _: sources.shown(source), error.where
        )
        raise UserError(where, error.reason, error.remedy, error.item) from error


@contextmanager
def readable(path: Path | str) -> Iterator[None]:
    """An error of the operating system becomes a `UserError` about its file, or `path`; a full disk does not."""
    try:
        yield
    except OSError as error:
        if error.errno in errors.FULL:
            raise
        reason = f"cannot be read or copied: {error.strerror}"
        raise UserError(str(error.filename or path), reason, "fix that and run the command again") from error


def copy(planned: Plan, target: Path) -> str:
    """Copy the files to a new folder; says so, or that it exists already with exactly that content."""
    if target.exists():
        if is_same(planned, target):
            return "exists already, with the same content"
        remedy = "choose another NAME, move it away, or add the new photos to it with ADD=1"
        raise UserError(str(target), "exists, with other content", remedy)
    with files.whole_folder(target, is_new=True) as folder:
        for name in ("train", "test"):
            (folder / name).mkdir()
        write(planned.targets, folder)
        files.write_text(folder / paths.LABEL_MAP, planned.label_map)
        receipts.write(planned, folder)
    return "imported"


def add(addition: Addition, target: Path, before: State) -> str:
    """Put a folder in the place of the dataset's that has all of its files, and the new ones; says how many these are.

    Raises:
        UserError: somebody wrote to the dataset meanwhile.
    """
    if addition.is_empty:
        return "nothing to add"
    place = target.resolve()  # it may be a link to a larger disk
    with files.whole_folder(place) as folder:
        try:
            shutil.copytree(place, folder, symlinks=True, copy_function=linking.linked, dirs_exist_ok=True)
        except shutil.Error as error:  # it has a list of errors, and no errno
            where, _, reason = error.args[0][0]
            raise UserError(str(where), f"cannot be copied: {reason}", "fix that and run the command again") from error
        for path in addition.labels:
            (folder / path).unlink(missing_ok=True)
        write(addition.targets, folder)
        receipts.go_on(addition.plan, addition.labels, folder)
        if state(place) != before:
            raise UserError(str(target), "was changed while photos were added, and is left as it is", "run it again")
    labels = f", {errors.counted(len(addition.labels), 'label')} changed" if addition.labels else ""
    return f"{errors.counted(sum(row.photo is not None for row in addition.plan.rows), 'photo')} added{labels}"


def state(folder: Path) -> State:
    """What changes when somebody writes to a file of a folder, or adds one."""
    found = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (one.st_ino, one.st_size, one.st_mtime_ns) for path, one in found.items()}


def write(targets: Mapping[Path, Path | bytes], folder: Path) -> None:
    """Write the files of a plan below a folder."""
    for path, content in bar(targets.items(), "writing", len(targets)):
        (folder / path).touch(exist_ok=False)  # never into a file that is there: it may be a second name of the user's
        if isinstance(content, bytes):
            (folder / path).write_bytes(content)
            continue
        with readable(content):
            shutil.copyfile(content, folder / path)


def is_same(planned: Plan, target: Path) -> bool:
    """Whether the folder holds exactly the files of the plan and the label map, byte for byte; with receipts or not."""
    expected = {target / path for path in planned.targets} | {target / paths.LABEL_MAP}
    return (
        {path for path in target.rglob("*") if path.is_file()} - {target / receipts.NAME} == expected
        and (target / paths.LABEL_MAP).read_bytes() == planned.label_map.encode()
        and all(has_content(target / path, content) for path, content in planned.targets.items())
    )


def has_content(path: Path, content: Path | bytes) -> bool:
    return path.read_bytes() == content if isinstance(content, bytes) else filecmp.cmp(content, path, shallow=False)


if __name__ == "__main__":
    errors.run(main)
