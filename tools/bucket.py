"""A private bucket of Google Cloud Storage for this project, and DVC's default remote in it.

    make bucket PROJECT=my-project BUCKET=my-pets [LOCATION=us-central1] [TPU_ACCOUNT=service-1@cloud-tpu.iam...]
    make bucket-check [BUCKET=my-pets]

`make bucket` creates it, or gives an existing one the same settings: uniform access, no public access, deleted objects
kept for 7 days, objects under work/ deleted after 30. A setting is only ever tightened. The accounts of TPU_ACCOUNT,
separated by commas, may then read, write, list and delete objects in this bucket, and nothing else. A test object
proves that you may, too. Then .dvc/config has the remote gs://BUCKET/dvc; commit it.
A second run changes nothing. PROJECT is needed only to create the bucket.

`make bucket-check` changes nothing: it prints a line for each fault, with the command that fixes it, and exits with 1
if there is any.

What it costs, who may do what, and how to remove it: docs/gcs.md
"""

import argparse
import contextlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from detector.base import errors
from detector.base.errors import UserError
from detector.storage import google
from tools.cloud import bucket_settings, dvc_config, google_client, trust
from tools.cloud.bucket_settings import Finding

LOCATION = "us-central1"  # one of the three regions with a free allowance
TRIES = 5  # where somebody else changes the same bucket at the same time
EXAMPLE = "run: make bucket PROJECT=my-project BUCKET=my-pets"


def main() -> None:
    arguments = parse_arguments()
    if arguments.check:
        check(arguments.bucket)
    else:
        set_up(arguments)


def parse_arguments() -> argparse.Namespace:
    usual = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m tools.bucket", description=__doc__, formatter_class=usual)
    parser.add_argument("--bucket", default="", help="its name; for --check the default remote's, if empty")
    parser.add_argument("--project", default="", help="the Google Cloud project that a new bucket belongs to")
    parser.add_argument("--location", default="", help=f"of a new bucket (default {LOCATION})")
    parser.add_argument("--accounts", default="", help="that may use its objects, separated by commas")
    parser.add_argument("--check", action="store_true", help="change nothing")
    return parser.parse_args()


def check(wanted: str) -> None:
    """Print what is wrong with the bucket and the remote; exit code 1 where anything is."""
    of_remote = dvc_config.bucket()
    if not wanted and not of_remote:
        raise UserError("BUCKET", "is empty, and the default DVC remote is not in a bucket", EXAMPLE)
    name = bucket_settings.bucket_name(wanted or of_remote)
    if not wanted:
        trust.require(dvc_config.url(name), "bucket-check")
    if name == of_remote:
        trust.remember(dvc_config.url(name))
        settings = dvc_config.default()[1]
        exit_with([*bucket_findings(name, settings), *dvc_config.findings(name)])
    else:
        exit_with(bucket_findings(name, {}))
    errors.say(f"gs://{name}: private, and all settings are right")


