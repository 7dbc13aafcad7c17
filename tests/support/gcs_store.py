"""What a Cloud Storage server keeps, and the rules by which it refuses: buckets, objects, generations, policies.

No HTTP here: `gcs_server.py` turns requests into these calls.
"""

import base64
import hashlib
import itertools
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import google_crc32c

Resource = dict[str, Any]  # JSON, as the API has it
Query = Mapping[str, str]
Key = tuple[str, int]  # name and generation: the order of a listing

MOST_PER_PAGE = 1000
SOFT_DELETE_SECONDS = 7 * 24 * 3600  # what a new bucket has, and the least but 0 that is allowed
SOFT_DELETE_MOST = 90 * 24 * 3600
PUBLIC = ("allUsers", "allAuthenticatedUsers")
SETTABLE = (
    "metadata",
    "contentType",
    "cacheControl",
    "contentEncoding",
    "contentDisposition",
    "contentLanguage",
    "customTime",
    "storageClass",
)
REASONS = {
    304: "notModified",
    400: "invalid",
    403: "forbidden",
    404: "notFound",
    409: "conflict",
    412: "conditionNotMet",
    416: "requestedRangeNotSatisfiable",
    501: "notImplemented",
    503: "backendError",
}
_generations = itertools.count(int(time.time() * 1e6))  # microseconds, as the service has them; never twice the same


class ApiError(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})

    def resource(self) -> Resource:
        """The error as the API writes it."""
        reason = REASONS.get(self.status, "error")
        errors = [{"domain": "global", "reason": reason, "message": self.message}]
        return {"error": {"code": self.status, "message": self.message, "errors": errors}}


def now(seconds: float = 0) -> str:
    """The time, `seconds` from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + seconds))


def crc32c(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def merged(old: Resource, patch: Resource) -> Resource:
    """A JSON merge patch (RFC 7386): null removes, objects merge, all else replaces."""
    new = dict(old)
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        elif isinstance(value, dict):
            new[key] = merged(new[key] if isinstance(new.get(key), dict) else {}, value)
        else:
            new[key] = value
    return new


@dataclass(frozen=True)
class Conditions:
    """ifGenerationMatch and its kin; None where not given. Generation 0 is that of an object that is not there."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None

    @classmethod
    def of(cls, query: Query, prefix: str = "if") -> "Conditions":
        names = ("GenerationMatch", "GenerationNotMatch", "MetagenerationMatch", "MetagenerationNotMatch")
        return cls(*(int(query[prefix + name]) if prefix + name in query else None for name in names))

    def check(self, generation: int, metageneration: int, *, reading: bool = False) -> None:
        """Raises: ApiError, 412, or 304 where a reader has this very version already."""
        if self.generation not in (None, generation) or self.metageneration not in (None, metageneration):
            raise ApiError(412, "At least one of the pre-conditions you specified did not hold.")
        if self.not_generation == generation or self.not_metageneration == metageneration:
            raise ApiError(304 if reading else 412, "At least one of the pre-conditions you specified did not hold.")


NO_CONDITIONS = Conditions()


@dataclass
class StoredObject:
    """One version of an object."""

    content: bytes
    metadata: Resource

    @property
    def generation(self) -> int:
        return int(self.metadata["generation"])

    @property
    def metageneration(self) -> int:
        return int(self.metadata["metageneration"])

    def patch(self, changes: Resource) -> None:
        settable = {key: value for key, value in changes.items() if key in SETTABLE}
        self.metadata = merged(self.metadata, settable)
        self.metadata.update(metageneration=str(self.metageneration + 1), updated=now())


