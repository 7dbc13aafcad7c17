"""What a DVC remote holds: the names, and the md5 of each object where it can be told without downloading it.

    gs://bucket/dvc     listed by the bucket, which keeps the md5 of what was uploaded in one piece, as DVC does
    /mnt/disk/dvc       a folder: its files are read
    ssh://, s3://, ...  listed through DVC's own file systems: names alone

Names are relative to the remote's root: `files/md5/ab/cdef...` for an object, `runs/...` for the run-cache,
`commits/...` for git bundles (tools/cloud/bundles.py).
"""

import base64
import hashlib
import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from fsspec.callbacks import Callback  # type: ignore[import-untyped]
from tqdm import tqdm

from detector.base.errors import UserError
from detector.storage import google

FOLDERS = ("files/md5", "runs", "commits")
LIST_SECONDS = 60.0  # for one page of a bucket's list, with everything that goes wrong on the way
ADDRESS = re.compile(r"\S*https?://\S*")
MOST_LETTERS = 200  # of what a library says of an error
LOOK_SECONDS = 10.0  # without a byte moved, after which the remote is asked whether it is still there
AT_ONCE = 32  # objects in a batch
MOST_BYTES = 2**28  # that one batch may hold in memory
CHUNK = 50 * 2**20  # bytes that gcsfs reads of each file that it uploads


class Store:
    """Any kind of remote: through DVC's file system it says what is there; no md5."""

    def __init__(self, remote: Any) -> None:
        self.fs, self.root = remote.fs, remote.path
        self.at_once = remote.config.get("jobs") or AT_ONCE
        self.url = remote.fs.unstrip_protocol(remote.path)
        self.sizes: dict[str, int] = {}  # of what is there, as of the last `look`; 0 where it is not told

    def probe(self) -> None:
        """Raises: UserError; it cannot be reached."""
        with self.told():
            self.fs.exists(self.root)

    def look(self) -> None:
        """See anew what is there."""
        with self.told():
            self.fs.fs.invalidate_cache()
            folders = [self.path(folder) for folder in FOLDERS if self.fs.exists(self.path(folder))]
            found = [path for folder in folders for path in self.fs.find(folder)]
            self.sizes = {self.fs.as_posix(self.fs.relpath(path, self.root)): 0 for path in found}

    def md5(self, name: str) -> str | None:
        """The hexadecimal digest of an object that is there; None where only a download could tell."""
        del name
        return None

    def holds(self, name: str, digest: str) -> bool:
        """Whether an object is there, with this md5 as far as it is told."""
        return name in self.sizes and self.md5(name) in (None, digest)

    def path(self, name: str) -> str:
        return str(self.fs.join(self.root, *name.split("/")))

    def batches(self, sizes: Mapping[str, int], action: str) -> Iterator[tuple[list[str], "_Progress"]]:
        """Names in batches, each to be copied at once, with what moves the one progress bar of all the bytes."""
        batch: list[str] = []
        total = sum(sizes.values())
        with tqdm(total=total, unit="B", unit_scale=True, desc=action, disable=None, leave=False) as bar:
            for name in sorted(sizes):
                held = sum(min(sizes[other], CHUNK) for other in batch)
                if batch and (len(batch) == self.at_once or held + min(sizes[name], CHUNK) > MOST_BYTES):
                    yield batch, _Progress(bar)
                    batch = []
                batch.append(name)
            if batch:
                yield batch, _Progress(bar)

    def send(self, local: Any, sources: Mapping[str, Path], progress: "_Progress") -> dict[str, str]:
        """Copy files to the remote, under the given names. Returns: what failed, and why."""
        pairs = {name: (str(path), self.path(name)) for name, path in sources.items()}
        return self._copy(local, self.fs, pairs, progress)

    def bring(self, local: Any, targets: Mapping[str, Path], progress: "_Progress") -> dict[str, str]:
        """Copy objects of the remote to new files. Returns: what failed, and why."""
        pairs = {name: (self.path(name), str(path)) for name, path in targets.items()}
        return self._copy(self.fs, local, pairs, progress)

    def _copy(
        self, source_fs: Any, target_fs: Any, pairs: Mapping[str, tuple[str, str]], progress: "_Progress"
    ) -> dict[str, str]:
        """Raises: UserError; the remote has gone away. (gcsfs alone goes on asking it for minutes, file by file.)"""
        from dvc_objects.fs import generic

        names = {source: name for name, (source, _) in pairs.items()}
        sources, targets = [source for source, _ in pairs.values()], [target for _, target in pairs.values()]
        failed: dict[str, str] = {}

        def note(source: str, _: str, error: BaseException) -> None:
            failed[names[source]] = reason(error)

        def copy() -> None:
            try:
                generic.copy(source_fs, sources, target_fs, targets, progress, batch_size=len(pairs), on_error=note)
            except Exception as error:  # what is no fault of a single file
                failed.update(dict.fromkeys(pairs, reason(error)))

        copying = threading.Thread(target=copy, daemon=True)
        copying.start()
        while copying.is_alive():
            before = progress.moved
            copying.join(LOOK_SECONDS)
            if copying.is_alive() and progress.moved == before:
                self.probe()
        if failed:
            self.probe()
        return failed

    def told(self) -> AbstractContextManager[None]:
        """What goes wrong at the remote, as one line."""
        return told(self.url)


