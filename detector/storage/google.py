"""Google Cloud Storage: the client, how long it tries, and its errors in plain words.

Google's libraries are imported late. With STORAGE_EMULATOR_HOST set, all of it talks to that address, without
credentials. PASSO_GCS_SECONDS is how long a request of a command is tried, where it is not 5 seconds.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from detector.base.errors import UserError

LOGIN = "run: gcloud auth application-default login (in Colab: from google.colab import auth; auth.authenticate_user())"
ANSWER_SECONDS = 4  # that one request may take
PATIENCE_SECONDS = 5.0  # after which a request is not tried again
DENIED = "log in with an account that may, or take another bucket (names are shared by all the world): docs/gcs.md"


def make(project: str = "") -> Any:
    """A `google.cloud.storage.Client`, which is imported here; `project` matters only where a bucket is created."""
    from google.cloud import storage

    return storage.Client(project=project or "-")  # without one, an account's default project would have to be known


def client(project: str = "") -> Any:
    """As `make`.

    Raises:
        UserError: no credentials.
    """
    with user_errors("Google Cloud"):
        return make(project)


def request_options() -> dict[str, Any]:
    """Arguments for calls of Google's client, so that a dead server is told after about ten seconds."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    try:
        seconds = float(os.environ.get("PASSO_GCS_SECONDS") or PATIENCE_SECONDS)
    except ValueError:
        raise UserError("PASSO_GCS_SECONDS", f"{os.environ['PASSO_GCS_SECONDS']!r} is no number", "unset it") from None
    often = DEFAULT_RETRY.with_delay(initial=0.25, maximum=2, multiplier=2)
    return {"retry": often.with_timeout(seconds), "timeout": ANSWER_SECONDS}


@contextmanager
def user_errors(where: str) -> Iterator[None]:
    """Turn what Google's libraries raise into a `UserError` about `where`, its cause kept as `__cause__`."""
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    try:
        yield
    except (GoogleAPIError, GoogleAuthError, requests.RequestException, DataCorruption, InvalidResponse) as error:
        raise in_words(where, error) from error


def in_words(where: str, error: Exception) -> UserError:
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError

    if isinstance(error, DefaultCredentialsError):
        return UserError(where, "no credentials on this machine", LOGIN)
    if isinstance(error, exceptions.RetryError | OSError | TransportError):
        return UserError(where, f"no answer: {_short(error)}", "check the connection and try again")
    if isinstance(error, GoogleAuthError | exceptions.Unauthorized):
        return UserError(where, f"the credentials are not accepted: {_short(error)}", LOGIN)
    if isinstance(error, exceptions.Forbidden):
        return UserError(where, f"access denied: {_short(error)}", DENIED)
    if isinstance(error, exceptions.NotFound):
        return UserError(
            where,
            f"not found: {_short(error)}",
            "check the name, or create the bucket: make bucket PROJECT=... BUCKET=...",
        )
    return UserError(where, _short(error), "try again; docs/gcs.md")


def _short(error: Exception) -> str:
    """The heart of an error that is wrapped in others and in an address."""
    cause = getattr(error, "cause", None) or error
    if found := re.search(r"\[Errno -?\d+\] ([^'\")\]]+)", str(cause)):
        return found[1]
    if "timed out" in str(cause):
        return "timed out"
    code = getattr(cause, "code", None)
    reasons = [str(entry["message"]) for entry in getattr(cause, "errors", ()) if entry.get("message")]
    if in_json := re.search(r'"message": *"((?:[^"\\]|\\.)*)"', str(cause)):
        reasons.append(in_json[1])
    text = (reasons or [str(getattr(cause, "message", cause))])[0][:300].rstrip(".")
    return f"{int(code)} {text}" if isinstance(code, int) else text
