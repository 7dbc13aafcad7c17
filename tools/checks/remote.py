"""Google Cloud Storage: the DVC remote as DVC knows it, the bucket as Google does, and who is asking."""

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from detector.base.errors import UserError
from detector.training.params import TrainParams
from tools.checks import machine
from tools.checks.lines import Check, Line, error, note, ok
from tools.cloud import dvc_config

LOGIN = "gcloud auth application-default login"
# How long storage/google.py tries, and google-auth, which would look for a metadata server for nine seconds.
PATIENCE = {"PASSO_GCS_SECONDS": "3", "GCE_METADATA_TIMEOUT": "1", "GCE_METADATA_DETECT_RETRIES": "1"}


def configuration() -> Iterator[Line]:
    """DVC's remote: there, in a commit, and verified on the way back."""
    if not dvc_config.DVC_DIR.is_dir():
        return  # said by repository.dvc
    name, remote = dvc_config.default()
    url = str(remote.get("url", ""))
    if not name:
        yield note("no DVC remote: models and data are here alone", "run: make bucket PROJECT=... BUCKET=...")
    elif not url:
        yield error(
            f"{dvc_config.CONFIG}: core.remote is {name}, which is no remote", "run: dvc remote default --unset"
        )
    else:
        yield from list(_remote(name, remote, url)) or [ok(f"remote {name}: {_shown(url)}, in a commit")]


def _remote(name: str, remote: Mapping[str, Any], url: str) -> Iterator[Line]:
    from dvc.config import Config

    mine, quoted = Config(str(dvc_config.DVC_DIR)).load_one("repo")["remote"].get(name, {}), shlex.quote(name)
    if mine.get("url") != url or dvc_config.uncommitted():
        what = f"remote {name}: its address is in no commit, so that dvc exp push would send nothing and say nothing"
        add = "" if mine.get("url") == url else f"dvc remote add -f -d {quoted} {shlex.quote(_shown(url))} && "
        yield note(what, f"run: {add}git add {dvc_config.CONFIG} && git commit -m 'DVC remote' {dvc_config.CONFIG}")
    for key in (key for key in dvc_config.PRIVATE if key in mine):
        what = f"remote {name}: {key} is in {dvc_config.CONFIG}, and holds for one machine only"
        remedy = f"run: dvc remote modify --unset {quoted} {key}, then: dvc remote modify --local {quoted} {key} VALUE"
        yield note(what, remedy)
    if url.startswith("gs://") and not remote.get("verify"):
        what = f"remote {name}: verify is off, so that a damaged object would be pulled in silence"
        yield note(what, f"run: dvc remote modify {quoted} verify true")
    if "://" not in url:
        yield from _folder(name, Path(url))


def _folder(name: str, folder: Path) -> Iterator[Line]:
    place = machine.existing(folder)
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        yield error(f"remote {name}: {place} cannot be written to", f"look at it: ls -ld {shlex.quote(str(place))}")


def _shown(url: str) -> str:
    """An address without the password in it."""
    return re.sub(r"//[^/@]*@", "//", url)


def online(train: TrainParams | None) -> list[tuple[str, Check]]:
    """What has to be asked over the network: of the buckets of DVC's remote and the work directory, if they are any.

    The remote may have a key of its own; the work directory is always written to with the default login.
    """
    for name, value in PATIENCE.items():  # read when they are imported
        os.environ.setdefault(name, value)
    places: list[tuple[str, Mapping[str, Any]]] = [(train.work_dir, {})] if train else []
    with contextlib.suppress(UserError):  # said by `configuration`
        settings = dvc_config.default()[1]
        places.insert(0, (str(settings.get("url", "")), settings))
    checks: dict[str, Check] = {}
    for address, settings in places:
        if found := re.match(r"gs://([^/]+)", address):
            where = found[0] + (" (credentialpath)" if settings.get("credentialpath") else "")
            checks.setdefault(where, partial(bucket, where, found[1], settings))
    return [*checks.items(), ("credentials", account)] if checks else []


def seconds() -> float:
    """How long to wait for these checks: a little more than each of their requests is tried."""
    with contextlib.suppress(ValueError):  # storage/google.py reports it
        return float(os.environ["PASSO_GCS_SECONDS"]) + 2
    return 5.0


def bucket(where: str, name: str, settings: Mapping[str, Any]) -> Iterator[Line]:
    """What Google says of it to the account of these settings: there, ours to write to, not public."""
    from tools.cloud import bucket_settings, google_client

    found = bucket_settings.findings(name, partial(google_client.client, settings))
    for finding in found:
        line = note if finding.unseen else error
        yield line(f"{where}: {finding.what}", finding.remedy)
    if not found:
        yield ok(f"{where}: reachable, writable, not public")


def account() -> Iterator[Line]:
    """Which credentials Google's libraries find, and whose they are; never what is in them."""
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        yield ok("credentials: none, for STORAGE_EMULATOR_HOST is set")
        return
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    from tools.cloud import google_client

    name, remote = dvc_config.default()
    file, given = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""), remote.get("credentialpath")
    try:
        credentials = google_client.key(given) if given else google.auth.default()[0]
    except (UserError, GoogleAuthError, OSError, ValueError):  # whose text may hold what the file does
        yield _no_credentials(name, str(given or ""), file)
        return
    names = (getattr(credentials, key, "") for key in ("service_account_email", "account"))
    whose = next(filter(None, names), "") or type(credentials).__module__.removeprefix("google.")
    yield ok(f"credentials: {whose}, {given or file or 'application default'}")


def _no_credentials(remote: str, of_dvc: str, of_environment: str) -> Line:
    reason = "is no credentials file that can be read"
    if of_dvc:
        unset = f"dvc remote modify --local --unset {shlex.quote(remote)} credentialpath"
        return error(f"credentials: {of_dvc} (credentialpath) {reason}", f"run: {unset} && {LOGIN}")
    if of_environment:
        what = f"credentials: {of_environment} (GOOGLE_APPLICATION_CREDENTIALS) {reason}"
        return error(what, f"run: unset GOOGLE_APPLICATION_CREDENTIALS && {LOGIN}")
    return error("credentials: none found", f"run: {LOGIN}")
