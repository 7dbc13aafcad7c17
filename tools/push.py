"""Store everything on the DVC remote, and check that it is there.

    make push [BUCKET=my-pets]
    python -m tools.push [--bucket=my-pets]

It sends what dvc.lock and the .dvc files name, as they are and as the last commit has them, the run-cache, and the
experiments, whose names go to the git remote. If no git remote has the last commit, it goes along as a git bundle
(cloud/bundles.py). A file of the cache whose md5 is not its name is not sent. Afterwards the remote is listed: each
object must be there with the right md5, which Google Cloud Storage knows without a download.

What others have made and store on another remote is printed, not a fault: experiments, or the last commit's data.
A remote that you have never used needs BUCKET: cloud/trust.py.

Exit code 0: everything is there and right. 1: what is not, a line each. 2: the remote cannot be used at all.
"""

import argparse
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from detector.base import errors
from detector.base.errors import UserError
from tools.cloud import bucket_settings, bundles, dvc_config, experiments, git, outputs, transfer
from tools.cloud.cache import Cache
from tools.cloud.outputs import Output
from tools.cloud.project import project
from tools.cloud.remote import Remote, connect, use


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.push", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bucket", default="", help="where the data goes: for a remote that you have not used before")
    if bucket := parser.parse_args().bucket:
        use(bucket_settings.bucket_name(bucket))
    with project() as repo:
        findings = push(repo) + outputs.left_to_dvc(repo, "push")
    errors.exit_with(findings)


def push(repo: Any) -> list[str]:
    """Send everything. Returns: what is not on the remote afterwards, a line each."""
    remote, cache, head = connect(repo, "push"), Cache(repo), git.head()
    git_remote, local_experiments = experiments.git_remote(), experiments.local()
    all_outputs = outputs.collect(repo, local_experiments if git_remote else {}, head)
    if not all_outputs:
        raise UserError("dvc.lock", "names nothing to push", "run: make train")
    transfer.fetch_lists(remote, cache, all_outputs)
    objects = outputs.by_object(cache, all_outputs)
    absent = {name for name in objects if not remote.has(name)}
    faults = transfer.send(remote, cache, objects)
    faults |= transfer.send_files(remote, {name: cache.path(name) for name in transfer.absent_runs(remote, cache)})

    remote.refresh()
    missing = {name: output for name, output in objects.items() if not remote.has(name)}
    errors.say(f"{remote.url}: {summary(remote, objects, len(missing))}; sent {len(absent - missing.keys()):,}")
    elsewhere = outputs.show_elsewhere(remote, cache, all_outputs, missing.values())
    labels = {name: output.label for name, output in missing.items() if name not in elsewhere}
    for name in missing:
        if missing.keys() & cache.files(name).values():
            labels.pop(name, None)  # a folder's list: its files are reported
    labels |= {name: f"{name}: of the run-cache" for name in transfer.absent_runs(remote, cache)}
    findings = [f"{label}: {faults.get(name) or not_there(remote, name)}" for name, label in labels.items()]
    findings += experiments.push(git_remote) if git_remote else []
    findings += push_commit(remote, cache, all_outputs, missing)
    show_to_do({} if git_remote else local_experiments)
    return findings


def push_commit(remote: Remote, cache: Cache, all_outputs: Sequence[Output], missing: Collection[str]) -> list[str]:
    """Send the last commit, if no git remote has it. Returns: why it is not on the remote, if it is not."""
    try:
        commit = bundles.push(remote)
    except UserError as error:
        return [error.line()]
    names = [output.stored_as for output in all_outputs if commit and output.commit == outputs.commit_name(commit)]
    if names and all(cache.is_complete(name, missing) for name in names):
        errors.say(f"no git remote has the last commit, so it is there as well; anywhere: make pull COMMIT={commit}")
    return []


def summary(remote: Remote, objects: Collection[str], missing: int) -> str:
    """How much of what is tracked the remote holds, and how far that is proven."""
    unknown = sum(remote.md5(name) is None for name in objects if name in remote.digests)
    note = f" ({unknown:,} of them without an md5 there: they were not compared)" if unknown else ""
    return f"{len(objects) - missing:,} of {len(objects):,} objects are there and right{note}"


def not_there(remote: Remote, name: str) -> str:
    """What the list of the remote says of a file that seemed to arrive."""
    state = "damaged" if name in remote.digests else "missing"
    return f"not pushed as {remote.url}/{name}: it is {state} there; run: make push"


def show_to_do(local_experiments: Mapping[str, str]) -> None:
    """Print what only the user can save: experiments (commit: name) without a git remote, and what is not committed."""
    if local_experiments:
        names = ", ".join(sorted(local_experiments.values()))
        errors.say(f"not pushed, for there is no git remote: experiments {names}; run: git remote add origin ADDRESS")
    if changed := git.uncommitted(str(dvc_config.CONFIG), "dvc.lock", "dvc.yaml", "params.yaml", "*.dvc"):
        remedy = f"git add {shlex.join(changed)} && git commit -m 'As pushed', then: make push"
        errors.say(f"a fresh clone needs these as they are now: {remedy}")


if __name__ == "__main__":
    errors.run(main)
