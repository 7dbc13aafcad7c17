"""The machine and the environment: Python, disk, memory, accelerator, packages. TensorFlow is never imported."""

import functools
import importlib.util
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.specifiers import SpecifierSet

from detector.base import paths
from detector.checkpointing import mirror
from detector.data.params import DatasetParams
from detector.model import pipeline_config
from detector.scene.params import SampleParams
from detector.training import tpu_node
from detector.training.params import TrainParams
from tools import install
from tools.checks.lines import Line, error, note, ok

GB = 1e9
MOST_NAMES = 3  # of packages, in one line
AGAIN = "run: rm -f .venv/installed && make install"  # without the first, make install trusts what it once did

# Measured on a CPU with two classes: 56 MB with Adam's moments, 18 MB without; results lie in the cache, too.
CHECKPOINT_BYTES, RESULTS_BYTES = 60e6, 300e6
DRAWN_BYTES = 35e3  # of an image of dataset/sample, with its XML
# Of a training on a CPU, the latter times the batch: 1.5 GB with 4, 3.2 with 16, 4.8 with 32 of 300x300.
MEMORY_BYTES, MEMORY_BYTES_PER_PIXEL = 1e9, 1400


def python() -> Iterator[Line]:
    """The interpreter against pyproject.toml."""
    wanted = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    found = ".".join(map(str, sys.version_info[:3]))
    if SpecifierSet(wanted).contains(found):
        yield ok(f"python {found}")
    else:
        yield error(f"python {found} is not {wanted}", "run: make install PYTHON=python3.12 (or another that is)")


def disk(train: TrainParams, dataset: DatasetParams, sample: SampleParams) -> Iterator[Line]:
    """Free space where the environment goes, where results go, and where checkpoints go."""
    if not install.VENV.exists():
        yield _room(Path(), install.DISK_GB[build() or "cpu"] * GB, "the environment", "free some: df -h .")
    drawn = (sample.train_images + sample.test_images) * DRAWN_BYTES
    images = _size(paths.DATA) or _size(Path(dataset.dir)) or drawn
    yield _room(Path(), RESULTS_BYTES + 2 * images, "records, model and results", "free some: dvc gc --workspace")
    place, kept = mirror.local_root(train.work_dir), train.keep + 1  # a new one is whole before an old one goes
    what = f"{kept} checkpoints in {place}"
    yield _room(Path(place), kept * CHECKPOINT_BYTES, what, "run: dvc exp run -S train.keep=1")


def _room(place: Path, needed: float, what: str, remedy: str) -> Line:
    free = shutil.disk_usage(existing(place)).free
    if free < needed:
        return error(f"disk: {_gb(free)} free, about {_gb(needed)} needed for {what}", remedy)
    return ok(f"disk: {_gb(free)} free, about {_gb(needed)} needed for {what}")


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if os.path.lexists(place))


def _size(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())


def _gb(size: float) -> str:
    return f"{size / GB:.1f} GB"


