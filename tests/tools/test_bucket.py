"""make bucket and make bucket-check, against a server on loopback: the bucket afterwards, and every refusal."""

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from detector.base import errors
from detector.base.errors import UserError
from tests.support.gcs_server import Server
from tests.support.service_account import write_key
from tests.support.stage import REPOSITORY
from tools import bucket
from tools.cloud.bucket_settings import PERMISSIONS, Finding, bucket_name, findings

TPU = "service-123@cloud-tpu.iam.gserviceaccount.com"
CREATE = ("--bucket=my-pets", "--project=my-project")
CHECK = ("--check", "--bucket=my-pets")
WORK_RULE = {"action": {"type": "Delete"}, "condition": {"age": 30, "matchesPrefix": ["work/"]}}
PUBLIC = {"role": "roles/storage.objectViewer", "members": ["allUsers"]}
REMOVE_PUBLIC = (
    "gcloud storage buckets remove-iam-policy-binding gs://my-pets --member=allUsers --role=roles/storage.objectViewer"
)


class Project:
    """A project with DVC and git, and the command in it."""

    def __init__(self, root: Path, server: Server) -> None:
        self.root, self.server = root, server
        self.environment = {**server.environment(), "PASSO_GCS_SECONDS": "3"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m tools.bucket ARGUMENTS`, in this process: Google's library is imported once for all tests."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        with (
            contextlib.chdir(self.root),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.dict(os.environ, self.environment),
            mock.patch.object(sys, "argv", ["bucket", *arguments]),
        ):
            try:
                errors.run(bucket.main)
            except SystemExit as exit_:
                code = int(exit_.code or 0)
        return subprocess.CompletedProcess(list(arguments), code, out.getvalue(), err.getvalue())

    def lines(self, *arguments: str) -> list[str]:
        """The lines of a run that must succeed."""
        ran = self.run(*arguments)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout.splitlines()

    def refused(self, *arguments: str, code: int = 2) -> list[str]:
        """The error lines of a run that must fail."""
        ran = self.run(*arguments)
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stderr.removeprefix("error: ").rstrip("\n").split("\nerror: ")

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
        subprocess.run(["git", *who, *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "-qm", "test")

    def writes(self) -> list[tuple[str, str]]:
        """The requests since the log was last cleared that were not only reads."""
        requests = [(method, path) for method, path, _, _ in self.server.log if method not in ("GET", "HEAD")]
        self.server.log.clear()
        return requests


@pytest.fixture
def project(gcs: Server, tmp_path: Path) -> Project:
    made = Project(tmp_path, gcs)
    made.git("init", "-q")
    (tmp_path / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        (tmp_path / ".dvc" / name).write_bytes((REPOSITORY / ".dvc" / name).read_bytes())
    made.commit()
    return made


def settings(server: Server, name: str = "my-pets") -> dict[str, Any]:
    resource = server.bucket(name)
    access = resource["iamConfiguration"]
    return {
        "uniform": access["uniformBucketLevelAccess"]["enabled"],
        "public": access["publicAccessPrevention"],
        "soft delete": resource["softDeletePolicy"]["retentionDurationSeconds"],
        "lifecycle": resource.get("lifecycle", {}).get("rule", []),
    }


OURS = {"uniform": True, "public": "enforced", "soft delete": "604800", "lifecycle": [WORK_RULE]}


# The bucket afterwards.


def test_a_new_bucket_its_grants_and_the_remote(project: Project, gcs: Server) -> None:
    lines = project.lines(*CREATE, f"--accounts={TPU}, you@example.com")
    assert lines == [
        "gs://my-pets: created in US-CENTRAL1, project my-project",
        "gs://my-pets: uniform bucket-level access on",
        "gs://my-pets: public access prevention enforced",
        "gs://my-pets: soft delete: what is deleted can be restored for 7 days",
        "gs://my-pets: lifecycle: what is under work/ is deleted after 30 days",
        f"gs://my-pets: roles/storage.objectUser on this bucket for serviceAccount:{TPU}",
        "gs://my-pets: roles/storage.objectUser on this bucket for user:you@example.com",
        "gs://my-pets: wrote, read, listed and deleted a test object",
        ".dvc/config: default remote gcs = gs://my-pets/dvc, verify = true",
        f".dvc/config.local: endpointurl = {gcs.url}",
        "now: git add .dvc/config",
        "     git commit -m 'DVC remote gs://my-pets/dvc' .dvc/config",
    ]
    assert settings(gcs) == OURS
    assert gcs.policy("my-pets")["bindings"] == [
        {"role": "roles/storage.legacyBucketOwner", "members": ["projectEditor:p", "projectOwner:p"]},
        {"role": "roles/storage.legacyBucketReader", "members": ["projectViewer:p"]},
        {"role": "roles/storage.legacyObjectOwner", "members": ["projectEditor:p", "projectOwner:p"]},
        {"role": "roles/storage.legacyObjectReader", "members": ["projectViewer:p"]},
        {"role": "roles/storage.objectUser", "members": [f"serviceAccount:{TPU}", "user:you@example.com"]},
    ]
    assert gcs.read("my-pets") == {}
    committed = (project.root / ".dvc" / "config").read_text()
    assert "url = gs://my-pets/dvc" in committed
    assert gcs.url not in committed
    assert gcs.url in (project.root / ".dvc" / "config.local").read_text()


def test_dvc_itself_reads_that_remote(project: Project) -> None:
    project.lines(*CREATE)
    command = [str(Path(sys.executable).with_name("dvc")), "remote", "list"]
    listed = subprocess.run(command, cwd=project.root, check=True, capture_output=True, text=True)
    assert listed.stdout.split() == ["gcs", "gs://my-pets/dvc", "(default)"]


def test_a_second_run_writes_nothing_but_the_probe(project: Project, gcs: Server) -> None:
    project.lines(*CREATE, f"--accounts={TPU}")
    project.commit()
    before = (settings(gcs), json.dumps(gcs.policy("my-pets")), (project.root / ".dvc" / "config").read_bytes())
    project.writes()
    assert project.lines("--bucket=my-pets", f"--accounts={TPU}") == [
        "gs://my-pets: wrote, read, listed and deleted a test object",
        "nothing had to be changed",
    ]
    assert before == (settings(gcs), json.dumps(gcs.policy("my-pets")), (project.root / ".dvc" / "config").read_bytes())
    upload, delete = project.writes()
    assert upload[0] == "POST"
    assert upload[1].startswith("/upload/")
    assert delete[0] == "DELETE"
    assert "/my-pets/o/work%2F.probe-" in delete[1]
    assert project.lines(*CHECK) == ["gs://my-pets: private, and all settings are right"]
    assert project.writes() == []


def test_an_existing_bucket_is_tightened_and_keeps_what_is_stricter(project: Project, gcs: Server) -> None:
    archive = {"action": {"type": "SetStorageClass", "storageClass": "ARCHIVE"}, "condition": {"age": 365}}
    gcs.create("my-pets", softDeletePolicy={"retentionDurationSeconds": "2592000"}, lifecycle={"rule": [archive]})
    gcs.put("my-pets", "mine.txt", b"mine")
    gcs.put("my-pets", "work/0123456789abcdef/ckpt-1", b"")
    lines = project.lines("--bucket=my-pets")
    assert lines[:3] == [
        "gs://my-pets: uniform bucket-level access on",
        "gs://my-pets: public access prevention enforced",
        "gs://my-pets: lifecycle: what is under work/ is deleted after 30 days",
    ]
    assert settings(gcs) == {**OURS, "soft delete": "2592000", "lifecycle": [archive, WORK_RULE]}
    assert gcs.read("my-pets") == {"mine.txt": b"mine", "work/0123456789abcdef/ckpt-1": b""}


def test_soft_delete_is_turned_on_unless_versions_are_kept(project: Project, gcs: Server) -> None:
    for name, versioning in (("no-versions", False), ("versions", True)):
        gcs.create(name, softDeletePolicy={"retentionDurationSeconds": "0"}, versioning={"enabled": versioning})
        (project.root / ".dvc" / "config").write_text("")
        (project.root / ".dvc" / "config.local").write_text("")
        project.lines(f"--bucket={name}")
    assert settings(gcs, "no-versions")["soft delete"] == "604800"
    assert settings(gcs, "versions")["soft delete"] == "0"


def test_the_rule_for_work_is_not_set_where_it_would_delete_what_is_not_ours(project: Project, gcs: Server) -> None:
    gcs.create("my-pets")
    gcs.put("my-pets", "work/thesis/chapter1.tex", b"")
    (line,) = project.refused("--bucket=my-pets")
    assert line.startswith(
        "gs://my-pets/work/thesis/: does not belong to a training, and the rule for work/ would delete it after 30 days"
    )
    assert project.writes() == []


def test_an_account_that_may_already_is_not_granted_again(project: Project, gcs: Server) -> None:
    project.lines(*CREATE)
    conditional = {"title": "for a day", "expression": "request.time < timestamp('2026-12-01T00:00:00Z')"}
    gcs.policy("my-pets")["bindings"] = [
        {"role": "roles/storage.objectAdmin", "members": ["user:a@example.com"]},
        {"role": "roles/storage.objectUser", "members": ["user:b@example.com"], "condition": conditional},
    ]
    project.lines("--bucket=my-pets", "--accounts=a@example.com,user:b@example.com")
    assert gcs.policy("my-pets")["bindings"] == [
        {"role": "roles/storage.objectAdmin", "members": ["user:a@example.com"]},
        {"role": "roles/storage.objectUser", "members": ["user:b@example.com"], "condition": conditional},
        {"role": "roles/storage.objectUser", "members": ["user:b@example.com"]},
    ]


# Who is refused.


STRANGERS = ["domain:example.com", "group:team@example.com"]


@pytest.mark.parametrize("account", ["allUsers", "allAuthenticatedUsers", *STRANGERS, "nobody", "a@b@c.de"])
def test_no_public_and_no_unknown_accounts(project: Project, gcs: Server, account: str) -> None:
    (line,) = project.refused(*CREATE, f"--accounts={TPU},{account}")
    assert line.startswith("TPU_ACCOUNT: ")
    assert account in line
    assert gcs.log == []


def test_a_public_bucket_is_left_alone_and_reported_with_the_fix(project: Project, gcs: Server) -> None:
    gcs.create("my-pets")
    gcs.policy("my-pets")["bindings"].append(PUBLIC)
    (line,) = project.refused("--bucket=my-pets", f"--accounts={TPU}")
    assert line == (
        "gs://my-pets: roles/storage.objectViewer is given to allUsers: that is public; "
        f"nothing was changed; run: {REMOVE_PUBLIC}"
    )
    assert project.writes() == []
    assert settings(gcs)["public"] == "inherited"


def test_bucket_check_finds_a_public_member_with_a_condition_too(project: Project, gcs: Server) -> None:
    project.lines(*CREATE)
    project.commit()
    gcs.policy("my-pets")["bindings"] += [
        PUBLIC,
        {"role": "roles/storage.admin", "members": ["allAuthenticatedUsers"], "condition": {"expression": "true"}},
    ]
    every = "--member=allAuthenticatedUsers --role=roles/storage.admin --all"
    assert project.refused(*CHECK, code=1) == [
        f"gs://my-pets: roles/storage.objectViewer is given to allUsers: that is public; {REMOVE_PUBLIC}",
        "gs://my-pets: roles/storage.admin is given to allAuthenticatedUsers: that is public; "
        f"gcloud storage buckets remove-iam-policy-binding gs://my-pets {every}",
    ]


PODS = "serviceAccount:theirs.svc.id.goog[default/default]"  # those of that name in all of a project's clusters
POOL = "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/*"


@pytest.mark.parametrize(
    ("member", "fault"),
    [
        *((member, "that is more than one account") for member in (*STRANGERS, POOL, PODS)),
        ("projectViewer:theirs", "that is another project's people"),
        ("projectOwner:hidden", "that may be another project's people, and this account may not see"),
    ],
)
def test_a_bucket_is_private_to_accounts_and_its_own_project(
    project: Project, gcs: Server, member: str, fault: str
) -> None:
    project.lines(*CREATE, f"--accounts={TPU},you@example.com")
    project.commit()
    assert project.lines(*CHECK) == ["gs://my-pets: private, and all settings are right"]
    gcs.policy("my-pets")["bindings"].append({"role": "roles/storage.objectViewer", "members": [member]})
    (line,) = project.refused(*CHECK, code=1)
    assert line == (
        f"gs://my-pets: roles/storage.objectViewer is given to {member}: {fault}; gcloud storage buckets "
        f"remove-iam-policy-binding gs://my-pets --member={shlex.quote(member)} --role=roles/storage.objectViewer"
    )
    assert fault in project.refused("--bucket=my-pets", code=1)[0], "make bucket says so, too"


def test_somebody_else_s_bucket_is_one_line(project: Project, gcs: Server) -> None:
    gcs.create("my-pets")
    gcs.deny("my-pets", "storage.buckets.get", "storage.buckets.getIamPolicy", *PERMISSIONS)
    (line,) = project.refused(*CREATE)
    assert line.startswith("gs://my-pets: access denied: 403 caller does not have storage.buckets.get access")
    assert "take another bucket (names are shared by all the world)" in line
    assert project.writes() == []
    assert [line.partition(" access to")[0] for line in project.refused(*CHECK, code=1)] == [
        "gs://my-pets: access denied: 403 caller does not have storage.buckets.get",
        "gs://my-pets: access denied: 403 caller does not have storage.buckets.getIamPolicy",
        "gs://my-pets: your account may not: storage.objects.create, storage.objects.delete, storage.objects.get, "
        "storage.objects.list; gcloud storage buckets add-iam-policy-binding gs://my-pets "
        "--role=roles/storage.objectUser --member=user:YOU@example.com",
    ]


@pytest.mark.parametrize(
    ("denied", "what"),
    [
        (["storage.buckets.get", "storage.buckets.getIamPolicy"], "settings and policy"),
        (["storage.buckets.getIamPolicy"], "policy"),
    ],
)
def test_what_bucket_check_cannot_see_it_does_not_call_private(
    project: Project, gcs: Server, denied: list[str], what: str
) -> None:
    project.lines(*CREATE)
    project.commit()
    gcs.deny("my-pets", *denied)
    assert project.refused(*CHECK, code=1) == [
        f"gs://my-pets: reachable and writable, but this account may not see its {what}: it may be public; "
        "its owner can check: make bucket-check BUCKET=my-pets"
    ]


def test_bucket_check_uses_the_account_of_the_remote(project: Project, gcs: Server) -> None:
    project.lines(*CREATE)
    project.commit()
    local, key = project.root / ".dvc" / "config.local", project.root.parent / "key.json"
    local.write_text(f"['remote \"gcs\"']\n    credentialpath = {key}\n")
    assert project.refused(*CHECK, code=1) == [
        f"gs://my-pets: {key} is not a readable credentials file; "
        "use another: dvc remote modify --local REMOTE credentialpath key.json"
    ]
    write_key(key, f"{gcs.url}/token")
    gcs.fault(path="/token", status=401, times=99)
    (line,) = project.refused(*CHECK, code=1)
    assert line.startswith("gs://my-pets: the credentials are not accepted: ")
    gcs.clear_faults()
    assert project.lines(*CHECK) == ["gs://my-pets: private, and all settings are right"]
    project.lines("--bucket=my-pets")  # who sets it up does so with a login of their own


@pytest.mark.parametrize(
    ("denied", "where"),
    [
        ("storage.buckets.create", "gs://my-pets: "),
        ("storage.buckets.setIamPolicy", "gs://my-pets: "),
        ("storage.objects.create", "gs://my-pets/work/.probe-"),
        ("storage.objects.get", "gs://my-pets/work/.probe-"),
        ("storage.objects.list", "gs://my-pets/work/.probe-"),
        ("storage.objects.delete", "gs://my-pets/work/.probe-"),
    ],
)
def test_a_missing_permission_is_shown(project: Project, gcs: Server, denied: str, where: str) -> None:
    gcs.deny("my-pets", denied)
    (line,) = project.refused(*CREATE, f"--accounts={TPU}")
    assert line.startswith(where)
    assert f"access denied: 403 caller does not have {denied} access" in line
    assert (project.root / ".dvc" / "config").read_bytes() == (REPOSITORY / ".dvc" / "config").read_bytes()


@pytest.mark.parametrize("is_new", [True, False])
def test_what_was_changed_before_an_error_is_printed(project: Project, gcs: Server, is_new: bool) -> None:
    if not is_new:
        gcs.create("my-pets")
    gcs.fault(path="/iam", method="PUT", status=400)
    ran = project.run(*CREATE, "--accounts=typo@gone.example")
    assert (ran.returncode, ran.stderr) == (
        2,
        "error: gs://my-pets: 400 injected by the test; try again; docs/gcs.md\n",
    )
    soft_delete = "soft delete: what is deleted can be restored for 7 days"
    assert ran.stdout.splitlines() == [
        *(["gs://my-pets: created in US-CENTRAL1, project my-project"] if is_new else []),
        "gs://my-pets: uniform bucket-level access on",
        "gs://my-pets: public access prevention enforced",
        *([f"gs://my-pets: {soft_delete}"] if is_new else []),
        "gs://my-pets: lifecycle: what is under work/ is deleted after 30 days",
    ]
    assert settings(gcs) == OURS


def test_bucket_check_asks_for_permissions_without_using_them(project: Project, gcs: Server) -> None:
    project.lines(*CREATE)
    project.commit()
    project.writes()
    gcs.deny("my-pets", "storage.objects.delete", "storage.objects.list")
    assert project.refused(*CHECK, code=1) == [
        "gs://my-pets: your account may not: storage.objects.delete, storage.objects.list; gcloud storage buckets "
        "add-iam-policy-binding gs://my-pets --role=roles/storage.objectUser --member=user:YOU@example.com"
    ]
    assert project.writes() == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": False}}}, "uniform bucket-level access is off"),
        ({"iamConfiguration": {"publicAccessPrevention": "inherited"}}, "public access prevention is not enforced"),
        ({"softDeletePolicy": {"retentionDurationSeconds": "0"}}, "soft delete keeps nothing"),
        ({"lifecycle": {"rule": []}}, "no lifecycle rule for work/"),
    ],
)
def test_bucket_check_finds_each_wrong_setting_and_make_bucket_fixes_it(
    project: Project, gcs: Server, change: Any, what: str
) -> None:
    project.lines(*CREATE)
    project.commit()
    gcs.store.bucket("my-pets").patch(change)
    (line,) = project.refused(*CHECK, code=1)
    assert line.startswith(f"gs://my-pets: {what}")
    assert line.endswith("; make bucket BUCKET=my-pets")
    project.lines("--bucket=my-pets")
    assert settings(gcs) == OURS
    project.lines(*CHECK)


@pytest.mark.parametrize("prefixes", [None, [""], ["dv"], ["dvc/"], ["dvc/files/"], ["work/", "dvc/"]])
def test_a_rule_that_deletes_what_dvc_keeps_is_found(project: Project, gcs: Server, prefixes: Any) -> None:
    project.lines(*CREATE)
    project.commit()
    condition = {"age": 30, **({"matchesPrefix": prefixes} if prefixes else {})}
    rule = {"action": {"type": "Delete"}, "condition": condition}
    gcs.store.bucket("my-pets").patch({"lifecycle": {"rule": [WORK_RULE, rule]}})
    (line,) = project.refused(*CHECK, code=1)
    assert line.startswith("gs://my-pets: a lifecycle rule deletes objects under dvc/")
    old = {**rule, "condition": {**condition, "isLive": False}}
    gcs.store.bucket("my-pets").patch({"lifecycle": {"rule": [WORK_RULE, old]}})
    project.lines(*CHECK)


# The remote.


def test_another_default_remote_is_not_overwritten(project: Project, gcs: Server) -> None:
    config = project.root / ".dvc" / "config"
    config.write_text("[core]\nremote = store\n['remote \"store\"']\nurl = s3://elsewhere\n")
    (line,) = project.refused(*CREATE)
    assert line == (
        ".dvc/config: the remote store is s3://elsewhere, not gs://my-pets/dvc; "
        "if that is what you want, run: dvc remote default --unset"
    )
    assert gcs.log == []
    dvc = str(Path(sys.executable).with_name("dvc"))
    subprocess.run([dvc, "remote", "default", "--unset"], cwd=project.root, check=True, capture_output=True)
    project.lines(*CREATE)
    assert "url = s3://elsewhere" in config.read_text()
    gcs.create("my-dogs")
    (line,) = project.refused("--bucket=my-dogs")
    assert line.endswith("run: dvc remote modify gcs url gs://my-dogs/dvc")


def test_a_remote_of_another_name_is_used(project: Project) -> None:
    config = project.root / ".dvc" / "config"
    config.write_text("[core]\nremote = store\n['remote \"store\"']\nurl = gs://my-pets/dvc\n")
    assert ".dvc/config: default remote store = gs://my-pets/dvc, verify = true" in project.lines(*CREATE)
    assert config.read_text().count("[") == 2


def test_bucket_check_finds_what_is_wrong_with_the_remote(project: Project, gcs: Server) -> None:
    project.lines(*CREATE)
    config = project.root / ".dvc" / "config"
    config.write_text(config.read_text().replace("verify = true", "credentialpath = key.json"))
    assert project.refused("--check") == [
        ".dvc/config: remote.gcs.credentialpath: it comes with the repository, and is for each user to set; run: "
        "dvc remote modify --unset gcs credentialpath; if you want it: "
        "dvc remote modify --local gcs credentialpath VALUE"
    ]
    config.write_text(config.read_text().replace("credentialpath = key.json", ""))
    assert project.refused("--check", code=1) == [
        ".dvc/config: remote gcs has no verify = true: a corrupt object would be pulled in silence; "
        "dvc remote modify gcs verify true",
        ".dvc/config: remote gcs is not committed: dvc exp push would upload nothing, and report nothing; "
        "git add .dvc/config && git commit -m 'DVC remote' .dvc/config",
    ]


def test_an_endpoint_left_from_a_test_is_refused(project: Project, gcs: Server) -> None:
    project.lines(*CREATE)
    del project.environment["STORAGE_EMULATOR_HOST"]
    (line,) = project.refused("--bucket=my-pets")
    assert line.startswith(f".dvc/config.local: remote gcs goes to {gcs.url}, which is neither Google's nor ")
    assert line.endswith("is not set; run: dvc remote modify --local --unset gcs endpointurl")


def test_no_dvc_project_and_a_broken_one(project: Project) -> None:
    (project.root / ".dvc" / "config").write_text("[core\n")
    assert project.refused(*CREATE)[0].startswith(".dvc/config: ")
    for path in (project.root / ".dvc").iterdir():
        path.unlink()
    (project.root / ".dvc").rmdir()
    assert project.refused(*CREATE)[0].startswith(".dvc: not found")


# Names.


def test_capitals_and_gs_are_dropped_and_reported(project: Project, gcs: Server) -> None:
    lines = project.lines("--bucket=gs://My-Pets/", "--project=My-Project", "--location=europe-west4")
    assert lines[:3] == [
        "BUCKET: gs://My-Pets/ is taken as my-pets",
        "PROJECT: My-Project is taken as my-project",
        "gs://my-pets: created in EUROPE-WEST4, project my-project",
    ]
    (line,) = project.refused("--bucket=my-pets", "--location=US")
    assert line.startswith("LOCATION: US, but gs://my-pets is in EUROPE-WEST4")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 64,
        "-pets",
        "pets-",
        "my pets",
        "pets;rm",
        "192.168.5.4",
        "a..b",
        "goog-pets",
        "my-g00gle",
        "../x",
    ],
)
def test_bad_bucket_names(project: Project, gcs: Server, name: str) -> None:
    (line,) = project.refused(f"--bucket={name}", "--project=my-project")
    assert line.startswith("BUCKET: ")
    assert gcs.log == []


@pytest.mark.parametrize("name", ["abc", "a" * 63, "my_pets-2", "pets.example.com", "1pets"])
def test_good_bucket_names(name: str) -> None:
    assert bucket_name(name) == name


@pytest.mark.parametrize("project_id", ["short", "1-project", "my-project-", "my_project", "a" * 31])
def test_bad_project_ids(project: Project, gcs: Server, project_id: str) -> None:
    (line,) = project.refused("--bucket=my-pets", f"--project={project_id}")
    assert line.startswith(f"PROJECT: '{project_id}'")
    assert gcs.log == []


def test_a_bucket_that_does_not_exist_needs_a_project(project: Project) -> None:
    (line,) = project.refused("--bucket=my-pets")
    assert line.startswith("PROJECT: is empty, and gs://my-pets does not exist yet")
    (line,) = project.refused(*CHECK, code=1)
    assert line.startswith("gs://my-pets: not found: 404")
    assert project.refused("--check")[0].startswith("BUCKET: is empty")


# A network that fails.


@pytest.mark.parametrize("rule", [{"status": 503, "times": 2}, {"reset": True}, {"lost": True}, {"status": 429}])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_faults_are_survived(project: Project, gcs: Server, method: str, rule: Any) -> None:
    gcs.fault(method=method, **rule)
    project.environment["PASSO_GCS_SECONDS"] = "20"
    project.lines(*CREATE, f"--accounts={TPU}")
    assert settings(gcs) == OURS
    assert gcs.policy("my-pets")["bindings"][-1] == {
        "role": "roles/storage.objectUser",
        "members": [f"serviceAccount:{TPU}"],
    }
    assert gcs.read("my-pets") == {}


def test_a_policy_that_another_changes_meanwhile_is_read_again(project: Project, gcs: Server) -> None:
    project.lines(*CREATE)
    gcs.fault(path="/iam", method="PUT", delay=0.6)

    def other() -> None:
        while not any(method == "PUT" for method, *_ in gcs.log):
            time.sleep(0.01)
        gcs.policy("my-pets")["bindings"].append(
            {"role": "roles/storage.objectViewer", "members": ["user:o@example.com"]}
        )

    thread = threading.Thread(target=other)
    thread.start()
    project.lines("--bucket=my-pets", f"--accounts={TPU}")
    thread.join()
    assert sum(method == "PUT" for method, *_ in gcs.log) == 2
    assert {binding["role"]: binding["members"] for binding in gcs.policy("my-pets")["bindings"][-2:]} == {
        "roles/storage.objectUser": [f"serviceAccount:{TPU}"],
        "roles/storage.objectViewer": ["user:o@example.com"],
    }


def test_a_dead_server_is_one_line(project: Project, gcs: Server) -> None:
    gcs.stop()
    environment = {**os.environ, **project.environment, "PYTHONPATH": str(REPOSITORY), "PASSO_GCS_SECONDS": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "tools.bucket", *CREATE],
        cwd=project.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    expected = "error: gs://my-pets: no answer: Connection refused; check the connection and try again\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", expected)


def test_503_for_ever_is_one_line(project: Project, gcs: Server) -> None:
    gcs.fault(status=503, times=99)
    project.environment["PASSO_GCS_SECONDS"] = "0.5"
    (line,) = project.refused(*CREATE)
    assert line == "gs://my-pets: no answer: 503 injected by the test; check the connection and try again"


def test_no_credentials_is_one_line(project: Project) -> None:
    del project.environment["STORAGE_EMULATOR_HOST"]
    project.environment.update(HOME=str(project.root), CLOUDSDK_CONFIG=str(project.root))
    with mock.patch.dict(os.environ):
        os.environ.pop("GOOGLE_APPLICATION_CREDENTIALS", None)
        (line,) = project.refused(*CREATE)
    assert line.startswith("Google Cloud: no credentials on this machine; run: gcloud auth application-default login")


def test_the_snippet_of_docs_gcs_md_restores_deleted_objects(project: Project, gcs: Server) -> None:
    project.lines(*CREATE)
    gcs.put("my-pets", "dvc/kept", b"kept")
    for name in ("dvc/lost", "work/lost"):
        gcs.put("my-pets", name, b"lost")
        gcs.remove("my-pets", name)
    text = (REPOSITORY / "docs" / "gcs.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(from google.*?)```", text, re.DOTALL)
    with mock.patch.dict(os.environ, project.environment):
        exec(compile(snippet, "docs/gcs.md", "exec"), {})  # noqa: S102
    assert gcs.read("my-pets") == {"dvc/kept": b"kept", "dvc/lost": b"lost"}


def test_the_commands_that_docs_gcs_md_gives_for_the_remote(project: Project) -> None:
    project.lines(*CREATE)
    text = (REPOSITORY / "docs" / "gcs.md").read_text(encoding="utf-8")
    commands = re.findall(r"^dvc remote remove .*", text, re.MULTILINE)
    dvc = str(Path(sys.executable).with_name("dvc"))
    for command in (*commands, "dvc remote list"):
        result = subprocess.run(
            [dvc, *command.split()[1:]], cwd=project.root, check=True, capture_output=True, text=True
        )
    assert (len(commands), result.stdout) == (2, "")


def test_the_commands_that_docs_gcs_md_gives_against_viewers(project: Project, gcs: Server) -> None:
    project.lines(*CREATE)
    project.commit()
    text = (REPOSITORY / "docs" / "gcs.md").read_text(encoding="utf-8")
    command = r"^gcloud storage buckets remove-iam-policy-binding gs://my-pets --member=projectViewer:\S+ --role=(.*)"
    taken = re.findall(command, text, re.MULTILINE)
    bindings = gcs.policy("my-pets")["bindings"]
    assert taken == [binding["role"] for binding in bindings if binding["members"] == ["projectViewer:p"]]
    bindings[:] = [binding for binding in bindings if binding["role"] not in taken]
    project.lines("--bucket=my-pets")
    assert "projectViewer" not in json.dumps(gcs.policy("my-pets"))
    assert project.lines(*CHECK) == ["gs://my-pets: private, and all settings are right"]


def test_findings_for_others(gcs: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in gcs.environment().items():
        monkeypatch.setenv(key, value)
    gcs.create("my-pets")
    gcs.policy("my-pets")["bindings"].append(PUBLIC)
    assert Finding("roles/storage.objectViewer is given to allUsers: that is public", REMOVE_PUBLIC) in findings(
        "my-pets"
    )
    with pytest.raises(UserError, match="not a bucket's name"):
        findings("-")
