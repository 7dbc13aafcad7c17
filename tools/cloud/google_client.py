"""Google Cloud Storage with the account of the DVC remote, which may differ from the default login."""

from collections.abc import Mapping
from typing import Any

from detector.base.errors import UserError


def client(settings: Mapping[str, Any]) -> Any:
    """With the account, the address and the project of the DVC remote's settings; without any, the default login.

    Raises:
        UserError: the file of the account's key cannot be read.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    address = settings.get("endpointurl")
    credentials = None
    if settings.get("allow_anonymous_login") or str(address).startswith("http://"):
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    elif settings.get("credentialpath"):
        credentials = key(settings["credentialpath"])
    options = {"api_endpoint": address} if address else None
    return storage.Client(project=settings.get("projectname"), credentials=credentials, client_options=options)


def key(file: str) -> Any:
    """The credentials in a file.

    Raises:
        UserError: it holds none that can be read.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        return google.auth.load_credentials_from_file(file)[0]  # type: ignore[no-untyped-call]
    except (GoogleAuthError, OSError, ValueError):  # whose text may hold what the file does
        remedy = "use another: dvc remote modify --local REMOTE credentialpath key.json"
        raise UserError("credentialpath", f"{file} is not a readable credentials file", remedy) from None
