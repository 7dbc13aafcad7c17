"""A throw-away certificate for Google's hosts, so that `gcs_server.py` can stand in for them: made once a process."""

import datetime
import functools
import ssl
import tempfile
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOSTS = ("www.googleapis.com", "storage.googleapis.com", "oauth2.googleapis.com", "localhost")
PEM = serialization.Encoding.PEM


class _Made(NamedTuple):
    authority: bytes
    chain: bytes
    key: bytes


def authority() -> bytes:
    """The certificate of the authority, PEM, for a client to trust."""
    return _made().authority


@functools.cache
def context() -> ssl.SSLContext:
    """What a server wraps its connections in."""
    made = _made()
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # load_cert_chain reads files alone
        chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain.write_bytes(made.chain)
        key.write_bytes(made.key)
        found.load_cert_chain(chain, key)
    return found


@functools.cache
def _made() -> _Made:
    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name("a test's authority")
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    top = (
        _builder(issuer, issuer, root.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root.public_key()), critical=False)
        .sign(root, hashes.SHA256())
    )
    leaf = (
        _builder(_name(HOSTS[0]), issuer, own.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)
        .sign(root, hashes.SHA256())
    )
    key = own.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return _Made(top.public_bytes(PEM), leaf.public_bytes(PEM) + top.public_bytes(PEM), key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + 30 * day)
    )
