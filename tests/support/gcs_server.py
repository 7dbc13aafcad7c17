"""A Cloud Storage server for tests, on loopback: real HTTP, for google-cloud-storage, DVC and TensorFlow's own gs://.

    with serve() as server:             # or the fixture `gcs`
        server.create("bucket")
        subprocess.run([...], env={**os.environ, **server.environment()})
        assert server.read("bucket") == {"name": b"content"}

Why our own: gcp-storage-emulator loses the last byte of an upload that ends in 0x0D; fake-gcs-server takes a status
query of a resumable upload for its end, knows no IAM and few preconditions; Google's storage-testbench refuses the
multipart that gcsfs writes, and is in no registry. None of them injects faults, and TensorFlow can use none.

Faults are rules, tried in order; the first that fits a request and is not used up acts:

    server.fault(path="upload.*name", method="PUT", status=503, times=2, after=1)   # the 2nd and the 3rd such request
    server.fault(reset=True)      # the connection is reset before anything is done
    server.fault(lost=True)       # all is done, and the connection is reset before the answer
    server.fault(cut=1000)        # all is done, and the answer's body ends after 1,000 bytes
    server.fault(delay=2.5)       # seconds, then as usual, or with one of the above

What is not there answers 501: ACLs, notifications, HMAC keys, XML listings and XML multipart uploads.
"""

import contextlib
import email.message
import email.utils
import json
import re
import secrets
import socket
import ssl
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.support import gcs_tls, service_account
from tests.support.gcs_store import NO_CONDITIONS, ApiError, Bucket, Conditions, Resource, Store, StoredObject

JSON = "application/json; charset=UTF-8"
CHUNK = 256 * 1024  # all chunks of a resumable upload but the last are multiples of it
MOST_COMPOSED = 32
PROJECTS = {"p": 1, "my-project": 1, "theirs": 2}  # by id, the number of each that the caller may see
INCOMPLETE = 308
CANCELLED = 499
XML_OBJECT = "/(?!(?:storage|upload|download|batch|resumable)/){bucket}/(?P<name>.+)"


@dataclass(frozen=True)
class Request:
    method: str
    target: str  # path and query, as they came
    headers: Mapping[str, str] | email.message.Message
    body: bytes
    base: str  # scheme and host by which the client came

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def query(self) -> dict[str, str]:
        return dict(self.pairs)

    def json(self) -> Resource:
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            raise ApiError(400, "Parse Error") from None
        if not isinstance(found, dict):
            raise ApiError(400, "Parse Error")
        return found


@dataclass(frozen=True)
class Response:
    status: int = 200
    content: bytes | memoryview = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def answer(resource: Resource, status: int = 200) -> Response:
    return Response(status, json.dumps(resource).encode())


@dataclass
class Upload:
    """A resumable upload under way."""

    bucket: str
    name: str
    metadata: Resource
    conditions: Conditions
    received: bytearray = field(default_factory=bytearray)
    done: StoredObject | None = None


Handle = Callable[..., Response]
_routes: list[tuple[frozenset[str], re.Pattern[str], str, Handle]] = []


def route(methods: str, pattern: str, permission: str = "") -> Callable[[Handle], Handle]:
    """Register a method of `Api` for requests; `{name}` in the pattern is a part of the path, handed over decoded."""
    path = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)

    def register(handle: Handle) -> Handle:
        _routes.append((frozenset(methods.split()), re.compile(path), permission, handle))
        return handle

    return register


