"""How fast training is: this project's loop and the Object Detection API's own, in turns, with one configuration.

    python -m tools.lab.bench_train [--pairs 5] [--steps 50]        (make bench-train)

Three processes take turns: detector/training/trainer.py, the API's `model_lib_v2.train_loop`, and ours again without
`train.deterministic`. All get the same pipeline configuration (train.model and train.batch_size of params.yaml, every
variable trained, random initial weights: they say nothing of speed), records and threads; of each the median over
intervals of 10 steps counts, which leaves start and tracing out. Ratios are taken within a turn, for what else the
machine does changes from minute to minute.

Then the input pipelines alone, in turns too; where the time of a step goes, by kind of operation; and how much of the
machine's measured matrix-multiplication peak the multiply-adds of our step come to (convolutions and matrix products,
forward and backward, as the traced graph has them).

Needs the records: dvc repro csv2record.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from detector.base import errors, params, paths
from detector.base.errors import UserError
from detector.checkpointing import work_dir
from detector.data import labels, tables
from detector.data.params import DatasetParams
from detector.model import pipeline_config
from detector.training.params import TrainParams

LOOPS = {"ours": "ours", "api": "the API's", "not_deterministic": "ours with deterministic: false"}
INPUTS = {"our_input": "ours", "api_input": "the API's"}
INTERVAL = 10  # steps
REPOSITORY = Path(__file__).resolve().parents[2]
INPUT_BATCHES = 50
PEAK_SIZE, PEAK_REPEATS = 2048, 8  # of square matrices


def main() -> None:
    arguments = _arguments()
    if arguments.only:
        print(json.dumps(PARTS[arguments.only](arguments.steps)))
        return
    if not paths.record("train").exists():
        raise UserError(str(paths.record("train")), "not found", "run: dvc repro csv2record")
    train = _train(arguments.steps)
    print(f"{train.model}, batch {train.batch_size}, {os.cpu_count()} cores")
    _compare("loop", LOOPS, arguments)
    _compare("input alone", INPUTS, arguments)
    _print_step(_measured("step", arguments.steps))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.lab.bench_train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=50, help="of each training, 20 or more; default: %(default)s")
    parser.add_argument("--only", choices=sorted(PARTS), help=argparse.SUPPRESS)  # the process of one measurement
    return parser.parse_args()


def _compare(title: str, sides: Mapping[str, str], arguments: argparse.Namespace) -> None:
    """Print images/s of all sides (part: what it is) of each round, and the first one's ratios to the others."""
    ours, *others = sides
    ratios: dict[str, list[float]] = {other: [] for other in others}
    for number in range(arguments.pairs):
        order = [*sides][number % len(sides) :] + [*sides][: number % len(sides)]  # none always comes first
        speed = {side: _measured(side, arguments.steps)["images_per_second"] for side in order}
        for other, found in ratios.items():
            found.append(speed[ours] / speed[other])
        figures = ", ".join(f"{name} {speed[side]:.1f}" for side, name in sides.items())
        print(f"{title}, {number + 1} of {arguments.pairs}: {figures} images/s", flush=True)
    for other, found in ratios.items():
        print(
            f"{title}: {sides[ours]} over {sides[other]}: {statistics.median(found):.3f} "
            f"({min(found):.3f} to {max(found):.3f}, {len(found)} pairs)",
            flush=True,
        )