class Bucket:
    """A bucket: its metadata, its IAM policy, and every version of every object."""

    def __init__(self, name: str, metadata: Resource) -> None:
        self.name = name
        self.live: dict[str, StoredObject] = {}
        self.noncurrent: dict[Key, StoredObject] = {}
        self.soft_deleted: dict[Key, StoredObject] = {}
        self.policy: Resource = {
            "bindings": [
                {"role": "roles/storage.legacyBucketOwner", "members": ["projectEditor:p", "projectOwner:p"]},
                {"role": "roles/storage.legacyBucketReader", "members": ["projectViewer:p"]},
            ]
        }
        settings: Resource = {
            "iamConfiguration": {
                "uniformBucketLevelAccess": {"enabled": False},
                "publicAccessPrevention": "inherited",
            },
            "softDeletePolicy": {"retentionDurationSeconds": str(SOFT_DELETE_SECONDS), "effectiveTime": now()},
            "storageClass": "STANDARD",
            "location": "US",
        }
        own = {"kind": "storage#bucket", "id": name, "name": name, "projectNumber": "1", "timeCreated": now()}
        self.metadata: Resource = {"metageneration": "0"}
        self.patch({**merged(settings, metadata), **own})
        if self.metadata["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"]:
            self.policy["bindings"] += [
                {"role": "roles/storage.legacyObjectOwner", "members": ["projectEditor:p", "projectOwner:p"]},
                {"role": "roles/storage.legacyObjectReader", "members": ["projectViewer:p"]},
            ]

    def patch(self, changes: Resource) -> None:
        """Change settings. Raises: ApiError, for a retention that the service does not have."""
        new = merged(self.metadata, changes)
        new["location"] = str(new["location"]).upper()
        if not new.get("lifecycle", {}).get("rule"):
            new.pop("lifecycle", None)
        seconds = int(new["softDeletePolicy"]["retentionDurationSeconds"])
        if seconds and not SOFT_DELETE_SECONDS <= seconds <= SOFT_DELETE_MOST:
            raise ApiError(400, "Soft delete policy retention duration must be 0 or between 7 and 90 days.")
        new["softDeletePolicy"]["retentionDurationSeconds"] = str(seconds)
        new["metageneration"] = str(int(self.metadata["metageneration"]) + 1)
        new.update(updated=now(), etag=new["metageneration"])
        self.metadata = new

    def check(self, conditions: Conditions) -> None:
        conditions.check(0, int(self.metadata["metageneration"]))

    # The policy. Its etag is that of its content, so that a test may change `policy` in place.

    def policy_resource(self, version: int) -> Resource:
        """What getIamPolicy answers; conditions are shown only to those who ask for version 3."""
        bindings = self.policy["bindings"]
        conditional = any("condition" in binding for binding in bindings)
        if conditional and version < 3:
            bindings = [{key: b[key] for key in ("role", "members")} for b in bindings]
        content = json.dumps(self.policy["bindings"], sort_keys=True).encode()
        shown = 3 if conditional and version >= 3 else 1
        return {"kind": "storage#policy", "version": shown, "etag": crc32c(content), "bindings": bindings}

    def set_policy(self, policy: Resource) -> None:
        """Raises: ApiError, where another changed it since, or it names the public and prevention is enforced."""
        if policy.get("etag") not in (None, self.policy_resource(3)["etag"]):
            raise ApiError(412, "The policy was changed since it was read.")
        bindings = policy.get("bindings", [])
        enforced = self.metadata["iamConfiguration"].get("publicAccessPrevention") == "enforced"
        if enforced and any(member in PUBLIC for binding in bindings for member in binding["members"]):
            raise ApiError(412, "The member bindings allUsers and allAuthenticatedUsers are not allowed.")
        self.policy["bindings"] = [binding for binding in bindings if binding["members"]]

    # Objects.

    def check_live(self, name: str, conditions: Conditions) -> None:
        """Conditions of a write, upon the version that is there now, if any."""
        stored = self.live.get(name)
        conditions.check(stored.generation if stored else 0, stored.metageneration if stored else 0)

    def insert(self, name: str, content: bytes, metadata: Resource, conditions: Conditions) -> StoredObject:
        """A new version. Raises: ApiError, for a condition that fails, a wrong checksum, or a bad name."""
        if not name or len(name.encode()) > 1024 or "\n" in name or "\r" in name or name in (".", ".."):
            raise ApiError(400, f"Invalid object name: {name!r}")
        self.check_live(name, conditions)
        digests = {"crc32c": crc32c(content), "md5Hash": md5(content)}
        for kind, digest in digests.items():
            if metadata.get(kind) not in (None, digest):
                raise ApiError(400, f"Provided {kind} {metadata[kind]} doesn't match calculated {kind} {digest}.")
        generation = str(next(_generations))
        settable = {key: value for key, value in metadata.items() if key in SETTABLE and value is not None}
        own = {
            "kind": "storage#object",
            "id": f"{self.name}/{name}/{generation}",
            "name": name,
            "bucket": self.name,
            "generation": generation,
            "metageneration": "1",
            "etag": generation,
            "size": str(len(content)),
            "timeCreated": now(),
            "updated": now(),
        }
        usual = {"contentType": "application/octet-stream", "storageClass": self.metadata["storageClass"]}
        stored = StoredObject(content, {**usual, **settable, **own, **digests})
        self._retire(name)
        self.live[name] = stored
        return stored

    def find(self, name: str, query: Query) -> StoredObject:
        """The live version, or the one of `generation`. Raises: ApiError, 404."""
        stored = self.live.get(name)
        if "generation" in query and (not stored or stored.generation != int(query["generation"])):
            stored = self.noncurrent.get((name, int(query["generation"])))
        if not stored:
            raise ApiError(404, f"No such object: {self.name}/{name}")
        return stored

    def remove(self, name: str, query: Query) -> None:
        """Delete; the version of `generation` for good, but for soft delete. Raises: ApiError."""
        stored = self.find(name, query)
        Conditions.of(query).check(stored.generation, stored.metageneration)
        if self.live.get(name) is not stored:
            del self.noncurrent[name, stored.generation]
            self._keep_soft_deleted(stored)
        elif "generation" in query:
            del self.live[name]
            self._keep_soft_deleted(stored)
        else:
            self._retire(name)

    def restore(self, name: str, query: Query) -> StoredObject:
        """Bring a soft-deleted version back, as a new one. Raises: ApiError, 404."""
        stored = self.soft_deleted.get((name, int(query.get("generation", "0"))))
        if not stored:
            raise ApiError(404, f"No such soft-deleted object: {self.name}/{name}")
        return self.insert(name, stored.content, stored.metadata, Conditions.of(query))

    def _retire(self, name: str) -> None:
        """What becomes of the live version when it is overwritten or deleted."""
        stored = self.live.pop(name, None)
        if stored and self.metadata.get("versioning", {}).get("enabled"):
            stored.metadata["timeDeleted"] = now()
            self.noncurrent[name, stored.generation] = stored
        elif stored:
            self._keep_soft_deleted(stored)

    def _keep_soft_deleted(self, stored: StoredObject) -> None:
        seconds = int(self.metadata["softDeletePolicy"]["retentionDurationSeconds"])
        if seconds:
            stored.metadata.update(softDeleteTime=now(), hardDeleteTime=now(seconds))
            self.soft_deleted[stored.metadata["name"], stored.generation] = stored

    # Listings.

    def page(self, query: Query) -> tuple[list[StoredObject], list[str], str]:
        """Objects and prefixes of one page, and the token of the next, or ''."""
        most = min(int(query.get("maxResults") or MOST_PER_PAGE), MOST_PER_PAGE)
        last: Key = _key(query["pageToken"]) if query.get("pageToken") else ("", -1)
        items: list[StoredObject] = []
        prefixes: list[str] = []
        for key, found in _rolled_up(self._selected(query), query):
            if key <= last:
                continue
            if len(items) + len(prefixes) == most:
                return items, prefixes, _token(last)
            prefixes.append(found) if isinstance(found, str) else items.append(found)
            last = key
        return items, prefixes, ""

    def _selected(self, query: Query) -> list[tuple[Key, StoredObject]]:
        versions: Iterable[StoredObject] = self.live.values()
        if _is_true(query, "softDeleted"):
            versions = self.soft_deleted.values()
        elif _is_true(query, "versions"):
            versions = [*self.live.values(), *self.noncurrent.values()]
        pattern = _glob(query["matchGlob"]) if query.get("matchGlob") else re.compile("")
        start, end, prefix = query.get("startOffset", ""), query.get("endOffset", ""), query.get("prefix", "")
        named = [((stored.metadata["name"], stored.generation), stored) for stored in versions]
        return sorted(
            (
                (key, stored)
                for key, stored in named
                if key[0].startswith(prefix)
                and start <= key[0]
                and not (end and key[0] >= end)
                and pattern.match(key[0])
            ),
            key=lambda pair: pair[0],
        )


