"""training.batches: order and augmentation are a pure function of (seed, step), the tensors are the API's own."""

import hashlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from object_detection.protos.preprocessor_pb2 import PreprocessingStep

from detector.annotations import examples
from detector.base.errors import UserError
from detector.data import records, tables
from detector.data.tables import ImageBoxes
from detector.model import od_api, pipeline_config
from detector.model.od_api import InputDataFields
from detector.model.tensorflow_env import tf
from detector.training import batches
from tests.support import tiny
from tests.support.stage import REPOSITORY

NAMES = [f"image{number:02}.jpg" for number in range(5)]
AS_TRAINED = None  # the augmentation of the template
OPTIONS = {field.name for field in PreprocessingStep.DESCRIPTOR.oneofs_by_name["preprocessing_step"].fields}
ARGUMENTS = {
    "normalize_image": "original_minval: 0 original_maxval: 255 target_minval: 0 target_maxval: 1",
    "random_resize_method": "target_height: 20 target_width: 30",
    "remap_labels": "original_labels: 1 new_label: 2",
    "resize_image": "new_height: 20 new_width: 30",
    "subtract_channel_mean": "means: 1 means: 2 means: 3",
}
REFUSED = {  # the API's own trouble with TensorFlow 2 or with a detector
    "autoaugment_image": "name 'contrib_training' is not defined",
    "convert_class_logits_to_softmax": "None values not supported",
    "subtract_channel_mean": "Tried to convert 'y' to a tensor",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny's five pictures in `5.record`, the first one alone in `1.record`."""
    root = tmp_path_factory.mktemp("batches")
    folder = tiny.dataset(root, train=5, test=0)
    ones = np.ones(1)
    for count in (1, 5):
        with (root / f"{count}.record").open("wb") as file:
            for number, name in enumerate(NAMES[:count]):
                left, top = 8 + 5 * number, 4 + 3 * number
                box = np.array([[left, top, left + 32, top + 32]], float)
                image = ImageBoxes(name, tiny.WIDTH, tiny.HEIGHT, box, np.array([1 + number % 2]), ones)
                example = examples.example(image, folder / "train", {1: "cat", 2: "dog"})
                records.write_frame(file, records.encode(example))
    return root


def configuration(root: Path, batch: int, augmentation: list[str] | None = AS_TRAINED, images: int = 5) -> Any:
    config = tiny.config(label_map=root / "dataset" / "tiny" / "label_map.pbtxt", batch_size=batch)
    size = config.model.ssd.image_resizer.fixed_shape_resizer
    size.height = size.width = 40
    config.train_input_reader.tf_record_input_reader.input_path[:] = [str(root / f"{images}.record")]  # for `dataset`
    if augmentation is not AS_TRAINED:
        del config.train_config.data_augmentation_options[:]
        for text in augmentation:
            text_format.Parse(text, config.train_config.data_augmentation_options.add())
    return config


def model_of(config: Any) -> Any:
    return od_api.model_builder.build(config.model, is_training=True)  # its variables are not needed


def dataset(config: Any, seed: int = 1, first_step: int = 0, host: int = 0, hosts: int = 1, replicas: int = 1) -> Any:
    context = tf.distribute.InputContext(hosts, host, replicas)
    record = Path(config.train_input_reader.tf_record_input_reader.input_path[0])
    values = {"batch_size": config.train_config.batch_size, "seed": seed, "first_step": first_step}
    return batches.dataset(config, model_of(config), record, context, **values)


def tensors(of: Any, count: int) -> list[list[Any]]:
    """The tensors of the first `count` batches, each batch's in a fixed order."""
    return [[tensor.numpy() for tensor in tf.nest.flatten(batch)] for batch in of.take(count)]


def names(of: Any, count: int) -> list[str]:
    by_hash = dict(zip(od_api.hashes(NAMES), NAMES, strict=True))
    return [by_hash[int(value)] for features, _ in of.take(count) for value in features[od_api.HASH_KEY]]


def joined(parts: list[list[Any]]) -> list[Any]:
    return [np.concatenate(tensor) for tensor in zip(*parts, strict=True)]


def equal(first: list[Any], second: list[Any]) -> bool:
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_without_augmentation_all_is_the_apis(root: Path) -> None:
    config = configuration(root, 1, [])
    config.train_input_reader.shuffle = False
    train_input = tf.autograph.experimental.do_not_convert(od_api.inputs.train_input)  # to save ten seconds
    theirs = train_input(config.train_config, config.train_input_reader, config.model, model=model_of(config))
    assert dataset(config).element_spec == theirs.element_spec
    assert names(theirs, 5) == NAMES
    by_name = dict(zip(names(dataset(config), 5), tensors(dataset(config), 5), strict=True))
    assert all(equal(by_name[name], expected) for name, expected in zip(NAMES, tensors(theirs, 5), strict=True))


def test_no_box_of_a_crowded_image_is_lost(root: Path, tmp_path: Path) -> None:
    """The API's own default drops those beyond the hundredth."""
    lefts = np.arange(120) / 2
    boxes = np.stack([lefts, lefts, lefts + 4, lefts + 4], axis=1)
    image = ImageBoxes(NAMES[0], tiny.WIDTH, tiny.HEIGHT, boxes, np.ones(120, int), np.ones(120))
    example = examples.example(image, root / "dataset" / "tiny" / "train", {1: "cat", 2: "dog"})
    with (tmp_path / "1.record").open("wb") as file:
        records.write_frame(file, records.encode(example))
    config = configuration(tmp_path, 1, [], images=1)
    config.train_input_reader.max_number_of_boxes = tables.most_boxes([image])
    (found,) = (labels[InputDataFields.groundtruth_boxes].numpy()[0] for _, labels in dataset(config).take(1))
    np.testing.assert_allclose(sorted(found[:, 1] * tiny.WIDTH), lefts, atol=1e-4)
    assert tables.most_boxes([]) == 1


def test_crowds_keep_their_place_with_weight_0(root: Path, tmp_path: Path) -> None:
    """Three boxes, the second a crowd, the last cut off where the image is cropped: weights follow their boxes."""
    lefts = [0, 32, 64]
    marked = np.array([False, True, False])
    boxes = np.array([[left, 0, left + 32, 64] for left in lefts], float)
    image = ImageBoxes(NAMES[0], tiny.WIDTH, tiny.HEIGHT, boxes, np.array([1, 2, 1]), np.ones(3), marked)
    example = examples.example(image, root / "dataset" / "tiny" / "train", {1: "cat", 2: "dog"})
    with (tmp_path / "1.record").open("wb") as file:
        records.write_frame(file, records.encode(example))
    crop = "random_crop_image { min_object_covered: 0.0 min_area: 0.1 max_area: 0.4 overlap_thresh: 0.0 }"
    config = configuration(tmp_path, 50, ["random_horizontal_flip {}", crop], images=1)
    config.train_input_reader.max_number_of_boxes = 4
    ((_, labels),) = dataset(config).take(1)
    fields = InputDataFields
    weights, found, classes = (
        labels[name].numpy()
        for name in (fields.groundtruth_weights, fields.groundtruth_boxes, fields.groundtruth_classes)
    )
    is_there = (found[..., 2:] > found[..., :2]).all(axis=-1)
    assert {1, 2} <= set(is_there.sum(axis=1))
    assert (weights[~is_there] == 0).all()  # padding
    np.testing.assert_array_equal(weights[is_there], classes[is_there][:, 0])  # 1 for the first class, 0 for the second


def test_every_image_once_an_epoch(root: Path) -> None:
    """Five images in batches of two: ten steps are four epochs, each in an order of its own."""
    order = names(dataset(configuration(root, 2, [])), 10)
    epochs = [order[start : start + 5] for start in (0, 5, 10, 15)]
    assert [sorted(epoch) for epoch in epochs] == [NAMES] * 4
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_a_batch_of_several_epochs(root: Path) -> None:
    """Twelve of five images: two epochs and the first two images of the third, which the next batch continues."""
    order = names(dataset(configuration(root, 12, [])), 2)
    assert [sorted(order[start : start + 5]) for start in (0, 5, 10, 15)] == [NAMES] * 4
    assert order[:20] == names(dataset(configuration(root, 2, [])), 10)


def test_resumed_batches_are_those_of_an_uninterrupted_run(root: Path) -> None:
    config = configuration(root, 4)
    whole, resumed = tensors(dataset(config), 6), tensors(dataset(config, first_step=3), 3)
    assert all(equal(first, second) for first, second in zip(whole[3:], resumed, strict=True))


def test_a_late_step_needs_no_walk_to_it(root: Path) -> None:
    """5 images, batch 4: step 10**12 begins epoch 8 * 10**11."""
    order = names(dataset(configuration(root, 4, []), first_step=10**12), 5)
    assert [sorted(order[start : start + 5]) for start in (0, 5, 10, 15)] == [NAMES] * 4


def test_replicas_and_hosts_share_the_same_batch(root: Path) -> None:
    config = configuration(root, 4)
    whole = tensors(dataset(config), 2)
    replicas = tensors(dataset(config, replicas=2), 4)
    assert all(equal(whole[step], joined(replicas[2 * step : 2 * step + 2])) for step in range(2))
    hosts = [tensors(dataset(config, host=host, hosts=2, replicas=4), 4) for host in range(2)]
    assert all(equal(whole[step], joined([*hosts[0][2 * step :][:2], *hosts[1][2 * step :][:2]])) for step in range(2))


IN_A_STRATEGY = """
import hashlib
import sys
from pathlib import Path
from detector.model import od_api, pipeline_config
from detector.model.tensorflow_env import tf
from detector.training import batches
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
tf.config.experimental.enable_op_determinism()
config = pipeline_config.read(sys.argv[1])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
model = od_api.model_builder.build(config.model, is_training=True)
distributed = strategy.distribute_datasets_from_function(
    lambda context: batches.dataset(config, model, Path(sys.argv[2]), context, batch_size=4, seed=1, first_step=2)
)
found = hashlib.sha256()
for batch in tf.nest.flatten(next(iter(distributed))):
    found.update(tf.concat(strategy.experimental_local_results(batch), axis=0).numpy().tobytes())
print(found.hexdigest())
"""


@pytest.mark.long
def test_another_process_with_one_thread_two_devices_and_op_determinism(root: Path) -> None:
    config = configuration(root, 4)
    path = root / "pipeline.config"
    path.write_text(pipeline_config.render(config))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", IN_A_STRATEGY, str(path), str(root / "5.record")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (here,) = tensors(dataset(config, first_step=2), 1)
    assert done.stdout.split()[-1] == hashlib.sha256(b"".join(tensor.tobytes() for tensor in here)).hexdigest()


@pytest.mark.long
def test_another_seed_gives_another_order_and_augmentation(root: Path) -> None:
    config = configuration(root, 2, [])
    assert names(dataset(config), 10) == names(dataset(config), 10) != names(dataset(config, seed=2), 10)
    config = configuration(root, 4, images=1)
    assert not equal(*(tensors(dataset(config, seed=seed), 1)[0] for seed in (1, 2)))


def corners(of: Any, count: int) -> Iterator[list[float]]:
    """[ymin, xmin, ymax, xmax], normalised, of the first box of each image."""
    for _, labels in of.take(count):
        yield from labels[InputDataFields.groundtruth_boxes][:, 0].numpy().tolist()


def test_about_half_are_flipped_and_each_time_differently(root: Path) -> None:
    """One image whose box spans 8 to 40 of 96 pixels across: flipped, 56 to 88."""
    of = dataset(configuration(root, 100, ["random_horizontal_flip {}"], images=1))
    lefts = [round(xmin * 96) for _, xmin, _, _ in corners(of, 4)]
    assert set(lefts) == {8, 56}
    assert 160 <= lefts.count(56) <= 240  # 400 throws: 200 +- four standard deviations of 10
    runs = [len(list(run)) for _, run in itertools.groupby(lefts)]
    assert 160 <= len(runs) <= 240  # neighbours are independent


def test_two_options_of_a_kind_draw_different_numbers(root: Path) -> None:
    """Two flips cancel out in half of the cases; they always would if both drew the same number."""
    of = dataset(configuration(root, 100, ["random_horizontal_flip {}"] * 2, images=1))
    lefts = [round(xmin * 96) for _, xmin, _, _ in corners(of, 4)]
    assert 160 <= lefts.count(56) <= 240


def chains() -> list[list[str]]:
    working = sorted(OPTIONS - set(REFUSED))
    return [working[start : start + 6] for start in range(0, len(working), 6)]


@pytest.mark.slow
@pytest.mark.parametrize("chain", chains(), ids=lambda chain: chain[0])
def test_augmentation_can_be_repeated(root: Path, chain: list[str]) -> None:
    """Six options one after the other, by as many threads as there are cores and by one."""
    config = configuration(root, 4, [f"{name} {{ {ARGUMENTS.get(name, '')} }}" for name in chain])
    one_thread = tf.data.Options()
    one_thread.threading.private_threadpool_size = 1
    of = dataset(config)
    first, second = tensors(of, 6), tensors(of.with_options(one_thread), 6)
    assert all(equal(*batch) for batch in zip(first, second, strict=True))


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_api_cannot_apply_is_named(root: Path, name: str) -> None:
    config = configuration(root, 4, ["random_horizontal_flip {}", f"{name} {{ {ARGUMENTS.get(name, '')} }}"])
    with pytest.raises(UserError, match=f"^data_augmentation_options: {name}: .* cannot apply it: .*{REFUSED[name]}"):
        dataset(config)


def test_what_cannot_be_repeated_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the API drew from a random op that TensorFlow keeps a state for, in one branch of a condition."""
    monkeypatch.setattr(
        od_api.preprocessor, "_rgb_to_grayscale", lambda images, **_: images[..., :1] + tf.random.uniform(())
    )
    config = configuration(root, 4, ["random_horizontal_flip {}", "random_rgb_to_gray {}"])
    with pytest.raises(UserError, match=r"random_rgb_to_gray: .* it draws from RandomUniform, which could not be rep"):
        dataset(config)


def test_nothing_keeps_op_determinism_from_parallel_threads(root: Path) -> None:
    """Assert and branches are all the state there is; a table of names, say, would make it one example at a time."""
    from tensorflow.python.framework import op_def_registry  # not before tensorflow_env

    config = configuration(root, 4)
    example = tf.function(od_api.training_example(config, model_of(config), seed=1), autograph=False)
    traced = example.get_concrete_function(tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int64))
    graph = traced.graph.as_graph_def()
    nodes = itertools.chain(graph.node, *(function.node_def for function in graph.library.function))
    stateful = {node.op for node in nodes if (known := op_def_registry.get(node.op)) and known.is_stateful}
    assert stateful <= {"Assert", "If"}


def test_a_record_that_cannot_be_trained_on(root: Path, tmp_path: Path) -> None:
    config = configuration(root, 4)
    content = (root / "5.record").read_bytes()
    damaged = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
    for name, change, message in (
        ("empty", b"", "holds no examples"),
        ("damaged", damaged, "record 5: damaged: its checksum is wrong; make it again: dvc repro --force csv2record"),
        ("cut", content[:-1], "record 5: cut off or damaged"),
        ("missing", None, "not found; run: dvc repro csv2record"),
    ):
        path = tmp_path / f"{name}.record"
        if change is not None:
            path.write_bytes(change)
        config.train_input_reader.tf_record_input_reader.input_path[:] = [str(path)]
        with pytest.raises(UserError, match=f"{name}.record: {message}"):
            dataset(config)
