"""What a DVC remote holds: the names, and the md5 of each file where it is known without a download.

    gs://bucket/dvc     listed by the bucket, which knows the md5 of what was uploaded in one piece, as DVC does
    /mnt/disk/dvc       a folder: its files are read
    ssh://, s3://, ...  listed through DVC's file systems: names alone

Names are relative to the remote's root: `files/md5/ab/cdef...` for an object, `runs/...` for the run-cache,
`commits/...` for git bundles (cloud/bundles.py).
"""

import base64
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detector.base import errors
from detector.base.errors import UserError
from detector.storage import google
from tools.cloud import dvc_config, google_client, trust
from tools.cloud.cache import md5, md5_in
from tools.cloud.reasons import reason

FOLDERS = ("files/md5", "runs", "commits")
LIST_SECONDS = 60.0  # for one page of a bucket's list, with all that goes wrong on the way


class Remote:
    """Any kind of remote, seen through DVC's file system: names, and no md5."""

    def __init__(self, remote: Any) -> None:
        self.fs, self.root = remote.fs, remote.path
        self.url = errors.redacted(remote.fs.unstrip_protocol(remote.path))
        self.digests: dict[str, str | None] = {}  # by name: the hexadecimal md5, or what it is of, as of `refresh`

    def probe(self) -> None:
        """Raises: UserError; it cannot be reached."""
        with self.errors():
            self.fs.exists(self.root)

    def refresh(self) -> None:
        """List it again."""
        with self.errors():
            self.fs.fs.invalidate_cache()
            folders = [self.path(folder) for folder in FOLDERS if self.fs.exists(self.path(folder))]
            paths = [path for folder in folders for path in self.fs.find(folder)]
            self.digests = {self.fs.as_posix(self.fs.relpath(path, self.root)): None for path in paths}

    def md5(self, name: str) -> str | None:
        """The hexadecimal md5 of a file that exists; None where only a download could show it."""
        return self.digests[name]

    def holds(self, name: str, digest: str) -> bool:
        """Whether a file exists, with this md5 as far as that is known."""
        return name in self.digests and self.md5(name) in (None, digest)

    def has(self, name: str) -> bool:
        """Whether an object exists, with the md5 that is its name as far as that is known."""
        return self.holds(name, md5_in(name))

    def path(self, name: str) -> str:
        return str(self.fs.join(self.root, *name.split("/")))

    @contextmanager
    def errors(self) -> Any:
        """Turn whatever goes wrong at the remote into a `UserError`: DVC's file systems let it all through."""
        try:
            yield
        except Exception as error:
            remedy = "check the network, and the address in .dvc/config"
            raise UserError(self.url, f"cannot be reached: {reason(error)}", remedy) from error


class Folder(Remote):
    """A folder of this machine, or one that is mounted."""

    def __init__(self, remote: Any) -> None:
        super().__init__(remote)
        self.url = self.root

    def probe(self) -> None:
        """Raises: UserError; it is missing, and must not be made, for the disk that holds it is missing too."""
        if not Path(self.root).parent.is_dir():
            raise UserError(self.url, "does not exist", "mount its disk, or make the folder that is to hold it")

    def refresh(self) -> None:
        self.probe()
        super().refresh()

    def md5(self, name: str) -> str | None:
        if self.digests[name] is None:
            with self.errors():
                self.digests[name] = md5(Path(self.root, name))
        return self.digests[name]


class Bucket(Remote):
    """A bucket of Google Cloud Storage, asked with the credentials that DVC is set to use."""

    def __init__(self, remote: Any) -> None:
        super().__init__(remote)
        self.bucket, _, prefix = self.root.strip("/").partition("/")
        self.prefix = f"{prefix}/" if prefix else ""
        with self.errors():
            self.client = google_client.client(remote.config)

    def probe(self) -> None:
        with self.errors():
            next(iter(self.client.list_blobs(self.bucket, max_results=1, **google.request_options())), None)

    def refresh(self) -> None:
        self.probe()  # a page of the list is tried for longer
        options = google.request_options()
        options["retry"] = options["retry"].with_timeout(LIST_SECONDS)
        options["fields"] = "items(name,md5Hash,contentEncoding),nextPageToken"
        self.digests = {}
        for folder in FOLDERS:
            with self.errors():
                for blob in self.client.list_blobs(self.bucket, prefix=f"{self.prefix}{folder}/", **options):
                    digest = base64.b64decode(blob.md5_hash).hex() if blob.md5_hash else None
                    if blob.content_encoding:  # DVC would unpack it, without a limit, and never stores one
                        digest = f"of what is packed by {blob.content_encoding}"
                    self.digests[blob.name.removeprefix(self.prefix)] = digest

    def errors(self) -> Any:
        return google.user_errors(f"gs://{self.bucket}")


def use(bucket: str) -> None:
    """What BUCKET=... asks for: a bucket that answers becomes the default remote, and one that this user knows."""
    settings = dvc_config.check(bucket)
    with google.user_errors(f"gs://{bucket}"):
        client = google_client.client(settings)
        next(iter(client.list_blobs(bucket, max_results=1, **google.request_options())), None)
    trust.remember(dvc_config.url(bucket))
    errors.say(*dvc_config.write(bucket))


def connect(repo: Any, command: str) -> Remote:
    """The project's default remote, listed.

    Args:
        command: of make, by which the user can name this remote.

    Raises:
        UserError: there is none, its settings make no sense or are not to be trusted, or it cannot be reached.
    """
    from dvc.config import ConfigError, NoRemoteError

    try:
        dvc_remote = repo.cloud.get_remote()
    except NoRemoteError:
        raise UserError(".dvc/config", "names no remote", "run: make bucket PROJECT=... BUCKET=...") from None
    except ConfigError as error:
        raise UserError(".dvc/config", reason(error), "fix it, or run make bucket") from error
    if dvc_remote.fs.protocol != "local":
        url = dvc_remote.fs.unstrip_protocol(dvc_remote.path)
        trust.check_endpoint(dvc_remote.name, {**dvc_remote.config, "url": url})
        trust.require(url, command)
    remote = {"gs": Bucket, "local": Folder}.get(dvc_remote.fs.protocol, Remote)(dvc_remote)
    remote.refresh()
    return remote
