"""Take the machine away from a training, again and again, and see that it ends in the same bytes all the same.

    make test-kill-bucket, or: python -m tests.kill.on_bucket [--kills=10] [--seed=1]

A git repository holds this one's files, params for a short training, and a tiny dataset: nothing made, no dvc.lock. A
machine is a folder with a `git clone` of it, a home, a TMPDIR and DVC's caches, all of them new, where a plain
`dvc repro train_tpu` makes tables, records and initial weights before it trains. The first one has no bucket, and is
never interrupted. From the next commit on, `train.work_dir` is on a Cloud Storage server on loopback, which takes its
time over each answer. At a random moment after a random step SIGKILL ends all processes of the machine at once, dvc and
trainer alike, and its folder is removed; the next one has nothing but the commit and the bucket.

All machines are this one, where checkpointing/lease.py recognises a dead process. So the first to be killed runs in its
own PID namespace: to the next one it is another machine, of which nothing is known. That one must be refused, with
exit code 2 and a line that names the holder and the seconds to wait, and must resume when it is run again after these.
Where `unshare` is not permitted, a line says that this was left out.

Printed is a row per kill: the step that the machine had come to, the newest one on the bucket, the seconds that the
next one had to wait, and the step from which it resumed. Exits 1 if a machine does not run all stages, is refused or
let in where it must not be, does not resume from the newest step on the bucket, or does not end, or if model/train or
results/train is not that of the first.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.kill.training import PARAMS, PATIENCE_SECONDS, STEPS, Project
from tests.support import project, tiny
from tests.support.gcs_server import Server, serve

BUCKET = "bkt"
DELAY_SECONDS = 0.05  # of the server, before each answer
ARRIVAL_SECONDS = 1  # in which the server has done all that a machine had asked for
MOST_STEPS = 8  # from one kill to the next
AFTER_SECONDS = 3  # that a kill comes after its step, by chance
STAGES = ["xml2csv", "csv2record", "pretrained", "train_tpu"]
OUTPUTS = ("model/train", "results/train")
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
REFUSED = rf"this training is running already: process \d+ on {re.escape(platform.node())}, .* run again in (\d+) s"


@dataclass
class Site:
    """Where machines are made: a folder for them, the repository that they clone, and the bucket's server."""

    folder: Path
    repository: project.Project
    server: Server

    def machine(self, *before: str) -> Project:
        """A new one. `before`: what its dvc runs in."""
        place = Path(tempfile.mkdtemp(dir=self.folder, prefix="machine-"))
        own = {"HOME": place / "home", "TMPDIR": place / "tmp", "DVC_SITE_CACHE_DIR": place / "cache"}
        for path in own.values():
            path.mkdir()
        self.repository.run("git", "clone", "-q", str(self.repository.root), str(place / "project"))
        return Project(place / "project", ("env", *(f"{name}={path}" for name, path in own.items()), *before))

    def on_bucket(self) -> int:
        """The newest step that has a manifest."""
        found = [re.fullmatch(r"work/\w+/step-(\d{8})\.json", name) for name in self.server.read(BUCKET)]
        return max((int(name[1]) for name in found if name), default=0)

    def empty_bucket(self) -> None:
        for name in self.server.read(BUCKET):
            self.server.remove(BUCKET, name)


def repository(root: Path) -> project.Project:
    """One that holds all that a training without a bucket needs."""
    made = project.Project(root, PARAMS)
    tiny.dataset(root)
    commit(made, "data")
    return made


def commit(made: project.Project, message: str) -> None:
    made.run("git", "add", ".")
    made.run("git", "commit", "-qm", message)


def unshared() -> tuple[str, ...]:
    """A command that runs another one as if on another machine; nothing where that is not permitted."""
    for command in (UNSHARE, (*UNSHARE, "--map-root-user")):
        with contextlib.suppress(OSError):
            if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
                return command
    print("left out: a machine of which the next one cannot know that it is dead, for unshare is not permitted here")
    return ()


def log(machine: Project) -> Path:
    return machine.root.parent / "log"


def output(machine: Project) -> str:
    """What its last `dvc repro` printed."""
    return log(machine).read_text(errors="replace")


def end(machine: Project) -> int:
    """Train to the end; returns 0, as `killed` does then."""
    assert machine.dvc(log(machine)).wait(PATIENCE_SECONDS) == 0, output(machine)
    return 0