def memory(train: TrainParams) -> Iterator[Line]:
    """What is left of it, by the machine and by the container, against what a training on the CPU takes."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():  # macOS
        return
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), flags=re.MULTILINE)
    free = min([int(found[1]) * 1024 if found else sys.maxsize, *_container_limits()])
    needed, side = MEMORY_BYTES, pipeline_config.TEMPLATES[train.model][1]
    if accelerator(train.accelerator) == "cpu":
        needed += MEMORY_BYTES_PER_PIXEL * side**2 * train.batch_size
    if free < needed:
        what = f"memory: {_gb(free)} free, a batch of {train.batch_size} needs about {_gb(needed)}"
        yield note(what, "if training is killed: make train BATCH=8, or another machine")
    else:
        yield ok(f"memory: {_gb(free)} free, training needs about {_gb(needed)}")


def _container_limits() -> Iterator[int]:
    """What a container, of either version of cgroups, leaves free."""
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        if Path(limit).exists() and Path(limit).read_text().strip().isdecimal():
            yield int(Path(limit).read_text()) - int(Path(used).read_text())


def build() -> str:
    """Which TensorFlow is installed: `tpu`, `gpu` or `cpu`; nothing where none is."""
    if importlib.util.find_spec("libtpu"):  # what detector/training/devices.py goes by
        return "tpu"
    if not importlib.util.find_spec("tensorflow"):
        return ""
    return "gpu" if importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.cudnn") else "cpu"


@functools.cache
def gpus() -> int:
    """How many NVIDIA GPUs a program may use."""
    listed = install.answer("nvidia-smi", "-L").splitlines() if shutil.which("nvidia-smi") else []
    count = sum(line.startswith("GPU ") for line in listed)
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return count if chosen is None else min(count, len([name for name in chosen.split(",") if name not in ("", "-1")]))


def tpus() -> int:
    """How many TPU chips there are, as far as device files tell; 1 where the environment alone speaks of one."""
    dev = Path("/dev")
    chips = len(list(dev.glob("accel[0-9]*")))
    return chips or (max(1, len(list(dev.glob("vfio/[0-9]*")))) if install.has_tpu() else 0)


def accelerator(wanted: str) -> str:
    """What detector/training/devices.py will train on: `tpu`, `gpu` or `cpu`."""
    found = build()
    if wanted == "tpu" or (wanted == "auto" and found == "tpu"):
        return "tpu"
    return "gpu" if wanted != "cpu" and found == "gpu" and gpus() else "cpu"


def hardware(train: TrainParams) -> Iterator[Line]:
    """`train.accelerator` and the installed TensorFlow against what is attached: what training would fail of."""
    wanted, found = train.accelerator, build()
    if wanted in ("auto", "tpu") and (variable := tpu_node.found()):
        refused = tpu_node.refusal(variable)
        yield error(f"{variable}: {refused.reason}", refused.remedy)
    elif not found:
        yield error("TensorFlow is not installed", AGAIN)
    elif wanted == "tpu" and found != "tpu":
        yield error(f"train.accelerator is tpu, TensorFlow's {found} build is installed", "run: make install TF=tpu")
    elif wanted == "gpu" and found != "gpu":
        yield error(f"train.accelerator is gpu, TensorFlow's {found} build is installed", "run: make install TF=gpu")
    elif wanted == "gpu" and not gpus():
        yield error("train.accelerator is gpu, nvidia-smi finds none", "run: dvc exp run -S train.accelerator=auto")
    else:
        yield ok(f"accelerator: {accelerator(wanted)}, TensorFlow's {found} build")


def unused_hardware() -> Iterator[Line]:
    """What is attached, and not used by the installed TensorFlow; or the other way round."""
    found = build()
    if found != "tpu" and tpus():
        yield note(f"a TPU is attached, TensorFlow's {found} build does not use it", "run: make install TF=tpu")
    elif found == "tpu" and not tpus():
        yield note("TensorFlow's TPU build is installed, but no TPU is found", "run: make install TF=auto")
    elif found == "cpu" and gpus():
        yield note(f"{gpus()} NVIDIA GPU, TensorFlow's cpu build does not use it", "run: make install TF=gpu")


def packages() -> Iterator[Line]:
    """What is installed against the lock that it should come from."""
    from packaging.requirements import Requirement

    lock = Path("requirements") / f"{build() or 'cpu'}.lock"
    pins = re.findall(r"^([a-z0-9][^\\\n]*==[^\\\n]*)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    wanted = [pin for pin in map(Requirement, pins) if not pin.marker or pin.marker.evaluate()]
    versions = {pin.name: _version(pin.name) for pin in wanted}
    missing = [str(pin) for pin in wanted if not versions[pin.name]]
    others = [
        f"{pin.name} {versions[pin.name]} ({pin.specifier})"
        for pin in wanted
        if versions[pin.name] and not pin.specifier.contains(versions[pin.name], prereleases=True)
    ]
    if missing:
        yield error(f"packages of {lock} that are missing: {_few(missing)}", AGAIN)
    if others:
        yield note(f"packages with another version than {lock} has: {_few(others)}", AGAIN)
    if not missing and not others:
        yield ok(f"packages: {len(wanted)}, as in {lock}")


def _version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _few(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
