"""The settings that a bucket should have, and what is wrong with one."""

import functools
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from detector.base.errors import UserError
from detector.storage import google

DVC = "dvc"  # the folder of the DVC remote: gs://BUCKET/dvc
WORK = "work/"  # where trainings save their checkpoints
WORK_DAYS = 30  # after which objects under work/ are deleted
SOFT_DELETE_DAYS = 7  # in which a deleted object can be restored: the service's default, and its minimum
PUBLIC = ("allUsers", "allAuthenticatedUsers")
ONE_ACCOUNT = re.compile(r"(user|serviceAccount):[^@\s]+@[^@\s]+")  # has no @: serviceAccount:PROJECT.svc.id.goog[a/b]
OF_A_PROJECT = re.compile("project(?:Owner|Editor|Viewer):(.+)")
ROLE = "roles/storage.objectUser"  # read, write, list and delete objects; not who else may
AS_GOOD = (ROLE, "roles/storage.objectAdmin", "roles/storage.admin")
PERMISSIONS = tuple(f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list"))


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a bucket or a remote."""

    what: str  # in words, with the value
    remedy: str  # the command that fixes it
    unseen: bool = False  # it may be right: this account is not allowed to see it


@dataclass(frozen=True)
class Change:
    """A setting of a bucket: what was wrong with it, and what holds now."""

    wrong: str
    right: str


def bucket_name(text: str) -> str:
    """A bucket's name from what a user gave: `gs://` and a `/` at the end are dropped, capitals made small.

    Raises:
        UserError: no bucket can have this name.
    """
    name = text.removeprefix("gs://").rstrip("/").lower()
    remedy = "a bucket's name is 3 to 63 letters, digits, - or _, unique in all the world: say my-project-pets"
    is_address = re.fullmatch(r"\d+(\.\d+){3}", name) or re.search(r"\.\.|-\.|\.-", name)
    if is_address or not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*[a-z0-9]", name):
        raise UserError("BUCKET", f"{text!r} is not a bucket's name", remedy)
    if not 3 <= len(name) <= (222 if "." in name else 63) or max(map(len, name.split("."))) > 63:
        raise UserError("BUCKET", f"{text!r} has {len(name)} characters", remedy)
    if name.startswith("goog") or re.search("g[o0][o0]g[l1]e", name):
        raise UserError("BUCKET", f"{text!r}: Google reserves such names", remedy)
    return name


def _deletes(rule: dict[str, Any], prefix: str) -> bool:
    """Whether a lifecycle rule deletes live objects whose names begin with `prefix`."""
    condition = rule.get("condition", {})
    spares_live = condition.get("isLive") is False or {"numNewerVersions", "daysSinceNoncurrentTime"} & condition.keys()
    prefixes = condition.get("matchesPrefix") or [""]
    touched = any(prefix.startswith(other) or other.startswith(prefix) for other in prefixes)
    return rule.get("action", {}).get("type") == "Delete" and not spares_live and touched


def work_is_deleted(bucket: Any) -> bool:
    """Whether some lifecycle rule deletes what is under work/."""
    return any(_deletes(rule, WORK) for rule in bucket.lifecycle_rules)


def strangers(bucket: Any) -> list[str]:
    """What is under work/ and no training's: their folders have names of 16 hexadecimal digits."""
    listed = bucket.list_blobs(prefix=WORK, delimiter="/", **google.request_options())
    names = [*(blob.name for blob in listed), *sorted(listed.prefixes)]
    return [name for name in names if not re.fullmatch(rf"{WORK}([0-9a-f]{{16}}/|\.probe-.*)?", name)]


def put_right(bucket: Any) -> list[Change]:
    """Set what is wrong with Google's `Bucket` right, in memory; `bucket.patch()` would send it. Returns the changes.

    Soft delete, and not versioning: nobody can cut it short, not even an account that may delete; `dvc` and TensorFlow
    need not know of versions; every bucket has it by default. It holds for work/, too: docs/gcs.md has the costs.
    """
    changes = []
    access = bucket.iam_configuration
    if not access.uniform_bucket_level_access_enabled:
        access.uniform_bucket_level_access_enabled = True
        wrong = "uniform bucket-level access is off: an ACL could open a single object"
        changes.append(Change(wrong, "uniform bucket-level access on"))
    if access.public_access_prevention != "enforced":
        access.public_access_prevention = "enforced"
        wrong = "public access prevention is not enforced: one line in the policy could open it to everybody"
        changes.append(Change(wrong, "public access prevention enforced"))
    soft_delete, seconds = bucket.soft_delete_policy, SOFT_DELETE_DAYS * 24 * 3600
    if (soft_delete.retention_duration_seconds or 0) < seconds and not bucket.versioning_enabled:
        soft_delete.retention_duration_seconds = seconds
        wrong = f"soft delete keeps nothing: what is deleted under {DVC}/ by mistake is lost for ever"
        changes.append(Change(wrong, f"soft delete: what is deleted can be restored for {SOFT_DELETE_DAYS} days"))
    if not work_is_deleted(bucket):
        bucket.add_lifecycle_delete_rule(age=WORK_DAYS, matches_prefix=[WORK])
        wrong = f"no lifecycle rule for {WORK}: what trainings leave there stays, and costs money"
        changes.append(Change(wrong, f"lifecycle: what is under {WORK} is deleted after {WORK_DAYS} days"))
    return changes


def public_bindings(bucket: str, policy: Any) -> list[Finding]:
    """The public members of a policy, each with the command that removes it."""
    return [
        Finding(f"{binding['role']} is given to {member}: that is public", _removal(bucket, binding, member))
        for binding in policy.bindings
        for member in sorted(binding["members"])
        if member in PUBLIC
    ]


def _removal(bucket: str, binding: Mapping[str, Any], member: str) -> str:
    command = f"gcloud storage buckets remove-iam-policy-binding gs://{bucket}"
    condition = " --all" if binding.get("condition") else ""
    return f"{command} --member={shlex.quote(member)} --role={shlex.quote(binding['role'])}{condition}"


def _strange_bindings(bucket: Any, policy: Any) -> list[Finding]:
    """The members who are neither an account, nor the bucket's own project, nor everybody: who they are is decided
    elsewhere."""
    found = []
    is_own_project = functools.cache(functools.partial(_is_own, bucket))
    for binding in policy.bindings:
        for member in sorted(set(binding["members"]) - set(PUBLIC)):
            of_project = OF_A_PROJECT.fullmatch(member)
            is_own = is_own_project(of_project[1]) if of_project else bool(ONE_ACCOUNT.fullmatch(member))
            if not is_own:
                who = "another project's people" if of_project else "more than one account"
                unseen = is_own is None
                fault = f"that may be {who}, and this account may not see" if unseen else f"that is {who}"
                what = f"{binding['role']} is given to {member}: {fault}"
                found.append(Finding(what, _removal(bucket.name, binding, member), unseen))
    return found


def _is_own(bucket: Any, project: str) -> bool | None:
    """Whether a bucket belongs to the project of this id; None where this account may not see that project's number."""
    from google.api_core.exceptions import Forbidden, NotFound

    if bucket.project_number is None:  # its settings were not to be seen
        return None
    try:
        address = bucket.client.get_service_account_email(project=project, **google.request_options())
    except Forbidden:
        return None
    except NotFound:
        return False
    return str(address).startswith(f"service-{bucket.project_number}@")


def findings(bucket: str, connect: Callable[[], Any] = google.make) -> list[Finding]:
    """What is wrong with a bucket, found without a single write; that it cannot be reached is a finding, too.

    Args:
        bucket: its name.
        connect: makes the client, with the account that is judged.

    Raises:
        UserError: no bucket can have this name.
    """
    name = bucket_name(bucket)
    try:
        with google.user_errors(f"gs://{name}"):
            opened = connect().bucket(name)
            missing = _missing_permissions(opened)
            return [*_settings_and_policy(opened, may_use=not missing), *missing]
    except UserError as error:
        return [Finding(error.reason, error.remedy)]


def _settings_and_policy(bucket: Any, *, may_use: bool) -> list[Finding]:
    """What is wrong with them; an account that may use the objects need not be able to see them."""
    from google.api_core.exceptions import Forbidden

    wrong: list[Finding] = []
    denied: dict[str, Finding] = {}
    for what, check in (("settings", _wrong_settings), ("policy", _wrong_members)):
        try:
            wrong += check(bucket)
        except Forbidden as error:
            in_words = google.in_words(bucket.name, error)
            denied[what] = Finding(in_words.reason, in_words.remedy)
    if not denied or not may_use:
        return [*wrong, *denied.values()]
    reason = f"reachable and writable, but this account may not see its {' and '.join(denied)}"
    remedy = f"its owner can check: make bucket-check BUCKET={bucket.name}"
    return [*wrong, Finding(f"{reason}: it may be public", remedy, unseen=True)]


def _wrong_settings(bucket: Any) -> list[Finding]:
    bucket.reload(**google.request_options())
    set_up = f"make bucket BUCKET={bucket.name}"
    wrong = [Finding(change.wrong, set_up) for change in put_right(bucket)]
    if any(_deletes(rule, f"{DVC}/") for rule in bucket.lifecycle_rules):
        what = f"a lifecycle rule deletes objects under {DVC}/, where the data and the models are"
        wrong.append(Finding(what, f"gcloud storage buckets update gs://{bucket.name} --clear-lifecycle && {set_up}"))
    return wrong


def _wrong_members(bucket: Any) -> list[Finding]:
    policy = bucket.get_iam_policy(requested_policy_version=3, **google.request_options())
    return [*public_bindings(bucket.name, policy), *_strange_bindings(bucket, policy)]


def _missing_permissions(bucket: Any) -> list[Finding]:
    held = bucket.test_iam_permissions(list(PERMISSIONS), **google.request_options())
    missing = [permission for permission in PERMISSIONS if permission not in held]
    if not missing:
        return []
    command = f"gcloud storage buckets add-iam-policy-binding gs://{bucket.name} --role={ROLE}"
    return [Finding(f"your account may not: {', '.join(missing)}", f"{command} --member=user:YOU@example.com")]
