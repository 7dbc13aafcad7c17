"""Kill a training together with its machine, again and again, and see that it ends in the same bytes all the same.

    make test-kill-bucket, or: PYTHONPATH=. python tests/kill_on_bucket.py [--kills=10] [--seed=1]

One project is trained without interruption and without a bucket. Copies of it are trained through real `dvc repro` with
`train.work_dir` on a Cloud Storage server on loopback, which takes its time over each answer. At a random step SIGKILL
ends the trainer, and all of its folder is removed; a fresh copy takes its place, which has nothing but the bucket.

Printed is a row per kill: the step that the machine had come to, the newest one on the bucket, and from where the next
one went on. Exits 1 if a copy does not end, does not go on from the newest step on the bucket, or its model/train or
results/train is not that of the first.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import tiny
from gcs_server import Server, serve
from kill_training import PARAMS, PATIENCE_SECONDS, STEPS, Project, made, trainer

BUCKET = "bkt"
DELAY_SECONDS = 0.05  # of the server, before each answer
MOST_STEPS = 8  # from one kill to the next
AFTER_SECONDS = 3  # that a kill comes after its step, by chance
OUTPUTS = ("model/train", "results/train")


def on_bucket(server: Server) -> int:
    """The newest step that has a manifest."""
    found = [re.fullmatch(r"work/\w+/step-(\d{8})\.json", name) for name in server.read(BUCKET)]
    return max((int(name[1]) for name in found if name), default=0)


def machine(base: Project) -> Project:
    """A new one: a fresh copy of the project, set to the bucket."""
    project = base.copy()
    tiny.params(project.root, **PARAMS, **{"train.work_dir": f"gs://{BUCKET}/work"})
    return project


def killed(project: Project, server: Server, chance: random.Random) -> int:
    """Train, and kill at a random moment after a random step; returns the newest step here, 0 where it ended before."""
    process = project.dvc(project.root / "log")
    target, begin = min(STEPS, on_bucket(server) + chance.randint(1, MOST_STEPS)), time.monotonic()
    while project.step() < target and process.poll() is None:
        assert time.monotonic() - begin < PATIENCE_SECONDS, "training does not go on"
        time.sleep(0.02)
    time.sleep(chance.uniform(0, AFTER_SECONDS))
    found = trainer(process.pid)
    if found is None:
        assert process.wait(PATIENCE_SECONDS) == 0, (project.root / "log").read_text()
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(found, signal.SIGKILL)
    process.wait(PATIENCE_SECONDS)
    return 0 if process.returncode == 0 else project.step()


def went_on_from(log: Path) -> int:
    """The step that a machine took from the bucket; 0 where it started anew."""
    found = re.search(r"took step (\d+) from gs://", log.read_text(errors="replace"))
    return int(found[1]) if found else 0


def torture(base: Project, server: Server, chance: random.Random, kills: int) -> tuple[Project, int, bool]:
    """One training, killed `kills` times at most, while there is something left to train; returns its last machine."""
    project, done, before, is_well = machine(base), 0, 0, True
    while True:
        if done == kills or on_bucket(server) == STEPS:  # with nothing left to train, a kill would show nothing
            assert project.dvc(project.root / "log").wait(PATIENCE_SECONDS) == 0, (project.root / "log").read_text()
            reached = 0
        else:
            reached = killed(project, server, chance)
        began = went_on_from(project.root / "log")
        is_well &= began == before
        if done:
            print(f"{began:>9}  {'yes' if began == before else 'NO'}", flush=True)
        if not reached:
            return project, done, is_well
        done, before = done + 1, on_bucket(server)
        print(f"{reached:>4}  {before:>9}  ", end="", flush=True)
        shutil.rmtree(project.root)
        project = machine(base)


def digest(project: Project) -> dict[str, str]:
    return {name: value for name, value in project.digest().items() if name in OUTPUTS}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    given = parser.parse_args()
    chance, begin, done, is_well = random.Random(given.seed), time.monotonic(), 0, True  # noqa: S311
    with tempfile.TemporaryDirectory(prefix="passo-kill-") as folder, serve() as server:
        os.environ.update(server.environment())
        base = made(Path(folder) / "base")
        first = base.copy()
        assert first.dvc(first.root / "log").wait() == 0, (first.root / "log").read_text()
        expected = digest(first)
        print(f"seed {given.seed}; never interrupted: " + ", ".join(f"{k} {v[:12]}" for k, v in expected.items()))
        print("step  on bucket  goes on from", flush=True)
        server.fault(delay=DELAY_SECONDS, times=float("inf"))
        server.create(BUCKET)
        while done < given.kills and is_well:
            for name in server.read(BUCKET):
                server.remove(BUCKET, name)
            last, kills, is_well = torture(base, server, chance, given.kills - done)
            done += kills
            is_equal = digest(last) == expected
            is_well &= is_equal
            summary = json.loads((last.root / "model/train/train.json").read_text())
            print(f"ended at step {summary['steps']} after {kills} kills: {'the same bytes' if is_equal else 'OTHERS'}")
            shutil.rmtree(last.root)
    print(f"{done} kills in {time.monotonic() - begin:.0f} s: " + ("every end is the same" if is_well else "FAILED"))
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
