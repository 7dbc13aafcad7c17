"""A private bucket of Google Cloud Storage for this project, and DVC's default remote in it.

    make bucket PROJECT=my-project BUCKET=my-pets [LOCATION=us-central1] [TPU_ACCOUNT=service-1@cloud-tpu.iam...]
    make bucket-check [BUCKET=my-pets]

`make bucket` creates it, or brings one that is there to the same settings: uniform access, no public access, deleted
objects kept for 7 days, what is under work/ deleted after 30. A setting is only ever tightened. The accounts of
TPU_ACCOUNT, parted by commas, may then read, write, list and delete objects in this bucket, and nothing else. An object
of its own proves that you may, too. Then .dvc/config has the remote gs://BUCKET/dvc; commit it.
A second run changes nothing. PROJECT is needed only to create the bucket.

`make bucket-check` only looks: a line for each thing that is wrong, with the command that mends it, and exit code 1.

What it costs, who may do what, and how to be rid of it: docs/gcs.md
"""

import argparse
import contextlib
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from detector.base import errors
from detector.base.errors import UserError
from detector.storage import google
from tools.cloud import bucket_settings, dvc_config, google_client

LOCATION = "us-central1"  # one of the three regions with a free allowance
TRIES = 5  # where somebody else changes the same bucket at the same time
EXIT_FINDINGS = 1


def main() -> None:
    arguments = parse_arguments()
    if arguments.check:
        check(arguments.bucket)
    else:
        set_up(arguments)


def parse_arguments() -> argparse.Namespace:
    usual = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tools.bucket", description=__doc__, formatter_class=usual)
    parser.add_argument("--bucket", default="", help="its name; for --check the default remote's, if not given")
    parser.add_argument("--project", default="", help="the Google Cloud project that a new bucket belongs to")
    parser.add_argument("--location", default="", help=f"of a new bucket (default {LOCATION})")
    parser.add_argument("--accounts", default="", help="that may use its objects, parted by commas")
    parser.add_argument("--check", action="store_true", help="only look")
    return parser.parse_args()


def check(given: str) -> None:
    """Print what is wrong with the bucket and the remote; exit code 1 where anything is."""
    of_remote = dvc_config.bucket()
    if not given and not of_remote:
        remedy = "run: make bucket PROJECT=my-project BUCKET=my-pets"
        raise UserError("BUCKET", "is empty, and the default DVC remote lies in no bucket", remedy)
    name = bucket_settings.bucket_name(given or of_remote)
    found = findings(name, dvc_config.default()[1] if name == of_remote else {})
    if name == of_remote:
        found += [f"{finding.what}; {finding.remedy}" for finding in dvc_config.findings(name)]
    leave_with(found)
    print(f"gs://{name}: private, and as it should be")


