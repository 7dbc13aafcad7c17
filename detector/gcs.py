"""A bucket of Google Cloud Storage: a client, its errors in plain words, and what is wrong with a bucket's settings."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something about a bucket that is not as it should be."""

    what: str  # in words, with the value found
    remedy: str  # the command that mends it


def findings(bucket: str) -> list[Finding]:
    """What is wrong with a bucket, found without a single write.

    Raises:
        UserError: the bucket cannot be looked at: no credentials, no connection, no such bucket, or no access.
    """
    raise NotImplementedError