def bucket_findings(name: str, settings: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with a bucket, as the account of these settings of a DVC remote sees it."""
    findings = bucket_settings.findings(name, partial(google_client.client, settings))
    return [replace(finding, what=f"gs://{name}: {finding.what}") for finding in findings]


def exit_with(findings: list[Finding]) -> None:
    """Print the findings, a line each, and exit with code 1; do nothing where there are none."""
    errors.exit_with([f"{finding.what}; {finding.remedy}" for finding in findings])


def set_up(arguments: argparse.Namespace) -> None:
    """Bucket, grants, test object and remote; prints a line for each change."""
    if not arguments.bucket:
        raise UserError("BUCKET", "is empty", EXAMPLE)
    name, project = bucket_settings.bucket_name(arguments.bucket), project_name(arguments.project)
    members = [member(account) for account in arguments.accounts.split(",") if account.strip()]
    for key, text, used in (("BUCKET", arguments.bucket, name), ("PROJECT", arguments.project, project)):
        if text != used:
            errors.say(f"{key}: {text} is taken as {used}")
    dvc_config.check(name)
    with google.user_errors("Google Cloud"):
        bucket = google.make(project).bucket(name)
    changes = 0
    with google.user_errors(f"gs://{name}"):
        for line in put_in_order(bucket, project, arguments.location, members):
            errors.say(f"gs://{name}: {line}")  # immediately: what comes next may fail
            changes += 1
    probe(bucket)
    trust.remember(dvc_config.url(name))
    errors.say(f"gs://{name}: wrote, read, listed and deleted a test object")
    errors.say(*(written := dvc_config.write(name)))
    if not changes and not written:
        errors.say("nothing had to be changed")
    if dvc_config.uncommitted():
        file = dvc_config.CONFIG
        errors.say(f"now: git add {file}", f"     git commit -m 'DVC remote {dvc_config.url(name)}' {file}")
    exit_with(bucket_findings(name, {}))  # with the login that has just set it up


def project_name(text: str) -> str:
    """A project's id or number from what a user gave. Raises: UserError."""
    name = text.lower()
    if name and not re.fullmatch(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]|\d+", name):
        remedy = "give its id, 6 to 30 letters, digits and -: gcloud projects list shows it"
        raise UserError("PROJECT", f"{text!r} is not a project id", remedy)
    return name


def member(account: str) -> str:
    """An account as a policy names it: user: or serviceAccount:, and its address. Raises: UserError."""
    account = account.strip()
    if account in bucket_settings.PUBLIC:
        raise UserError("TPU_ACCOUNT", f"{account} is everybody", "name the accounts that need the bucket; docs/gcs.md")
    kind, _, address = account.rpartition(":")
    if kind not in ("", "user", "serviceAccount") or not re.fullmatch(r"[^@\s:]+@[^@\s:]+\.[^@\s:]+", address):
        remedy = "give addresses, say service-123@cloud-tpu.iam.gserviceaccount.com, separated by commas"
        raise UserError("TPU_ACCOUNT", f"{account!r} is not an account", remedy)
    kind = kind or ("serviceAccount" if address.endswith(".gserviceaccount.com") else "user")
    return f"{kind}:{address.lower()}"


def put_in_order(bucket: Any, project: str, location: str, members: list[str]) -> Iterator[str]:
    """Create the bucket or tighten it, then grant; yields a line for each change as soon as it is made."""
    yield from create(bucket, project, location)
    yield from tighten(bucket)
    yield from grant(bucket, members)


def create(bucket: Any, project: str, location: str) -> Iterator[str]:
    """Create the bucket with all its settings, if it does not exist; it is loaded afterwards."""
    from google.api_core.exceptions import Conflict, NotFound

    try:
        bucket.reload(**google.request_options())
    except NotFound:
        pass
    else:
        if location and location.upper() != bucket.location:
            reason = f"{location}, but gs://{bucket.name} is in {bucket.location}, and a bucket cannot move"
            raise UserError("LOCATION", reason, "leave LOCATION out, or choose another BUCKET")
        return
    if not project:
        reason = f"is empty, and gs://{bucket.name} does not exist yet"
        raise UserError("PROJECT", reason, f"run: make bucket PROJECT=my-project BUCKET={bucket.name}")
    changes = bucket_settings.put_right(bucket)
    try:
        bucket.create(project=project, location=location or LOCATION, **google.request_options())
    except Conflict:  # somebody was faster, or an answer got lost
        bucket.reload(**google.request_options())
        return
    yield f"created in {bucket.location}, project {project}"
    yield from (change.right for change in changes)


def tighten(bucket: Any) -> list[str]:
    """Make an existing bucket's settings right; returns what was changed.

    Raises:
        UserError: it is public, or the rule for work/ would delete what is not ours; nothing was changed.
    """
    refuse_public(bucket.name, policy_of(bucket))
    refuse_strangers(bucket)

    def change() -> list[str]:
        bucket.reload(**google.request_options())
        changes = bucket_settings.put_right(bucket)
        if changes:
            bucket.patch(if_metageneration_match=bucket.metageneration, **google.request_options())
        return [change.right for change in changes]

    return without_races(bucket.name, change)


def grant(bucket: Any, members: list[str]) -> list[str]:
    """Let the members use this bucket's objects; returns a line for each that could not yet."""
    role = bucket_settings.ROLE

    def change() -> list[str]:
        policy = policy_of(bucket)
        refuse_public(bucket.name, policy)
        lasting = [binding for binding in policy.bindings if not binding.get("condition")]
        enough = [binding["members"] for binding in lasting if binding["role"] in bucket_settings.AS_GOOD]
        new = [account for account in dict.fromkeys(members) if account not in set().union(*enough)]
        if new:
            policy.version = 3
            policy.bindings.append({"role": role, "members": set(new)})
            bucket.set_iam_policy(policy, **google.request_options())
        return [f"{role} on this bucket for {account}" for account in new]

    return without_races(bucket.name, change) if members else []


def policy_of(bucket: Any) -> Any:
    return bucket.get_iam_policy(requested_policy_version=3, **google.request_options())


def refuse_public(name: str, policy: Any) -> None:
    """Raises: UserError: the first public member, and the command that removes it."""
    for finding in bucket_settings.public_bindings(name, policy):
        raise UserError(f"gs://{name}", finding.what, f"nothing was changed; run: {finding.remedy}")


def refuse_strangers(bucket: Any) -> None:
    """Raises: UserError: a new lifecycle rule would delete what no training left under work/."""
    if not bucket_settings.work_is_deleted(bucket) and (names := bucket_settings.strangers(bucket)):
        days, folder = bucket_settings.WORK_DAYS, bucket_settings.WORK
        reason = f"does not belong to a training, and the rule for {folder} would delete it after {days} days"
        raise UserError(f"gs://{bucket.name}/{names[0]}", reason, "nothing was changed; move it, or use another BUCKET")


def without_races(name: str, change: Callable[[], list[str]]) -> list[str]:
    """Call `change`, which reads and writes, again where somebody else wrote in between."""
    from google.api_core.exceptions import PreconditionFailed

    for _ in range(TRIES):
        with contextlib.suppress(PreconditionFailed):
            return change()
    raise UserError(f"gs://{name}", f"somebody else changed it {TRIES} times in the meantime", "try again")


def probe(bucket: Any) -> None:
    """Write an object under a new name, read it, list it, delete it. Raises: UserError."""
    from google.api_core.exceptions import NotFound

    content = secrets.token_bytes(64)
    blob = bucket.blob(f"{bucket_settings.WORK}.probe-{secrets.token_hex(8)}")

    def names() -> list[str]:
        return [listed.name for listed in bucket.list_blobs(prefix=blob.name, **google.request_options())]

    with google.user_errors(f"gs://{bucket.name}/{blob.name}"):
        blob.upload_from_string(content, checksum="crc32c", **google.request_options())
        try:
            read, listed = blob.download_as_bytes(checksum="crc32c", **google.request_options()), names()
        finally:
            with contextlib.suppress(NotFound):  # the answer to a first try got lost
                blob.delete(**google.request_options())
        if (read, listed, names()) != (content, [blob.name], []):
            raise UserError(f"gs://{bucket.name}/{blob.name}", "was not read, listed and deleted right", "try again")


if __name__ == "__main__":
    errors.run(main)
