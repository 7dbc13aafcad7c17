"""Both notebooks, in both languages, from top to bottom; kept nowhere, in Drive, in a bucket.

Each cell runs in a real kernel, with a stand-in for google.colab, a folder as Drive, and our own bucket. The form is
filled in as a user does. `make install` is left out; `make` does all else. Only the first notebook trains: the others
find its checkpoint, and what DVC has cached of it.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.support import tiny, web
from tests.support.gcs_server import Server, serve
from tests.support.project import Project
from tests.support.stage import REPOSITORY
from tools import colab
from tools.notebooks import copies, places

NOTEBOOKS = ("TPU_Train.ipynb", "GPU_Predict.ipynb")
LANGUAGES = ("", "pt-BR/")
FORM = re.compile(r"^([A-Z_]+) = (.*?)(?=  # @param)", re.MULTILINE)
SMALL = {
    "dataset.dir": "dataset/sample",
    "sample.train_images": "4",
    "sample.test_images": "2",
    "train.eval_every": "4",
    "evaluate.pictures": "3",
    "predict.score_threshold": "0.001",
}
# A new clone gets the packages; where SHARED is a clone, all of its results that DVC has cached, but of the stages in
# SHARED_NOT.
MAKE = r"""#!/bin/sh
if [ ! -e .venv ]; then
    ln -s {prefix} .venv
    if [ "$SHARED" ]; then
        cp -r "$SHARED/.dvc/cache" .dvc/
        for stage in $SHARED_NOT; do
            grep -rlZ "cmd: python -m stages.$stage\$" .dvc/cache/runs | xargs -0 dirname -z | xargs -0 rm -rf
        done
    fi
