"""What DVC tracks: the outputs that dvc.lock and the .dvc files name, and the objects that they consist of."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from detector.base import errors
from tools.cloud.cache import Cache, object_name
from tools.cloud.remote import Remote


@dataclass(frozen=True)
class Output:
    """A file or a folder, in the working tree or in a commit; or a file in such a folder."""

    path: str  # from the project's root
    stored_as: str  # the name of its object, in the cache and on the remote
    remedy: str  # the commands that make it again
    commit: str = ""  # in which it is, as a user knows it; empty for the working tree

    @property
    def label(self) -> str:
        return f"{self.commit}: {self.path}" if self.commit else self.path


def collect(repo: Any, experiments: Mapping[str, str], head: str = "", older: Collection[str] = ()) -> list[Output]:
    """What belongs on the default remote.

    Args:
        repo: the project; the outputs of its working tree come first.
        experiments: the name by the commit.
        head: the last commit, whose outputs a newer run may have replaced in the working tree; empty to leave it out.
        older: other commits.
    """
    outputs, config = [], repo.config
    commits = [*dict.fromkeys([head, *older, *sorted(experiments)])]  # of two that have an object, the first is named
    for revision in repo.brancher(revs=[*filter(None, commits)], sha_only=True):
        repo.config = config  # that of an older commit may not know the remote which config.local is about: DVC fails
        for out in filter(_belongs_there, repo.index.outs):
            output = Output(path_of(repo, out), object_name(out.hash_info.value), _remedy(repo, out))
            if revision and revision == head:
                output = replace(output, commit=commit_name(head), remedy="git stash, then dvc repro")
            elif name := experiments.get(revision):
                remedy = f"dvc exp apply {shlex.quote(name)}, then dvc repro"
                output = replace(output, commit=f"experiment {name}", remedy=remedy)
            elif revision in older:
                remedy = f"git switch --detach {revision[:10]}, then dvc repro"
                output = replace(output, commit=commit_name(revision), remedy=remedy)
            outputs.append(output)
    return outputs


def commit_name(commit: str) -> str:
    return f"commit {commit[:10]}"


def left_to_dvc(repo: Any, command: str) -> list[str]:
    """What is not pushed or pulled here, a line each."""
    outs = [out for out in repo.index.outs if is_stored(out) and not _belongs_there(out)]
    fault = "has its own remote, or is stored as DVC 2 did"
    return [
        f"{path}: {fault}; run: dvc {command} {shlex.quote(path)}"
        for path in sorted(path_of(repo, out) for out in outs)
    ]


def is_stored(out: Any) -> bool:
    """Whether an output is recorded, and its content belongs in the cache."""
    return bool(out.is_in_repo and out.use_cache and out.can_push and not out.stage.is_repo_import and out.hash_info)


def _belongs_there(out: Any) -> bool:
    return is_stored(out) and not out.remote and out.hash_info.name == "md5"


def path_of(repo: Any, out: Any) -> str:
    """Of an output, from the project's root."""
    return str(repo.fs.relpath(out.fs_path, repo.root_dir))


def _remedy(repo: Any, out: Any) -> str:
    command = ["add", path_of(repo, out)] if out.stage.is_data_source else ["repro", out.stage.addressing]
    return shlex.join(["dvc", *command])


def by_object(cache: Cache, outputs: Sequence[Output]) -> dict[str, Output]:
    """What each object is, by its name; where several outputs contain it, the first of them."""
    by_name: dict[str, Output] = {}
    for output in outputs:
        by_name.setdefault(output.stored_as, output)
        for path, name in cache.files(output.stored_as).items():
            by_name.setdefault(name, replace(output, path=f"{output.path}/{path}", stored_as=name))
    return by_name


def show_elsewhere(remote: Remote, cache: Cache, outputs: Sequence[Output], missing: Collection[Output]) -> set[str]:
    """Print which commits have data that is neither here nor on the remote: others have it, and it is no fault.

    Returns: the names of those objects.
    """
    absent = {output.stored_as for output in missing if output.commit and not cache.has(output.stored_as)}
    elsewhere = absent - remote.digests.keys()
    commits = {output.commit for output in outputs if not cache.is_complete(output.stored_as, elsewhere)} - {""}
    if commits:
        remedy = "run: make push, on the machine that has it"
        errors.say(f"neither here nor on {remote.url} is all the data of {', '.join(sorted(commits))}; {remedy}")
    return elsewhere