class Api:
    """The JSON API, and of the XML API what TensorFlow and gcsfs read and write objects by."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.uploads: dict[str, Upload] = {}

    def answer(self, request: Request) -> Response:
        """Raises: ApiError."""
        for methods, pattern, permission, handle in _routes:
            if request.method in methods and (found := pattern.fullmatch(request.path)):
                names = {key: unquote(value) for key, value in found.groupdict().items()}
                if permission:
                    self.store.require(names["bucket"], permission)
                return handle(self, request, **names)
        raise ApiError(501, f"not implemented by this test server: {request.method} {request.target}")

    # Buckets.

    @route("POST", "/storage/v1/b")
    def create_bucket(self, request: Request) -> Response:
        settings = request.json()
        if not request.query.get("project"):
            raise ApiError(400, "Required parameter: project")
        return answer(self.store.create(str(settings.pop("name", "")), settings).metadata)

    @route("GET", "/storage/v1/b")
    def list_buckets(self, request: Request) -> Response:
        items = [bucket.metadata for _, bucket in sorted(self.store.buckets.items())]
        return answer({"kind": "storage#buckets", "items": items})

    @route("GET", "/storage/v1/b/{bucket}", "storage.buckets.get")
    def get_bucket(self, request: Request, bucket: str) -> Response:
        found = self.store.bucket(bucket)
        found.check(Conditions.of(request.query))
        return answer(found.metadata)

    @route("PATCH", "/storage/v1/b/{bucket}", "storage.buckets.update")
    def patch_bucket(self, request: Request, bucket: str) -> Response:
        found = self.store.bucket(bucket)
        found.check(Conditions.of(request.query))
        found.patch(request.json())
        return answer(found.metadata)

    @route("DELETE", "/storage/v1/b/{bucket}", "storage.buckets.delete")
    def delete_bucket(self, request: Request, bucket: str) -> Response:
        self.store.bucket(bucket).check(Conditions.of(request.query))
        self.store.delete(bucket)
        return Response(204)

    @route("GET", "/storage/v1/b/{bucket}/iam", "storage.buckets.getIamPolicy")
    def get_policy(self, request: Request, bucket: str) -> Response:
        version = int(request.query.get("optionsRequestedPolicyVersion", "1"))
        return answer(self.store.bucket(bucket).policy_resource(version))

    @route("PUT", "/storage/v1/b/{bucket}/iam", "storage.buckets.setIamPolicy")
    def set_policy(self, request: Request, bucket: str) -> Response:
        self.store.bucket(bucket).set_policy(request.json())
        return answer(self.store.bucket(bucket).policy_resource(3))

    @route("GET", "/storage/v1/b/{bucket}/iam/testPermissions")
    def test_permissions(self, request: Request, bucket: str) -> Response:
        self.store.bucket(bucket)
        denied = self.store.denied.get(bucket, set())
        held = [value for key, value in request.pairs if key == "permissions" and value not in denied]
        kind = {"kind": "storage#testIamPermissionsResponse"}
        return answer({**kind, "permissions": held} if held else kind)

    @route("GET", "/storage/v1/projects/{project}/serviceAccount")
    def service_account(self, request: Request, project: str) -> Response:
        if project not in PROJECTS:
            raise ApiError(403, "caller does not have resourcemanager.projects.get access")
        address = f"service-{PROJECTS[project]}@gs-project-accounts.iam.gserviceaccount.com"
        return answer({"kind": "storage#serviceAccount", "email_address": address})

    @route("POST", "/token")
    def token(self, request: Request) -> Response:
        """For whoever asks with a key, which is not looked at."""
        return answer({"access_token": "test", "expires_in": 3600, "token_type": "Bearer"})

    # Objects.

    @route("GET", "/storage/v1/b/{bucket}/o", "storage.objects.list")
    def list_objects(self, request: Request, bucket: str) -> Response:
        items, prefixes, token = self.store.bucket(bucket).page(request.query)
        page: Resource = {"kind": "storage#objects", "items": [resource(item, request) for item in items]}
        if prefixes:
            page["prefixes"] = prefixes
        if token:
            page["nextPageToken"] = token
        return answer(page)

    @route("GET", "(?:/download)?/storage/v1/b/{bucket}/o/{name}", "storage.objects.get")
    def get_object(self, request: Request, bucket: str, name: str) -> Response:
        stored = self.store.bucket(bucket).find(name, request.query)
        Conditions.of(request.query).check(stored.generation, stored.metageneration, reading=True)
        if request.query.get("alt") == "media" or request.path.startswith("/download/"):
            return media(stored, request)
        return answer(resource(stored, request))

    @route("PATCH PUT", "/storage/v1/b/{bucket}/o/{name}", "storage.objects.update")
    def patch_object(self, request: Request, bucket: str, name: str) -> Response:
        stored = self.store.bucket(bucket).find(name, request.query)
        Conditions.of(request.query).check(stored.generation, stored.metageneration)
        stored.patch(request.json())
        return answer(resource(stored, request))

    @route("DELETE", "/storage/v1/b/{bucket}/o/{name}", "storage.objects.delete")
    def delete_object(self, request: Request, bucket: str, name: str) -> Response:
        self.store.bucket(bucket).remove(name, request.query)
        return Response(204)

    @route("POST", "/storage/v1/b/{bucket}/o/{name}/restore", "storage.objects.restore")
    def restore_object(self, request: Request, bucket: str, name: str) -> Response:
        return answer(resource(self.store.bucket(bucket).restore(name, request.query), request))

    @route("POST", "/storage/v1/b/{source}/o/{name}/(?P<kind>rewriteTo|copyTo)/b/{bucket}/o/{target}")
    def copy_object(self, request: Request, source: str, name: str, kind: str, bucket: str, target: str) -> Response:
        self.store.require(source, "storage.objects.get")
        at = {"generation": request.query["sourceGeneration"]} if "sourceGeneration" in request.query else {}
        stored = self.store.bucket(source).find(name, at)
        Conditions.of(request.query, "ifSource").check(stored.generation, stored.metageneration)
        metadata = request.json() or {**stored.metadata, "storageClass": None}
        made = resource(self._insert(bucket, target, stored.content, metadata, Conditions.of(request.query)), request)
        if kind == "copyTo":
            return answer(made)
        size = made["size"]
        done = {"kind": "storage#rewriteResponse", "totalBytesRewritten": size, "objectSize": size, "done": True}
        return answer({**done, "resource": made})

    @route("POST", "/storage/v1/b/{bucket}/o/{name}/compose")
    def compose(self, request: Request, bucket: str, name: str) -> Response:
        wanted = request.json()
        parts = [self._part(bucket, source) for source in wanted.get("sourceObjects", [])]
        if not 1 <= len(parts) <= MOST_COMPOSED:
            raise ApiError(400, f"The number of source components must be between 1 and {MOST_COMPOSED}.")
        content = b"".join(part.content for part in parts)
        stored = self._insert(bucket, name, content, wanted.get("destination", {}), Conditions.of(request.query))
        del stored.metadata["md5Hash"]  # a composed object has none
        count = sum(int(part.metadata.get("componentCount", 1)) for part in parts)
        stored.metadata["componentCount"] = count
        return answer(resource(stored, request))

    def _part(self, bucket: str, source: Resource) -> StoredObject:
        self.store.require(bucket, "storage.objects.get")
        at = {"generation": source["generation"]} if source.get("generation") else {}
        stored = self.store.bucket(bucket).find(source["name"], at)
        wanted = (source.get("objectPreconditions") or {}).get("ifGenerationMatch")
        Conditions(None if wanted is None else int(wanted)).check(stored.generation, stored.metageneration)
        return stored

    def _insert(
        self, bucket: str, name: str, content: bytes, metadata: Resource, conditions: Conditions
    ) -> StoredObject:
        """Write an object; to replace one also takes the permission to delete."""
        target = self.store.bucket(bucket)
        self.store.require(bucket, "storage.objects.create")
        if name in target.live:
            target.check_live(name, conditions)
            self.store.require(bucket, "storage.objects.delete")
        return target.insert(name, content, metadata, conditions)

    # Uploads.

    @route("POST PUT DELETE", "(?:/resumable)?/upload/storage/v1/b/{bucket}/o")
    def upload(self, request: Request, bucket: str) -> Response:
        if "upload_id" in request.query:
            return self._continue(request, request.query["upload_id"])
        kind = request.query.get("uploadType")
        if request.method == "DELETE" or kind not in ("media", "multipart", "resumable"):
            raise ApiError(400, f"Bad uploadType: {kind}")
        self.store.bucket(bucket)
        if kind == "resumable":
            return self._begin(request, bucket)
        metadata, content = multipart(request) if kind == "multipart" else (content_type(request), request.body)
        return self._finish(request, bucket, metadata, content)

    def _finish(self, request: Request, bucket: str, metadata: Resource, content: bytes) -> Response:
        name = request.query.get("name") or str(metadata.get("name", ""))
        metadata = {**metadata, **hashes(request)}
        return answer(resource(self._insert(bucket, name, content, metadata, Conditions.of(request.query)), request))

    def _begin(self, request: Request, bucket: str) -> Response:
        metadata = request.json()
        name = request.query.get("name") or str(metadata.get("name", ""))
        conditions = Conditions.of(request.query)
        self.store.require(bucket, "storage.objects.create")
        self.store.bucket(bucket).check_live(name, conditions)
        if "X-Upload-Content-Type" in request.headers:
            metadata.setdefault("contentType", request.headers["X-Upload-Content-Type"])
        identity = secrets.token_hex(12)
        self.uploads[identity] = Upload(bucket, name, metadata, conditions)
        query = f"uploadType=resumable&name={quote(name, safe='')}&upload_id={identity}"
        location = f"{request.base}/upload/storage/v1/b/{bucket}/o?{query}"
        return Response(headers={"Location": location, "X-GUploader-UploadID": identity})

    def _continue(self, request: Request, identity: str) -> Response:
        """A chunk, a question how far it has come, or the end of it: `Content-Range` tells."""
        upload = self.uploads.get(identity)
        if not upload:
            raise ApiError(404, "No such upload.")
        if request.method == "DELETE":
            del self.uploads[identity]
            return Response(CANCELLED)
        if not upload.done:
            total = receive(upload, request)
            if len(upload.received) != total:
                last = len(upload.received) - 1
                return Response(INCOMPLETE, headers={"Range": f"bytes=0-{last}"} if upload.received else {})
            content, metadata = bytes(upload.received), {**upload.metadata, **hashes(request)}
            upload.done = self._insert(upload.bucket, upload.name, content, metadata, upload.conditions)
            upload.received.clear()
        return answer(resource(upload.done, request))

    # Many requests in one.

    @route("POST", "/batch/storage/v1")
    def batch(self, request: Request) -> Response:
        answers = []
        for part in parts_of(request)[:-1]:
            headers, inner = part.split(b"\n\n", 1)
            head, _, body = inner.partition(b"\n\n")
            lines = head.decode().splitlines()
            method, url, _ = lines[0].split(" ")
            target = urlsplit(url)
            own = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
            found = self._one_of_batch(
                Request(method, f"{target.path}?{target.query}", own, body.strip(), request.base)
            )
            number = re.search(rb"(?i)content-id:\s*<?([^>\n]+)", headers)
            answers.append((number[1].decode() if number else "", found))
        content = b"".join(_batched(number, found) for number, found in answers) + b"--batch--"
        return Response(200, content, "multipart/mixed; boundary=batch")

    def _one_of_batch(self, request: Request) -> Response:
        try:
            return self.answer(request)
        except ApiError as error:
            return answer(error.resource(), error.status)

    # The XML API: /bucket/name.

    @route("GET HEAD", XML_OBJECT, "storage.objects.get")
    def xml_get(self, request: Request, bucket: str, name: str) -> Response:
        return media(self.store.bucket(bucket).find(name, request.query), request)

    @route("PUT", XML_OBJECT)
    def xml_put(self, request: Request, bucket: str, name: str) -> Response:
        if request.query:
            raise ApiError(501, f"not implemented by this test server: PUT {request.target}")
        metadata = {**content_type(request), **hashes(request)}
        stored = self._insert(bucket, name, request.body, metadata, NO_CONDITIONS)
        return Response(headers=described(stored))

    @route("DELETE", XML_OBJECT, "storage.objects.delete")
    def xml_delete(self, request: Request, bucket: str, name: str) -> Response:
        self.store.bucket(bucket).remove(name, request.query)
        return Response(204)


def resource(stored: StoredObject, request: Request) -> Resource:
    """An object's metadata with its addresses, as the client reaches this server."""
    metadata = stored.metadata
    path = f"storage/v1/b/{metadata['bucket']}/o/{quote(metadata['name'], safe='')}"
    media_link = f"{request.base}/download/{path}?generation={metadata['generation']}&alt=media"
    return {**metadata, "selfLink": f"{request.base}/{path}", "mediaLink": media_link}


