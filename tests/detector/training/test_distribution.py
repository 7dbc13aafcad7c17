"""Several devices and several workers: each step is the same as on one device, as far as floats allow.

Training is chaotic: a sum taken in another order changes the last bit of a loss, and after ten steps its second digit;
how soon depends on the CPU. So whole trainings cannot be compared, but steps can: several devices train, one device
does some of the steps again, each from the same state (weights and Adam's moments), and both must arrive at the same
losses, weights and moments.

What is different from a real training: an input of 96 x 96 pixels; frozen batch normalisation, for each replica has its
own statistics, with which two are not meant to be equal to one; and Adam's epsilon is 1e-3, for with 1e-8 its first
steps have one size whatever the gradient, and would hide a wrong one.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector.base import paths
from detector.base.errors import UserError
from detector.checkpointing import work_dir
from detector.multihost import cluster, rendezvous, shared_work_dir
from detector.multihost.cluster import Cluster
from tests.support import stage, tiny

pytestmark = pytest.mark.timeout(4800)  # a test may wait for four trainings

SMALL = """model { ssd { freeze_batchnorm: true image_resizer { fixed_shape_resizer { height: 96 width: 96 } } } }
train_config { optimizer { adam_optimizer { epsilon: 1e-3 } } }"""
STEPS = 20
PARAMS = {
    "train.steps": str(STEPS),
    "train.batch_size": "4",
    "train.learning_rate": "1e-4",
    "train.eval_every": "10",
    "train.checkpoint_every": "5",
    "train.config_override": f"'{' '.join(SMALL.split())}'",
}
RECORDED = [1, 6, 11, 16]  # the steps that tests/support/worker.py writes the states of, in a training without breaks
OPTIMIZERS = ("optimizer", "backbone_optimizer")
A_MINUTE = 60
PATIENCE_SECONDS = 1100  # for a training of a minute: the machine may be busy with other tests


# TF_CONFIG.


def tf_config(jobs: Any, task: Any = None) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": jobs, **({"task": task} if task is not None else {})})}


TWO = {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}


def test_without_a_cluster_a_worker_is_alone() -> None:
    for environment in ({}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}, {"TF_CONFIG": '{"environment": "cloud"}'}):
        assert cluster.from_environment(environment) == cluster.ALONE
    assert (cluster.ALONE.count, cluster.ALONE.is_chief) == (1, True)


def test_the_first_worker_is_the_chief() -> None:
    first, second = (cluster.from_environment(tf_config(TWO, {"type": "worker", "index": index})) for index in (0, "1"))
    assert (first.is_chief, second.is_chief, first.count, second.index) == (True, False, 2, 1)
    assert second.name(1) == "worker 1 (10.0.0.2:2222)"


def test_a_chief_of_its_own_comes_before_the_workers() -> None:
    jobs = {**TWO, "chief": ["10.0.0.9:2222"]}
    found = cluster.from_environment(tf_config(jobs, {"type": "worker", "index": 0}))
    assert (found.index, found.count, found.name(0)) == (1, 3, "chief 0 (10.0.0.9:2222)")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"TF_CONFIG": "{cluster"}, "not valid JSON: Expecting property name"),
        ({"TF_CONFIG": "[1]"}, "not a JSON object"),
        (tf_config([1]), "cluster: not a list of host:port for each job"),
        (tf_config({"worker": ["10.0.0.1"]}), "cluster: not a list of host:port for each job"),
        (tf_config({"worker": "10.0.0.1:2222"}), "cluster: not a list of host:port for each job"),
        (tf_config({**TWO, "ps": []}), "cluster: no ps here: every process is a worker"),
        (tf_config({"chief": ["a:1", "b:1"]}), "cluster: more than one chief"),
        (tf_config({"worker": ["a:1", "a:1"]}), "cluster: two workers have one address"),
        (tf_config(TWO), "task: missing, or without type or index"),
        (tf_config(TWO, {"type": "worker"}), "task: missing, or without type or index"),
        (
            tf_config(TWO, {"type": "worker", "index": 2}),
            "task: worker 2 is not in the cluster, which has worker 0, worker 1;",
        ),
        (tf_config(TWO, {"type": "worker", "index": -1}), "task: worker -1 is not in the cluster"),
        (tf_config(TWO, {"type": "chief", "index": 0}), "task: chief 0 is not in the cluster"),
        (tf_config(TWO, {"type": ["x"], "index": None}), "task: ['x'] None is not in the cluster"),
    ],
)
def test_what_cannot_be_understood_is_one_line(environment: dict[str, str], reason: str) -> None:
    with pytest.raises(UserError) as caught:
        cluster.from_environment(environment)
    assert caught.value.line().startswith(f"TF_CONFIG: {reason}")
    assert caught.value.line().endswith("; unset it to train on this host alone")


# Before training: who is there, and do they want the same?


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def clusters(count: int) -> list[Cluster]:
    tasks = tuple(("worker", index) for index in range(count))
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(count))
    return [Cluster(tasks, addresses, index) for index in range(count)]


def all_at_once(work: Callable[[Any], Any], arguments: list[Any]) -> list[Any]:
    """What `work` returns for each of the arguments, or the line of the UserError that it raises."""
    found: list[Any] = [None] * len(arguments)

    def run(place: int) -> None:
        try:
            found[place] = work(arguments[place])
        except UserError as error:
            found[place] = error.line()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(arguments))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_all_hear_what_each_says() -> None:
    def talk(own: Cluster) -> Any:
        with rendezvous.meeting(own) as together:
            return together.gather({"index": own.index}), together.gather("é" * own.index)

    said = [{"index": 0}, {"index": 1}, {"index": 2}]
    assert all_at_once(talk, clusters(3)) == [(said, ["", "é", "éé"])] * 3


def test_alone_one_hears_oneself() -> None:
    with rendezvous.meeting(cluster.ALONE) as together:
        assert together.gather([1, None]) == [[1, None]]


def test_a_worker_that_leaves_is_named() -> None:
    def talk(own: Cluster) -> Any:
        with rendezvous.meeting(own) as together:
            if own.index == 1:
                return "left"
            return together.gather(1)

    made = clusters(2)
    line = f"{made[0].name(1)}: left before training began; what it printed says why; then start all workers again"
    assert all_at_once(talk, made) == [line, "left"]


def say(address: str, line: bytes) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host, int(port)), 30) as stranger:
                stranger.sendall(line)
                return
        except ConnectionRefusedError:
            time.sleep(0.05)


def test_strangers_are_not_listened_to() -> None:
    def talk(own: Cluster) -> Any:
        if own.index == 1:
            for line in (
                b"GET / HTTP/1.1\r\n\r\n",
                b"[7, 8, 9]\n",
                b"[1, 2]\n",
                b"[" * 99999 + b"\n",
                b"{}\n",
                b"\xff\n",
            ):
                say(own.addresses[0], line)
            say(own.addresses[0], json.dumps([7, own.addresses]).encode() + b"\n")
        with rendezvous.meeting(own) as together:
            return together.gather(own.index)

    assert all_at_once(talk, clusters(2)) == [[0, 1], [0, 1]]


def test_a_stranger_that_speaks_slowly_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "HELLO_SECONDS", 0.5)
    made = clusters(2)
    host, _, port = made[0].addresses[0].partition(":")

    def talk(own: Cluster) -> Any:
        with rendezvous.meeting(own) as together:
            return together.gather(own.index)

    def drip() -> None:
        say(made[0].addresses[0], b"")  # until the chief listens
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 30) as stranger:
            for _ in range(600):
                stranger.sendall(b"[")
                time.sleep(0.1)

    slow = threading.Thread(target=drip)
    chief = threading.Thread(target=lambda: found.append(talk(made[0])))
    found: list[Any] = []
    began = time.monotonic()
    chief.start()
    slow.start()
    time.sleep(1)
    assert talk(made[1]) == [0, 1]
    chief.join()
    assert time.monotonic() - began < 30  # the stranger would have taken a minute
    assert found == [[0, 1]]
    slow.join()


def test_who_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(rendezvous, "WAIT_SECONDS", 1)
    monkeypatch.setattr(rendezvous, "NOTE_SECONDS", 0.1)
    own, *_ = clusters(3)
    with pytest.raises(UserError, match="did not come within 0 minutes; start it") as caught, rendezvous.meeting(own):
        pass
    assert caught.value.where == f"{own.name(1)}, {own.name(2)}"
    assert capfd.readouterr().err == f"waiting for {own.name(1)}, {own.name(2)}\n"


def test_a_port_in_use_is_named() -> None:
    own = clusters(2)[1]
    port = int(own.addresses[1].partition(":")[2])
    with socket.create_server(("", port)), pytest.raises(UserError) as caught, rendezvous.meeting(own):
        pass
    assert caught.value.line().startswith(f"TF_CONFIG: {own.name(1)} is this one, but its port cannot be used: ")


def test_a_worker_with_another_cluster_is_refused() -> None:
    first, second = clusters(2)
    other = Cluster(second.tasks, (first.addresses[0], first.addresses[1].replace("127.0.0.1", "localhost")), 1)

    def talk(own: Cluster) -> Any:
        with rendezvous.meeting(own) as together:
            return together.gather(own.index)

    chief, worker = all_at_once(talk, [first, other])
    assert chief.startswith("TF_CONFIG: the worker on 127.0.0.1 was given another cluster: ['127.0.0.1:")
    assert worker.startswith(f"{other.name(0)}: left before training began")


def open_work(
    own: Cluster, root: Path, identity: dict[str, object], code: str = "a", devices: str = "cpu", weights: str = "w"
) -> Any:
    alike = {"code": code, "devices": devices, "initial weights": weights}
    with shared_work_dir.opened(own, str(root), identity, keep=2, start=lambda _: None, alike=alike) as task:
        latest = task.latest()
        return latest.step if latest else None, task.folder


def test_workers_with_other_data_are_named(tmp_path: Path) -> None:
    identities: list[dict[str, object]] = [
        {"files": {"train.record": digest, "val.record": "v"}, "train": {"seed": seed}, "config": "c"}
        for digest, seed in (("x", 1), ("y", 2))
    ]
    made = clusters(2)
    found = all_at_once(lambda own: open_work(own, tmp_path, identities[own.index]), made)
    line = (
        f"{made[0].name(1)}: not the same as on {made[0].name(0)}: files: train.record, train: seed; "
        "give every worker the same files, params.yaml and code"
    )
    assert found == [line, line]
    found = all_at_once(lambda own: open_work(own, tmp_path, identities[0], "ab"[own.index]), made)
    assert "not the same as on worker 0" in found[0]
    assert found[0].partition("; ")[0].endswith("): code")
    found = all_at_once(lambda own: open_work(own, tmp_path, identities[0], weights="ab"[own.index]), made)
    assert found[0].partition("; ")[0].endswith("): initial weights")
    found = all_at_once(lambda own: open_work(own, tmp_path, identities[0], "a", ["cpu", "2 x gpu"][own.index]), made)
    assert found[0].partition("; ")[0].endswith("): devices")


def write_step(task: work_dir.Work, step: int) -> None:
    task.save({"step": step, "best_step": 0}, 1, lambda folder: (folder / "ckpt-1.index").write_text("x"))


def test_all_go_on_from_the_same_step(tmp_path: Path) -> None:
    with work_dir.opened(str(tmp_path / "shared"), {"a": 1}, keep=2) as task:
        write_step(task, 5)
    made = clusters(2)
    found = all_at_once(lambda own: open_work(own, tmp_path / "shared", {"a": 1}), made)
    assert found == [(5, task.folder)] * 2
    found = all_at_once(lambda own: open_work(own, tmp_path / ["shared", "own"][own.index], {"a": 1}), made)
    for line, folder in zip(found, ("shared", "own"), strict=True):
        step = tmp_path / folder / task.folder.name / "step-00000005"
        assert line == (
            f"{made[0].name(1)}: {step} of {made[0].name(0)} cannot be read there; "
            "train.work_dir in params.yaml must be a folder that all workers share"
        )


def test_a_folder_that_is_not_shared_is_noticed_before_the_first_step(tmp_path: Path) -> None:
    made = clusters(2)
    found = all_at_once(lambda own: open_work(own, tmp_path / ["shared", "own"][own.index], {"a": 1}), made)
    for line in found:
        assert line.startswith(f"{made[0].name(1)}: {tmp_path}/")
        assert line.endswith(
            f", the work directory of {made[0].name(0)}, cannot be read there; "
            "train.work_dir in params.yaml must be a folder that all workers share"
        )


def test_only_the_chief_writes(tmp_path: Path) -> None:
    """The others take part in every save, but for those that only replace a state."""
    with work_dir.opened(str(tmp_path), {"a": 1}, keep=2) as task:
        write_step(task, 5)
    follower = shared_work_dir.Follower(task.folder, 5)
    before = sorted(task.folder.rglob("*"))
    written: list[str] = []
    for step in (5, 6, 6, 7):
        follower.save({"step": step}, 1, lambda folder, step=step: written.append(f"{step} {folder.is_dir()}"))
    follower.save_best(7, 1, lambda folder: written.append("best"))
    assert written == ["6 True", "7 True", "best"]
    assert sorted(task.folder.rglob("*")) == before


def test_the_lost_worker_is_named() -> None:
    from detector.model.tensorflow_env import tf

    chief = Cluster((("worker", 0), ("worker", 1)), ("10.0.0.1:1", "10.0.0.2:1"), 0)
    for message, name in (
        ("Collective ops is aborted by: Error reported from /job:worker/task:1: ...", "worker 1 (10.0.0.2:1)"),
        ("from remote target /job:worker/replica:0/task:1 while calling", "worker 1 (10.0.0.2:1)"),
        ("Socket closed", "a worker"),
        ("/job:worker/task:0 and /job:worker/task:7", "a worker"),
    ):
        with pytest.raises(UserError) as caught, cluster.lost_workers(chief, lambda: "step 5 is kept"):
            raise tf.errors.UnavailableError(None, None, message)
        reason = f"is gone or has failed, and the others cannot continue without it ({message})"
        assert caught.value.line() == f"{name}: {reason}; step 5 is kept"
    with pytest.raises(tf.errors.InvalidArgumentError), cluster.lost_workers(chief, str):
        raise tf.errors.InvalidArgumentError(None, None, "/job:worker/task:1: a bad tensor")
    with pytest.raises(tf.errors.UnavailableError), cluster.lost_workers(cluster.ALONE, str):
        raise tf.errors.UnavailableError(None, None, "no such server")


# The same curve on any devices.


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project before train_tpu."""
    return tiny.prepared(tmp_path_factory.mktemp("project"), **PARAMS)


