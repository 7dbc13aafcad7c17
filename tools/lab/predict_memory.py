"""What memory `make predict` takes over many photos: after the first thousand, and at the end.

    python -m tools.lab.predict_memory FOLDER [--photos 2000] [--after 1000]

In:  model/export, and a folder of photos, which are linked (or copied) under other names until there are so many
Out: the memory of the process (VmRSS) at both moments, and how long it took; what it wrote is removed
"""

import argparse
import itertools
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from detector.base import errors
from detector.base.errors import UserError
from detector.prediction import page, photos

WORK = Path(".work")  # on the file system of the project, whose photos can be linked there
SECONDS = 0.2  # between two looks


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.lab.predict_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", help="of photos, searched with its subfolders")
    parser.add_argument("--photos", type=int, default=2000, help="how many; default: %(default)s")
    parser.add_argument("--after", type=int, default=1000, help="photos, the first look; default: %(default)s")
    arguments = parser.parse_args()
    found, _ = photos.find([arguments.folder])
    if not found:
        raise UserError(arguments.folder, "no photos there", "give the folder of photos")
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as work:
        folder, output = Path(work, "photos"), Path(work, "predictions")
        multiply([photo.path for photo in found], arguments.photos, folder)
        start = time.monotonic()
        looks = list(watched([sys.executable, "-m", "stages.predict", str(folder), f"--output={output}"], output))
        seconds = time.monotonic() - start
    first = next((look for look in looks if look[0] >= arguments.after), looks[-1])
    for done, memory in (first, looks[-1]):
        errors.say(f"{memory:.0f} MB after {errors.counted(done, 'photo')}")
    errors.say(f"{seconds:.0f} s in all")


def multiply(originals: Sequence[Path], count: int, folder: Path) -> None:
    """Fill a new folder with so many photos: links to these, or copies where there can be none."""
    folder.mkdir()
    for number, original in zip(range(count), itertools.cycle(originals), strict=False):
        target = folder / f"{number:06}{original.suffix}"
        try:
            target.hardlink_to(original)
        except OSError:  # on another file system
            shutil.copy(original, target)


def watched(command: Sequence[str], output: Path) -> Iterator[tuple[int, float]]:
    """Runs a prediction; yields the photos that are done and its memory in MB, several times a second.

    Raises:
        UserError: it failed.
    """
    pictures = output / page.PICTURES
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        while process.poll() is None:
            done = sum(1 for _ in pictures.iterdir()) if pictures.is_dir() else 0
            if memory := resident(process.pid):
                yield done, memory
            time.sleep(SECONDS)
        if process.returncode:
            log.seek(0)
            raise UserError(
                " ".join(command[1:3]), f"ended with {process.returncode}: {log.read().strip()}", "fix that"
            )


def resident(process: int) -> float:
    """MB of a process; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0)


if __name__ == "__main__":
    errors.run(main)
