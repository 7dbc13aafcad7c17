"""The machine and the environment: Python, disk, memory, accelerator, packages. TensorFlow is never imported."""

import functools
import math
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

from detector.base import errors, paths
from detector.base.errors import UserError
from detector.checkpointing import mirror
from detector.data.params import DatasetParams
from detector.model import pipeline_config
from detector.scene.params import SampleParams
from detector.training import accelerators
from detector.training.params import TrainParams
from tools import install
from tools.checks.lines import Line, error, note, ok
from tools.cloud import dvc_config

GB = 1e9
AGAIN = "run: rm -f .venv/installed && make install"  # without the first command, make install finds nothing to do
DEV, CGROUP = Path("/dev"), Path("/sys/fs/cgroup")

# Measured on a CPU with two classes: 56 MB with Adam's moments, 18 MB without; DVC's cache holds the results, too.
CHECKPOINT_BYTES, RESULTS_BYTES = 60e6, 300e6
DRAWN_BYTES = 35e3  # of an image of dataset/sample, with its XML
# Of a training on a CPU, the latter times the batch: 1.5 GB with 4, 3.2 with 16, 4.8 with 32 of 300x300.
MEMORY_BYTES, MEMORY_BYTES_PER_PIXEL = 1e9, 1400


def python() -> Iterator[Line]:
    """The interpreter against pyproject.toml."""
    allowed = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    version = ".".join(map(str, sys.version_info[:3]))
    if SpecifierSet(allowed).contains(version):
        yield ok(f"python {version}")
    else:
        yield error(f"python {version} is not {allowed}", "run: make install PYTHON=python3.12 (or another that is)")


def disk(train: TrainParams, dataset: DatasetParams, sample: SampleParams) -> Iterator[Line]:
    """Free space where the environment goes, where results go, in DVC's cache, and where checkpoints go."""
    if not install.VENV.exists():
        needed = install.DISK_GB[accelerators.build() or "cpu"] * GB
        yield _space(Path(), needed, "the environment", "free some: df -h .")
    drawn = (sample.train_images + sample.test_images) * DRAWN_BYTES
    images = _size(paths.DATA) or _size(Path(dataset.dir)) or drawn
    yield _space(Path(), RESULTS_BYTES + 2 * images, "records, model and results", "free some: dvc gc --workspace")
    cache = dvc_config.cache() if dvc_config.DVC_DIR.is_dir() else Path()
    if existing(cache).stat().st_dev != Path().stat().st_dev:
        yield _space(cache, RESULTS_BYTES / 2 + images, f"DVC's cache in {cache}", "free some: dvc gc --workspace")
    place, count = mirror.local_root(train.work_dir), train.keep + 1  # an old one is removed after a new one is written
    what = f"{count} checkpoints in {place}"
    yield _space(Path(place), count * CHECKPOINT_BYTES, what, "run: dvc exp run -S train.keep=1")


def _space(place: Path, needed: float, what: str, remedy: str) -> Line:
    free = shutil.disk_usage(existing(place)).free
    text = f"disk: {_gb(free)} free, about {_gb(needed)} needed for {what}"
    return error(text, remedy) if free < needed else ok(text)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def _size(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())


def _gb(size: float) -> str:
    return f"{size / GB:.1f} GB"


def memory(train: TrainParams) -> Iterator[Line]:
    """What the machine and its container have left, against what a training on the CPU takes."""
    import psutil

    free = min(psutil.virtual_memory().available, *_container_memory())
    needed, side = MEMORY_BYTES, pipeline_config.TEMPLATES[train.model][1]
    if accelerator(train.accelerator) == "cpu":
        needed += MEMORY_BYTES_PER_PIXEL * side**2 * train.batch_size
    if free < needed:
        what = f"memory: {_gb(free)} free, a batch of {train.batch_size} needs about {_gb(needed)}"
        yield note(what, "if training is killed: make train BATCH=8, or another machine")
    else:
        yield ok(f"memory: {_gb(free)} free, training needs about {_gb(needed)}")


def _container_memory() -> Iterator[float]:
    """What a container leaves free, by either version of cgroups; psutil knows the machine only."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        if (CGROUP / limit).exists() and (CGROUP / limit).read_text().strip().isdecimal():
            yield int((CGROUP / limit).read_text()) - int((CGROUP / used).read_text())
    yield math.inf


@functools.cache
def gpus() -> int:
    """How many NVIDIA GPUs a program may use."""
    listed = install.answer("nvidia-smi", "-L").splitlines()
    count = sum(line.startswith("GPU ") for line in listed)
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return count if chosen is None else min(count, len([name for name in chosen.split(",") if name not in ("", "-1")]))


def tpus() -> int:
    """How many TPU chips there are by their device files; 1 where these are missing and `install` finds a TPU."""
    chips = len(list(DEV.glob("accel[0-9]*")))
    return chips or (max(1, len(list(DEV.glob("vfio/[0-9]*")))) if install.has_tpu() else 0)


def _usable_gpus() -> int:
    """As many as the installed TensorFlow would see."""
    return gpus() if accelerators.build() == "gpu" else 0


def accelerator(wanted: str) -> str:
    """What training would run on: `tpu`, `gpu` or `cpu`; the latter, too, where `hardware` reports an error."""
    try:
        return accelerators.choose(wanted, _usable_gpus)
    except UserError:
        return "cpu"


def hardware(train: TrainParams) -> Iterator[Line]:
    """`train.accelerator` against the installed TensorFlow and what is attached: what training would fail of."""
    if build := accelerators.build():
        yield ok(f"accelerator: {accelerators.choose(train.accelerator, _usable_gpus)}, TensorFlow's {build} build")
    else:
        yield error("TensorFlow is not installed", AGAIN)


def unused_hardware() -> Iterator[Line]:
    """What is attached and not used by the installed TensorFlow; or the other way round."""
    build = accelerators.build()
    if build != "tpu" and tpus():
        yield note(f"a TPU is attached, TensorFlow's {build} build does not use it", "run: make install TF=tpu")
    elif build == "tpu" and not tpus():
        yield note("TensorFlow's TPU build is installed, but no TPU is found", "run: make install TF=auto")
    elif build == "cpu" and gpus():
        yield note(f"{gpus()} NVIDIA GPU, TensorFlow's cpu build does not use it", "run: make install TF=gpu")


def packages() -> Iterator[Line]:
    """What is installed against the lock that it should come from."""
    from packaging.requirements import Requirement

    lock = Path("requirements") / f"{accelerators.build() or 'cpu'}.lock"
    pins = re.findall(r"^([a-z0-9][^\\\n]*==[^\\\n]*)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    needed = [pin for pin in map(Requirement, pins) if not pin.marker or pin.marker.evaluate()]
    versions = {pin.name: _version(pin.name) for pin in needed}
    missing = [str(pin) for pin in needed if not versions[pin.name]]
    others = [
        f"{pin.name} {versions[pin.name]} ({pin.specifier})"
        for pin in needed
        if versions[pin.name] and not pin.specifier.contains(versions[pin.name], prereleases=True)
    ]
    if missing:
        yield error(f"packages of {lock} that are missing: {errors.few(missing)}", AGAIN)
    if others:
        yield note(f"packages with another version than {lock} has: {errors.few(others)}", AGAIN)
    if not missing and not others:
        yield ok(f"packages: {len(needed)}, as in {lock}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