def copy(project: Path, root: Path, **changes: str) -> Path:
    for folder in ("dataset", "model/pretrained"):
        shutil.copytree(project / folder, root / folder)
    tiny.params(root, **{**PARAMS, **changes})
    return root


def train(
    root: Path,
    *,
    devices: int = 1,
    states: Path | None = None,
    environment: dict[str, str] | None = None,
    log: str = "log",
) -> Any:
    """Start a training as a process of its own; what it prints goes to `root`/`log`. `states`: as of worker.py."""
    command = [sys.executable, "-m", "tests.support.worker", str(devices), *([str(states)] if states else [])]
    with (root / log).open("w") as stream:
        settings = {**os.environ, "PYTHONPATH": str(stage.REPOSITORY), **(environment or {})}
        return subprocess.Popen(command, cwd=root, env=settings, stdout=stream, stderr=subprocess.STDOUT)


def start_workers(root: Path) -> list[Any]:
    """Two workers on loopback, which share `root`; they print to log0 and log1."""
    jobs = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    settings = [tf_config(jobs, {"type": "worker", "index": index}) for index in range(2)]
    return [train(root, environment=settings[index], log=f"log{index}") for index in range(2)]


def wait(*processes: Any) -> list[int]:
    return [process.wait(PATIENCE_SECONDS) for process in processes]


