"""Whether what is here is what dvc.lock names: after `git checkout` of another commit it is not, until `dvc checkout`.

    python -m tools.cloud.lineage model/export      (make predict begins with it)

It prints a line on stderr for what is not, and exits with 0: a model of another commit is still a model.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector.base import errors
from detector.base.errors import UserError
from tools.cloud import git
from tools.cloud.cache import is_list, md5

LOCK = Path("dvc.lock")
MENDS = "run: dvc checkout, or go back to the commit that they are of: git switch -"


def main() -> None:
    warn(stale(*map(Path, sys.argv[1:])))


def warn(found: Sequence[str]) -> None:
    """Print what is not what dvc.lock names, if anything."""
    if found:
        errors.say(f"note: {', '.join(found)}: not what {LOCK} names, so of another run; {MENDS}", file=sys.stderr)


def stale(*wanted: Path) -> list[str]:
    """The outputs of dvc.lock that are, hold or lie in one of these paths, and are here with other content.

    Raises:
        UserError: dvc.lock cannot be read.
    """
    related = {
        path: digest
        for path, digest in locked()
        if any(Path(path).is_relative_to(one) or one.is_relative_to(path) for one in wanted)
    }
    return sorted(path for path, digest in related.items() if Path(path).exists() and not is_what(Path(path), digest))


def recorded(commits: Iterable[str]) -> list[Any]:
    """What dvc.lock says of each stage, here and in these commits; nothing of one that cannot be read."""
    texts = [LOCK.read_text(encoding="utf-8", errors="replace")] if LOCK.is_file() else []
    for commit in commits:
        with suppress(ValueError):  # it has none
            texts.append(git.run("show", f"{commit}:./{LOCK}"))
    return [stage for text in texts for stage in stages(text).values()]


def stages(text: str) -> dict[str, Any]:
    """What a dvc.lock says of each stage, by its name; nothing of one that cannot be read."""
    with suppress(ValueError, YAMLError, AttributeError, TypeError, RecursionError):
        return dict((YAML(typ="safe").load(text) or {}).get("stages") or {})
    return {}


def locked() -> Iterator[tuple[str, str]]:
    """(path, DVC's md5) of each output in dvc.lock."""
    try:
        stages = (YAML(typ="safe").load(LOCK) or {}).get("stages") or {}
        for stage in stages.values():
            yield from ((str(out["path"]), str(out["md5"])) for out in stage.get("outs") or [] if "md5" in out)
    except FileNotFoundError:
        return
    except (OSError, ValueError, YAMLError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise UserError(str(LOCK), "cannot be read as a list of stages", f"restore it: git checkout {LOCK}") from error


def is_what(path: Path, digest: str, copies: Path | None = None) -> bool:
    """Whether a file or a folder has the content with this md5 of DVC, whose ending says that it is a folder.

    What is neither has none: to read a device or a pipe may never end. Of a folder's files, those that are in `copies`
    are read there.
    """
    try:
        return digest == _of_folder(path, copies or path) if is_list(digest) else path.is_file() and digest == md5(path)
    except OSError:
        return False


def _of_folder(path: Path, copies: Path) -> str:
    """DVC's id of a folder: the md5 of the list of its files."""
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    read = {name: copies if (copies / name).is_file() else path for name in names}
    listed = json.dumps([{"md5": md5(read[name] / name), "relpath": name} for name in names], sort_keys=True)
    return f"{hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest()}.dir"


if __name__ == "__main__":
    errors.run(main)