fi
exec {make} -o install "$@"
"""
OF_A_LANGUAGE = ("#", 'LANGUAGE = "')  # how lines begin that differ
SOURCE = "https://github.com/me/passo"  # where the notebooks were opened from
pytestmark = pytest.mark.timeout(900)


def notebook(name: str, **values: object) -> Any:
    """A notebook whose form has these values."""
    document = nbformat.read(REPOSITORY / "notebooks" / name, as_version=4)  # type: ignore[no-untyped-call]
    (form,) = (cell for cell in document.cells if cell.id == "settings")
    assert values.keys() <= {key for key, _ in FORM.findall(form.source)}
    form.source = FORM.sub(lambda it: f"{it[1]} = {values[it[1]]!r}" if it[1] in values else it[0], form.source)
    return document


def cell(document: Any, name: str) -> Any:
    (match,) = (each for each in document.cells if each.id == name)
    return match


def printed(document: Any, name: str) -> str:
    """What a cell has printed."""
    return "".join(output.text for output in cell(document, name).outputs if output.output_type == "stream")


def pictures(document: Any, name: str) -> list[str]:
    """The pictures that a cell shows, base64."""
    return [
        output.data["image/jpeg"] for output in cell(document, name).outputs if output.output_type == "display_data"
    ]


@dataclass(frozen=True)
class Runtime:
    """Machines of Colab: one bucket, one repository to clone, a Drive with photos.zip, photos to upload."""

    root: Path
    server: Server
    jupyter: web.Web

    def environment(self, shared: str, shared_not: str, uploads: str) -> dict[str, str]:
        """Environment of the kernel; its `make` installs nothing."""
        wrapper = self.root / "programs" / "make"
        wrapper.parent.mkdir(exist_ok=True)
        wrapper.write_text(MAKE.format(prefix=sys.prefix, make=shutil.which("make")))
        wrapper.chmod(0o755)
        unset = {"PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
        address, _, port = self.jupyter.url.removeprefix("http://").partition(":")
        return {
            **{name: value for name, value in os.environ.items() if name not in unset},
            **self.server.environment(),
            "PATH": f"{wrapper.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY / "tests/support/colab"),
            "HOME": str(self.root),
            "IPYTHONDIR": str(self.root / "ipython"),
            "STAND_IN_UPLOADS": uploads,
            "COLAB_JUPYTER_IP": address,
            "KMP_TARGET_PORT": port,
            "SHARED": str(self.root / shared) if shared else "",
            "SHARED_NOT": shared_not,
        }

    def run(
        self,
        name: str,
        shared: str = "",
        shared_not: str = "",
        uploads: str = "photos",
        **values: object,
    ) -> Any:
        """Run all cells on a new machine.

        Args:
            shared: the machine whose results it finds, if any; without those of the stages in `shared_not`.
            uploads: the folders that are chosen, one after the other.
        """
        document = notebook(name, **{"TF": "cpu", **values})
        drive = f"from tools.notebooks import places\nplaces.MY_DRIVE = Path({str(self.root / 'drive')!r})"
        cell(document, "get").source += f"\n{drive}"
        client = NotebookClient(document, timeout=600, kernel_name="python3")
        folders = os.pathsep.join(str(self.root / folder) for folder in uploads.split())
        environment = self.environment(shared, shared_not, folders)
        client.execute(cwd=str(self.root), env=environment)
        return document

    def git(self, machine: str, *arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=self.root / machine, capture_output=True, text=True, check=True).stdout

    def train(self, machine: str, language: str = "", **values: object) -> Any:
        form = {"DATASET": "pets", "STEPS": 4, "BATCH": 2, "SOURCE": str(self.root / "drive" / "photos.zip")}
        return self.run(f"{language}{NOTEBOOKS[0]}", FOLDER=str(self.root / machine), **{**form, **values})

    def predict(self, machine: str, language: str = "", **values: object) -> Any:
        return self.run(f"{language}{NOTEBOOKS[1]}", FOLDER=str(self.root / machine), **{"DATASET": "pets", **values})

    @property
    def drive(self) -> dict[str, object]:
        """The form of who uses Drive."""
        return {"USE_DRIVE": True, "DRIVE_FOLDER": str(self.root / "drive" / "passo")}


BUCKET = {"PROJECT": "my-project", "BUCKET": "gs://My-Pets/"}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    root = tmp_path_factory.mktemp("colab")
    project = Project(root / "passo", SMALL)
    (root / ".gitconfig").write_text(f'[url "{project.root}"]\n\tinsteadOf = {SOURCE}\n')
    shutil.make_archive(str(root / "drive" / "photos"), "zip", tiny.dataset(root / "elsewhere", train=8, test=3))
    (root / "photos").mkdir()
    for number, name in ((70, "IMG_70.JPG"), (71, "image71.jpeg")):
        tiny.picture(root / "photos", number)
        (root / "photos" / f"image{number}.jpg").rename(root / "photos" / name)
        (root / "photos" / f"image{number}.xml").unlink()
    with serve() as server, web.serve() as jupyter:
        path = f"fileId={SOURCE.replace(':', '%3A')}/blob/main/notebooks/TPU_Train.ipynb"
        jupyter.files["/api/sessions"] = json.dumps([{"name": "TPU_Train.ipynb", "path": path}]).encode()
        yield Runtime(root, server, jupyter)


@pytest.fixture(scope="module")
def trained(runtime: Runtime) -> Any:
    """TPU_Train.ipynb with a bucket, and photos from Drive, run to its end: the one that trains."""
    return runtime.train("first", **BUCKET, USE_DRIVE=True)


def check_trained(runtime: Runtime, machine: str, document: Any) -> None:
    """What is the same wherever a training is kept."""
    assert re.search(r"^Passo at commit [0-9a-f]{40}$", printed(document, "place"), re.MULTILINE)
    assert "dataset/pets: imported" in printed(document, "data")
    assert "this runtime has a CPU: 4 steps of 2 photos" in printed(document, "data")
    assert "stand-in: TensorBoard, 600 pixels high" in printed(document, "tensorboard")
    assert "test images, best at step 4 of 4" in printed(document, "train")
    assert len(pictures(document, "look")) == 3
    (report,) = cell(document, "report").outputs
    assert '<iframe srcdoc="&lt;!' in report.data["text/html"]
    assert re.search(r"stand-in: downloaded kept/model-\w{8}\.zip, \d{8} bytes", printed(document, "download"))
    assert "a-secret-token" not in nbformat.writes(document)  # type: ignore[no-untyped-call]
    assert runtime.git(machine, "status", "--porcelain") == ""


def check_predicted(runtime: Runtime, machine: str, document: Any) -> None:
    assert len(pictures(document, "samples")) == 3
    assert len(pictures(document, "photos")) == 2
    assert runtime.git(machine, "status", "--porcelain") == ""
    rows = (runtime.root / machine / "predictions" / "detections.csv").read_text().splitlines()[1:]
    assert {row.split(",")[0] for row in rows} == {"IMG_70.JPG", "image71.jpeg"}


@pytest.mark.long
def test_tpu_train_with_a_bucket(runtime: Runtime, trained: Any) -> None:
    check_trained(runtime, "first", trained)
    assert "stand-in: signed in" in printed(trained, "place")
    assert "gs://my-pets: created in US-CENTRAL1, project my-project" in printed(trained, "place")
    assert "objects are there and right" in printed(trained, "keep")
    stored = runtime.server.read("my-pets")
    assert {name.split("/")[0] for name in stored} == {"dvc", "work"}


@pytest.mark.long
@pytest.mark.parametrize("language", LANGUAGES)
def test_gpu_predict_with_the_model_of_a_commit(language: str, runtime: Runtime, trained: Any) -> None:
    (bucket, commit) = re.findall(r"BUCKET ([\w-]+), COMMIT ([0-9a-f]{40})$", printed(trained, "keep"), re.MULTILINE)[0]
    machine = f"bucket{len(language)}"
    document = runtime.predict(machine, language, BUCKET=bucket, COMMIT=commit)
    assert "objects are here and right" in printed(document, "model")
    assert "best at step 4 of 4" in printed(document, "model")
    check_predicted(runtime, machine, document)


@pytest.mark.long
def test_after_a_disconnect_training_resumes_from_the_bucket(runtime: Runtime, trained: Any) -> None:
    """The disk is gone, the bucket is not; in Portuguese."""
    again = runtime.train("second", "pt-BR/", **BUCKET, shared="first", shared_not="train_tpu")
    text = printed(again, "train")
    assert re.search(r"took step 4 from gs://my-pets/work/[0-9a-f]{16}", text)
    assert "step 1/4" not in text
    assert "gs://my-pets: created" not in printed(again, "place")
    check_trained(runtime, "second", again)


@pytest.fixture(scope="module")
def in_drive(runtime: Runtime, trained: Any) -> Any:
    """The Portuguese TPU_Train.ipynb with Drive, where a runtime that was lost has left its checkpoint."""
    (runtime.root / "drive" / "passo" / "pets").mkdir(parents=True)
    with contextlib.chdir(runtime.root / "first"):
        copies.save(places.LOCAL, runtime.root / "drive" / "passo" / "pets")
    return runtime.train("third", "pt-BR/", **runtime.drive, shared="first", shared_not="pretrained train_tpu")


@pytest.mark.long
def test_after_a_disconnect_training_resumes_from_drive(runtime: Runtime, in_drive: Any) -> None:
    assert re.search(r"took step 4 from .*/drive/passo/pets/work/[0-9a-f]{16}", printed(in_drive, "place"))
    assert "stand-in: signed in" not in printed(in_drive, "place")
    text = printed(in_drive, "train")
    assert re.search(r"resumes from step 4 of 4 in \.work/[0-9a-f]{16}", text)
    assert "Running stage 'pretrained'" not in text  # another processor might give other weights
    check_trained(runtime, "third", in_drive)
    (kept,) = re.findall(r"^kept: (.*/drive/passo/pets/model-\w{8}\.zip)$", printed(in_drive, "keep"), re.MULTILINE)
    assert Path(kept).read_bytes() == (runtime.root / "third" / "kept" / Path(kept).name).read_bytes()


@pytest.mark.long
def test_gpu_predict_with_the_model_in_drive(runtime: Runtime, in_drive: Any) -> None:
    document = runtime.predict("fourth", "pt-BR/", **runtime.drive)
    assert "the newest of 1 model:" in printed(document, "model")
    check_predicted(runtime, "fourth", document)


@pytest.fixture(scope="module")
def kept_nowhere(runtime: Runtime, in_drive: Any) -> Any:
    """TPU_Train.ipynb with neither, which trains as one with Drive does."""
    return runtime.train("fifth", shared="third")


@pytest.mark.long
def test_tpu_train_with_nothing(runtime: Runtime, kept_nowhere: Any) -> None:
    check_trained(runtime, "fifth", kept_nowhere)
    assert "the training is lost" in printed(kept_nowhere, "place")
    assert "is lost with this runtime" in printed(kept_nowhere, "keep")
    assert "stand-in: signed in" not in nbformat.writes(kept_nowhere)  # type: ignore[no-untyped-call]
    assert "stand-in: mounted" not in nbformat.writes(kept_nowhere)  # type: ignore[no-untyped-call]


@pytest.mark.long
def test_gpu_predict_with_the_zip_that_was_downloaded(runtime: Runtime, kept_nowhere: Any) -> None:
    document = runtime.predict("sixth", uploads="fifth/kept photos")
    check_predicted(runtime, "sixth", document)


def test_a_failed_command_ends_the_notebook_with_its_message(runtime: Runtime) -> None:
    with pytest.raises(CellExecutionError) as caught:
        runtime.train("seventh", PROJECT="my-project", BUCKET="goog-pets")
    assert "error: BUCKET: 'goog-pets': Google reserves such names" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert not (runtime.root / "seventh" / "dataset" / "pets").exists()
    with pytest.raises(CellExecutionError, match=r"REPOSITORY: fatal: repository '.*nowhere' does not exist"):
        runtime.train("eighth", REPOSITORY=str(runtime.root / "nowhere"))


def test_a_notebook_that_is_not_from_github_asks_for_the_repository(runtime: Runtime) -> None:
    """A copy in Drive, say."""
    sessions = runtime.jupyter.files["/api/sessions"]
    runtime.jupyter.files["/api/sessions"] = b'[{"name": "TPU_Train.ipynb", "path": "fileId=1aB2"}]'
    with pytest.raises(CellExecutionError, match="REPOSITORY: Colab does not say where this notebook is from; fill in"):
        runtime.train("ninth")
    runtime.jupyter.files["/api/sessions"] = sessions


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/blob/main/notebooks/TPU_Train.ipynb", ["--branch=main", "--", SOURCE]),
        ("/blob/try/more-steps/notebooks/pt-BR/TPU_Train.ipynb", ["--branch=try/more-steps", "--", SOURCE]),
        (f"/blob/{'0a' * 20}/notebooks/TPU_Train.ipynb", ["--", SOURCE]),  # a commit, which git clone does not take
        ("", ["--", SOURCE]),
        (None, []),
    ],
)
def test_the_branch_that_a_notebook_was_opened_from_is_cloned(
    path: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function of its cell, with a server that answers as Colab's own Jupyter."""
    names: dict[str, Any] = {}
    exec(cell(notebook(NOTEBOOKS[0]), "get").source.partition("\nHERE = ")[0], names)  # noqa: S102
    with web.serve() as jupyter:
        address, _, port = jupyter.url.removeprefix("http://").partition(":")
        monkeypatch.setenv("COLAB_JUPYTER_IP", address)
        monkeypatch.setenv("KMP_TARGET_PORT", port)
        opened = "1aB2" if path is None else urllib.parse.quote(f"{SOURCE}{path}", safe="")
        jupyter.files["/api/sessions"] = json.dumps([{"path": f"fileId={opened}", "name": "a"}]).encode()
        assert names["opened_from"]() == expected


@pytest.mark.parametrize("name", [f"{language}{name}" for language in LANGUAGES for name in NOTEBOOKS])
def test_a_notebook_is_committed_without_outputs_and_in_one_form(name: str) -> None:
    document = notebook(name)
    nbformat.validate(document)  # type: ignore[no-untyped-call]
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    content = (REPOSITORY / "notebooks" / name).read_text(encoding="utf-8")
    assert content == nbformat.writes(document) + "\n"  # type: ignore[no-untyped-call]
    assert "OWNER" not in content


def code_of(name: str) -> list[tuple[str, str, list[str]]]:
    """Each cell: its id, its type, and of a code cell the lines that are no comments, nor name its language."""
    return [
        (
            cell.id,
            cell.cell_type,
            [
                line
                for line in cell.source.splitlines()
                if cell.cell_type == "code" and not line.startswith(OF_A_LANGUAGE)
            ],
        )
        for cell in notebook(name).cells
    ]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_both_languages_have_the_same_code(name: str) -> None:
    assert code_of(name) == code_of(f"pt-BR/{name}")
    tables = [[cell.source.count("|") for cell in notebook(f"{language}{name}").cells] for language in LANGUAGES]
    assert tables[0] == tables[1]


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
