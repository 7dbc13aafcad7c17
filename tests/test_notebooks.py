"""Both notebooks from top to bottom, each cell in a real kernel, with a stand-in for google.colab and our own bucket.

The form is filled in as a user does. `make install` is left out; `make` does all else.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.support import tiny
from tests.support.gcs_server import Server, serve
from tests.support.project import Project
from tests.support.stage import REPOSITORY
from tools import colab

NOTEBOOKS = ("TPU_Train.ipynb", "GPU_Predict.ipynb")
FORM = re.compile(r"^([A-Z_]+) = (.*?)(?=  # @param)", re.MULTILINE)
SMALL = {
    "dataset.dir": "dataset/sample",
    "sample.train_images": "4",
    "sample.test_images": "2",
    "train.eval_every": "4",
    "evaluate.pictures": "3",
    "predict.score_threshold": "0.001",
}
pytestmark = pytest.mark.timeout(900)


def notebook(name: str, **values: object) -> Any:
    """A notebook whose form has these values."""
    document = nbformat.read(REPOSITORY / "notebooks" / name, as_version=4)  # type: ignore[no-untyped-call]
    (form,) = (cell for cell in document.cells if cell.id == "settings")
    assert values.keys() <= {key for key, _ in FORM.findall(form.source)}
    form.source = FORM.sub(lambda it: f"{it[1]} = {values[it[1]]!r}" if it[1] in values else it[0], form.source)
    return document


def printed(document: Any, cell: str) -> str:
    """What a cell has printed."""
    (match,) = (each for each in document.cells if each.id == cell)
    return "".join(output.text for output in match.outputs if output.output_type == "stream")


def pictures(document: Any, cell: str) -> list[str]:
    """The pictures that a cell shows, base64."""
    (match,) = (each for each in document.cells if each.id == cell)
    return [output.data["image/jpeg"] for output in match.outputs if output.output_type == "display_data"]


@dataclass(frozen=True)
class Runtime:
    """Machines of Colab: one bucket, one repository to clone, a Drive with photos.zip, photos to upload."""

    root: Path
    server: Server

    def environment(self) -> dict[str, str]:
        """Environment of the kernel; its `make` installs nothing."""
        wrapper = self.root / "programs" / "make"
        wrapper.parent.mkdir(exist_ok=True)
        own = f"[ -e .venv ] || ln -s {sys.prefix} .venv"
        wrapper.write_text(f'#!/bin/sh\n{own}\nexec {shutil.which("make")} -o install "$@"\n')
        wrapper.chmod(0o755)
        unset = {"PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
        return {
            **{name: value for name, value in os.environ.items() if name not in unset},
            **self.server.environment(),
            "PATH": f"{wrapper.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY / "tests/support/colab"),
            "HOME": str(self.root),
            "IPYTHONDIR": str(self.root / "ipython"),
            "STAND_IN_PHOTOS": str(self.root / "photos"),
        }

    def run(self, name: str, **values: object) -> Any:
        """Run all cells on a new machine."""
        document = notebook(name, **{"REPOSITORY": str(self.root / "passo"), "TF": "cpu", **values})
        client = NotebookClient(document, timeout=600, kernel_name="python3")
        client.execute(cwd=str(self.root), env=self.environment())
        return document

    def git(self, machine: str, *arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=self.root / machine, capture_output=True, text=True, check=True).stdout

    def train(self, machine: str, **values: object) -> Any:
        form = {"PROJECT": "my-project", "BUCKET": "gs://My-Pets/", "DATASET": "pets", "STEPS": 4, "BATCH": 2}
        drive = {"SOURCE": str(self.root / "drive" / "photos.zip"), "USE_DRIVE": True}
        return self.run(NOTEBOOKS[0], FOLDER=str(self.root / machine), **{**form, **drive, **values})


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    root = tmp_path_factory.mktemp("colab")
    Project(root / "passo", SMALL)
    shutil.make_archive(str(root / "drive" / "photos"), "zip", tiny.dataset(root / "elsewhere", train=8, test=3))
    (root / "photos").mkdir()
    tiny.picture(root / "photos", 70)
    tiny.picture(root / "photos", 71)
    for label in (root / "photos").glob("*.xml"):
        label.unlink()
    with serve() as server:
        yield Runtime(root, server)


@pytest.fixture(scope="module")
def trained(runtime: Runtime) -> Any:
    """TPU_Train.ipynb, run to its end."""
    return runtime.train("first")


@pytest.mark.long
def test_tpu_train_runs_from_top_to_bottom(runtime: Runtime, trained: Any) -> None:
    assert "stand-in: signed in" in printed(trained, "sign-in")
    assert "gs://my-pets: created in US-CENTRAL1, project my-project" in printed(trained, "bucket")
    assert "dataset/pets: imported" in printed(trained, "data")
    assert "stand-in: TensorBoard, 600 pixels high" in printed(trained, "tensorboard")
    assert "test images, best at step 4 of 4" in printed(trained, "train")
    assert len(pictures(trained, "look")) == 3
    assert "objects are there and right" in printed(trained, "keep")
    assert "a-secret-token" not in nbformat.writes(trained)  # type: ignore[no-untyped-call]
    stored = runtime.server.read("my-pets")
    assert {name.split("/")[0] for name in stored} == {"dvc", "work"}
    assert (
        subprocess.run(["git", "status", "--porcelain"], cwd=runtime.root / "first", capture_output=True).stdout == b""
    )


@pytest.mark.long
def test_gpu_predict_draws_boxes_with_the_model_of_a_commit(runtime: Runtime, trained: Any) -> None:
    (commit,) = re.findall(r"make pull COMMIT=([0-9a-f]{40})$", printed(trained, "keep"), re.MULTILINE)
    folder = runtime.root / "other"
    document = runtime.run(NOTEBOOKS[1], BUCKET="my-pets", COMMIT=commit, FOLDER=str(folder))
    assert "objects are here and right" in printed(document, "model")
    assert "best at step 4 of 4" in printed(document, "model")
    assert len(pictures(document, "photos")) == 2
    assert runtime.git("other", "status", "--porcelain") == ""
    rows = (folder / "predictions" / "detections.csv").read_text().splitlines()[1:]
    assert {row.split(",")[0] for row in rows} == {"image70.jpg", "image71.jpg"}


@pytest.mark.long
def test_all_cells_again_on_another_machine_train_nothing_twice(runtime: Runtime, trained: Any) -> None:
    """After Colab has disconnected: its disk is gone, the bucket is not."""
    shutil.rmtree(runtime.root / "first")
    again = runtime.train("second")
    text = printed(again, "train")
    assert re.search(r"took step 4 from gs://my-pets/work/[0-9a-f]{16}", text)
    assert "step 1/4" not in text
    assert "test images, best at step 4 of 4" in text
    assert "gs://my-pets: created" not in printed(again, "bucket")


def test_a_failed_command_ends_the_notebook_with_its_message(runtime: Runtime) -> None:
    with pytest.raises(CellExecutionError) as caught:
        runtime.train("third", BUCKET="goog-pets")
    assert "error: BUCKET: 'goog-pets': Google reserves such names" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert not (runtime.root / "third" / "dataset" / "pets").exists()
    with pytest.raises(CellExecutionError, match=r"REPOSITORY: fatal: repository '.*nowhere' does not exist"):
        runtime.train("fourth", REPOSITORY=str(runtime.root / "nowhere"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_committed_without_outputs_and_opens_in_colab(name: str) -> None:
    document = notebook(name)
    nbformat.validate(document)  # type: ignore[no-untyped-call]
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    badge = f"https://colab.research.google.com/github/OWNER/passo/blob/main/notebooks/{name}"
    for file in (REPOSITORY / "README.md", REPOSITORY / "README.pt-BR.md"):
        assert badge in file.read_text(encoding="utf-8")
    assert badge in document.cells[0].source


# colab.run: a terminal for each command.


def run_in_child(code: str, cwd: Path) -> subprocess.Popen[str]:
    program = f"from tools import colab\ncolab.run({sys.executable!r}, '-c', {code!r})"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE
    )


WAITER = """
import signal, sys, time
def leave(number, frame):
    open('signal', 'w').write(signal.Signals(number).name)
    sys.exit(7)
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, leave)
print('ready', flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("sent", "arrives"), [(signal.SIGINT, "SIGINT"), (signal.SIGKILL, "SIGHUP")])
def test_a_stopped_cell_is_ctrl_c_and_a_dead_kernel_a_closed_terminal(
    sent: signal.Signals, arrives: str, tmp_path: Path
) -> None:
    process = run_in_child(WAITER, tmp_path)
    assert process.stdout
    while process.stdout.readline() != "ready\n":
        assert process.poll() is None
    process.send_signal(sent)
    process.wait(30)
    until = time.monotonic() + 30
    while not (tmp_path / "signal").exists() or not (tmp_path / "signal").read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (tmp_path / "signal").read_text() == arrives


