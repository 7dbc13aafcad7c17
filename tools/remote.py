"""Keep everything on the DVC remote, and bring it back: what `dvc push` and `dvc pull` do, and a proof of it.

    make push
    make pull [COMMIT=1a2b3c4] [BUCKET=my-pets]
    python -m tools.remote push
    python -m tools.remote pull [--commit=1a2b3c4] [--bucket=my-pets]

`push` sends what dvc.lock and the .dvc files name, as they are and as the last commit has them, the run-cache, and the
experiments, whose names go to the git remote. A last commit that no git remote has goes along as a git bundle
(cloud/bundles.py). A file of the cache whose md5 is not its name stays here. Afterwards the remote is asked what it
holds: each object must be there with the right md5, which Google Cloud Storage tells without a download.

`pull` brings the working tree's data, the run-cache and the experiments. An object gets its place in the cache only
when its md5 is right, an output its place in the working tree only when all of its objects are, and a file that is in
the way and kept nowhere else stays as it is. With a commit, git checks it out first, and its experiments stay where
they are; what you have changed stays, or is a reason to refuse. With a bucket, a clone that knows no remote gets it.

What others have made and keep on another remote is told, and is no fault: experiments, or the last commit's data.

Exit code 0: everything is there and right. 1: what is not, a line each. 2: the remote cannot be used at all.
"""

import argparse
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from detector.base import errors
from detector.base.errors import UserError
from detector.storage import google
from tools.cloud import bucket_settings, bundles, dvc_config, exchange, experiments, git, stores, tracked
from tools.cloud.stores import Store, reason
from tools.cloud.tracked import Cache, Origin, Output, Part

EXIT_FINDINGS = 1
IN_THE_WAY = "Can't remove the following unsaved files"  # the beginning of DVC's message; the paths follow it


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.remote", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", choices=("push", "pull"))
    parser.add_argument("--commit", default="", help="pull: what the working tree is to be")
    parser.add_argument("--bucket", default="", help="pull: where it is, for a clone that knows no remote")
    arguments = parser.parse_args()
    command = arguments.command
    if arguments.bucket:
        use(bucket_settings.bucket_name(arguments.bucket))
    if arguments.commit:
        with project() as repo:
            for line in git.switch(bundles.pull(stores.connect(repo), Cache(repo), arguments.commit)):
                print(line)
    with project() as repo:
        findings = push(repo) if command == "push" else pull(repo, with_experiments=not arguments.commit)
        fault = "has a remote of its own, or is kept as DVC 2 did"
        findings += [f"{path}: {fault}; run: dvc {command} {path}" for path in tracked.left_to_dvc(repo)]
    errors.show(findings)
    if findings:
        sys.exit(EXIT_FINDINGS)


def use(bucket: str) -> None:
    """Make a bucket that answers the default remote."""
    settings = dvc_config.check(bucket)
    with google.user_errors(f"gs://{bucket}"):
        next(iter(stores.client(settings).list_blobs(bucket, max_results=1, **google.request_options())), None)
    for line in dvc_config.write(bucket):
        print(line)


@contextmanager
def project() -> Iterator[Any]:
    """DVC's view of the project around the working directory; its root becomes the working directory."""
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # else gcsfs asks over gRPC, which may hang
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    stores.silence()
    try:
        with Repo() as repo:
            os.chdir(repo.root_dir)
            yield repo
    except DvcException as error:
        raise UserError("DVC", reason(error), "mend that, and run the command again") from error


def push(repo: Any) -> list[str]:
    """Send everything. Returns: what is not on the remote afterwards, a line each."""
    store, cache = stores.connect(repo), Cache(repo)
    git_remote, known = experiments.git_remote(), experiments.local()
    named = tracked.outputs(repo, origins(known if git_remote else {}, git.head()))
    if not named:
        raise UserError("dvc.lock", "names nothing to push", "run: make train")
    exchange.bring_lists(store, cache, named)
    parts = tracked.parts(cache, named)
    absent = [oid for oid in parts if not exchange.is_right(store, oid)]
    damaged = cache.damaged(absent)
    failed = exchange.send(store, cache, [oid for oid in absent if cache.has(oid) and oid not in damaged])
    failed |= exchange.send_files(store, cache, exchange.absent_runs(store, cache))
    store.look()
    lost = {oid: parts[oid] for oid in parts if not exchange.is_right(store, oid)}
    apart = elsewhere(store, cache, lost)
    held_back = {oid for oid in lost if lost.keys() & cache.entries(oid).values()}  # lists whose files have their lines
    held_back |= apart  # of which show_elsewhere tells
    findings = [
        f"{part.label}: {unsent(store, cache, oid, part, damaged, failed)}"
        for oid, part in lost.items()
        if oid not in held_back
    ]
    runs = exchange.absent_runs(store, cache)
    findings += [f"{run}: of the run-cache: {failed.get(run, 'it is damaged there')}; run: make push" for run in runs]
    findings += experiments.push(git_remote) if git_remote else []
    kept = ""
    try:
        kept = bundles.push(store, cache)
    except UserError as error:
        findings.append(error.line())
    sent = sum(oid not in lost for oid in absent)
    print(f"{store.url}: {summary(store, parts, len(lost))}; sent {sent:,}")
    show_elsewhere(store, cache, named, apart)
    of_commit = [output.oid for output in named if output.origin == commit_name(kept)]
    if of_commit and all(cache.is_whole(oid, lost) for oid in of_commit):
        print(f"no git remote has the last commit, so it is there as well; anywhere: make pull COMMIT={kept}")
    show_to_do({} if git_remote else known)
    return findings