@dataclass
class Killed:
    """Two workers, of which one was killed."""

    root: Path
    index: int  # of that one
    codes: list[int]
    seconds: float  # from the kill to the end of the other
    line: str  # the last that the other one printed
    resumed: list[int]  # the exit codes of the same two, started again


@contextlib.contextmanager
def ended(workers: list[Any]) -> Iterator[list[Any]]:
    """Whatever happens, none of the workers outlives the test."""
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def wait_for_checkpoint(root: Path, workers: list[Any]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list((root / ".work").glob("*/step-*5")):
        assert [worker.poll() for worker in workers] == [None, None], (root / "log0").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module", params=[1, 0])
def killed(request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    root = copy(project, tmp_path_factory.mktemp("workers"))
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(ended(start_workers(root)))
        wait_for_checkpoint(root, workers)
        workers[request.param].send_signal(signal.SIGKILL)
        began = time.monotonic()
        codes = wait(*workers)
        seconds = time.monotonic() - began
        line = (root / f"log{1 - request.param}").read_text().splitlines()[-1]
        workers = stack.enter_context(ended(start_workers(root)))
        yield Killed(root, request.param, codes, seconds, line, wait(*workers))


def losses(root: Path) -> dict[str, list[float]]:
    """Each loss at the steps 1, 2, 3, ..., none of them missing or there twice."""
    found = {}
    for file in sorted((root / paths.TRAIN_RESULTS / "plots" / "metrics" / "loss").glob("*.tsv")):
        rows = [line.split("\t") for line in file.read_text().splitlines()[1:]]
        assert [int(step) for step, _ in rows] == list(range(1, STEPS + 1))
        found[file.stem] = [float(value) for _, value in rows]
    assert len(found) == 4
    return found


def recorded_steps(states: Path) -> list[int]:
    """The steps that were recorded from before to after; a killed process may have left one without its end."""
    found = [int(path.name.removeprefix("after-")) for path in sorted(states.glob("after-*"))]
    return [step for step in found if (states / f"before-{step - 1:02}").exists()]


def tensors(folder: Path) -> dict[str, np.ndarray]:
    """Weights, statistics and moments of a recorded state."""
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf

    prefix = folder / checkpoints.NAME
    reader = tf.train.load_checkpoint(str(prefix))
    names = [name for name in checkpoints.variables(prefix) if name.startswith("model/")]
    return {name: reader.get_tensor(name + checkpoints.VARIABLE).astype(np.float64) for name in names}


def changes(states: Path, step: int) -> dict[str, dict[str, np.ndarray]]:
    """What a step added to each variable: `""` has the weights, `optimizer/m` and others a moment of Adam."""
    before, after = tensors(states / f"before-{step - 1:02}"), tensors(states / f"after-{step:02}")
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, value in after.items():
        found.setdefault(name.partition(".OPTIMIZER_SLOT/")[2], {})[name] = value - before[name]
    return found


@dataclass(frozen=True)
class Rounding:
    """What two steps from one state may differ by, in parts of what is compared.

    Measured, of two devices against one: a loss differs by 5e-7, all changes together by 2e-5, those of one variable by
    3e-3 (where the change is some last bits of a weight). The same step by Eigen's kernels in place of oneDNN's: 2e-7,
    1e-3 and 3e-3; a CPU may choose other kernels for half a batch, so that must pass. What must not: a gradient divided
    once too often changes half of its length, one that is not summed over the replicas all of it, and where a replica
    divides by its own matches, the gradient differs by 0.2.
    """

    loss: float = 1e-4
    change: float = 0.01  # of all weights and statistics together
    moment: float = 0.01  # of all of one of Adam's moments together
    one_change: float = 0.1  # of one variable


def assert_one_device_does_the_same(
    root: Path, again: Path, *, workers: int = 1, rounding: Rounding = Rounding(), **changed: str
) -> list[int]:
    """Repeat on one device, in the folder `again`, what was recorded in `root`; returns the steps compared."""
    copy(root, again, **changed)
    assert wait(train(again, states=root / "states0")) == [0], (again / "log").read_text()
    expected, found = losses(again), losses(root)
    compared = recorded_steps(root / "states0")
    for states in [root / f"states{index}" for index in range(workers)]:
        for step in recorded_steps(states):
            for name, values in expected.items():
                message = f"{name} at step {step}"
                np.testing.assert_allclose(found[name][step - 1], values[step - 1], rtol=rounding.loss, err_msg=message)
            assert_same_changes(changes(states, step), changes(again / "states0", step), rounding, f"step {step}")
    shutil.rmtree(root / "states0")  # half a gigabyte
    shutil.rmtree(again / "states0")
    return compared


def assert_same_changes(found: Any, expected: Any, rounding: Rounding, message: str) -> None:
    assert found.keys() == expected.keys() == {"", *(f"{name}/{moment}" for name in OPTIMIZERS for moment in "mv")}
    for kind, variables in expected.items():
        lengths = {name: np.linalg.norm(change) for name, change in variables.items()}
        errors = {name: np.linalg.norm(found[kind][name] - change) for name, change in variables.items()}
        length = np.linalg.norm(list(lengths.values()))
        assert length > 0
        limit = rounding.moment if kind else rounding.change
        assert np.linalg.norm(list(errors.values())) < limit * length, f"{message}: {kind or 'weights'}"
        for name, error in errors.items():
            assert error <= rounding.one_change * lengths[name] + 1e-5 * length, f"{message}: {name}"


@pytest.mark.slow
def test_two_devices_train_as_one(project: Path, tmp_path: Path) -> None:
    root = copy(project, tmp_path / "two")
    assert wait(train(root, devices=2)) == [0], (root / "log").read_text()
    assert re.search(rf": {STEPS} steps of 4 = .* images, on 2 x cpu", (root / "log").read_text())
    assert assert_one_device_does_the_same(root, tmp_path / "one") == RECORDED


@pytest.mark.slow
def test_a_killed_worker_ends_the_other_with_a_line(killed: Killed) -> None:
    assert killed.codes == ([2, -signal.SIGKILL] if killed.index else [-signal.SIGKILL, 2])
    assert killed.seconds < A_MINUTE
    assert killed.line.startswith(f"error: worker {killed.index} (127.0.0.1:")
    assert "): is gone or has failed, and the others cannot continue without it (" in killed.line
    assert "); step " in killed.line
    assert f" of {STEPS} is saved in .work/" in killed.line
    assert killed.line.endswith("; to resume, start all workers again")


@pytest.mark.slow
def test_started_again_they_go_on(killed: Killed) -> None:
    assert killed.resumed == [0, 0], (killed.root / "log0").read_text()
    log = (killed.root / "log0").read_text()
    step = int(log.partition("resumes from step ")[2].partition(" ")[0])
    assert 5 <= step < STEPS
    assert json.loads((killed.root / paths.TRAIN / "train.json").read_text())["steps"] == STEPS
    assert (killed.root / "log1").read_text().splitlines()[-1].endswith(" writes the model")


@pytest.mark.slow
def test_sigterm_to_one_stops_all_after_the_same_step(project: Path, tmp_path: Path) -> None:
    """And one host alone goes on from there."""
    root = copy(project, tmp_path / "two")
    with ended(start_workers(root)) as workers:
        wait_for_checkpoint(root, workers)
        workers[1].send_signal(signal.SIGTERM)
        assert wait(*workers) == [143, 143], (root / "log0").read_text()
    lines = [(root / f"log{index}").read_text().splitlines() for index in range(2)]
    assert "SIGTERM: stopping after this step" in lines[1]
    assert "another worker stops: stopping after this step" in lines[0]
    last = lines[0][-1]
    step = int(last.partition("stopped; step ")[2].partition(" ")[0])
    assert last == lines[1][-1]
    assert 5 <= step < STEPS
    assert wait(train(root)) == [0], (root / "log").read_text()
    assert f"resumes from step {step} of {STEPS}" in (root / "log").read_text()
    compared = assert_one_device_does_the_same(root, tmp_path / "one", workers=2)
    assert set(compared) == {*RECORDED, step + 1}


@pytest.mark.slow
def test_two_devices_with_synchronised_batch_normalisation_train_as_one(project: Path, tmp_path: Path) -> None:
    """Their statistics are those of the whole batch: nothing needs to be frozen."""
    norm = "conv_hyperparams { sync_batch_norm { decay: 0.97 scale: true epsilon: 0.001 } }"
    synchronised = f"""model {{ ssd {{ image_resizer {{ fixed_shape_resizer {{ height: 96 width: 96 }} }}
        feature_extractor {{ {norm} }} box_predictor {{ convolutional_box_predictor {{ {norm} }} }} }} }}
        train_config {{ optimizer {{ adam_optimizer {{ epsilon: 1e-3 }} }} }}"""
    override = {"train.config_override": f"'{' '.join(synchronised.split())}'"}
    root = copy(project, tmp_path / "two", **override)
    assert wait(train(root, devices=2)) == [0], (root / "log").read_text()
    # Statistics of four images enlarge every rounding: from 1e-5 at the first layer to 1e-3 at the last, to 0.16 in the
    # backbone's moments, and to more than all of a single variable's. (One device with Eigen's kernels in place of
    # oneDNN's: 3e-5 and 0.02.) Weights and statistics together differ by 5e-4: there a replica's own would be seen.
    rounding = Rounding(loss=0.01, moment=0.4, one_change=100)
    assert assert_one_device_does_the_same(root, tmp_path / "one", rounding=rounding, **override) == RECORDED


@pytest.mark.slow
def test_two_workers_train_as_one(killed: Killed, tmp_path: Path) -> None:
    """Killed and resumed in between, too."""
    log = (killed.root / "log1").read_text()
    assert re.search(rf": {STEPS} steps of 4 = .* images, on 2 x cpu", log)
    step = int((killed.root / "log0").read_text().partition("resumes from step ")[2].partition(" ")[0])
    compared = assert_one_device_does_the_same(killed.root, tmp_path / "one", workers=2)
    assert set(compared) == {*RECORDED, step + 1}
