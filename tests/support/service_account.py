"""A service account's key in a file, as Google's console gives it out; made for the test, and good for nothing else."""

import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

EMAIL = "robot@p.iam.gserviceaccount.com"


def write_key(file: Path, token_uri: str) -> None:
    """`token_uri`: where Google's libraries get a token for the key; `/token` of gcs_server.py gives one."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret = rsa.generate_private_key(65537, 2048).private_bytes(*form).decode()
    account = {"type": "service_account", "client_email": EMAIL, "project_id": "p"}
    file.write_text(json.dumps({**account, "token_uri": token_uri, "private_key": secret}))
