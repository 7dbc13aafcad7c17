"""How a bucket should be, and what of one is not so."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from detector.base.errors import UserError
from detector.storage import google

DVC = "dvc"  # where the DVC remote lies in the bucket: gs://BUCKET/dvc
WORK = "work/"  # where trainings under way keep their checkpoints
WORK_DAYS = 30  # how long what is under work/ stays
SOFT_DELETE_DAYS = 7  # how long a deleted object can be had back: the service's default, and its least
PUBLIC = ("allUsers", "allAuthenticatedUsers")
ROLE = "roles/storage.objectUser"  # read, write, list and delete objects, and no say in who else may
AS_GOOD = (ROLE, "roles/storage.objectAdmin", "roles/storage.admin")
PERMISSIONS = tuple(f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list"))


@dataclass(frozen=True)
class Finding:
    """Something about a bucket that is not as it should be."""

    what: str  # in words, with the value found
    remedy: str  # the command that mends it
    unseen: bool = False  # it may be as it should be: this account cannot look


@dataclass(frozen=True)
class Setting:
    """A setting of a bucket; the functions take Google's `Bucket`."""

    wrong: str  # what is so where it is not right
    right: str  # what is so afterwards
    is_right: Callable[[Any], bool]
    put_right: Callable[[Any], None]  # in memory; `bucket.patch()` sends it


def bucket_name(text: str) -> str:
    """A bucket's name from what a user gave: `gs://` and a `/` at the end are taken off, capitals made small.

    Raises:
        UserError: it can be no bucket's name.
    """
    name = text.removeprefix("gs://").rstrip("/").lower()
    remedy = "a bucket's name is 3 to 63 letters, digits, - or _, the same in all the world: say my-project-pets"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]*[a-z0-9]", name):
        raise UserError("BUCKET", f"{text!r} is no bucket's name", remedy)
    if not 3 <= len(name) <= (222 if "." in name else 63) or max(map(len, name.split("."))) > 63:
        raise UserError("BUCKET", f"{text!r} has {len(name)} characters", remedy)
    if re.fullmatch(r"\d+(\.\d+){3}", name) or ".." in name or "-." in name or ".-" in name:
        raise UserError("BUCKET", f"{text!r} is no domain", remedy)
    if name.startswith("goog") or re.search("g[o0][o0]g[l1]e", name):
        raise UserError("BUCKET", f"{text!r}: Google keeps such names for itself", remedy)
    return name


def _deletes(rule: dict[str, Any], prefix: str) -> bool:
    """Whether a lifecycle rule deletes live objects whose names begin with `prefix`."""
    condition = rule.get("condition", {})
    spares_live = condition.get("isLive") is False or {"numNewerVersions", "daysSinceNoncurrentTime"} & condition.keys()
    prefixes = condition.get("matchesPrefix") or [""]
    touched = any(prefix.startswith(other) or other.startswith(prefix) for other in prefixes)
    return rule.get("action", {}).get("type") == "Delete" and not spares_live and touched


def work_goes(bucket: Any) -> bool:
    """Whether some lifecycle rule deletes what is under work/."""
    return any(_deletes(rule, WORK) for rule in bucket.lifecycle_rules)


def strangers(bucket: Any) -> list[str]:
    """What lies under work/ and is no training's, whose folders have names of 16 hexadecimal digits."""
    listed = bucket.list_blobs(prefix=WORK, delimiter="/", **google.request_options())
    names = [*(blob.name for blob in listed), *sorted(listed.prefixes)]
    return [name for name in names if not re.fullmatch(rf"{WORK}([0-9a-f]{{16}}/|\.probe-.*)?", name)]


def _let_work_go(bucket: Any) -> None:
    bucket.add_lifecycle_delete_rule(age=WORK_DAYS, matches_prefix=[WORK])


def _survives_delete(bucket: Any) -> bool:
    kept = bucket.soft_delete_policy.retention_duration_seconds or 0
    return kept >= SOFT_DELETE_DAYS * 24 * 3600 or bucket.versioning_enabled


def _set_soft_delete(bucket: Any) -> None:
    bucket.soft_delete_policy.retention_duration_seconds = SOFT_DELETE_DAYS * 24 * 3600


def _set_uniform(bucket: Any) -> None:
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True


def _set_prevention(bucket: Any) -> None:
    bucket.iam_configuration.public_access_prevention = "enforced"


