"""Check every object that DVC tracks, by its content: in the cache, and on the remote.

    make check-data [REMOTE=1] [MINUTES=5]
    python -m tools.check_data [--remote=1] [--minutes=5]

Checked is what dvc.lock and the .dvc files name, as they are and as the last ten commits that changed them have them,
and experiments. An object is right when its md5 is its name: DVC itself takes one that is read-only for right, and a
folder's list for the sign that its files exist. A disk is read for so many minutes; the next time it goes on with those
that were not checked for longest. A bucket knows the md5 of what was uploaded: nothing is downloaded.

Nothing is changed. What is damaged or missing is an error, with where it can be restored from. Data of older commits
and of experiments may never have been on this machine: where it is missing, that is printed, and no error.

Exit code 0: what was checked is right. 1: what is not, a line each. 2: it could not be checked at all.
"""

import argparse
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from detector.base import errors, files
from detector.base.bars import bar
from detector.base.errors import UserError
from tools.cloud import experiments, git, outputs, transfer
from tools.cloud.cache import Cache, md5_in, mismatch
from tools.cloud.outputs import Output
from tools.cloud.project import project
from tools.cloud.remote import Remote, connect

COMMITS = 10
MISSING = "missing"
CHECKED = "passo-checked.json"  # in .dvc/tmp: {object of the cache: the second when it was right}


def main() -> None:
    arguments = parse_arguments()
    with project() as repo:
        findings = check(repo, connect(repo, "bucket-check") if arguments.remote else None, arguments.minutes * 60)
    errors.exit_with(findings)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.check_data", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--remote", default="0", help="1: the DVC remote, too")
    parser.add_argument("--minutes", default="5", help="that the cache may be read for (default: 5)")
    arguments = parser.parse_args()
    if arguments.remote not in ("0", "1"):
        raise UserError("REMOTE", f"{arguments.remote!r} is not allowed", "give 1 to check the DVC remote, too, or 0")
    arguments.remote = arguments.remote == "1"
    given = arguments.minutes
    with contextlib.suppress(ValueError):
        arguments.minutes = float(given)
    if not (isinstance(arguments.minutes, float) and 0 < arguments.minutes < float("inf")):
        raise UserError("MINUTES", f"{given!r} is not allowed", "give a number above 0")
    return arguments


def check(repo: Any, remote: Remote | None, seconds: float) -> list[str]:
    """Print what was checked. Returns: what is damaged or missing, a line each."""
    cache = Cache(repo)
    everything = outputs.collect(repo, experiments.local(), older=last_commits())
    if not everything:
        raise UserError("dvc.lock", "names nothing to check", "run: make train")
    objects = outputs.by_object(cache, everything)
    here, checked = read(cache, objects, Path(repo.tmp_dir, CHECKED), seconds)
    left = sum(map(cache.has, objects)) - checked
    again = f"; {left:,} are left: run make check-data again" if left else ""
    errors.say(f"{cache.root}: {summary(objects, here, checked)}{again}")
    there = at_remote(remote, objects) if remote else {}
    if remote:
        unknown = sum(remote.md5(name) is None for name in objects if name in remote.digests)
        more = f"; {unknown:,} of them have no md5 there: not compared" if unknown else ""
        errors.say(f"{remote.url}: {summary(objects, there, len(objects) - list(there.values()).count(MISSING))}{more}")
    findings = []
    for name, output in objects.items():
        places = [(cache.root, here.get(name, "")), *([(remote.url, there.get(name, ""))] if remote else [])]
        wrong = [f"{fault} in {place}" for place, fault in places if fault and (fault != MISSING or not output.commit)]
        if wrong:
            findings.append(f"{output.label}: {', '.join(wrong)}; {restored(cache, output, here, there, remote)}")
    show_missing(objects, here, there, remote)
    return findings


def last_commits() -> list[str]:
    """Those that changed what DVC tracks, the newest first."""
    try:
        return git.run("log", f"--max-count={COMMITS}", "--format=%H", "--", "dvc.lock", "*.dvc").split()
    except ValueError:
        return []  # there is none yet


def read(cache: Cache, names: Iterable[str], notes: Path, seconds: float) -> tuple[dict[str, str], int]:
    """Read objects of the cache, those first that were not read for longest.

    Returns: what is wrong, by name; how many were read.
    """
    times = load(notes)
    faults = {name: MISSING for name in names if not cache.has(name)}
    waiting = sorted((name for name in names if name not in faults), key=lambda name: (times.get(name, 0), name))
    deadline, count = time.monotonic() + seconds, 0
    for name in bar(waiting, "checking", len(waiting)):
        count += 1
        if fault := mismatch(cache.path(name), md5_in(name)):
            faults[name] = f"damaged ({fault})"
            times.pop(name, None)
        else:
            times[name] = int(time.time())
        if time.monotonic() > deadline:
            break
    with contextlib.suppress(OSError):  # on a disk that is full, or can only be read, the next time starts anew
        files.write_text(notes, json.dumps(times) + "\n")
    return faults, count


def load(notes: Path) -> dict[str, int]:
    """When each object was last right; nothing where that is not known."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        times = json.loads(notes.read_text(encoding="utf-8"))
        if isinstance(times, dict):
            return {name: second for name, second in times.items() if isinstance(second, int)}
    return {}


def at_remote(remote: Remote, names: Iterable[str]) -> dict[str, str]:
    """What is wrong with the objects of the remote, by name."""
    absent = [name for name in names if not remote.has(name)]
    return {name: f"damaged (its md5 is {remote.md5(name)})" if name in remote.digests else MISSING for name in absent}


def summary(names: Iterable[str], faults: Mapping[str, str], checked: int) -> str:
    """How many objects there are, how many were checked, and how many of them are right."""
    kinds = Counter(fault == MISSING for fault in faults.values())
    return (
        f"{checked - kinds[False]:,} right, {kinds[False]:,} damaged and {kinds[True]:,} missing of "
        f"{len(list(names)):,} objects"
    )


def restored(
    cache: Cache, output: Output, here: Mapping[str, str], there: Mapping[str, str], remote: Remote | None
) -> str:
    """Where a damaged or missing object can come from, and how."""
    name = output.stored_as
    if remote and name not in there:
        commit = output.commit.removeprefix("commit ") if output.commit.startswith("commit ") else ""
        return "the remote has it: make pull" + (f" COMMIT={commit}" if commit else "")
    if name not in here:
        return "the cache has it: make push"
    remove = f"{cache.to_remove(name)}, then "
    if transfer.is_whole_here(output):
        return f"the working tree has it: {remove}{transfer.remedy(output)}"
    elsewhere = "neither has it: " if remote else "make check-data REMOTE=1 tells whether the remote has it; else: "
    return f"{elsewhere}{remove}{output.remedy}"


def show_missing(
    objects: Mapping[str, Output], here: Mapping[str, str], there: Mapping[str, str], remote: Remote | None
) -> None:
    """Print how much of the data of other commits and experiments is missing."""
    for place, faults in (("here", here), *([(f"on {remote.url}", there)] if remote else [])):
        counts = Counter(objects[name].commit for name, fault in faults.items() if fault == MISSING)
        for commit in sorted(filter(None, counts)):
            errors.say(f"not {place}: {errors.counted(counts[commit], 'object')} of {commit}")


if __name__ == "__main__":
    errors.run(main)