def described(stored: StoredObject) -> dict[str, str]:
    """The headers of an object's content."""
    metadata = stored.metadata
    digests = {"crc32c": metadata.get("crc32c"), "md5": metadata.get("md5Hash")}
    headers = {
        "ETag": metadata["etag"],
        "Accept-Ranges": "bytes",
        "Last-Modified": email.utils.formatdate(usegmt=True),
        "X-Goog-Generation": metadata["generation"],
        "X-Goog-Metageneration": metadata["metageneration"],
        "X-Goog-Storage-Class": metadata["storageClass"],
        "X-Goog-Stored-Content-Length": metadata["size"],
        "X-Goog-Hash": ",".join(f"{kind}={digest}" for kind, digest in digests.items() if digest),
    }
    if "contentEncoding" in metadata:
        headers["Content-Encoding"] = metadata["contentEncoding"]
    return headers


def media(stored: StoredObject, request: Request) -> Response:
    """An object's content, or the range of it that was asked for."""
    content, kind, headers = memoryview(stored.content), stored.metadata["contentType"], described(stored)
    asked = re.fullmatch(r"bytes=(?:(\d+)-(\d*)|-(\d+))", request.headers.get("Range", "").strip())
    if not asked:
        return Response(200, content, kind, headers)
    size = len(content)
    first = int(asked[1]) if asked[1] else max(0, size - int(asked[3]))
    last = min(size - 1, int(asked[2])) if asked[2] else size - 1
    if first >= size or last < first:
        raise ApiError(416, "The requested range cannot be satisfied.", {"Content-Range": f"bytes */{size}"})
    return Response(206, content[first : last + 1], kind, {**headers, "Content-Range": f"bytes {first}-{last}/{size}"})


