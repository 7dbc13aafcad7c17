"""Kill a training again and again, through real `dvc repro`, and check that it still ends in the same bytes.

    make test-kill, or: python -m tests.kill.training [--kills=20] [--seed=1]

One project is trained without interruption. Copies of it are trained with kills at random moments: in start-up, in a
step, in a checkpoint, in a validation, after the last step. In turn it is

    SIGKILL trainer     SIGTERM trainer     SIGINT group (Ctrl-C)     SIGKILL dvc (the trainer stays behind)

and after each of them `dvc repro` is called again; up to four kills a copy, which may then finish. It prints a row for
each kill: the newest checkpoint, the exit code that `dvc repro` reported, and where the next run resumed. Exits 1 if a
copy does not finish, or its model/train, results/train, dvc.lock, or what TensorBoard shows of it, times apart, differs
from those of the first.
"""

import argparse
import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import board, tiny
from tests.support.stage import REPOSITORY

KINDS = ("SIGKILL trainer", "SIGTERM trainer", "SIGINT group", "SIGKILL dvc")
STEPS, KILLS_PER_COPY = 24, 4
PARAMS = {
    "train.steps": str(STEPS),
    "train.batch_size": "2",
    "train.eval_every": "8",
    "train.checkpoint_every": "3",
    "train.deterministic": "true",
}
IN_START_UP = 0.25  # of the kills; the others wait for a step
START_UP_SECONDS = 20
DELAY_SECONDS = 2  # after that step
PATIENCE_SECONDS = 600
OUTPUTS = ("model/train", "results/train", "dvc.lock")


@dataclass
class Row:
    """One kill, for the table."""

    copy: int
    kind: str
    moment: str
    step: str = "-"  # of the newest checkpoint at that moment
    code: str = "-"  # of the trainer, as DVC reports it
    next: str = "-"  # where the run after it began


@dataclass
class Project:
    """A folder with the pipeline, ready to train. `before`: a command that runs the one given to it."""

    root: Path
    before: tuple[str, ...] = ()

    def copy(self) -> "Project":
        """Another one like it, with its own cache."""
        number = sum(1 for _ in self.root.parent.iterdir())
        return Project(Path(shutil.copytree(self.root, self.root.with_name(f"copy{number}"))))

    def dvc(self, log: Path) -> "subprocess.Popen[bytes]":
        """`dvc repro train_tpu`, in its own process group; all that it prints goes to `log`."""
        binaries = Path(sys.executable).parent
        environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
        command = [*self.before, binaries / "dvc", "repro", "train_tpu"]
        with log.open("wb") as out:
            return subprocess.Popen(
                command, cwd=self.root, env=environment, stdout=out, stderr=out, start_new_session=True
            )

    def step(self) -> int:
        """Of the newest checkpoint."""
        return max((int(path.name[5:]) for path in self.root.glob(".work/*/step-*")), default=0)

    def digest(self) -> dict[str, str]:
        """The sha256 of each output, over the names and contents of its files; and of curves and pictures."""
        digests = {}
        for name in OUTPUTS:
            path = self.root / name
            digest = hashlib.sha256()
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    digest.update(f"{file.relative_to(self.root)}\0".encode() + file.read_bytes())
            digests[name] = digest.hexdigest()
        curves = sorted(board.found(self.root / "logs").items())
        return {**digests, "logs": hashlib.sha256(repr(curves).encode()).hexdigest()}


