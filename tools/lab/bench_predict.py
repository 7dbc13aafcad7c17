"""What a prediction costs: every exported format and its runtime, beside the two-notebook recipe's loop and YOLO11n.

    python -m tools.lab.bench_predict [--pairs 5] [--photos 100] [--cores 1] [--without-yolo]   (make bench-predict)

    model/export, the dataset's test photos -> the table below, on the terminal
                                               logs/bench_predict/results.json   all of it, with each turn
                                               logs/bench_predict/chart.svg      shown by make report, with the table

Processes take turns, each on one core, and again on all: `make predict` as it is, in float32 and int8; each format as
`make predict` would use it (decode, detect, draw, write; a thread a core, a photo in each); OpenVINO, if it can be
imported; the recipe's loop, which takes one photo at a time, draws and saves it; Ultralytics' YOLO11n at 320 pixels,
which draws nothing, with random weights (tools/lab/bench_predict.txt, installed by pip in logs/bench_predict/yolo the
first time). Numbers are medians over the turns. CPU is that of all threads: wall times tell of what else the machine
does. `over` is how many times as much CPU the other one takes for a photo, within a turn: median and range. What some
cannot read, and what this processor cannot compute in, is left out and named.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from detector.base import errors, files, params, paths
from detector.base.errors import UserError
from detector.data.params import DatasetParams
from detector.export.params import FORMATS, MEASURED
from detector.pictures import images
from detector.prediction import detector, openvino_model, photos

REPOSITORY = Path(__file__).resolve().parents[2]
OUTPUT = Path("logs/bench_predict")
YOLO_PACKAGES = Path(__file__).with_suffix(".txt")
RECIPE, YOLO, PREDICT = "recipe", "yolo", "predict_"
RUNTIMES = {"saved_model": "TensorFlow", "tflite": "LiteRT", "onnx": "ONNX Runtime"}  # by the start of the format
OPENVINO = {  # it reads ONNX: {key: (what it is, format, the precision that it computes in)}
    "openvino": ("OpenVINO, float32", "onnx", "float32"),
    "openvino_bfloat16": ("OpenVINO, bfloat16", "onnx", "bfloat16"),
    "openvino_int8": ("OpenVINO, int8", "onnx_int8", "int8"),
}
PLAIN = (".jpg", ".jpeg", ".png")
Measured = dict[str, Any]  # of one process: what tools/lab/meter.py measures


@dataclass(frozen=True)
class Row:
    """A competitor on so many cores. file: its model, if it is one of ours. precision: as FORMATS has it."""

    key: str
    name: str
    cores: int
    file: str = ""
    precision: str = ""


Turn = Mapping[Row, Measured]


def main() -> None:
    arguments = _arguments()
    names, left_out = plain_photos(arguments.photos)
    if not (paths.EXPORT / "saved_model").is_dir() or len(names) < 2:
        raise UserError(str(paths.EXPORT), "a SavedModel there and two test photos are needed", "run: make train")
    python, note = (None, "left out") if arguments.without_yolo else yolo_environment(OUTPUT / "yolo")
    found = rows([arguments.cores] if arguments.cores else sorted({1, _cores()}), python is not None)
    turns: list[Turn] = []
    loads = []
    for number in range(arguments.pairs):
        turns.append(_turn(found, number, names, python))
        loads.append(os.getloadavg()[0])
        about = {
            "machine": f"{platform.machine()}, {_cores()} cores, load {min(loads):.1f} to {max(loads):.1f}",
            "photos": f"{len(names)}, {errors.counted(len(turns), 'turn')}",
            "left out": "; ".join([*left_out, *missing()]) or "nothing",
            "YOLO11n": note,
        }
        table = [_summary(row, found, turns) for row in found]
        files.write_text(OUTPUT / "results.json", json.dumps({"about": about, "rows": table}, indent=1) + "\n")
    chart(table, OUTPUT / "chart.svg")  # the last, as a process seems to take at least what its parent took
    print("\n".join([*(f"{key}: {value}" for key, value in about.items()), "", *markdown(table)]))
    print(f"\n{OUTPUT / 'results.json'}, {OUTPUT / 'chart.svg'}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.lab.bench_predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=int, default=5, help="turns; default: %(default)s")
    parser.add_argument("--photos", type=int, default=100, help="at most; default: %(default)s")
    parser.add_argument("--cores", type=int, help="only on so many; default: on one, and on all")
    parser.add_argument("--without-yolo", action="store_true", help="installs nothing")
    return parser.parse_args()


def plain_photos(most: int) -> tuple[list[str], list[str]]:
    """The first test photos that all competitors read: sound JPEG and PNG; and what was left out before them."""
    inputs, _ = photos.find([paths.images(params.load("dataset", DatasetParams).dir, "test")])
    names: list[str] = []
    others: list[str] = []
    for photo in inputs:
        if len(names) == most:
            break
        try:
            is_plain = photo.path.suffix.lower() in PLAIN and images.check(photo.path).plain
        except UserError:
            is_plain = False
        (names if is_plain else others).append(str(photo.path.absolute()))
    shown = errors.few([Path(name).name for name in others])
    return names, [f"{errors.counted(len(others), 'photo')} that not all can read ({shown})"] if others else []


def _cores() -> int:
    return len(os.sched_getaffinity(0))


# The competitors.


def rows(cores: Sequence[int], with_yolo: bool) -> list[Row]:
    """Those that model/export has, each on so many cores."""
    exported = {name: FORMATS[name] for name in MEASURED if (paths.EXPORT / FORMATS[name][0]).exists()}
    able = set(_able())
    chosen = detector.FORMATS | {precision: of for precision, of in detector.OPENVINO.items() if precision in able}
    ours = [(PREDICT + precision, f"make predict, {precision}", of) for precision, (of, _) in chosen.items()]
    ours += [(name, f"{_runtime(name)}, {precision}", name) for name, (_, precision) in exported.items()]
    ours += [(key, name, of) for key, (name, of, precision) in OPENVINO.items() if precision in able]
    found = [Row(key, name, number, *exported[of]) for key, name, of in ours if of in exported for number in cores]
    others = [(RECIPE, "the recipe's loop"), *([(YOLO, "YOLO11n at 320")] if with_yolo else [])]
    return found + [Row(key, name, number) for key, name in others for number in cores]


def _able() -> list[str]:
    """The precisions that OpenVINO computes in here."""
    if not openvino_model.is_installed():
        return []
    return [one for _, _, one in OPENVINO.values() if one != "bfloat16" or openvino_model.has_bfloat16()]


def missing() -> list[str]:
    """Why there are fewer rows than there could be."""
    if not openvino_model.is_installed():
        return ["OpenVINO, which is not installed"]
    return [] if "bfloat16" in _able() else ["bfloat16, which this processor lacks"]


def _runtime(name: str) -> str:
    return next(runtime for start, runtime in RUNTIMES.items() if name.startswith(start))


def yolo_environment(folder: Path) -> tuple[Path | None, str]:
    """The Python that has YOLO11n, made if need be, or None; and a note about it for the reader."""
    python, done = folder / "bin/python", folder / "installed"
    packages = YOLO_PACKAGES.read_text(encoding="utf-8")
    if not done.is_file() or done.read_text(encoding="utf-8") != packages:
        print(f"installing {folder}: 6 GB", flush=True)
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--no-input", "-r", str(YOLO_PACKAGES)],
        ):
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                return None, f"not installed: {(made.stderr or made.stdout).strip().splitlines()[-1]}"
        files.write_text(done, packages)
    return python.absolute(), f"random weights; {', '.join(packages.split()[-3:])}"


# The turns.


def _turn(found: Sequence[Row], number: int, names: Sequence[str], python: Path | None) -> Turn:
    """All of them once, each in processes of its own; none always comes first."""
    result = {}
    first = number * 7 % len(found)
    for row in [*found[first:], *found[:first]]:
        with tempfile.TemporaryDirectory() as output, _on(row.cores):
            if row.key.startswith(PREDICT):
                result[row] = _make_predict(row, names, Path(output))
            else:
                result[row] = json.loads(_process(_command(row, names, output, python)).splitlines()[-1])
        print(f"turn {number + 1}: {row.name}, {row.cores}: {result[row]['cpu_ms']:.1f} ms", flush=True)
    return result


@contextmanager
def _on(cores: int) -> Iterator[None]:
    """On the first so many cores, with all processes that are started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _command(row: Row, names: Sequence[str], output: str, python: Path | None) -> list[str]:
    if row.key == YOLO:
        return [str(python), "-m", "tools.lab.bench_yolo", *names]
    threads = 1 if row.key == RECIPE else row.cores
    return [sys.executable, "-m", "tools.lab.predictors", row.key, str(threads), output, *names]


