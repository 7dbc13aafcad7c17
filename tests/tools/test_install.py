"""tools/install.py on locks of one hand-made package, with the real pip and uv and no network."""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.support import disk, seconds
from tools import install

REPOSITORY = Path(__file__).resolve().parents[2]
INSTALLERS = ["pip", pytest.param("uv", marks=pytest.mark.skipif(not shutil.which("uv"), reason="uv is not installed"))]


def make_wheel(folder: Path, name: str) -> str:
    """A wheel of a package with one module; returns its pin, as a lock has it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "ANSWER = 42\n")
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return pin(path, name, "1.0")


def pin(path: Path, name: str, version: str) -> str:
    """A package's lines in a lock."""
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def make_setuptools(folder: Path, version: str, module: str = "") -> str:
    """A wheel of the setuptools that runs this test, or one that holds `module` alone; returns its pin."""
    path = folder / f"setuptools-{version}-py3-none-any.whl"
    info = f"setuptools-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        own = [] if module else [file for file in metadata.files("setuptools") or [] if ".dist-info" not in str(file)]
        for file in own:
            wheel.write(file.locate(), str(file))
        if module:
            wheel.writestr("setuptools/__init__.py", module)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: setuptools\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        entry_points = (metadata.distribution("setuptools").read_text("entry_points.txt") or "") if own else ""
        wheel.writestr(f"{info}/entry_points.txt", entry_points)
        wheel.writestr(f"{info}/RECORD", "")
    return pin(path, "setuptools", version)


def make_source(folder: Path, name: str) -> str:
    """A package that comes as source alone, and holds the version of the setuptools that built it; returns its pin."""
    path, setup = folder / f"{name}-1.0.tar.gz", folder / "setup.py"
    setup.write_text(
        "import setuptools\n"
        f"open('{name}.py', 'w').write(f'BUILT_BY = {{setuptools.__version__!r}}')\n"
        f"setuptools.setup(name='{name}', version='1.0', py_modules=['{name}'])\n"
    )
    with tarfile.open(path, "w:gz") as source:
        source.add(setup, f"{name}-1.0/setup.py")
    return pin(path, name, "1.0")


class Project:
    """A folder with tools/install.py, a lock, and wheels to install from."""

    def __init__(self, root: Path) -> None:
        # pip splits its list of places at spaces: the wheels are outside of `root`, whose path may have some.
        self.root, self.lock, self.wheels = root, root / "requirements" / "cpu.lock", root.parent / "wheels"
        for folder in ("tools", "requirements"):
            (root / folder).mkdir(parents=True)
        shutil.copy(REPOSITORY / "tools" / "install.py", root / "tools")
        self.pins = {name: make_wheel(self.wheels, name) for name in ("alpha", "beta")}
        self.write_lock("alpha")

    def write_lock(self, *names: str) -> None:
        self.lock.write_text("".join(self.pins[name] for name in names))

    def install(
        self,
        installer: str = "pip",
        python: str = sys.executable,
        *options: str,
        what: str = "--tf=cpu",
        **variables: str,
    ) -> tuple[int, str, str]:
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        offline |= {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(self.wheels), "UV_CACHE_DIR": str(self.wheels / "cache")}
        command = [python, "tools/install.py", what, f"--with={installer}", *options]
        environment = {**os.environ, **offline, **variables}
        result = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)
        return result.returncode, result.stdout, result.stderr

    def packages(self) -> set[str]:
        folders = (self.root / ".venv").glob("lib/python3*/site-packages/*.dist-info")
        return {folder.name.split("-")[0] for folder in folders} - {"pip", "setuptools"}