def _rolled_up(selected: Iterable[tuple[Key, StoredObject]], query: Query) -> Iterator[tuple[Key, StoredObject | str]]:
    """Objects, and in place of those with a delimiter after the prefix their common beginning, perhaps repeated."""
    delimiter, after = query.get("delimiter", ""), len(query.get("prefix", ""))
    for key, stored in selected:
        place = key[0].find(delimiter, after) if delimiter else -1
        group = key[0][: place + len(delimiter)]
        if place >= 0:
            yield (group, 0), group
        if place < 0 or (key[0] == group and _is_true(query, "includeTrailingDelimiter")):
            yield key, stored


def _is_true(query: Query, name: str) -> bool:
    return query.get(name, "").lower() == "true"  # Google's Python client writes `True`


def _token(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _key(token: str) -> Key:
    try:
        name, generation = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise ApiError(400, f"Invalid page token: {token}") from None
    return str(name), int(generation)


def _glob(pattern: str) -> re.Pattern[str]:
    """Cloud Storage's globs: `*` stays within a folder, `**` does not; `?`, `[a-z]`, `{a,b}`."""
    simple = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}
    depth, parts = 0, []
    for mark in re.findall(r"\*\*|\[[^\]]+\]|.", pattern, re.DOTALL):
        depth += {"{": 1, "}": -1}.get(mark, 0)
        if mark == "," and not depth:
            parts.append(",")
        elif mark.startswith("[") and len(mark) > 1:
            parts.append(mark.replace("[!", "[^", 1))
        else:
            parts.append(simple.get(mark, re.escape(mark)))
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