class Folder(Store):
    """A folder of this machine, or one that is mounted."""

    def __init__(self, remote: Any) -> None:
        super().__init__(remote)
        self.url = self.root
        self._digests: dict[str, str] = {}

    def probe(self) -> None:
        """Raises: UserError; it is not there, and is not to be made, for the disk that holds it is not there either."""
        if not Path(self.root).parent.is_dir():
            raise UserError(self.url, "is not there", "mount its disk, or make the folder that is to hold it")

    def look(self) -> None:
        self.probe()
        root = Path(self.root)
        with self.told():
            found = [path for folder in FOLDERS for path in (root / folder).rglob("*") if path.is_file()]
            self.sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in found}
        self._digests = {}

    def md5(self, name: str) -> str | None:
        if name not in self._digests:
            with self.told():
                self._digests[name] = md5(Path(self.root, name))
        return self._digests[name]


class Bucket(Store):
    """A bucket of Google Cloud Storage, asked with the credentials that DVC is set to use."""

    def __init__(self, remote: Any) -> None:
        super().__init__(remote)
        self.bucket, _, prefix = self.root.strip("/").partition("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self._digests: dict[str, str | None] = {}  # base64
        with self.told():
            self.client = client(remote.config)

    def probe(self) -> None:
        with self.told():
            next(iter(self._list("", max_results=1)), None)

    def look(self) -> None:
        self.probe()
        with self.told():
            blobs = [blob for folder in FOLDERS for blob in self._list(f"{folder}/", LIST_SECONDS)]
        self.sizes = {blob.name.removeprefix(self.prefix): blob.size for blob in blobs}
        self._digests = {blob.name.removeprefix(self.prefix): blob.md5_hash for blob in blobs}

    def _list(self, prefix: str, seconds: float = 0, **options: Any) -> Any:
        options |= google.request_options()
        if seconds:
            options["retry"] = options["retry"].with_timeout(seconds)
        fields = "items(name,size,md5Hash),nextPageToken"
        return self.client.list_blobs(self.bucket, prefix=self.prefix + prefix, fields=fields, **options)

    def md5(self, name: str) -> str | None:
        digest = self._digests[name]
        return base64.b64decode(digest).hex() if digest else None

    def told(self) -> AbstractContextManager[None]:
        return google.user_errors(f"gs://{self.bucket}")


def client(config: Mapping[str, Any]) -> Any:
    """With the account, the address and the project of the DVC remote's settings; without any, the default login.

    Raises:
        UserError: the file that is to hold the account's key does not.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    address = config.get("endpointurl")
    credentials = None
    if config.get("allow_anonymous_login") or str(address).startswith("http://"):
        credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    elif config.get("credentialpath"):
        credentials = key(config["credentialpath"])
    options = {"api_endpoint": address} if address else None
    return storage.Client(project=config.get("projectname"), credentials=credentials, client_options=options)


def key(file: str) -> Any:
    """The credentials in a file.

    Raises:
        UserError: there are none that can be read.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        return google.auth.load_credentials_from_file(file)[0]  # type: ignore[no-untyped-call]
    except (GoogleAuthError, OSError, ValueError):  # whose text may hold what the file does
        remedy = "give another: dvc remote modify --local REMOTE credentialpath key.json"
        raise UserError("credentialpath", f"{file} is no credentials file that can be read", remedy) from None


def connect(repo: Any) -> Store:
    """The project's default remote, looked at.

    Raises:
        UserError: there is none, its settings make no sense, or it cannot be reached.
    """
    from dvc.config import ConfigError, NoRemoteError

    try:
        remote = repo.cloud.get_remote()
    except NoRemoteError:
        raise UserError(".dvc/config", "names no remote", "run: make bucket PROJECT=... BUCKET=...") from None
    except ConfigError as error:
        raise UserError(".dvc/config", reason(error), "mend it, or run make bucket") from error
    store = {"gs": Bucket, "local": Folder}.get(remote.fs.protocol, Store)(remote)
    store.look()
    return store


@contextmanager
def told(where: str) -> Iterator[None]:
    """Whatever goes wrong at a remote, as one line: DVC's file systems let through what their libraries raise."""
    try:
        yield
    except Exception as error:
        remedy = "check the network, and the address in .dvc/config"
        raise UserError(where, f"cannot be reached: {reason(error)}", remedy) from error


class _Progress(Callback):  # type: ignore[misc]  # fsspec has no types
    """Moves a bar by the bytes of each file."""

    def __init__(self, bar: Any) -> None:
        super().__init__()
        self.bar, self.moved = bar, 0

    def branched(self, *_: Any, **__: Any) -> Callback:
        return _FileProgress(self)

    def move(self, count: int) -> None:
        self.moved += count
        self.bar.update(count)


class _FileProgress(Callback):  # type: ignore[misc]
    def __init__(self, whole: _Progress) -> None:
        super().__init__()
        self.whole, self.seen = whole, 0

    def call(self, *_: Any, **__: Any) -> None:
        self.whole.move(self.value - self.seen)
        self.seen = self.value


def md5(path: Path) -> str:
    """The hexadecimal digest of a file, by which DVC names it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def reason(error: BaseException) -> str:
    """The innermost cause, in one short line and without addresses."""
    while isinstance(deeper := _deeper(error), Exception):
        error = deeper
    text = " ".join(ADDRESS.sub("", str(error)).split()).strip(":") or type(error).__name__
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def _deeper(error: BaseException) -> object:
    """What an error wraps: DVC, api_core, requests and urllib3 have a place of their own for it each."""
    first = error.args[0] if error.args else None
    places = (getattr(error, "cause", None), getattr(error, "reason", None), first, error.__cause__)
    return next((place for place in places if isinstance(place, Exception)), None)


def silence() -> None:
    """What DVC and its libraries log is told by this tool in lines of its own."""
    for name in ("dvc", "dvc_data", "dvc_objects", "gcsfs", "fsspec", "asyncio"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