def content_type(request: Request) -> Resource:
    return {"contentType": request.headers.get("Content-Type") or "application/octet-stream"}


def hashes(request: Request) -> Resource:
    """The checksums in a request's headers, by their names in an object's metadata."""
    names = {"crc32c": "crc32c", "md5": "md5Hash"}
    given = [pair.strip().partition("=") for pair in request.headers.get("X-Goog-Hash", "").split(",")]
    found = {names[kind]: digest for kind, _, digest in given if kind in names}
    return {**found, **({"md5Hash": request.headers["Content-MD5"]} if "Content-MD5" in request.headers else {})}


def parts_of(request: Request) -> list[bytes]:
    """The parts of a multipart body, and what follows the last: with CR LF (by the book) or LF alone (as gcsfs)."""
    boundary = re.search(r'boundary="?([^";]+)"?', request.headers.get("Content-Type", ""))
    if not boundary:
        raise ApiError(400, "Missing boundary in multipart body.")
    mark = b"--" + boundary[1].encode()
    begin = request.body.find(mark)
    newline = b"\r\n" if request.body[begin + len(mark) :].startswith(b"\r\n") else b"\n"
    _, *parts = (newline + request.body[max(begin, 0) :]).split(newline + mark)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise ApiError(400, "Malformed multipart body.")
    return [_with_plain_headers(part[len(newline) :], newline) for part in parts[:-1]] + [parts[-1]]