def _measured(part: str, steps: int) -> dict[str, Any]:
    """What one part gives, from a process of its own."""
    command = [sys.executable, "-m", "tools.lab.bench_train", "--only", part, "--steps", str(steps)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"tools.lab.bench_train --only {part}", f"ended with {done.returncode}: {done.stderr[-2000:]}", ""
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


# The parts; each runs in a process of its own.


def _train(steps: int) -> TrainParams:
    """The `train` section of params.yaml, but for what the API's own loop does not do."""
    return dataclasses.replace(
        params.load("train", TrainParams),
        steps=steps,
        fine_tune_checkpoint_type="none",
        learning_rate="auto",
        backbone_learning_rate=1.0,
        frozen_blocks=0,
        config_override="",
        bfloat16=False,
        eval_every=steps,
        patience=0,
        max_minutes=0,
        checkpoint_every=0,
        checkpoint_minutes=0,
    )


def _label_map() -> Path:
    return Path(params.load("dataset", DatasetParams).dir) / paths.LABEL_MAP


@functools.cache
def _images() -> list[tables.ImageBoxes]:
    return tables.read_csv(paths.csv("train"), labels.read(_label_map()))


def _config(train: TrainParams) -> Any:
    label_map = _label_map()
    facts = pipeline_config.DatasetFacts(label_map, len(labels.read(label_map)), tables.most_boxes(_images()))
    return pipeline_config.build(train, facts)


def _model(train: TrainParams, config: Any, *, deterministic: bool = True) -> Any:
    from detector.model import od_api
    from detector.model.tensorflow_env import tf
    from detector.training import determinism

    if deterministic:
        determinism.enable()
    tf.keras.utils.set_random_seed(train.seed)
    return od_api.build_model(config)


def _ours(steps: int, *, deterministic: bool = True) -> dict[str, float]:
    from detector.model.tensorflow_env import tf
    from detector.training import batches, stops, trainer
    from detector.training.train_step import TrainStep

    train = _train(steps)
    config = _config(train)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = _model(train, config, deterministic=deterministic)
    times: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        stops.Stops("") as stop,
        work_dir.opened(folder, {"benchmark": steps}, keep=1) as work,
    ):
        loop = trainer.Trainer(
            train,
            TrainStep(model, config, strategy),
            work,
            stop,
            lambda *_: times.append(time.perf_counter()),
            filenames=[image.filename for image in _images()],
        )
        loop.run(lambda first: batches.distributed(train, config, model, strategy, first), None)
    seconds = statistics.median(after - before for before, after in itertools.pairwise(times))
    return {"images_per_second": INTERVAL * train.batch_size / seconds}


def _api(steps: int) -> dict[str, float]:
    from detector.model import od_api
    from detector.model.tensorflow_env import tf

    train, summary = _train(steps), {}
    config = _config(train)
    loop = od_api.train_loop()
    with tempfile.TemporaryDirectory() as folder, tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        path = Path(folder) / "pipeline.config"
        path.write_text(pipeline_config.render(config))
        loop(
            str(path),
            folder,
            train_steps=steps,
            record_summaries=False,
            num_steps_per_iteration=INTERVAL,
            performance_summary_exporter=lambda metrics, _: summary.update(metrics),
        )
    return {"images_per_second": summary["steps_per_sec_p50"] * train.batch_size}


def _our_input(steps: int) -> dict[str, float]:
    from detector.model.tensorflow_env import tf
    from detector.training import batches

    train = _train(steps)
    config = _config(train)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    return _speed(batches.distributed(train, config, _model(train, config), strategy, 0), train.batch_size)


def _api_input(steps: int) -> dict[str, float]:
    from detector.model import od_api

    train = _train(steps)
    config = _config(train)
    model = od_api.build_model(config)
    data = od_api.inputs.train_input(config.train_config, config.train_input_reader, config.model, model=model)
    return _speed(iter(data), train.batch_size)


def _speed(batches: Iterator[Any], batch_size: int) -> dict[str, float]:
    for _ in range(INTERVAL):
        next(batches)
    began = time.perf_counter()
    for _ in range(INPUT_BATCHES):
        next(batches)
    return {"images_per_second": INPUT_BATCHES * batch_size / (time.perf_counter() - began)}


def _step(steps: int) -> dict[str, Any]:
    """The seconds of a step, its multiply-adds, the seconds by kind of operation, the peak."""
    from detector.model.tensorflow_env import tf
    from detector.training import batches
    from detector.training.train_step import TrainStep

    train = _train(steps)
    config = _config(train)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = _model(train, config)
    step = TrainStep(model, config, strategy)
    data = batches.distributed(train, config, model, strategy, 0)
    seconds = [_seconds(lambda: step(data, 0.0)) for _ in range(INTERVAL)]
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        step(data, 0.0)
        tf.profiler.experimental.stop()
        by_kind = _by_kind(Path(folder))
    return {
        "seconds": statistics.median(seconds[1:]),
        "multiply_adds": multiply_adds(step.graph(data)),
        "by_kind": by_kind,
        "peak": _peak(),
    }


