"""DVC's default remote: which bucket it is in, whether it is set as it should be, and setting it so.

The URL belongs in .dvc/config, which is committed, or `dvc exp push` uploads nothing and reports nothing. An endpoint
and credentials belong in .dvc/config.local, which git ignores.
"""

import configparser
import contextlib
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.base import errors, files
from detector.base.errors import UserError
from tools.cloud import bucket_settings, git, trust
from tools.cloud.bucket_settings import Finding

DVC_DIR = Path(".dvc")
CONFIG = trust.CONFIG
NAME = "gcs"


def program() -> str:
    """The dvc of this environment, or else the one on PATH."""
    beside = Path(sys.executable).with_name("dvc")
    return str(beside) if beside.exists() else "dvc"


def url(bucket: str) -> str:
    """Where the remote is in a bucket."""
    return f"gs://{bucket}/{bucket_settings.DVC}"


def default() -> tuple[str, Mapping[str, Any]]:
    """Name and settings of the default remote, from all of DVC's configuration; ("", {}) where there is none.

    Raises:
        UserError: they came with the repository, or are of a kind, that would send this user's login elsewhere.
    """
    config = _config()
    name = config["core"].get("remote", "")
    settings = config["remote"].get(name, {})
    trust.check_endpoint(name, settings)
    return name, settings


def bucket() -> str:
    """The bucket of the default remote, or ""."""
    address = str(default()[1].get("url", ""))
    return address.removeprefix("gs://").partition("/")[0] if address.startswith("gs://") else ""


def cache() -> Path:
    """The folder of DVC's cache."""
    return DVC_DIR / (_setting("cache", "dir") or "cache")


def has_hardlink_locks() -> bool:
    """Whether DVC locks without the system's file locks."""
    return _setting("core", "hardlink_lock").lower() == "true"


def _setting(section: str, key: str) -> str:
    """A value as the user, the project or this clone sets it; read without DVC, whose import takes long."""
    user = Path(os.environ.get("XDG_CONFIG_HOME") or files.expanded("~/.config"), "dvc", "config")
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):  # DVC is going to report it
        parser.read((user, CONFIG, f"{CONFIG}.local"), encoding="utf-8")
    return parser.get(section, key, fallback="").strip("\"'")


def check(bucket: str) -> Mapping[str, Any]:
    """Whether `write` may set the default remote to this bucket; returns the settings that the remote has already.

    Raises:
        UserError: there is another one, or as of `default`.
    """
    name, settings = default()
    if not name:
        name, settings = NAME, _config()["remote"].get(NAME, {})
    if settings and settings.get("url") != url(bucket):
        reason = f"the remote {name} is {settings.get('url')}, not {url(bucket)}"
        raise UserError(str(CONFIG), reason, f"if that is what you want, run: {_command_to_change(name, bucket)}")
    trust.check_endpoint(name, settings)
    return settings


def _command_to_change(name: str, bucket: str) -> str:
    """What lets `check` pass; it leaves a remote of another name as it is, and no longer the default."""
    if name == NAME:
        return f"dvc remote modify {name} url {url(bucket)}"
    level = next(level for level in ("local", "repo", "global", "system") if _config(level)["core"].get("remote"))
    return "dvc remote default --unset" + ("" if level == "repo" else f" --{level}")


def write(bucket: str) -> list[str]:
    """Make `gs://BUCKET/dvc` the default remote, after `check`; returns what has changed, in words."""
    from dvc.config import Config

    name = default()[0] or NAME
    endpoint = os.environ.get("STORAGE_EMULATOR_HOST", "")
    changes = []
    committed, local = _config("repo"), _config("local")
    mine = committed["remote"].get(name, {})
    is_set = mine.get("url") == url(bucket) and str(mine.get("verify")).lower() == "true"
    if not is_set or committed["core"].get("remote") != name:
        with Config(dvc_dir=str(DVC_DIR)).edit("repo") as content:
            content["core"]["remote"] = name
            content["remote"].setdefault(name, {}).update(url=url(bucket), verify="true")
        changes.append(f"{CONFIG}: default remote {name} = {url(bucket)}, verify = true")
    if endpoint and local["remote"].get(name, {}).get("endpointurl") != endpoint:
        with Config(dvc_dir=str(DVC_DIR)).edit("local") as content:
            content["remote"].setdefault(name, {})["endpointurl"] = endpoint
        changes.append(f"{CONFIG}.local: endpointurl = {endpoint}")
    return changes


def findings(bucket: str = "") -> list[Finding]:
    """What is wrong with the settings of the default remote, which should be in `bucket`, if that is not empty."""
    name, settings = default()
    if bucket and settings.get("url") != url(bucket):
        return [Finding(f"{CONFIG}: no default remote {url(bucket)}", f"make bucket BUCKET={bucket}")]
    committed, address = _config("repo")["remote"].get(name, {}), settings.get("url", "")
    quoted = shlex.quote(name)
    lines = []
    if address.startswith("gs://") and not settings.get("verify"):
        what = f"{CONFIG}: remote {name} has no verify = true: a corrupt object would be pulled in silence"
        lines.append(Finding(what, f"dvc remote modify {quoted} verify true"))
    if committed.get("url") != address or uncommitted():
        is_here = committed.get("url") == address
        add = "" if is_here else f"dvc remote add -f -d {quoted} {shlex.quote(errors.redacted(address))} && "
        what = f"{CONFIG}: remote {name} is not committed: dvc exp push would upload nothing, and report nothing"
        lines.append(Finding(what, f"{add}git add {CONFIG} && git commit -m 'DVC remote' {CONFIG}"))
    return lines


def uncommitted() -> bool:
    """Whether git has another .dvc/config than this one, or none."""
    try:
        return bool(git.uncommitted(str(CONFIG)))
    except ValueError:
        return True


def _config(level: str | None = None) -> Any:
    """DVC's configuration: all levels merged, or one."""
    from configobj import InterpolationError
    from dvc.config import Config, ConfigError

    if not DVC_DIR.is_dir():
        raise UserError(str(DVC_DIR), "not found: this is not a DVC project", "run this where dvc.yaml is")
    trust.check_shared()
    try:
        config = Config(dvc_dir=str(DVC_DIR))
        return config.load_one(level) if level else config
    except (ConfigError, InterpolationError) as error:
        raise UserError(str(CONFIG), str(error), "fix it, or restore it: git checkout .dvc/config") from error