@pytest.mark.long
@pytest.mark.parametrize("installer", INSTALLERS)
def test_environment_equals_the_lock_and_nothing_is_installed_twice(installer: str, tmp_path: Path) -> None:
    project = Project(tmp_path / "a project")
    code, out, err = project.install(installer, PYTHONDONTWRITEBYTECODE="1")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith("Installing requirements/cpu.lock into .venv, for Python 3.")
    assert project.packages() == {"alpha"}
    assert list((project.root / ".venv").glob("lib/python3*/site-packages/alpha/__pycache__/__init__.*.pyc"))

    before = seconds.of_children()
    assert project.install(installer) == (0, "", "")
    assert seconds.of_children() - before < 1

    project.write_lock("beta")
    assert project.install(installer)[0] == 0
    assert project.packages() == {"beta"}  # what the lock no longer has is gone

    project.lock.with_name("openvino.lock").write_text(project.pins["alpha"])
    code, out, err = project.install(installer, sys.executable, "--add=openvino")
    assert (code, out.splitlines()[0], err) == (
        0,
        f"Installing requirements/openvino.lock into .venv, with {installer}",
        "",
    )
    assert project.packages() == {"alpha", "beta"}
    assert project.install(installer, sys.executable, "--add=openvino") == (0, "", "")


@pytest.mark.parametrize("installer", INSTALLERS)
@pytest.mark.long
def test_what_comes_as_source_is_built_by_the_setuptools_of_the_lock(installer: str, tmp_path: Path) -> None:
    """pip and uv would fetch the newest one, which nothing pins and no hash holds, and run it."""
    project, version = Project(tmp_path / "project"), metadata.version("setuptools")
    stranger = f"open({str(tmp_path / 'pwned')!r}, 'w')\n"
    make_setuptools(project.wheels, "999.0", stranger)
    project.pins["setuptools"] = make_setuptools(project.wheels, version)
    project.pins["gamma"] = make_source(project.wheels, "gamma")
    project.write_lock("alpha", "gamma", "setuptools")
    code, _, err = project.install(installer)
    assert (code, err) == (0, "")
    assert not (tmp_path / "pwned").exists()
    module = next((project.root / ".venv").glob("lib/python3*/site-packages/gamma.py"))
    assert module.read_text() == f"BUILT_BY = {version!r}"


