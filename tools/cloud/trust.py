"""Whom this user's data and login may go to: what comes with a repository was written by others.

.dvc/config     comes with the repository: it may name a remote, and set nothing that logs in, or leads elsewhere
a remote        must have been named by this user once, as BUCKET=..., or in a line of ~/.local/state/passo/remotes
an endpoint     is this user's, in .dvc/config.local; it is Google's, or STORAGE_EMULATOR_HOST, or else gets nothing

With STORAGE_EMULATOR_HOST nothing goes to Google, and a folder of this machine gets no login: both need not be named.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from detector.base import errors
from detector.base.errors import UserError
from tools.cloud import git

CONFIG = Path(".dvc/config")
LOCAL = Path(".dvc/config.local")
# What a configuration that others wrote may set, by section: names, places, and what stays on this machine.
SHARED = {
    "core": {"analytics", "autostage", "check_update", "checksum_jobs", "hardlink_lock", "no_scm", "remote"},
    "cache": {"dir", "shared", "slow_link_warning", "type"},
    "plots": {"auto_open", "html_template"},
    "remote": {
        *("url", "verify", "jobs", "checksum_jobs", "worktree", "version_aware", "projectname", "region", "type"),
        *("account_name", "allow_anonymous_login", "user", "port", "timeout", "read_timeout", "connect_timeout"),
    },
}
GOOGLE = re.compile(r"https://([a-z0-9-]+\.)*googleapis\.com(:443)?/?")
_named_now: set[str] = set()  # where the file cannot be written, too


def check_shared() -> None:
    """Refuse what came with the repository, and is for each user to set.

    Raises:
        UserError: naming the key, and the command that removes it.
    """
    for section, key in _entries():
        kind, _, remote = section.partition(".")
        if key not in SHARED.get(kind, ()):
            command, name = "config", shlex.quote(f"{section}.{key}")
            if kind == "remote":  # `dvc config` would take a path as relative to .dvc
                command, name = "remote modify", f"{shlex.quote(remote)} {key}"
            reason = "it comes with the repository, and is for each user to set"
            remedy = f"run: dvc {command} --unset {name}; if you want it: dvc {command} --local {name} VALUE"
            raise UserError(str(CONFIG), reason, remedy, f"{section}.{key}")
    if _is_tracked(LOCAL):
        remedy = f"run: git rm --cached {LOCAL}, and delete there what you did not write"
        raise UserError(str(LOCAL), "git tracks it, so that others may have written it", remedy)


def _entries() -> Iterator[tuple[str, str]]:
    """(`remote.gcs`, `url`): every section and key of .dvc/config, as DVC reads it."""
    from configobj import ConfigObj, ConfigObjError

    try:
        with CONFIG.open(encoding="utf-8") as file:
            sections = ConfigObj(file, interpolation=False)
    except FileNotFoundError:
        return
    except (ConfigObjError, UnicodeDecodeError) as error:
        raise UserError(str(CONFIG), str(error), f"fix it, or restore it: git checkout {CONFIG}") from error
    for name, keys in sections.items():
        kind, _, rest = name.strip("'\" ").partition(" ")
        section = ".".join(filter(None, (kind.lower(), rest.strip("'\" "))))
        for key in keys if isinstance(keys, dict) else [""]:
            yield section, key.lower()


def _is_tracked(path: Path) -> bool:
    """Whether git has this file: by its name, or as a link; or where links lead, in a submodule of this repository."""
    real, links = Path(os.path.realpath(path)), [one for one in (path, *path.parents) if one.is_symlink()]
    with suppress(ValueError):  # no git here
        top = Path(git.run("rev-parse", "--show-toplevel").rstrip("\n")).resolve()
        folder = real.parent if real.is_relative_to(top) else Path()
        return _is_in_git(folder, real) or any(_is_in_git(Path(), one) for one in (path, *links))
    return False


def _is_in_git(folder: Path, path: Path) -> bool:
    with suppress(ValueError):  # it lies outside of the repository, or behind a link
        return bool(git.run("-C", str(folder), "ls-files", "--", str(path)))
    return False


def check_endpoint(name: str, settings: Mapping[str, Any]) -> None:
    """Refuse an endpoint of a remote in a bucket that is neither Google's nor that of a test server.

    Raises:
        UserError: the login of this user would go there.
    """
    endpoint = str(settings.get("endpointurl") or "") if is_in_bucket(str(settings.get("url", ""))) else ""
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
    if endpoint and not GOOGLE.fullmatch(endpoint) and not (emulator and _host(endpoint) == _host(emulator)):
        reason = f"remote {name} goes to {errors.redacted(endpoint)}, which is neither Google's nor"
        state = f"STORAGE_EMULATOR_HOST, {emulator}" if emulator else "STORAGE_EMULATOR_HOST, which is not set"
        remedy = f"run: dvc remote modify --local --unset {shlex.quote(name)} endpointurl"
        raise UserError(str(LOCAL), f"{reason} {state}", remedy)


def _host(address: str) -> str:
    return re.sub(r"^https?://", "", address).rstrip("/")


def is_in_bucket(address: str) -> bool:
    return address.lower().startswith("gs://")


def is_known(address: str) -> bool:
    """Whether this user has named this remote, or need not."""
    if "://" not in address or (is_in_bucket(address) and os.environ.get("STORAGE_EMULATOR_HOST")):
        return True
    with suppress(OSError):
        return _place(address) in {*_named_now, *_file().read_text(encoding="utf-8").splitlines()}
    return _place(address) in _named_now


def remember(address: str) -> None:
    """This user has named this remote."""
    if is_known(address):
        return
    _named_now.add(_place(address))
    with suppress(OSError):  # then it has to be named each time
        _file().parent.mkdir(parents=True, exist_ok=True)
        with _file().open("a", encoding="utf-8") as file:
            file.write(f"{_place(address)}\n")


def require(address: str, command: str) -> None:
    """Refuse a remote that this user has not named.

    Args:
        command: of make, which takes BUCKET.

    Raises:
        UserError: naming it, and how to agree to it.
    """
    if not is_known(address):
        reason = f"{CONFIG} names this remote, and you have not used it before"
        raise UserError(errors.redacted(address), reason, f"if it is yours, {how_to_agree(address, command)}")


def without_strangers(config: Mapping[str, Any], command: str) -> tuple[Mapping[str, Any], UserError | None]:
    """DVC's configuration without the remotes that must not be asked, and why the default one is among them, if so.

    Args:
        command: as of `require`.
    """
    refused = {}
    for name, settings in config["remote"].items():
        try:
            check_endpoint(name, settings)
            require(str(settings.get("url", "")), command)
        except UserError as error:
            refused[name] = error
    remotes = {name: settings for name, settings in config["remote"].items() if name not in refused}
    default = config["core"].get("remote")
    core = {key: value for key, value in config["core"].items() if key != "remote" or value not in refused}
    return {**config, "core": core, "remote": remotes}, refused.get(default)


def how_to_agree(address: str, command: str) -> str:
    """What makes a remote known."""
    if is_in_bucket(address):
        return f"run: make {command} BUCKET={_place(address).removeprefix('gs://')}"
    file = shlex.quote(str(_file()))
    return f"run: mkdir -p {shlex.quote(str(_file().parent))} && echo {shlex.quote(_place(address))} >> {file}"


def _place(address: str) -> str:
    """What is agreed to: a bucket, whatever lies in it; of all else the address."""
    if is_in_bucket(address):
        return "/".join(address.split("/")[:3]).lower()
    return re.sub(r"(?<=://)[^/]*@", "", address).rstrip("/")


def _file() -> Path:
    """Outside of any repository, so that none can bring it along."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (state if state.is_absolute() else Path.home() / ".local/state") / "passo" / "remotes"
