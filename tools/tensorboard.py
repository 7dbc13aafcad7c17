"""Show the curves and pictures of trainings in TensorBoard, in a browser on this machine.

    make tensorboard                            those of logs/
    make tensorboard BUCKET=my-pets             those of gs://my-pets/work, a train.work_dir; or gs://my-pets/folder
    python -m tools.tensorboard [--bucket=my-pets]

It prints its address, which only this machine can reach, and ends with Ctrl-C. A training may begin meanwhile. From a
bucket, event files are copied into a temporary folder, and every half minute what is new.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from detector.base import errors
from detector.base.errors import UserError
from tools.notebooks.browser import TENSORBOARD_OPTIONS
from tools.trainings import bucket

LOGS = Path("logs")
SECONDS = 30  # between two looks at a bucket
PROGRAM = (sys.executable, "-W", "ignore", "-m", "tensorboard.main")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.tensorboard", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bucket", default="", help="a bucket, or gs://bucket/folder: the train.work_dir of trainings")
    given = parser.parse_args().bucket
    if given:
        _show_bucket(bucket.address(given))
    else:
        if not any(LOGS.glob("*/*/events.out.tfevents.*")):
            errors.say(f"{LOGS}: no training has begun here; its curves will appear as soon as one has")
        os.execv(sys.executable, _command(LOGS))  # noqa: S606


def _command(logs: Path) -> list[str]:
    errors.say(f"starting TensorBoard of {logs}: some seconds")
    return [*PROGRAM, f"--logdir={logs}", *TENSORBOARD_OPTIONS]


def _show_bucket(url: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        logs, seen = Path(temporary), dict[str, int]()
        if not bucket.copy_events(url, logs, seen):
            raise UserError(url, "no training has left curves there", "train.work_dir in params.yaml must name it")
        errors.say(f"{url}: {errors.counted(len(seen), 'file')}; what is new follows every {SECONDS} s")
        with _running(_command(logs)) as server:
            while server.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(SECONDS)
                try:
                    bucket.copy_events(url, logs, seen)
                except UserError as error:
                    errors.say(f"warning: {error.line()}", file=sys.stderr)
        sys.exit(server.returncode)


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command) as server:
        try:
            yield server
        finally:
            server.terminate()


if __name__ == "__main__":
    errors.run(main)