def _with_plain_headers(part: bytes, newline: bytes) -> bytes:
    """The part with its headers' lines ended by LF; its content as it was."""
    headers, end, content = part.partition(newline * 2)
    if not end:
        raise ApiError(400, "Malformed multipart body.")
    if headers.startswith(b"Content-Type: application/http"):
        content = content.replace(b"\r\n", b"\n")  # a request in a batch
    return headers.replace(b"\r\n", b"\n") + b"\n\n" + content


def multipart(request: Request) -> tuple[Resource, bytes]:
    """The metadata and the content of a multipart upload."""
    parts = parts_of(request)
    if len(parts) != 3:
        raise ApiError(400, f"Two parts are needed, {len(parts) - 1} found.")
    (_, first), (headers, content) = (part.split(b"\n\n", 1) for part in parts[:2])
    try:
        metadata: Resource = json.loads(first)
    except ValueError:
        raise ApiError(400, "Parse Error") from None
    kind = re.search(rb"(?i)content-type:\s*([^\n]+)", headers)
    return {**({"contentType": kind[1].decode()} if kind else {}), **metadata}, content


def receive(upload: Upload, request: Request) -> int | None:
    """Add a request's chunk to an upload; returns the total size, where it is known by now."""
    given = request.headers.get("Content-Range")
    if given is None:
        upload.received[:] = request.body
        return len(request.body)
    found = re.fullmatch(r"bytes (?:(\d+)-(\d+|\*)|\*)/(\d+|\*)", given.strip())
    if not found:
        raise ApiError(400, f"Bad Content-Range: {given}")
    total = None if found[3] == "*" else int(found[3])
    if found[1] is None:
        if request.body:
            raise ApiError(400, "A status query has no body.")
        return total
    first = int(found[1])
    if first > len(upload.received):
        raise ApiError(503, f"The upload offset {first} exceeds the {len(upload.received)} bytes already uploaded.")
    if found[2] not in ("*", str(first + len(request.body) - 1)):
        raise ApiError(400, f"{len(request.body)} bytes in the body, which is not what Content-Range says: {given}")
    if first + len(request.body) != total and len(request.body) % CHUNK:
        raise ApiError(400, f"All chunks but the last must be multiples of {CHUNK} bytes.")
    upload.received[first:] = request.body
    return total