class Store:
    """All buckets, by name; and who is denied what, which holds before a bucket exists, too."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.denied: dict[str, set[str]] = {}

    def bucket(self, name: str) -> Bucket:
        """Raises: ApiError, 404."""
        if name not in self.buckets:
            raise ApiError(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def create(self, name: str, metadata: Resource) -> Bucket:
        """Raises: ApiError, 400 for a bad name, 409 where it exists."""
        self.require(name, "storage.buckets.create")
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", name) or "google" in name or name[:4] == "goog":
            raise ApiError(400, f"Invalid bucket name: '{name}'")
        if name in self.buckets:
            raise ApiError(409, "The requested bucket name is not available; please select a different name.")
        self.buckets[name] = Bucket(name, metadata)
        return self.buckets[name]

    def delete(self, name: str) -> None:
        """Raises: ApiError, 409 where it is not empty."""
        bucket = self.bucket(name)
        if bucket.live or bucket.noncurrent:
            raise ApiError(409, "The bucket you tried to delete is not empty.")
        del self.buckets[name]

    def require(self, bucket: str, permission: str) -> None:
        """Raises: ApiError, 403, where the caller was denied that."""
        if permission in self.denied.get(bucket, ()):
            thing = "object" if ".objects." in permission else "bucket"
            message = f"caller does not have {permission} access to the Google Cloud Storage {thing}."
            raise ApiError(403, f"{message} Permission '{permission}' denied on resource (or it may not exist).")
