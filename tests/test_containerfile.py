"""The Containerfile, which cannot be built here, held to the project by its words."""

import json
import re
from pathlib import Path

import pytest

from tests.support.stage import REPOSITORY
from tools import serve
from tools.serving import guard

LINES = re.sub(r"\\\n", " ", (REPOSITORY / "Containerfile").read_text()).splitlines()
MADE = {"dvc.lock", "model/export/"}  # by make train


def instructions(name: str) -> list[str]:
    return [line.partition(" ")[2] for line in LINES if line.startswith(f"{name} ")]


def copied() -> set[str]:
    return {source for line in instructions("COPY") for source in line.split()[:-1]}


def test_what_is_copied_is_there_and_is_all_that_the_ignore_file_lets_through() -> None:
    assert [path for path in copied() - MADE if not (REPOSITORY / path).exists()] == []
    kept = re.findall(r"(?m)^!(.*)$", (REPOSITORY / ".dockerignore").read_text())
    assert {path.rstrip("/") for path in copied()} == set(kept)


def test_packages_come_from_the_lock_with_their_hashes() -> None:
    (install,) = [line for line in instructions("RUN") if "pip install" in line]
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:", "requirements/serve.lock"} <= set(install.split())


def test_the_server_is_no_root_and_asks_for_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [user != "0" for user in instructions("USER")] == [True]
    (command,) = map(json.loads, instructions("ENTRYPOINT"))
    assert command[:3] == ["python", "-m", "tools.serve"] and Path("tools/serve.py").is_file()
    monkeypatch.setattr("sys.argv", command[2:])
    with pytest.raises(serve.UserError, match="PASSO_TOKEN"):
        serve.check_token(serve.parse_arguments().host, "")


def test_it_is_healthy_by_the_path_that_needs_no_token() -> None:
    (check,) = instructions("HEALTHCHECK")
    assert f"http://127.0.0.1:8000{guard.HEALTH}'" in json.loads(check.removeprefix("CMD "))[-1]