def _batched(number: str, found: Response) -> bytes:
    identity = f"Content-ID: <response-{number}>\r\n" if number else ""
    head = f"--batch\r\nContent-Type: application/http\r\n{identity}\r\nHTTP/1.1 {found.status} -\r\n"
    body = f"Content-Type: {found.content_type}\r\nContent-Length: {len(found.content)}\r\n\r\n"
    return (head + body).encode() + bytes(found.content) + b"\r\n"


@dataclass
class Fault:
    """A rule; see the module's docstring."""

    path: str = ""
    method: str = ""
    status: int = 0
    reset: bool = False
    lost: bool = False
    cut: int | None = None
    delay: float = 0  # seconds
    times: float = 1
    after: int = 0

    def fits(self, method: str, target: str) -> bool:
        """Whether it acts on this request; counts it."""
        named = re.search(self.path, target) or re.search(self.path, unquote(target))
        if not named or self.method not in ("", method) or self.times <= 0:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


NO_FAULT = Fault()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "passo-test"
    wbufsize = 1 << 16
    server: "_Http"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.open.add(self)

    def finish(self) -> None:
        self.server.open.discard(self)
        try:
            super().finish()
        finally:
            self.connection.close()

    def log_message(self, *_: Any) -> None:
        """Quiet: `Server.log` has it."""

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def do_CONNECT(self) -> None:
        """Be a proxy that ends TLS itself: TensorFlow's endpoints are compiled in, and https."""
        self.send_response_only(200)
        self.end_headers()
        self.wfile.flush()
        self.connection = gcs_tls.context().wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", self.wbufsize)
        self.close_connection = False

    def do_any(self) -> None:
        owner, body, url = self.server.owner, self._body(), urlsplit(self.path)
        if "Authorization" in self.headers:
            owner.logins.append(self.headers.get("Host", ""))
        target = f"{url.path}?{url.query}" if url.query else url.path
        fault = owner.record(self.command, target, len(body))
        if "alt=media" in target:
            owner.ranges.append(self.headers.get("Range", ""))
        time.sleep(fault.delay)
        if fault.reset:
            self.reset()
        elif fault.status:
            refused = ApiError(fault.status, "injected by the test")
            self._send(answer(refused.resource(), fault.status))
        else:
            scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
            base = f"{scheme}://{self.headers.get('Host', '')}"
            response = owner.respond(Request(self.command, target, self.headers, body, base))
            self.reset() if fault.lost else self._send(response, fault.cut)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":  # TensorFlow says `identity`
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, response: Response, cut: int | None = None) -> None:
        reason = {INCOMPLETE: "Resume Incomplete", CANCELLED: "Client Closed Request"}.get(response.status)
        self.send_response(response.status, reason)
        for key, value in response.headers.items():
            self.send_header(key, value)
        if response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.content)))
            self.send_header("Content-Type", response.content_type)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.content if cut is None else response.content[:cut])
        self.wfile.flush()
        if cut is not None and cut < len(response.content):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close so that the client sees a reset, and no end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def drop(self) -> None:
        """Close from another thread."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, owner: "Server") -> None:
        self.owner, self.open = owner, set[_Handler]()
        super().__init__(("127.0.0.1", owner.port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away, or that we cut off, is no news; a mistake of ours is."""
        if not isinstance(sys.exception(), (OSError, ValueError)):
            traceback.print_exc()


