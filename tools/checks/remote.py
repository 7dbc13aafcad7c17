"""Google Cloud Storage: the DVC remote as DVC knows it, the bucket as Google does, and who is asking."""

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from detector.base import errors
from detector.base.errors import UserError
from detector.training.params import TrainParams
from tools.checks import machine
from tools.checks.lines import Check, Line, error, note, ok
from tools.cloud import dvc_config, trust

LOGIN = "gcloud auth application-default login"
VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
# For storage/google.py, and for google-auth, which would search for a metadata server for nine seconds.
PATIENCE = {"PASSO_GCS_SECONDS": "3", "GCE_METADATA_TIMEOUT": "1", "GCE_METADATA_DETECT_RETRIES": "1"}


def configuration() -> Iterator[Line]:
    """DVC's remote: set, committed, and verified when it is read."""
    if not dvc_config.DVC_DIR.is_dir():
        return  # reported by repository.dvc
    name, remote = dvc_config.default()
    url = str(remote.get("url", ""))
    if not name:
        yield note("no DVC remote: models and data are here only", "run: make bucket PROJECT=... BUCKET=...")
    elif not url:
        what = f"{dvc_config.CONFIG}: core.remote is {name}, which is not a remote"
        yield error(what, "run: dvc remote default --unset")
    else:
        lines = [note(finding.what, f"run: {finding.remedy}") for finding in dvc_config.findings()]
        if "://" not in url:
            lines += _folder(name, Path(url))
        if not trust.is_known(url):
            what = f"remote {name}: {errors.redacted(url)}: not asked, for you have not used it before"
            lines.append(note(what, f"if it is yours, {trust.how_to_agree(url, 'bucket-check')}"))
        yield from lines or [ok(f"remote {name}: {errors.redacted(url)}, committed")]


def _folder(name: str, folder: Path) -> Iterator[Line]:
    place = machine.existing(folder)
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        yield error(f"remote {name}: {place} cannot be written to", f"check it: ls -ld {shlex.quote(str(place))}")


def online(train: TrainParams | None) -> list[Check]:
    """Checks that need the network: of the buckets of DVC's remote and of the work directory, and of the account.

    The remote may have its own key; the work directory is always written to with the default login.
    """
    for name, value in PATIENCE.items():  # they are read when those libraries are imported
        os.environ.setdefault(name, value)
    places: list[tuple[str, Mapping[str, Any]]] = [(train.work_dir, {})] if train else []
    with contextlib.suppress(UserError):  # reported by `configuration`
        settings = dvc_config.default()[1]
        places.insert(0, (str(settings.get("url", "")), settings))
    checks: dict[str, Check] = {}
    for address, settings in places:
        match = re.match(r"gs://([^/]+)", address)
        if match and trust.is_known(address):
            where = match[0] + (" (credentialpath)" if settings.get("credentialpath") else "")
            checks.setdefault(where, Check(where, partial(bucket, where, match[1], settings)))
    in_buckets = any(trust.is_in_bucket(address) for address, _ in places)
    return [*checks.values(), Check("credentials", account)] if in_buckets else []


def seconds() -> float:
    """How long to wait for these checks: a little longer than a request is tried."""
    with contextlib.suppress(ValueError):  # storage/google.py reports it
        return float(os.environ["PASSO_GCS_SECONDS"]) + 2
    return 5.0


def bucket(where: str, name: str, settings: Mapping[str, Any]) -> Iterator[Line]:
    """Google's answer to the account of these settings: the bucket exists, is writable, and not public."""
    from tools.cloud import bucket_settings, google_client

    findings = bucket_settings.findings(name, partial(google_client.client, settings))
    for finding in findings:
        level = note if finding.unseen else error
        yield level(f"{where}: {finding.what}", finding.remedy)
    if not findings:
        yield ok(f"{where}: reachable, writable, not public")


def account() -> Iterator[Line]:
    """Whose credentials Google's libraries find; never what is in them."""
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        yield ok("credentials: none, because STORAGE_EMULATOR_HOST is set")
        return
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    from tools.cloud import google_client

    name, remote = dvc_config.default()
    key, variable = str(remote.get("credentialpath") or ""), os.environ.get(VARIABLE, "")
    try:
        credentials = google_client.key(key) if key else google.auth.default()[0]
    except (UserError, GoogleAuthError, OSError, ValueError):  # whose text may hold what the file does
        yield _no_credentials(name, key, variable)
        return
    names = (getattr(credentials, attribute, "") for attribute in ("service_account_email", "account"))
    whose = next(filter(None, names), "") or type(credentials).__module__.removeprefix("google.")
    yield ok(f"credentials: {whose}, {key or variable or 'application default'}")


def _no_credentials(remote: str, key: str, variable: str) -> Line:
    unreadable = "is not a credentials file that can be read"
    if key:
        unset = f"dvc remote modify --local --unset {shlex.quote(remote)} credentialpath"
        return error(f"credentials: {key} (credentialpath) {unreadable}", f"run: {unset} && {LOGIN}")
    if variable:
        what = f"credentials: {variable} ({VARIABLE}) {unreadable}"
        return error(what, f"run: unset {VARIABLE} && {LOGIN}")
    return error("credentials: none found", f"run: {LOGIN}")