def made(root: Path) -> Project:
    """A project after all that comes before training, under DVC without git."""
    root.mkdir()
    for name in ("detector", "stages", "model/start/none"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text(
        "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"
    )
    tiny.dataset(root)
    tiny.params(root, **PARAMS)
    binaries = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
    subprocess.run([binaries / "dvc", "repro", "-q", "csv2record", "pretrained"], cwd=root, env=environment, check=True)
    return Project(root)


def trainer(dvc: int) -> int | None:
    """The process below `dvc` that trains."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"stages.train_tpu" in words and dvc in ancestors(int(path.name)):
                return int(path.name)
    return None


def ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid


def wait_for_moment(project: Project, dvc: "subprocess.Popen[bytes]", chance: random.Random) -> tuple[str, int | None]:
    """Wait for a random moment; returns its name, and the trainer's process: None if it had ended before."""
    begin, process = time.monotonic(), None
    while process is None and dvc.poll() is None:
        process = trainer(dvc.pid)
        time.sleep(0.02)
    began_at = project.step()
    if chance.random() < IN_START_UP or began_at >= STEPS:
        delay = chance.uniform(0, START_UP_SECONDS)
        moment = f"{delay:.1f} s after the start"
    else:
        step = min(STEPS, began_at + chance.randint(1, STEPS // 3))
        delay = chance.uniform(0, DELAY_SECONDS)
        moment = f"{delay:.1f} s after checkpoint {step}"
        while project.step() < step and dvc.poll() is None:
            assert time.monotonic() - begin < PATIENCE_SECONDS, "training does not continue"
            time.sleep(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        dvc.wait(delay)
    return moment, process if dvc.poll() is None else None


def strike(kind: str, dvc: "subprocess.Popen[bytes]", pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if kind == "SIGINT group":
            os.killpg(dvc.pid, signal.SIGINT)
        elif kind == "SIGKILL dvc":
            dvc.kill()
        else:
            os.kill(pid, signal.SIGKILL if kind == "SIGKILL trainer" else signal.SIGTERM)


def killed(project: Project, row: Row, chance: random.Random, log: Path) -> bool:
    """Run `dvc repro` and kill it at a random moment; False where it had ended before."""
    process = project.dvc(log)
    row.moment, pid = wait_for_moment(project, process, chance)
    row.step = str(project.step())
    if pid is None:
        return False
    strike(row.kind, process, pid)
    process.wait(PATIENCE_SECONDS)
    reported = re.search(r"exited with (-?\d+)", log.read_text(errors="replace"))
    row.code = reported[1] if reported else f"dvc {process.returncode}"
    return True


def began(log: Path) -> str:
    """What a run started from, by what it printed."""
    text = log.read_text(errors="replace")
    if match := re.search(r"resumes from step (\d+)", text):
        return f"step {match[1]}"
    if re.search(r"^starts from ", text, re.MULTILINE):
        return "scratch"
    return "nothing to do" if "up to date" in text or "didn't change" in text else "?"


def refused(log: Path) -> bool:
    """Whether a trainer that was left behind, and had not yet noticed, held the lock."""
    return "running already, as process" in log.read_text(errors="replace")


def torture(project: Project, kinds: list[str], chance: random.Random, rows: list[Row]) -> int:
    """Kill a copy with the first of `kinds`, which it takes off, and again, then let it end; returns its exit code."""
    number = max((row.copy for row in rows), default=0) + 1
    log = project.root / "log"
    for _ in range(min(KILLS_PER_COPY, len(kinds))):
        row = Row(number, kinds[0], "")
        alive = killed(project, row, chance, log)
        while not alive and refused(log):
            alive = killed(project, row, chance, log)
        note_next(rows, number, log)
        if not alive:
            return 0 if project.step() == STEPS else 1
        rows.append(row)
        kinds.pop(0)
    code = project.dvc(log).wait(PATIENCE_SECONDS)
    while refused(log):
        time.sleep(1)
        code = project.dvc(log).wait(PATIENCE_SECONDS)
    note_next(rows, number, log)
    return code


def note_next(rows: list[Row], number: int, log: Path) -> None:
    if rows and rows[-1].copy == number:
        rows[-1].next = began(log)


def show(rows: list[Row], verdict: str) -> None:
    for row in rows:
        print(f"{row.copy:>4}  {row.kind:<16} {row.moment:<28} {row.step:>4}  {row.code:<14} {row.next:<14} {verdict}")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what is ignored here would be ignored below, too
    chance, begin = random.Random(given.seed), time.monotonic()  # noqa: S311
    kinds = [kind for _ in range(0, given.kills, len(KINDS)) for kind in chance.sample(KINDS, len(KINDS))][
        : given.kills
    ]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="passo-kill-") as folder:
        base = made(Path(folder) / "base")
        first = base.copy()
        assert first.dvc(first.root / "log").wait() == 0, (first.root / "log").read_text()
        expected = first.digest()
        print(f"seed {given.seed}; never interrupted: " + ", ".join(f"{k} {v[:12]}" for k, v in expected.items()))
        print(
            "copy  kill             moment                       kept  exit code      next from      equal", flush=True
        )
        equal = True
        while kinds and equal:
            project, before = base.copy(), len(rows)
            code = torture(project, kinds, chance, rows)
            equal = code == 0 and project.digest() == expected
            show(rows[before:], "yes" if equal else f"NO (exit code {code})")
            if not equal:
                print((project.root / "log").read_text(errors="replace"), file=sys.stderr)
            shutil.rmtree(project.root)
    print(f"{len(rows)} kills in {time.monotonic() - begin:.0f} s: " + ("every end is the same" if equal else "FAILED"))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