class Server:
    """The server: what is in it, the faults it plays, and the log of the requests that came."""

    def __init__(self) -> None:
        self.store = Store()
        self.api = Api(self.store)
        self.faults: list[Fault] = []
        self.log: list[tuple[str, str, int, bool]] = []  # method, path with query, bytes of the body, was it a fault
        self.logins: list[str] = []  # the host that each request with a login was meant for
        self.ranges: list[str] = []  # that were asked for, of each request for an object's content; empty: all of it
        self.port = 0
        self._http: _Http | None = None
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; on the same port as before, with all that was there."""
        self._http = _Http(self)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Be dead: refuse connections, and drop those that are open."""
        if self._http:
            self._http.shutdown()
            self._http.server_close()
            for handler in list(self._http.open):
                handler.drop()
            self._http = None

    def environment(self) -> dict[str, str]:
        """What a child process needs, to talk to this server alone."""
        return {
            "STORAGE_EMULATOR_HOST": self.url,
            "GOOGLE_CLOUD_PROJECT": "p",
            "NO_GCE_CHECK": "true",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "DVC_NO_ANALYTICS": "1",
        }

    def tensorflow_environment(self, folder: Path) -> dict[str, str]:
        """`environment`, and what makes TensorFlow's own gs:// come here too; the certificate goes to `folder`."""
        certificate = folder / "ca.pem"
        certificate.write_bytes(gcs_tls.authority())
        return {
            **self.environment(),
            "https_proxy": self.url,
            "HTTPS_PROXY": self.url,
            "no_proxy": "127.0.0.1,localhost",
            "CURL_CA_BUNDLE": str(certificate),
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "test",
            "GCS_RETRY_CONFIG_MAX_RETRIES": "2",
            "GCS_STAT_CACHE_MAX_AGE": "0",
        }

    def google_environment(self, folder: Path) -> dict[str, str]:
        """What a child process with a login needs, to take this server for all of https://.

        `folder`: for the certificate, the key of the login, and what the user has agreed to.
        """
        certificate, key = folder / "ca.pem", folder / "key.json"
        certificate.write_bytes(gcs_tls.authority())
        service_account.write_key(key, f"{self.url}/token")
        trusted = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"), str(certificate))
        return {
            **{name: value for name, value in self.environment().items() if name != "STORAGE_EMULATOR_HOST"},
            **dict.fromkeys(("https_proxy", "HTTPS_PROXY"), self.url),
            **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1"),
            **trusted,
            "GOOGLE_APPLICATION_CREDENTIALS": str(key),
            "XDG_STATE_HOME": str(folder / "state"),
        }

    # What other clients do, and what is stored.

    def create(self, bucket: str, **metadata: Any) -> Resource:
        """As `POST /b` would; returns the bucket's metadata."""
        with self._lock:
            return self.store.create(bucket, metadata).metadata

    def put(self, bucket: str, name: str, content: bytes, **metadata: Any) -> int:
        """Another client's write; returns its generation."""
        with self._lock:
            return self._bucket(bucket).insert(name, content, metadata, NO_CONDITIONS).generation

    def remove(self, bucket: str, name: str) -> None:
        """Another client's delete."""
        with self._lock:
            self._bucket(bucket).remove(name, {})

    def read(self, bucket: str) -> dict[str, bytes]:
        """The live objects by name, sorted."""
        with self._lock:
            return {name: stored.content for name, stored in sorted(self._bucket(bucket).live.items())}

    def policy(self, bucket: str) -> Resource:
        """The IAM policy, to read or to change in place."""
        return self._bucket(bucket).policy

    def bucket(self, bucket: str) -> Resource:
        """The bucket's metadata."""
        return self._bucket(bucket).metadata

    def _bucket(self, name: str) -> Bucket:
        return self.store.bucket(name)

    # Faults.

    def fault(self, path: str = "", method: str = "", **rule: Any) -> None:
        """Add a rule for the requests whose path, with query, matches `path`: see the module's docstring."""
        with self._lock:
            self.faults.append(Fault(path, method, **rule))

    def clear_faults(self) -> None:
        with self._lock:
            self.faults.clear()

    def deny(self, bucket: str, *permissions: str) -> None:
        """From now on no caller has these on this bucket; without any, every caller has all."""
        with self._lock:
            self.store.denied[bucket] = (
                self.store.denied.get(bucket, set()) | set(permissions) if permissions else set()
            )

    # Requests.

    def record(self, method: str, target: str, size: int) -> Fault:
        """Log a request; returns the rule that acts on it."""
        with self._lock:
            fault = next((rule for rule in self.faults if rule.fits(method, target)), NO_FAULT)
            self.log.append((method, target, size, fault is not NO_FAULT))
            return fault

    def respond(self, request: Request) -> Response:
        with self._lock:
            try:
                return self.api.answer(request)
            except ApiError as error:
                return Response(error.status, json.dumps(error.resource()).encode(), headers=error.headers)
            except Exception:  # a mistake of this server's: the test's output shows it
                traceback.print_exc()
                return answer(ApiError(500, traceback.format_exc()).resource(), 500)


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """A server on a free port of 127.0.0.1, in threads of this process."""
    server = Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()
