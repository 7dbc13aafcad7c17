"""Google Cloud Storage: the DVC remote as DVC knows it, the bucket as Google does, and who is asking."""

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from detector import files
from detector.errors import UserError
from tools.checks import machine, repository
from tools.checks.lines import Check, Line, error, note, ok
from tools.checks.settings import Train

CONFIG = ".dvc/config"
OF_ONE_MACHINE = ("credentialpath", "endpointurl")
LOGIN = "gcloud auth application-default login"
# Less than tools.doctor waits: of detector/gcs.py, and of google-auth, which would look for a metadata server three
# times, three seconds each.
PATIENCE = {"PASSO_GCS_SECONDS": "3", "GCE_METADATA_TIMEOUT": "1", "GCE_METADATA_DETECT_RETRIES": "1"}


def configuration() -> Iterator[Line]:
    """DVC's remote: there, in a commit, and verified on the way back."""
    name, remote = default_remote()
    if not name:
        yield note("no DVC remote: models and data are here alone", "run: make bucket PROJECT=... BUCKET=...")
        return
    url, committed = str(remote.get("url", "")), _sections(repository.git("show", f"HEAD:{CONFIG}").stdout)
    found = [] if url in _urls(committed) else [_uncommitted(name, url)]
    found += _of_one_machine(name, committed)
    if url.startswith("gs://") and remote.get("verify") is not True:
        what = f"remote {name}: verify is off, so that a damaged object would be pulled in silence"
        found.append(note(what, f"run: dvc remote modify {shlex.quote(name)} verify true"))
    if "://" not in url:
        found += _folder(name, Path(url))
    yield from found or [ok(f"remote {name}: {_shown(url)}, in a commit")]


def default_remote() -> tuple[str, Mapping[str, Any]]:
    """The name and the settings of the remote that `dvc push` takes; nothing where there is none.

    Raises:
        UserError: DVC's configuration cannot be read, or names a remote that it does not have.
    """
    from dvc.config import Config, ConfigError

    if not Path(".dvc").is_dir():
        return "", {}  # said by repository.dvc
    try:
        config = Config(".dvc")
    except ConfigError as refused:
        raise UserError(CONFIG, str(refused), f"run: git checkout {CONFIG}") from refused
    name = str(config["core"].get("remote", ""))
    if name and name not in config["remote"]:
        raise UserError(CONFIG, f"core.remote is {name}, which is no remote", "run: dvc remote default --unset")
    return name, config["remote"].get(name, {})


def _sections(text: str) -> list[Mapping[str, Any]]:
    """The sections of DVC's configuration, as it is written."""
    from configobj import ConfigObj  # type: ignore[import-untyped]

    return [section for section in ConfigObj(text.splitlines()).values() if isinstance(section, dict)]


def _urls(sections: list[Mapping[str, Any]]) -> list[str]:
    """Their addresses as DVC gives them: a folder in whole, from that of the configuration on."""
    found = [str(section["url"]) for section in sections if "url" in section]
    return [url if "://" in url else os.path.abspath(Path(CONFIG).parent / files.expanded(url)) for url in found]  # noqa: PTH100 (a link stays one)


def _uncommitted(name: str, url: str) -> Line:
    what = f"remote {name}: its address is in no commit, so that dvc exp push would send nothing and say nothing"
    commit = f"git add {CONFIG} && git commit -m 'DVC remote' {CONFIG}"
    if url in _urls(_sections(Path(CONFIG).read_text(encoding="utf-8") if Path(CONFIG).exists() else "")):
        return note(what, f"run: {commit}")
    add = f"dvc remote add --force --default {shlex.quote(name)} {shlex.quote(_shown(url))}"
    return note(what, f"run: {add} && {commit}")


def _of_one_machine(name: str, committed: list[Mapping[str, Any]]) -> Iterator[Line]:
    for key in OF_ONE_MACHINE:
        if any(key in section for section in committed):
            quoted = shlex.quote(name)
            what = f"remote {name}: {key} is in a commit, and holds for one machine only"
            remedy = f"run: dvc remote modify --unset {quoted} {key}, then set it with: dvc remote modify --local ..."
            yield note(what, remedy)


def _folder(name: str, folder: Path) -> Iterator[Line]:
    place = machine.existing(folder)
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        yield error(f"remote {name}: {place} cannot be written to", f"look at it: ls -ld {shlex.quote(str(place))}")


def _shown(url: str) -> str:
    """An address without the password in it."""
    return re.sub(r"//[^/@]*@", "//", url)


def online(train: Train | None) -> list[tuple[str, Check]]:
    """What has to be asked over the network: of the buckets of DVC's remote and the work directory, if they are any."""
    for name, value in PATIENCE.items():  # read when they are imported
        os.environ.setdefault(name, value)
    addresses = [train.work_dir] if train else []
    with contextlib.suppress(UserError):  # said by `configuration`
        addresses.insert(0, str(default_remote()[1].get("url", "")))
    found = [re.match(r"gs://([^/]+)", address) for address in addresses]
    names = dict.fromkeys(match[1] for match in found if match)
    checks: list[tuple[str, Check]] = [(f"gs://{name}", partial(bucket, name)) for name in names]
    return [*checks, ("credentials", account)] if names else []


def bucket(name: str) -> Iterator[Line]:
    """What Google says of it: there, ours to write to, not public."""
    from detector import gcs

    found = gcs.findings(name)
    for finding in found:
        yield error(f"gs://{name}: {finding.what}", finding.remedy)
    if not found:
        yield ok(f"gs://{name}: reachable, writable, not public")


def account() -> Iterator[Line]:
    """Which credentials Google's libraries find, and whose they are; never what is in them."""
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        yield ok("credentials: none, for STORAGE_EMULATOR_HOST is set")
        return
    from google.auth.exceptions import GoogleAuthError

    name, remote = default_remote()
    file, given = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""), remote.get("credentialpath")
    try:
        credentials = _credentials(given)
    except (GoogleAuthError, OSError, ValueError):  # whose text may hold what the file does
        yield _no_credentials(name, str(given or ""), file)
        return
    names = (getattr(credentials, key, "") for key in ("service_account_email", "account"))
    whose = next(filter(None, names), "") or type(credentials).__module__.removeprefix("google.")
    yield ok(f"credentials: {whose}, {given or file or 'application default'}")


def _credentials(file: str | None) -> object:
    import google.auth

    found = google.auth.load_credentials_from_file(file) if file else google.auth.default()  # type: ignore[no-untyped-call]
    return found[0]


def _no_credentials(remote: str, of_dvc: str, of_environment: str) -> Line:
    reason = "is no credentials file that can be read"
    if of_dvc:
        unset = f"dvc remote modify --local --unset {shlex.quote(remote)} credentialpath"
        return error(f"credentials: {of_dvc} (credentialpath) {reason}", f"run: {unset} && {LOGIN}")
    if of_environment:
        what = f"credentials: {of_environment} (GOOGLE_APPLICATION_CREDENTIALS) {reason}"
        return error(what, f"run: unset GOOGLE_APPLICATION_CREDENTIALS && {LOGIN}")
    return error("credentials: none found", f"run: {LOGIN}")