def _environment() -> dict[str, str]:
    """Of the processes: our modules, with bytecode as users have it, and YOLO11n without the network."""
    others = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    offline = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_CONFIG_DIR": str(OUTPUT.absolute())}
    return {**others, **offline, "PYTHONPATH": str(REPOSITORY)}


def _process(command: Sequence[str]) -> str:
    """What it prints."""
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(" ".join(command[:5]), f"ended with {done.returncode}: {done.stderr[-2000:]}", "")
    return done.stdout


def _make_predict(row: Row, names: Sequence[str], folder: Path) -> Measured:
    """The stage in a project of its own, on all photos and on one: what is over is what the others cost."""
    settings = YAML()
    document = settings.load(Path("params.yaml"))
    document["predict"]["precision"] = row.key.removeprefix(PREDICT)
    settings.dump(document, folder / "params.yaml")
    (folder / "model").symlink_to(paths.EXPORT.parent.absolute())
    predict = [sys.executable, "-m", "stages.predict"]
    help_cpu, _, _ = _measured([*predict, "--help"], folder)
    start, start_wall, _ = _measured([*predict, "--output", "one", names[0]], folder)
    cpu, wall, memory = _measured([*predict, "--output", "all", *names], folder)
    others = len(names) - 1
    return {
        "help_cpu_s": help_cpu,
        "start_cpu_s": start,
        "cpu_ms": 1000 * (cpu - start) / others,
        "images_per_second": others / max(wall - start_wall, 1e-3),
        "memory_mb": memory,
    }