def test_a_commands_output_is_complete_and_its_failure_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    colab.run("sh", "-c", "printf 'ção\\n'; test -t 0 && test -t 1 && test -t 2 && echo terminal >&2")
    assert capsys.readouterr().out.splitlines()[-2:] == ["ção", "terminal"]
    with pytest.raises(colab.Stopped, match=r"^sh -c 'exit 3' ended with 3: see above; nothing below was run$"):
        colab.run("sh", "-c", "exit 3")


def test_a_signed_address_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A notebook with its outputs is shared."""
    source = "SRC=https://me:hidden@host/photos.zip?X-Goog-Signature=hidden"
    with pytest.raises(colab.Stopped, match=r"^false SRC=https://host/photos\.zip NAME=pets ended with 1") as caught:
        colab.run("false", source, "NAME=pets")
    assert "hidden" not in capsys.readouterr().out + str(caught.value)


@pytest.mark.parametrize("source", ["me:hidden@host/a.zip", "https:me:hidden@host/a.zip", "https://me :hidden@host/a"])
def test_nor_is_one_that_is_mistyped(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(colab.Stopped) as caught:
        colab.run("false", f"SRC={source}")
    assert "hidden" not in capsys.readouterr().out + str(caught.value)


def test_what_a_command_leaves_behind_does_not_hold_the_cell(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    colab.run("sh", "-c", "setsid sleep 30 & printf '\\377 done'")
    assert capsys.readouterr().out.endswith("� done")
    assert time.monotonic() - began < 10


# colab.dataset: what it does, by what exists.


@pytest.mark.parametrize(
    ("existing", "command"),
    [
        ((), ["dataset", "SRC=photos.zip", "NAME=pets", "TF=cpu"]),
        (("pets",), ["dataset", "SRC=photos.zip", "NAME=pets", "TF=cpu"]),  # an interrupted import: make decides
        (("pets.dvc",), ["pull", "TF=cpu"]),  # a clone of a repository that has it
        (("pets", "pets.dvc"), None),
    ],
)
def test_a_dataset_is_imported_once(
    existing: tuple[str, ...],
    command: list[str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "make").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > made\n')
    (programs / "make").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    (tmp_path / "dataset").mkdir()
    for name in existing:
        (tmp_path / "dataset" / name).touch() if name.endswith(".dvc") else (tmp_path / "dataset" / name).mkdir()
    for key in ("user.name", "user.email"):
        subprocess.run(["git", "config", key, "a@example.com"], check=True)
    colab.dataset("photos.zip", "pets", "TF=cpu")
    assert ((tmp_path / "made").read_text().split("\n")[:-1] if command else None) == command
    message = "dataset/pets is already in git: SOURCE was ignored; for other photos, choose another DATASET\n"
    assert (message in capsys.readouterr().out) == ("pets.dvc" in existing)


def test_many_lines(capsys: pytest.CaptureFixture[str]) -> None:
    colab.run("seq", "100000")
    assert capsys.readouterr().out.splitlines()[1:] == [str(number) for number in range(1, 100001)]
