"""Kill a prediction again and again, and check that it still ends in the same bytes, with each photo exactly once.

    make test-kill-predict, or: python -m tests.kill.predicting [--kills=20] [--seed=1] [--photos=2000]

One prediction is left alone. Others into folders of their own are killed at random moments, in turn by SIGKILL, SIGTERM
and SIGINT (Ctrl-C), and each time the same command is run again; up to four kills a folder, which may then finish. It
prints a row for each kill: the moment, the exit code, and how many photos were done then and when the next run began.
Exits 1 if a folder does not finish, differs from the first, or a run does a photo again that was done before.
"""

import argparse
import csv
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
from collections import Counter
from pathlib import Path

from PIL import Image

from detector.base import paths
from tests.support import finder
from tests.support.stage import REPOSITORY

KINDS = ("SIGKILL", "SIGTERM", "SIGINT")
KILLS_PER_FOLDER = 4
PICTURES = 40  # that differ
LONGEST = 8.0  # seconds from the start to a kill, at most


def made(root: Path, photos: int) -> Path:
    """A project with a model, and photos/ with a red square each, here and there."""
    finder.save(root / paths.EXPORT)
    shutil.copy(REPOSITORY / "params.yaml", root)
    (root / "photos").mkdir()
    for number in range(photos):
        path = root / "photos" / f"{number:05}.jpg"
        if number < PICTURES:
            picture = Image.new("RGB", (320, 240))
            picture.paste((255, 0, 0), (5 * number, 40, 5 * number + 60, 120))
            picture.save(path, quality=95)
        else:
            os.link(root / "photos" / f"{number % PICTURES:05}.jpg", path)
    return root


def started(root: Path, output: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "stages.predict", "photos", "--output", output]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def done(folder: Path) -> int:
    """How many photos the journal has."""
    try:
        return (folder / ".passo-journal").read_bytes().count(b"\n") - 1
    except FileNotFoundError:
        return 0


def digest(folder: Path) -> str:
    """Of the names and contents of all files."""
    result = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        result.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return result.hexdigest()


def faults(folder: Path, expected: str, photos: int) -> list[str]:
    """What is wrong with a folder whose prediction has ended."""
    with (folder / "detections.csv").open(newline="") as file:
        counts = Counter(row["filename"] for row in csv.DictReader(file))
    wrong = [f"{folder.name}: {len(counts)} photos"] if len(counts) != photos else []
    wrong += [f"{folder.name}: {name} {count} times" for name, count in counts.items() if count != 1]
    return wrong + ([f"{folder.name}: other bytes"] if digest(folder) != expected else [])


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.kill.predicting", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--photos", type=int, default=2000)
    arguments = parser.parse_args()
    chance, wrong = random.Random(arguments.seed), []  # noqa: S311
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        root = made(Path(temporary), arguments.photos)
        first = started(root, "whole")
        first.communicate()
        expected = digest(root / "whole")
        wrong += faults(root / "whole", expected, arguments.photos)
        print(f"{arguments.photos} photos in {time.monotonic() - begin:.0f} s")
        kills = folder = 0
        while kills < arguments.kills:
            folder += 1
            output = root / f"folder{folder}"
            for kind in [
                KINDS[(kills + k) % len(KINDS)] for k in range(min(KILLS_PER_FOLDER, arguments.kills - kills))
            ]:
                process, delay = started(root, output.name), chance.uniform(0.2, LONGEST)
                time.sleep(delay)
                before = process.poll() is None
                process.send_signal(getattr(signal, kind))
                out, _ = process.communicate()
                if not before:
                    break
                kills += 1
                print(
                    f"folder {folder}  {kind:8}{delay:5.1f} s  code {process.returncode:4}  {done(output):5} done",
                    end="",
                )
                print(f"  began at {_resumed(out)}")
            last = started(root, output.name)
            out, err = last.communicate()
            print(f"folder {folder}  to its end    code {last.returncode:4}  began at {_resumed(out)}")
            wrong += [err] if last.returncode else faults(output, expected, arguments.photos)
    for line in wrong:
        print(f"wrong: {line}")
    print(f"{kills} kills in {time.monotonic() - begin:.0f} s: {'WRONG' if wrong else 'every end is the same'}")
    sys.exit(bool(wrong))


def _resumed(printed: str) -> int:
    found = re.search(r"resumes: (\d+) of", printed)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    main()