def killed(machine: Project, on_bucket: int, chance: random.Random) -> int:
    """Train, and kill at a random moment after a random step; returns the newest step here, 0 where it ended before."""
    process = machine.dvc(log(machine))
    target, begin = min(STEPS, on_bucket + chance.randint(1, MOST_STEPS)), time.monotonic()
    while machine.step() < target and process.poll() is None:
        assert time.monotonic() - begin < PATIENCE_SECONDS, "training does not advance"
        time.sleep(0.02)
    with contextlib.suppress(subprocess.TimeoutExpired):
        assert process.wait(chance.uniform(0, AFTER_SECONDS)) == 0, output(machine)
        return 0
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE_SECONDS)
    while living(process.pid):
        assert time.monotonic() - begin < PATIENCE_SECONDS, "SIGKILL to the process group leaves a process behind"
        time.sleep(0.02)
    return machine.step()


def living(session: int) -> bool:
    """Whether a session has a process that is not dead."""
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == session and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return True
    return False


def refused(machine: Project) -> int:
    """Run a machine that cannot know that the one before it is dead; returns the seconds that it has to wait."""
    machine.dvc(log(machine)).wait(PATIENCE_SECONDS)
    refusal = re.search(REFUSED, output(machine))
    assert refusal and re.search(r"exited with 2\b", output(machine)) and ran(machine) == STAGES, output(machine)
    return int(refusal[1])


def resumed_from(machine: Project) -> int:
    """The step that a machine took from the bucket; 0 where it started from scratch."""
    found = re.search(r"took step (\d+) from gs://", output(machine))
    return int(found[1]) if found else 0


def ran(machine: Project) -> list[str]:
    """The stages that its last `dvc repro` ran."""
    return re.findall(r"^Running stage '(\w+)'", output(machine), re.MULTILINE)


def torture(site: Site, chance: random.Random, kills: int, *before: str) -> tuple[Project, int, bool]:
    """One training, killed `kills` times at most, while there is something left to train; returns its last machine.

    The first machine's dvc runs in `before`: where that is something, the next one must be refused.
    """
    machine, killings, newest, wait, is_well = site.machine(*before), 0, 0, 0, True
    while True:
        is_last = killings == kills or newest == STEPS  # with nothing left to train, a kill would show nothing
        reached = end(machine) if is_last else killed(machine, newest, chance)
        assert ran(machine) == (STAGES[-1:] if wait else STAGES), output(machine)
        began = resumed_from(machine)
        is_well &= began == newest
        if killings:
            print(f"{wait or '-':>6}  {began:>9}  {'yes' if began == newest else 'NO'}", flush=True)
        if not reached:
            return machine, killings, is_well
        shutil.rmtree(machine.root.parent)
        time.sleep(ARRIVAL_SECONDS)
        killings, newest, machine = killings + 1, site.on_bucket(), site.machine()
        print(f"{reached:>4}  {newest:>9}  ", end="", flush=True)
        wait = refused(machine) if before and killings == 1 else 0
        time.sleep(wait)


def digest(machine: Project) -> dict[str, str]:
    return {name: value for name, value in machine.digest().items() if name in OUTPUTS}


def uninterrupted(site: Site) -> dict[str, str]:
    """What a machine without a bucket comes to."""
    machine = site.machine()
    end(machine)
    assert ran(machine) == STAGES, output(machine)
    found = digest(machine)
    shutil.rmtree(machine.root.parent)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    given = parser.parse_args()
    chance, begin, done, is_well = random.Random(given.seed), time.monotonic(), 0, True  # noqa: S311
    with tempfile.TemporaryDirectory(prefix="passo-kill-") as folder, serve() as server:
        os.environ.update(server.environment())
        site, elsewhere = Site(Path(folder), repository(Path(folder) / "repository"), server), unshared()
        expected = uninterrupted(site)
        print(f"seed {given.seed}; never interrupted: " + ", ".join(f"{k} {v[:12]}" for k, v in expected.items()))
        print("step  on bucket  wait s  resumes from", flush=True)
        tiny.params(site.repository.root, **PARAMS, **{"train.work_dir": f"gs://{BUCKET}/work"})
        commit(site.repository, "work on the bucket")
        server.fault(delay=DELAY_SECONDS, times=float("inf"))
        server.create(BUCKET)
        while done < given.kills and is_well:
            site.empty_bucket()
            last, kills, is_well = torture(site, chance, given.kills - done, *(() if done else elsewhere))
            done += kills
            is_equal = digest(last) == expected
            is_well &= is_equal
            summary = json.loads((last.root / "model/train/train.json").read_text())
            print(f"ended at step {summary['steps']} after {kills} kills: {'the same bytes' if is_equal else 'OTHERS'}")
            shutil.rmtree(last.root.parent)
    print(f"{done} kills in {time.monotonic() - begin:.0f} s: " + ("every end is the same" if is_well else "FAILED"))
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
