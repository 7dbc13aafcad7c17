"""What DVC tracks: the outputs that dvc.lock and the .dvc files name, and the objects that they consist of."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tools.cloud.cache import Cache, object_name
from tools.cloud.remote import Remote


class Origin(NamedTuple):
    """A commit whose outputs count beside those of the working tree."""

    name: str
    remedy: str  # the commands that make its outputs again


@dataclass(frozen=True)
class Output:
    """A file or a folder, in the working tree or in a commit; or a file in such a folder."""

    path: str  # from the project's root
    oid: str  # its object: an md5, for a folder with `.dir` behind it
    remedy: str  # the command that makes it again
    origin: str = ""  # the name of the commit; empty for the working tree

    @property
    def label(self) -> str:
        return f"{self.origin}: {self.path}" if self.origin else self.path


def origins(experiments: Mapping[str, str], head: str = "") -> dict[str, Origin]:
    """Experiments (commit: name) and the last commit, whose data a newer run may have replaced in the working tree."""
    known = {
        commit: Origin(f"experiment {name}", f"dvc exp apply {name}, then dvc repro")
        for commit, name in experiments.items()
    }
    return known | ({head: Origin(commit_name(head), "git stash, then dvc repro")} if head else {})


def commit_name(commit: str) -> str:
    return f"commit {commit[:10]}"


def collect(repo: Any, commits: Mapping[str, Origin]) -> list[Output]:
    """What belongs on the default remote, of the working tree and of commits."""
    outputs, config = [], repo.config
    for revision in repo.brancher(revs=sorted(commits), sha_only=True):
        repo.config = config  # that of an older commit may not know the remote which config.local is about: DVC fails
        origin = commits.get(revision)
        outputs += [_output(repo, out, origin) for out in repo.index.outs if _belongs_there(out)]
    return outputs


def left_to_dvc(repo: Any, command: str) -> list[str]:
    """What DVC keeps elsewhere, on another remote or as DVC 2 did, a line each: it is not pushed or pulled here."""
    outs = [out for out in repo.index.outs if _is_kept(out) and not _belongs_there(out)]
    fault = "has its own remote, or is stored as DVC 2 did"
    paths = sorted(repo.fs.relpath(out.fs_path, repo.root_dir) for out in outs)
    return [f"{path}: {fault}; run: dvc {command} {path}" for path in paths]


def _is_kept(out: Any) -> bool:
    return bool(out.is_in_repo and out.use_cache and out.can_push and not out.stage.is_repo_import and out.hash_info)


def _belongs_there(out: Any) -> bool:
    return _is_kept(out) and not out.remote and out.hash_info.name == "md5"


def _output(repo: Any, out: Any, origin: Origin | None) -> Output:
    path = repo.fs.relpath(out.fs_path, repo.root_dir)
    if origin:
        return Output(path, out.hash_info.value, origin.remedy, origin.name)
    remedy = f"dvc add {path}" if out.stage.is_data_source else f"dvc repro {out.stage.addressing}"
    return Output(path, out.hash_info.value, remedy)


def by_oid(cache: Cache, outputs: Sequence[Output]) -> dict[str, Output]:
    """Every object of some outputs, and what it is; where several outputs contain it, the first of them."""
    objects: dict[str, Output] = {}
    for output in outputs:
        objects.setdefault(output.oid, output)
        for path, oid in cache.entries(output.oid).items():
            objects.setdefault(oid, replace(output, path=f"{output.path}/{path}", oid=oid))
    return objects


def show_elsewhere(
    remote: Remote, cache: Cache, outputs: Sequence[Output], missing: Mapping[str, Output]
) -> Collection[str]:
    """Print whose data others have: of commits, and neither here nor on the remote. It is no fault.

    Returns: the objects among the missing ones that others have.
    """
    elsewhere = {
        oid
        for oid, output in missing.items()
        if output.origin and not cache.has(oid) and object_name(oid) not in remote.digests
    }
    names = {output.origin for output in outputs if output.origin and not cache.is_complete(output.oid, elsewhere)}
    if names:
        remedy = "run: make push, on the machine that has it"
        print(f"neither here nor on {remote.url} is all the data of {', '.join(sorted(names))}; {remedy}")
    return elsewhere
