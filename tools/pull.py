"""Fetch everything from the DVC remote, and check each file of it.

    make pull [COMMIT=<40 digits>] [BUCKET=my-pets]
    python -m tools.pull [--commit=...] [--bucket=my-pets]

It fetches the working tree's data, the experiments, and the run-cache of both. An object counts only when its md5 is
right, an output gets its place in the working tree only when all of its objects are here, and a file that is in the way
and stored nowhere else stays as it is. With a commit, git checks it out first, and experiments stay where they are;
what you have changed stays, or is a reason to refuse. A commit that only the bucket has needs all its 40 digits. With a
bucket, a clone that knows no remote gets it; a remote that you have never used needs it (cloud/trust.py).

What others have made and store on another remote is printed, and is not a fault: the data of their experiments.

Exit code 0: everything is here and right. 1: what is not, a line each. 2: the remote cannot be used at all.
"""

import argparse
import os
import shlex
from collections.abc import Sequence
from typing import Any

from detector.base import errors
from detector.base.errors import UserError
from tools.cloud import bucket_settings, bundles, dvc_config, experiments, git, outputs, transfer
from tools.cloud.cache import Cache
from tools.cloud.outputs import Output
from tools.cloud.project import project
from tools.cloud.remote import connect, use

IN_THE_WAY = "Can't remove the following unsaved files"  # the beginning of DVC's message; the paths follow it


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.pull", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--commit", default="", help="what the working tree is to be")
    parser.add_argument("--bucket", default="", help="where the data is: for a remote that you have not used before")
    arguments = parser.parse_args()
    if arguments.bucket:
        use(bucket_settings.bucket_name(arguments.bucket))
    if arguments.commit:
        with project() as repo:
            commit = bundles.pull(connect(repo, "pull"), arguments.commit)
            errors.say(*git.switch(commit, as_is=dvc_config.CONFIG))
    with project() as repo:
        findings = pull(repo, with_experiments=not arguments.commit) + outputs.left_to_dvc(repo, "pull")
    errors.exit_with(findings)


def pull(repo: Any, *, with_experiments: bool) -> list[str]:
    """Fetch everything. Returns: what is not here afterwards, a line each."""
    remote, cache = connect(repo, "pull"), Cache(repo)
    git_remote = experiments.git_remote() if with_experiments else ""
    if git_remote and (fault := experiments.pull(git_remote)):
        errors.say(f"not pulled from the git remote {git_remote}: experiments ({fault})")
    cache.remove_leftovers()
    theirs = experiments.local() if git_remote else {}
    all_outputs = outputs.collect(repo, theirs)
    if not all_outputs:
        raise UserError("dvc.lock", "names nothing to pull", "was it committed where it was pushed? run: git pull")
    absent = {output.stored_as for output in all_outputs if not cache.has(output.stored_as)}
    transfer.fetch_lists(remote, cache, all_outputs)
    objects = outputs.by_object(cache, all_outputs)
    absent |= {name for name in objects if not cache.has(name)}
    faults = transfer.fetch(remote, cache, objects)
    run_findings = transfer.fetch_runs(remote, cache, all_outputs, theirs)

    here = [output for output in all_outputs if not output.commit]
    in_the_way = checkout(repo, [output for output in here if cache.is_complete(output.stored_as, faults)])
    right = f"{len(objects) - len(faults):,} of {len(objects):,} objects are here and right"
    errors.say(f"{remote.url}: {right}; fetched {len(absent - faults.keys()):,}")
    elsewhere = outputs.show_elsewhere(remote, cache, all_outputs, [objects[name] for name in faults])
    findings = [f"{objects[name].label}: {fault}" for name, fault in faults.items() if name not in elsewhere]
    return findings + run_findings + in_the_way


def checkout(repo: Any, complete: Sequence[Output]) -> list[str]:
    """Put outputs into the working tree, all those that nothing is in the way of. Returns: what is in the way."""
    from dvc.exceptions import DvcException

    if not complete:
        return []  # without a target DVC takes everything
    try:
        repo.checkout(targets=[output.path for output in complete])
    except DvcException as error:
        if len(complete) == 1:
            return obstacles(complete[0], str(error))
        return [finding for output in complete for finding in checkout(repo, [output])]
    return []


def obstacles(output: Output, message: str) -> list[str]:
    """DVC's refusal to overwrite, a line for each file."""
    first, *paths = message.splitlines()
    if not first.startswith(IN_THE_WAY):
        return [f"{output.path}: {first}"]
    remedy = f"move it away and run make pull, or give it up: dvc checkout --force {shlex.quote(output.path)}"
    fault = "is not what dvc.lock says, and is stored nowhere else: left as it is"
    return [f"{os.path.relpath(path)}: {fault}; {remedy}" for path in sorted(paths)]


if __name__ == "__main__":
    errors.run(main)