def show_to_do(unnamed: Mapping[str, str]) -> None:
    """Say what only the user can keep: experiments (commit: name) without a git remote, and what is not committed."""
    if unnamed:
        names = ", ".join(sorted(unnamed.values()))
        print(f"not pushed, for there is no git remote: experiments {names}; run: git remote add origin ADDRESS")
    if changed := git.uncommitted(str(dvc_config.CONFIG), "dvc.lock", "dvc.yaml", "params.yaml", "*.dvc"):
        remedy = f"git add {' '.join(changed)} && git commit -m 'As pushed', then: make push"
        print(f"a fresh clone needs these as they are now: {remedy}")


def origins(known: Mapping[str, str], head: str = "") -> dict[str, Origin]:
    """Experiments (commit: name) and the last commit, whose data a newer run may have replaced in the working tree."""
    found = {
        commit: Origin(f"experiment {name}", f"dvc exp apply {name}, then dvc repro") for commit, name in known.items()
    }
    return found | ({head: Origin(commit_name(head), "git stash, then dvc repro")} if head else {})


def commit_name(commit: str) -> str:
    return f"commit {commit[:10]}"


def elsewhere(store: Store, cache: Cache, lost: Mapping[str, Part]) -> set[str]:
    """Of the objects that are lost, those that others keep: the working tree wants none of them, nor are they here."""
    return {
        oid for oid, part in lost.items() if part.origin and not cache.has(oid) and tracked.name(oid) not in store.sizes
    }


def show_elsewhere(store: Store, cache: Cache, named: Sequence[Output], apart: Collection[str]) -> None:
    """Say whose the objects are that others keep."""
    found = {output.origin for output in named if output.origin and not cache.is_whole(output.oid, apart)}
    if found:
        remedy = "run: make push, on the machine that has it"
        print(f"neither here nor on {store.url} is all the data of {', '.join(sorted(found))}; {remedy}")


def unsent(
    store: Store, cache: Cache, oid: str, part: Part, damaged: Mapping[str, str], failed: Mapping[str, str]
) -> str:
    """Why an object is not on the remote, and what to do."""
    name = tracked.name(oid)
    if oid in damaged:
        path = os.path.relpath(cache.path(oid))
        return f"damaged in the cache, and not pushed: {damaged[oid]}; run: rm -f {path}, then {part.remedy}"
    if not cache.has(oid):
        return f"neither in the cache nor on the remote; run: {part.remedy}, then make push"
    fault = failed.get(name) or f"it is {'damaged' if name in store.sizes else 'missing'} there"
    return f"not pushed as {store.url}/{name}: {fault}; run: make push"


def summary(store: Store, parts: Collection[str], lost: int) -> str:
    """How much of what is tracked the remote holds, and how far that is proven."""
    untold = sum(store.md5(name) is None for name in map(tracked.name, parts) if name in store.sizes)
    note = f" ({untold:,} of them without an md5 there: they were not compared)" if untold else ""
    return f"{len(parts) - lost:,} of {len(parts):,} objects are there and right{note}"


def pull(repo: Any, *, with_experiments: bool) -> list[str]:
    """Bring everything. Returns: what is not here afterwards, a line each."""
    store, cache = stores.connect(repo), Cache(repo)
    git_remote = experiments.git_remote() if with_experiments else ""
    if git_remote and (fault := experiments.pull(git_remote)):
        print(f"not pulled from the git remote {git_remote}: experiments ({fault})")
    cache.tidy()
    named = tracked.outputs(repo, origins(experiments.local()) if git_remote else {})
    if not named:
        raise UserError("dvc.lock", "names nothing to pull", "was it committed where it was pushed? run: git pull")
    absent = {output.oid for output in named if not cache.has(output.oid)}
    exchange.bring_lists(store, cache, named)
    parts = tracked.parts(cache, named)
    absent |= {oid for oid in parts if not cache.has(oid)}
    lost = exchange.bring(store, cache, parts)
    apart = elsewhere(store, cache, {oid: parts[oid] for oid in lost})
    findings = [f"{parts[oid].label}: {fault}" for oid, fault in lost.items() if oid not in apart]
    findings += exchange.bring_runs(store, cache)
    here = [output for output in named if not output.origin]
    findings += checkout(repo, [output for output in here if cache.is_whole(output.oid, lost)])
    print(f"{store.url}: {len(parts) - len(lost):,} of {len(parts):,} objects are here and right; ", end="")
    print(f"brought {len(absent - lost.keys()):,}")
    show_elsewhere(store, cache, named, apart)
    return findings


def checkout(repo: Any, whole: Sequence[Output]) -> list[str]:
    """Give outputs their place in the working tree, all those that nothing is in the way of. Returns: what is."""
    from dvc.exceptions import DvcException

    if not whole:
        return []  # without a target DVC takes everything
    try:
        repo.checkout(targets=[output.path for output in whole])
    except DvcException as error:
        if len(whole) == 1:
            return in_the_way(whole[0], str(error))
        return [finding for output in whole for finding in checkout(repo, [output])]
    return []


def in_the_way(output: Output, message: str) -> list[str]:
    """DVC's refusal to overwrite, a line for each file."""
    first, *paths = message.splitlines()
    if not first.startswith(IN_THE_WAY):
        return [f"{output.path}: {first}"]
    remedy = f"move it away and run make pull, or let go of it: dvc checkout --force {output.path}"
    fault = "is not what dvc.lock says, and is kept nowhere else: left as it is"
    return [f"{os.path.relpath(path)}: {fault}; {remedy}" for path in sorted(paths)]


if __name__ == "__main__":
    errors.run(main)