def findings(name: str, settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with a bucket, a line each, as the account of these settings of a DVC remote sees it."""
    found = bucket_settings.findings(name, partial(google_client.client, settings))
    return [f"gs://{name}: {finding.what}; {finding.remedy}" for finding in found]


def leave_with(found: list[str]) -> None:
    """Print the lines and exit with code 1, where there are any."""
    errors.show(found)
    if found:
        sys.exit(EXIT_FINDINGS)


def set_up(arguments: argparse.Namespace) -> None:
    """Bucket, grants, probe and remote, a line for each thing done."""
    if not arguments.bucket:
        raise UserError("BUCKET", "is empty", "run: make bucket PROJECT=my-project BUCKET=my-pets")
    name, project = bucket_settings.bucket_name(arguments.bucket), project_name(arguments.project)
    members = [member(account) for account in arguments.accounts.split(",") if account.strip()]
    say_lowered(("BUCKET", arguments.bucket, name), ("PROJECT", arguments.project, project))
    dvc_config.check(name)
    bucket = google.client(project).bucket(name)
    done = 0
    with google.user_errors(f"gs://{name}"):
        for line in put_in_order(bucket, project, arguments.location, members):
            print(f"gs://{name}: {line}", flush=True)  # at once: what comes next may fail
            done += 1
    probe(bucket)
    print(f"gs://{name}: wrote, read, listed and deleted an object of its own")
    written = dvc_config.write(name)
    print("".join(f"{line}\n" for line in written), end="")
    if not done and not written:
        print("nothing had to be changed")
    if dvc_config.uncommitted():
        file = dvc_config.CONFIG
        print(f"now: git add {file}\n     git commit -m 'DVC remote {dvc_config.url(name)}' {file}")
    leave_with(findings(name, {}))  # as who has just set it up


def say_lowered(*values: tuple[str, str, str]) -> None:
    for key, given, taken in values:
        if given != taken:
            print(f"{key}: {given} is taken as {taken}")


def project_name(text: str) -> str:
    """A project's id or number from what a user gave. Raises: UserError."""
    name = text.lower()
    if name and not re.fullmatch(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|\d+", name):
        remedy = "give its id, 6 to 30 letters, digits and -: gcloud projects list shows it"
        raise UserError("PROJECT", f"{text!r} is no project's id", remedy)
    return name


def member(account: str) -> str:
    """An account as a policy names it: user:, group: or serviceAccount:, and its address. Raises: UserError."""
    account = account.strip()
    if account in bucket_settings.PUBLIC:
        raise UserError("TPU_ACCOUNT", f"{account} is everybody", "name the accounts that need the bucket; docs/gcs.md")
    kind, _, address = account.rpartition(":")
    if kind not in ("", "user", "group", "serviceAccount") or not re.fullmatch(r"[^@\s:]+@[^@\s:]+\.[^@\s:]+", address):
        remedy = "give addresses, say service-123@cloud-tpu.iam.gserviceaccount.com, parted by commas"
        raise UserError("TPU_ACCOUNT", f"{account!r} is no account", remedy)
    kind = kind or ("serviceAccount" if address.endswith(".gserviceaccount.com") else "user")
    return f"{kind}:{address.lower()}"


def put_in_order(bucket: Any, project: str, location: str, members: list[str]) -> Iterator[str]:
    """All that is done to the bucket, a line for each thing as soon as it is done."""
    yield from create(bucket, project, location)
    yield from tighten(bucket)
    yield from grant(bucket, members)


def create(bucket: Any, project: str, location: str) -> Iterator[str]:
    """Create the bucket with all its settings, if it is not there; it is loaded afterwards."""
    from google.api_core.exceptions import Conflict, NotFound

    try:
        bucket.reload(**google.request_options())
    except NotFound:
        pass
    else:
        check_location(bucket, location)
        return
    if not project:
        reason = f"is empty, and gs://{bucket.name} is not there yet"
        raise UserError("PROJECT", reason, f"run: make bucket PROJECT=my-project BUCKET={bucket.name}")
    for setting in bucket_settings.SETTINGS:
        setting.put_right(bucket)
    try:
        bucket.create(project=project, location=location or LOCATION, **google.request_options())
    except Conflict:  # somebody was faster, or an answer got lost
        bucket.reload(**google.request_options())
        return
    yield f"created in {bucket.location}, project {project}"
    yield from (setting.right for setting in bucket_settings.SETTINGS)


def check_location(bucket: Any, location: str) -> None:
    """Raises: UserError: it lies elsewhere."""
    if location and location.upper() != bucket.location:
        reason = f"{location}, but gs://{bucket.name} lies in {bucket.location}, and a bucket cannot move"
        raise UserError("LOCATION", reason, "leave LOCATION out, or choose another BUCKET")


def tighten(bucket: Any) -> list[str]:
    """Bring an existing bucket's settings to ours; returns what was changed.

    Raises:
        UserError: it is public, or the rule for work/ would delete what is not ours; nothing was changed.
    """
    refuse_public(bucket.name, policy_of(bucket))
    refuse_strangers(bucket)

    def change() -> list[str]:
        bucket.reload(**google.request_options())
        wrong = [setting for setting in bucket_settings.SETTINGS if not setting.is_right(bucket)]
        for setting in wrong:
            setting.put_right(bucket)
        if wrong:
            bucket.patch(if_metageneration_match=bucket.metageneration, **google.request_options())
        return [setting.right for setting in wrong]

    return unless_changed_meanwhile(bucket.name, change)


def grant(bucket: Any, members: list[str]) -> list[str]:
    """Let the members use this bucket's objects; returns whom it was new to."""
    role = bucket_settings.ROLE

    def change() -> list[str]:
        policy = policy_of(bucket)
        refuse_public(bucket.name, policy)
        lasting = [binding for binding in policy.bindings if not binding.get("condition")]
        held = {
            holder for binding in lasting if binding["role"] in bucket_settings.AS_GOOD for holder in binding["members"]
        }
        new = [account for account in dict.fromkeys(members) if account not in held]
        if new:
            policy.version = 3
            policy.bindings.append({"role": role, "members": set(new)})
            bucket.set_iam_policy(policy, **google.request_options())
        return [f"{role} on this bucket for {account}" for account in new]

    return unless_changed_meanwhile(bucket.name, change) if members else []


def policy_of(bucket: Any) -> Any:
    return bucket.get_iam_policy(requested_policy_version=3, **google.request_options())


def refuse_public(name: str, policy: Any) -> None:
    """Raises: UserError: the first public member, and the command that removes it."""
    for finding in bucket_settings.public_bindings(name, policy):
        raise UserError(f"gs://{name}", finding.what, f"nothing was changed; run: {finding.remedy}")


def refuse_strangers(bucket: Any) -> None:
    """Raises: UserError: a new lifecycle rule would delete what no training left under work/."""
    found = [] if bucket_settings.work_goes(bucket) else bucket_settings.strangers(bucket)
    if found:
        days, folder = bucket_settings.WORK_DAYS, bucket_settings.WORK
        reason = f"is no training's, and would be deleted after {days} days by the rule for {folder}"
        raise UserError(
            f"gs://{bucket.name}/{found[0]}", reason, "nothing was changed; move it, or take another BUCKET"
        )


def unless_changed_meanwhile(name: str, change: Callable[[], list[str]]) -> list[str]:
    """Read, change and write, again where somebody else wrote in between."""
    from google.api_core.exceptions import PreconditionFailed

    for _ in range(TRIES):
        try:
            return change()
        except PreconditionFailed:
            continue
    raise UserError(f"gs://{name}", f"somebody else changed it {TRIES} times meanwhile", "try again")


def probe(bucket: Any) -> None:
    """Write an object under a name that is nobody else's, read it, list it, delete it. Raises: UserError."""
    content = secrets.token_bytes(64)
    blob = bucket.blob(f"{bucket_settings.WORK}.probe-{secrets.token_hex(8)}")

    def names() -> list[str]:
        return [found.name for found in bucket.list_blobs(prefix=blob.name, **google.request_options())]

    with google.user_errors(f"gs://{bucket.name}/{blob.name}"):
        blob.upload_from_string(content, checksum="crc32c", **google.request_options())
        try:
            read, listed = blob.download_as_bytes(checksum="crc32c", **google.request_options()), names()
        finally:
            delete(blob)
        if (read, listed, names()) != (content, [blob.name], []):
            raise UserError(f"gs://{bucket.name}/{blob.name}", "did not come and go as it should", "try again")


def delete(blob: Any) -> None:
    from google.api_core.exceptions import NotFound

    with contextlib.suppress(NotFound):  # the answer to a first try got lost
        blob.delete(**google.request_options())


if __name__ == "__main__":
    errors.run(main)