# Soft delete, and not versioning: nobody can cut it short, not even who may delete; `dvc` and TensorFlow need not know
# of versions; and every bucket has it by default. It holds for work/, too: docs/gcs.md says what that costs.
SETTINGS = (
    Setting(
        "uniform bucket-level access is off: an ACL could open a single object",
        "uniform bucket-level access on",
        lambda bucket: bool(bucket.iam_configuration.uniform_bucket_level_access_enabled),
        _set_uniform,
    ),
    Setting(
        "public access prevention is not enforced: one line in the policy could open it to everybody",
        "public access prevention enforced",
        lambda bucket: bucket.iam_configuration.public_access_prevention == "enforced",
        _set_prevention,
    ),
    Setting(
        f"soft delete keeps nothing: what is deleted under {DVC}/ by mistake is gone for good",
        f"soft delete: what is deleted can be had back for {SOFT_DELETE_DAYS} days",
        _survives_delete,
        _set_soft_delete,
    ),
    Setting(
        f"no lifecycle rule for {WORK}: what trainings leave there stays, and costs",
        f"lifecycle: what is under {WORK} is deleted after {WORK_DAYS} days",
        work_goes,
        _let_work_go,
    ),
)


def public_bindings(bucket: str, policy: Any) -> list[Finding]:
    """The public members of a policy, each with the command that removes it."""
    return [
        Finding(
            f"{binding['role']} is given to {member}: that is public",
            f"gcloud storage buckets remove-iam-policy-binding gs://{bucket} --member={member} --role={binding['role']}"
            + (" --all" if binding.get("condition") else ""),
        )
        for binding in policy.bindings
        for member in sorted(binding["members"])
        if member in PUBLIC
    ]


def findings(bucket: str, connect: Callable[[], Any] = google.client) -> list[Finding]:
    """What is wrong with a bucket, found without a single write; that it cannot be reached is a finding, too.

    Args:
        bucket: its name.
        connect: makes the client, whose account is the one that is judged.

    Raises:
        UserError: `bucket` can be no bucket's name.
    """
    name = bucket_name(bucket)
    found: list[Finding] = []
    try:
        with google.user_errors(f"gs://{name}"):
            opened = connect().bucket(name)
            lacking = _missing_permissions(opened)
            found += _bucket_itself(opened, may_use=not lacking)
            found += lacking
    except UserError as error:
        found.append(Finding(error.reason, error.remedy))
    return found


def _bucket_itself(bucket: Any, *, may_use: bool) -> list[Finding]:
    """What is wrong with settings and policy; an account that may use the objects need not be able to see them."""
    from google.api_core.exceptions import Forbidden

    found: list[Finding] = []
    denied: dict[str, UserError] = {}
    for what, look in (("settings", _wrong_settings), ("policy", _public_members)):
        try:
            found += look(bucket)
        except Forbidden as error:
            denied[what] = google.in_words(bucket.name, error)
    if denied and may_use:
        reason = f"reachable and writable, but this account may not see its {' and '.join(denied)}"
        remedy = f"who owns it can look: make bucket-check BUCKET={bucket.name}"
        return [*found, Finding(f"{reason}: nothing here tells whether it is private", remedy, unseen=True)]
    return found + [Finding(error.reason, error.remedy) for error in denied.values()]


def _wrong_settings(bucket: Any) -> list[Finding]:
    bucket.reload(**google.request_options())
    found = [
        Finding(setting.wrong, f"make bucket BUCKET={bucket.name}")
        for setting in SETTINGS
        if not setting.is_right(bucket)
    ]
    if any(_deletes(rule, f"{DVC}/") for rule in bucket.lifecycle_rules):
        what = f"a lifecycle rule deletes objects under {DVC}/, where the data and the models lie"
        clear = (
            f"gcloud storage buckets update gs://{bucket.name} --clear-lifecycle && make bucket BUCKET={bucket.name}"
        )
        found.append(Finding(what, clear))
    return found


def _public_members(bucket: Any) -> list[Finding]:
    return public_bindings(bucket.name, bucket.get_iam_policy(requested_policy_version=3, **google.request_options()))


def _missing_permissions(bucket: Any) -> list[Finding]:
    held = bucket.test_iam_permissions(list(PERMISSIONS), **google.request_options())
    missing = [permission for permission in PERMISSIONS if permission not in held]
    if not missing:
        return []
    command = f"gcloud storage buckets add-iam-policy-binding gs://{bucket.name} --role={ROLE}"
    return [Finding(f"your account lacks {', '.join(missing)}", f"{command} --member=user:YOU@example.com")]