def _measured(command: Sequence[str], folder: Path) -> tuple[float, float, float]:
    """Seconds of CPU and of wall time, and the most memory in MB of a process."""
    began = time.perf_counter()
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=folder, env=_environment(), stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        if process.returncode:
            raise UserError(" ".join(command[:5]), f"ended with {process.returncode}: {log.read()[-2000:]}", "")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024


# The results.


def _summary(row: Row, found: Sequence[Row], turns: Sequence[Turn]) -> Measured:
    """Medians of a row, and its ratios to the others on as many cores."""
    mine = [turn[row] for turn in turns]
    over = {}
    for other in found:
        if other.key in (RECIPE, YOLO) and other.cores == row.cores and other != row:
            ratios = [turn[other]["cpu_ms"] / turn[row]["cpu_ms"] for turn in turns]
            over[other.key] = [statistics.median(ratios), min(ratios), max(ratios)]
    return {
        "key": row.key,
        "name": row.name,
        "cores": row.cores,
        **_medians(mine),
        "cpu_ms_range": [min(one["cpu_ms"] for one in mine), max(one["cpu_ms"] for one in mine)],
        "over": over,
        "file_mb": _size(paths.EXPORT / row.file) / 1e6 if row.file else None,
        "AP": _ap(row),
        "turns": mine,
    }


def _medians(turns: Sequence[Measured]) -> Measured:
    return {
        key: _medians([turn[key] for turn in turns])
        if isinstance(value, dict)
        else statistics.median(turn[key] for turn in turns)
        for key, value in turns[0].items()
    }


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(one.stat().st_size for one in [path, *path.rglob("*")] if one.is_file())


def _ap(row: Row) -> float | None:
    """As the stage `parity` measured it, in the format's own runtime."""
    name = next((name for name, (file, _) in FORMATS.items() if file == row.file), "")
    try:
        found = json.loads((paths.PARITY / "metrics.json").read_text(encoding="utf-8"))[name]["AP"]
    except (OSError, ValueError, KeyError):
        return None
    return None if row.key in OPENVINO else float(found)


HEAD = (
    *("", "cores", "images/s", "CPU ms a photo", "recipe over it", "YOLO11n over it", "model alone: CPU ms"),
    *("p50, p95 ms", "memory MB", "file MB", "start-up CPU s", "AP"),
)


def markdown(table: Sequence[Measured]) -> list[str]:
    """The lines of a table."""
    return [_line(HEAD), _line(["---"] * len(HEAD)), *(_line(cells(row)) for row in table)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cells(row: Measured) -> list[str]:
    """A row of the table under HEAD."""
    model = row.get("model")
    low, high = row["cpu_ms_range"]
    return [
        row["name"],
        str(row["cores"]),
        f"{row['images_per_second']:.0f}",
        f"{row['cpu_ms']:.1f} ({low:.1f} to {high:.1f})",
        *(_ratio(row["over"].get(key)) for key in (RECIPE, YOLO)),
        f"{model['cpu_ms']:.1f}" if model else "",
        f"{model['p50_ms']:.1f}, {model['p95_ms']:.1f}" if model else "",
        f"{row['memory_mb']:.0f}",
        f"{row['file_mb']:.1f}" if row["file_mb"] else "",
        f"{row['start_cpu_s']:.2f}",
        f"{row['AP']:.3f}" if row["AP"] is not None else "",
    ]


def _ratio(found: Sequence[float] | None) -> str:
    return f"{found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f})" if found else ""


def chart(table: Sequence[Measured], path: Path) -> None:
    """CPU of a photo, a bar a row: the median, and the range of the turns."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1 + 0.26 * len(table)), layout="constrained")
    axes = figure.subplots()
    values = [row["cpu_ms"] for row in table]
    ranges = [
        [row["cpu_ms"] - row["cpu_ms_range"][0] for row in table],
        [row["cpu_ms_range"][1] - row["cpu_ms"] for row in table],
    ]
    labels = [f"{row['name']}, {errors.counted(row['cores'], 'core')}" for row in table]
    colours = ["#0072B2" if row["cores"] == 1 else "#56B4E9" for row in table]
    axes.barh(labels, values, xerr=ranges, color=colours, ecolor="#555555")
    axes.invert_yaxis()
    axes.set_xlabel("CPU ms a photo, all threads (YOLO11n: nothing drawn)")
    salt = {"svg.hashsalt": "passo"}  # else the ids in the file are random
    with files.whole_file(path) as temporary, matplotlib.rc_context(salt):
        figure.savefig(temporary, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    errors.run(main)