PARTS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "ours": _ours,
    "api": _api,
    "not_deterministic": functools.partial(_ours, deterministic=False),
    "our_input": _our_input,
    "api_input": _api_input,
    "step": _step,
}


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _peak() -> float:
    """Multiply-adds a second of the best of some products of two square float32 matrices."""
    from detector.model.tensorflow_env import tf

    matrix = tf.random.stateless_normal((PEAK_SIZE, PEAK_SIZE), (1, 2))
    seconds = min(_seconds(lambda: tf.linalg.matmul(matrix, matrix).numpy()) for _ in range(PEAK_REPEATS))
    return float(PEAK_SIZE**3 / seconds)


def _by_kind(folder: Path) -> dict[str, float]:
    """Seconds of threads by kind of operation, from TensorFlow's own profile."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    (profile,) = folder.rglob("*.xplane.pb")
    space.ParseFromString(profile.read_bytes())
    found: dict[str, float] = {}
    for plane in space.planes:
        for event in (event for line in plane.lines for event in line.events):
            name, _, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
            # `scope/of/the/node:Kind`; C++'s own `Class::Method` and `What it does: function` are the runtime.
            if name and not name.endswith(":") and not kind.startswith(" "):
                kind = kind.removeprefix("_Mkl").removeprefix("Native").removeprefix("_Fused")
                found[kind] = found.get(kind, 0.0) + event.duration_ps / 1e12
    return found


def multiply_adds(graph: Any) -> float:
    """Of all convolutions and matrix products in a graph and its functions, by their static shapes."""
    return float(sum(_of_operation(operation) for operation in _operations(graph)))


def _operations(graph: Any) -> Iterator[Any]:
    for operation in graph.get_operations():
        yield operation
        for attribute in ("f", "then_branch", "else_branch", "body"):
            if attribute in operation.node_def.attr and operation.node_def.attr[attribute].func.name:
                function = graph._get_function(operation.node_def.attr[attribute].func.name)
                yield from _operations(function.graph)


def _of_operation(operation: Any) -> int:
    """A convolution's are the spatial outputs times the filter; the same for both of its gradients."""
    if operation.type == "MatMul":
        rows = operation.inputs[0].shape[1 if operation.get_attr("transpose_a") else 0]
        inner = operation.inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
        columns = operation.outputs[0].shape[1]
        return (rows or 0) * (inner or 0) * (columns or 0)
    if not operation.type.startswith(("Conv2D", "DepthwiseConv2dNative")):
        return 0
    if operation.type.endswith("BackpropInput"):
        kernel, image = operation.inputs[1].shape, operation.inputs[2].shape
    elif operation.type.endswith("BackpropFilter"):
        kernel, image = operation.outputs[0].shape, operation.inputs[2].shape
    else:
        kernel, image = operation.inputs[1].shape, operation.outputs[0].shape
    if not (kernel.is_fully_defined() and image.is_fully_defined()):
        return 0
    per_place = kernel.num_elements() or 0
    return int(image[0] * image[1] * image[2] * per_place)


def _print_step(found: Mapping[str, Any]) -> None:
    rate = found["multiply_adds"] / found["seconds"]
    print(
        f"our step: {found['seconds']:.3f} s, {found['multiply_adds'] / 1e9:.1f} G multiply-adds: "
        f"{rate / 1e9:.1f} G/s, {rate / found['peak']:.0%} of the {found['peak'] / 1e9:.1f} G/s of a matrix product"
    )
    total = sum(found["by_kind"].values())
    for kind, seconds in sorted(found["by_kind"].items(), key=lambda item: -item[1])[:12]:
        print(f"  {seconds / total:5.1%}  {kind}")


if __name__ == "__main__":
    errors.run(main)