@pytest.mark.long
def test_the_server_has_an_environment_of_its_own(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.lock.with_name("serve.lock").write_text(project.pins["beta"])
    code, out, err = project.install(what="--for=serve")
    assert (code, err) == (0, "")
    assert out.startswith("Installing requirements/serve.lock into .venv-serve, for Python 3.")
    assert list((project.root / ".venv-serve").glob("lib/python3*/site-packages/beta"))
    assert not (project.root / ".venv").exists()
    assert project.install(what="--for=serve") == (0, "", "")
    project.lock.with_name("serve.lock").write_text(project.pins["beta"].replace("sha256:", "sha256:0"))
    assert ", then run make serve again" in project.install(what="--for=serve")[2]


@pytest.mark.long
def test_settings_of_pip_that_would_install_others_or_elsewhere_count_for_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    (tmp_path / "constraint").write_text("alpha<1\n")
    lines = ["[global]", "user = true", f"constraint = {tmp_path / 'constraint'}", f"find-links = {project.wheels}"]
    lines += [
        "[install]",
        f"target = {tmp_path / 'target'}",
        "no-binary = :all:",
        "requirement = nothing",
    ]
    (tmp_path / "pip.conf").write_text("\n".join([*lines, ""]))
    own = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_FIND_LINKS": "", "PIP_ROOT": str(tmp_path / "target")}
    code, _, err = project.install(**own, PIP_CONSTRAINT=str(tmp_path / "constraint"), PIP_USER="1", PYTHONSAFEPATH="1")
    assert (code, err) == (0, "")
    assert project.packages() == {"alpha"}
    assert not (tmp_path / "target").exists()


@pytest.mark.skipif(not shutil.which("uv"), reason="uv is not installed")
def test_settings_of_uv_that_would_install_others_count_for_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    (tmp_path / "constraint").write_text("alpha<1\n")
    constraint = dict.fromkeys(("UV_CONSTRAINT", "UV_OVERRIDE", "UV_BUILD_CONSTRAINT"), str(tmp_path / "constraint"))
    code, _, err = project.install("uv", **constraint, UV_NO_BINARY="1", UV_SYSTEM_PYTHON="1", UV_PYTHON="3.8")
    assert (code, err) == (0, "")
    assert project.packages() == {"alpha"}


@pytest.mark.long
def test_a_setting_of_pip_that_may_be_the_reason_is_named(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://user:secret@127.0.0.1:9/simple\n")
    own = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_FIND_LINKS": "", "PIP_NO_INDEX": "", "PIP_RETRIES": "0"}
    code, _, err = project.install(**own)
    last = err.splitlines()[-1]
    assert code == 2
    assert "see above (network, disk, " in last and "PIP_INDEX_URL, PIP_RETRIES?), then run make install again" in last
    assert "secret" not in err


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A Python without ensurepip but with pip, as Colab and a bare Debian have it: arguments for `Project.install`."""
    folder = tmp_path_factory.mktemp("colab")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "host")], check=True)
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n")
    return {"python": str(folder / "host" / "bin" / "python"), "PYTHONPATH": str(folder)}


def test_a_python_without_ensurepip_lends_its_own_pip(tmp_path: Path, colab: dict[str, str]) -> None:
    project = Project(tmp_path / "project")
    code, _, err = project.install(**colab)
    assert (code, err) == (0, "")
    assert project.packages() == {"alpha"}
    assert not (project.root / ".venv" / "bin" / "pip").exists()


def test_venv_may_be_a_link_to_a_folder_on_a_larger_disk(tmp_path: Path, colab: dict[str, str]) -> None:
    project = Project(tmp_path / "project")
    (tmp_path / "disk").mkdir()
    (project.root / ".venv").symlink_to(tmp_path / "disk/venv")
    for names in (["alpha"], ["alpha", "beta"]):  # the folder is not there yet, then it is
        project.write_lock(*names)
        code, _, err = project.install(**colab)
        assert (code, err) == (0, "")
        assert project.packages() == set(names)
    assert (project.root / ".venv").is_symlink()
    assert (tmp_path / "disk/venv/installed").is_file()


def test_a_link_to_another_environment_is_no_reason_to_empty_that(tmp_path: Path, colab: dict[str, str]) -> None:
    project, other = Project(tmp_path / "project"), tmp_path / "other"
    (other / "bin").mkdir(parents=True)
    (other / "pyvenv.cfg").touch()
    (project.root / ".venv").symlink_to(other)
    code, _, err = project.install(**colab)
    assert (code, err.count("\n")) == (2, 1)
    assert f"/.venv: is a link to {other}, an environment that this project has not made; its packages would be" in err
    assert {path.name for path in other.iterdir()} == {"bin", "pyvenv.cfg"}
    (other / "installed").write_text("of another path\n")  # by Passo, for another clone
    (other / "project").write_text(str(tmp_path))
    code, _, err = project.install(**colab)
    assert code == 2 and f"/.venv: is a link to {other}, the environment of the project in {tmp_path}; its" in err
    assert {path.name for path in other.iterdir()} == {"bin", "pyvenv.cfg", "installed", "project"}


def test_an_interrupted_installation_behind_a_link_is_repeated(tmp_path: Path, colab: dict[str, str]) -> None:
    project = Project(tmp_path / "project")
    (project.root / ".venv").symlink_to(tmp_path / "venv")
    good = project.lock.read_text()
    project.lock.write_text("alpha==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    assert project.install(**colab)[0] == 2
    project.lock.write_text(good)
    assert project.install(**colab)[0] == 0
    assert project.packages() == {"alpha"}


def test_a_fingerprint_that_is_no_text(tmp_path: Path, colab: dict[str, str]) -> None:
    project = Project(tmp_path / "project")
    assert project.install(**colab)[0] == 0
    (project.root / ".venv/installed").write_bytes(b"\xff\xfe\x80")
    assert project.install(**colab)[0] == 0


def test_an_interrupted_installation_is_repeated(tmp_path: Path, colab: dict[str, str]) -> None:
    project = Project(tmp_path / "project")
    assert project.install(**colab)[0] == 0
    module = next((project.root / ".venv").glob("lib/python3*/site-packages/alpha/__init__.py"))
    module.unlink()
    (project.root / ".venv" / "installed").unlink()
    assert project.install(**colab)[0] == 0
    assert module.read_text() == "ANSWER = 42\n"


def test_a_package_that_is_gone_is_installed_again(tmp_path: Path, colab: dict[str, str]) -> None:
    project = Project(tmp_path / "project")
    assert project.install(**colab)[0] == 0
    package = next((project.root / ".venv").glob("lib/python3*/site-packages/alpha"))
    (package.parent / "mine.py").write_text("")  # what a user adds is no reason
    assert project.install(**colab) == (0, "", "")
    shutil.rmtree(package)
    assert project.install(**colab)[0] == 0
    assert (package / "__init__.py").read_text() == "ANSWER = 42\n"


@pytest.mark.long
def test_after_a_kill_the_next_one_waits_for_its_orphan(tmp_path: Path) -> None:
    """Which would go on writing to the .venv that is just being emptied."""
    project = Project(tmp_path / "project")
    process = subprocess.Popen(
        [sys.executable, "-u", "tools/install.py", "--tf=cpu", "--with=pip"],
        cwd=project.root, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline().startswith("Installing")
    while not (project.root / ".venv" / "bin").exists():
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=30)
    handle = os.open(project.root, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(handle)
    assert project.install()[::2] == (0, "")
    assert project.packages() == {"alpha"}


@pytest.mark.parametrize("place", [".", ".venv"])
def test_a_disk_that_can_only_be_read_is_one_line(place: str, tmp_path: Path, colab: dict[str, str]) -> None:
    project = Project(tmp_path / "project")
    assert project.install(**colab)[0] == 0
    project.write_lock("beta")
    with disk.read_only(project.root / place):
        code, _, err = project.install(**colab)
    assert code == 2
    assert err.startswith("error: ") and err.count("\n") == 1


def test_ctrl_c_leaves_no_fingerprint(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    process = subprocess.Popen(
        [sys.executable, "-u", "tools/install.py", "--tf=cpu", "--with=pip"],
        cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline().startswith("Installing")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "interrupted; make install starts again from scratch\n"
    assert not (project.root / ".venv" / "installed").exists()


def test_a_moved_project_is_installed_again(tmp_path: Path, colab: dict[str, str]) -> None:
    """The scripts in .venv/bin, `dvc` among them, begin with the path of .venv."""
    project = Project(tmp_path / "old")
    assert project.install(**colab)[0] == 0
    project.root = project.root.rename(tmp_path / "new")
    assert "Installing" in project.install(**colab)[1]
    assert str(tmp_path / "new") in (project.root / ".venv" / "pyvenv.cfg").read_text()


@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_wrong_hash_shows_the_installers_words_and_what_to_do(installer: str, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.lock.write_text("alpha==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    code, _, err = project.install(installer)
    assert code == 2
    assert "hash" in err.lower()
    assert "run make install again" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (project.root / ".venv" / "installed").exists()


def test_a_folder_that_is_not_an_environment_is_left_alone(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    (project.root / ".venv").mkdir()
    (project.root / ".venv" / "thesis.txt").write_text("mine")
    code, _, err = project.install()
    assert code == 2
    assert "not a virtual environment" in err
    assert (project.root / ".venv" / "thesis.txt").read_text() == "mine"


def test_a_full_disk_is_reported_before_anything_is_installed(tmp_path: Path) -> None:
    with disk.small(tmp_path / "disk", "8m") as small:
        project = Project(small / "project")
        code, out, err = project.install()
        assert (code, out) == (2, "")
        assert "the packages need 2.6 GB of disk, 0.0 GB are free" in err
        assert not (project.root / ".venv").exists()


def fake_command(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("nvidia_smi", "variables", "tf"),
    [
        (None, {}, "cpu"),
        ("echo 'GPU 0: Tesla T4 (UUID: GPU-1)'", {}, "gpu"),
        ("echo 'NVIDIA-SMI has failed: no driver'; exit 9", {}, "cpu"),
        ("echo 'No devices were found'", {}, "cpu"),
        (None, {"TPU_ACCELERATOR_TYPE": "v5e-1"}, "tpu"),
        (None, {"COLAB_TPU_1VM": ""}, "cpu"),  # Colab sets it, empty, on its other machines
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GPU and TPU builds exist for Linux only")
def test_the_machine_decides_the_lock(
    nvidia_smi: str | None, variables: dict[str, str], tf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    if nvidia_smi:
        fake_command(tmp_path / "bin", "nvidia-smi", nvidia_smi)
    for name in ("TPU_ACCELERATOR_TYPE", "COLAB_TPU_1VM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert install.pick_tf() == tf


def test_an_old_python_is_refused_and_a_newer_one_on_path_is_used(tmp_path: Path) -> None:
    """python3 is a 3.8; then there is a python3.12 beside it, under which git is missing."""
    project, folder = Project(tmp_path / "project"), tmp_path / "bin"
    old = "sys.version_info = (3, 8, 18); del sys.argv[0]; runpy.run_path(sys.argv[0], None, '__main__')"
    fake_command(folder, "python3", f'exec {sys.executable} -c "import runpy, sys; {old}" "$@"')
    code, out, err = project.install(python=str(folder / "python3"), PATH=str(folder))
    assert (code, out) == (2, "")
    assert "Python 3.8.18 is not 3.11, 3.12 or 3.13; install one of them, or name it: PYTHON=python3.12 make" in err

    fake_command(folder, "python3.12", f'exec {sys.executable} "$@"')
    code, _, err = project.install(python=str(folder / "python3"), PATH=str(folder))
    assert code == 2
    assert err == "error: git: not found on PATH; install it: DVC needs it\n"
    assert not (project.root / ".venv").exists()


def test_every_lock_pins_and_hashes_and_names_no_index() -> None:
    for name, least in (("cpu", 150), ("gpu", 150), ("tpu", 150), ("serve", 20)):
        lines = (REPOSITORY / "requirements" / f"{name}.lock").read_text().splitlines()
        pins = [i for i, line in enumerate(lines) if line and line[0] not in " #"]
        assert len(pins) > least
        assert all("==" in lines[i] and "--hash=sha256:" in lines[i + 1] for i in pins)
        assert not [line for line in lines if "://" in line or line.startswith("-")]


def test_the_server_has_the_versions_of_the_others_and_no_tensorflow() -> None:
    pins = [
        dict(re.findall(r"(?m)^([\w-]+)==(\S+)", (REPOSITORY / "requirements" / f"{name}.lock").read_text()))
        for name in ("cpu", "serve")
    ]
    assert {name: pins[0].get(name, version) for name, version in pins[1].items()} == pins[1]
    assert not [name for name in pins[1] if "tensorflow" in name or name in ("dvc", "pandas")]


@pytest.mark.slow
@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_fresh_clone_installs_every_package(installer: str, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(tmp_path / "clone")], check=True)
    subprocess.run(["make", "install", "TF=cpu", f"INSTALLER={installer}"], cwd=tmp_path / "clone", check=True)
    code = "import tensorflow, tf_keras, lxml, dvc; print(tensorflow.__version__)"
    python = tmp_path / "clone" / ".venv" / "bin" / "python"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}
    out = subprocess.run([str(python), "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    assert out == "2.20.0\n"
