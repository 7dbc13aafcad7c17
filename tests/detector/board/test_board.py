"""A training in TensorBoard: what is in its event files, and what a kill and a resumed training leave of them."""

import io
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from detector.board import board, events
from detector.board.board import Board
from detector.board.pictures import SamePhotos, sheet
from detector.data import records
from detector.data.tables import ImageBoxes
from tests.support import board as support
from tests.support import stage
from tests.support.boxes import image

KEY = "0123456789abcdef"
NAMES = {1: "cat", 2: "dog"}
AP, AP50 = "DetectionBoxes_Precision/mAP", "DetectionBoxes_Precision/mAP@.50IOU"
TILE = (np.full((30, 40, 3), 128, np.uint8), image("0", (5, 5, 20, 20, 1), size=(40, 30)))
LOGS = Path("logs")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a label map and a validation split of 13 photos, 40 x 30 pixels each."""
    monkeypatch.chdir(tmp_path)
    Path("label_map.pbtxt").write_text("item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' }\n")
    with Path("val.record").open("wb") as file:
        for number in range(13):
            buffer = io.BytesIO()
            Image.new("RGB", (40, 30), (number, 0, 0)).save(buffer, "PNG")
            records.write_frame(file, records.encode({"image/encoded": [buffer.getvalue()]}))
    return tmp_path


def truth() -> list[ImageBoxes]:
    return [image(f"p{number:02}.png", (4, 4, 24, 24, 1), size=(40, 30)) for number in range(13)]


def nothing() -> list[ImageBoxes]:
    return [image(f"p{number:02}.png", size=(40, 30)) for number in range(13)]


def made(step: int = 0, validated: int = 0, history: board.History = ()) -> Board:
    """The board of a session that starts behind `step`."""
    result = Board(KEY, NAMES, lambda: [TILE], lambda: SamePhotos(Path("val.record"), truth(), NAMES))
    result.begin('model { ssd { num_classes: 2 } }\ntrain_config { label: "<b>" }\n', Path("label_map.pbtxt"))
    result.resume(step, validated, history)
    return result


def train(one: Board, *steps: int) -> None:
    for step in steps:
        one.train(step, {"loss/localization_loss": step / 8, "loss/total_loss": step / 4, "learning_rate": 0.5})


def validate(one: Board, step: int, detections: list[ImageBoxes] | None = None) -> None:
    losses = {"localization_loss": 0.25, "total_loss": 2.0}
    one.validation(step, losses, {"AP": step / 64, "AP50": 0.75}, detections or nothing(), 0.3)


def found() -> support.Found:
    return support.found(LOGS)


def steps(run: str, tag: str = "Loss/total_loss") -> list[int]:
    return support.steps(LOGS, run, tag)


def picture(entry: list[bytes]) -> Image.Image:
    """Of TensorBoard's width, height, file."""
    result = Image.open(io.BytesIO(entry[2]))
    assert (result.format, str(result.width).encode(), str(result.height).encode()) == ("JPEG", *entry[:2])
    return result.convert("RGB")


def test_the_curves_have_the_names_that_users_of_the_api_know() -> None:
    one = made()
    train(one, 10, 20)
    validate(one, 20)
    curves = {name: values for name, values in found().items() if "loss" in name[1].lower() or "mAP" in name[1]}
    assert curves == {
        ("train", "Loss/localization_loss"): [(10, 1.25), (20, 2.5)],
        ("train", "Loss/total_loss"): [(10, 2.5), (20, 5.0)],
        ("validation", "Loss/localization_loss"): [(20, 0.25)],
        ("validation", "Loss/total_loss"): [(20, 2.0)],
        ("validation", AP): [(20, 0.3125)],
        ("validation", AP50): [(20, 0.75)],
    }
    assert found()["train", "learning_rate"] == [(10, 0.5), (20, 0.5)]


def test_the_pipeline_config_is_a_text_and_a_file_beside_the_label_map() -> None:
    one = made()
    ((step, text),) = found()["train", "pipeline.config"]
    assert (step, text) == (0, b'    model { ssd { num_classes: 2 } }\n    train_config { label: "<b>" }\n')
    assert (one.folder / "pipeline.config").read_text().startswith("model { ssd")
    assert (one.folder / "label_map.pbtxt").read_bytes() == Path("label_map.pbtxt").read_bytes()
    assert board.folder_of(KEY) == one.folder
    assert board.folder_of("f" + KEY[1:]) is None


def test_every_look_shows_the_same_photos_left_detections_right_groundtruth() -> None:
    one = made()
    validate(one, 10)
    validate(one, 20, [image(each.filename, (2, 2, 30, 20, 2, 0.9), size=(40, 30)) for each in truth()])
    shown = {tag: values for (_, tag), values in found().items() if tag.startswith("eval_side_by_side/")}
    assert sorted(shown) == [f"eval_side_by_side/p{number:02}.png" for number in (0, 3, 6, 9, 12)]
    for (first_step, first), (second_step, second) in shown.values():
        pictures = np.asarray(picture(first), int), np.asarray(picture(second), int)
        differ = abs(pictures[0] - pictures[1]).max(axis=(0, 2)) > 30  # by column
        assert (first_step, second_step) == (10, 20)
        assert differ[: len(differ) // 2].any() and not differ[len(differ) // 2 + 8 :].any()


def test_the_first_batch_is_shown_with_its_boxes_in_rows() -> None:
    made()
    ((step, entry),) = found()["train", "train_input_images"]
    pixels = np.asarray(picture(entry), int)
    assert (step, pixels.shape) == (0, (30, 40, 3))
    assert abs(pixels[15, 38] - 128).max() < 20 < abs(pixels[19, 12] - 128).max()  # the ground; the box's lower edge
    large = (np.zeros((640, 640, 3), np.uint8), image("0", size=(640, 640)))
    assert sheet([large] * 5, NAMES).size == (3 * 320, 2 * 320)


def test_a_resumed_training_goes_on_behind_its_checkpoint_without_a_step_twice() -> None:
    """It was killed at step 40, between a validation and the checkpoint that would have known of it."""
    one = made()
    train(one, 10, 20)
    validate(one, 20)
    train(one, 30, 40)
    validate(one, 40)
    again = made(30, 20, [(10, {"loss/total_loss": 9.0}), (20, {"val/AP": 0.9}), (30, {"loss/total_loss": 9.0})])
    assert again.folder == one.folder
    assert (steps("train"), steps("validation")) == ([10, 20, 30], [20])
    assert found()["train", "Loss/total_loss"][0] == (10, 2.5)  # as it was written, not made again
    train(again, 40)
    validate(again, 40)
    assert (steps("train"), steps("validation"), steps("validation", AP)) == ([10, 20, 30, 40], [20, 40], [20, 40])
    assert steps("train", "train_input_images") == [0]


def test_a_validation_at_the_step_of_the_checkpoint_before_it_is_done_again() -> None:
    one = made()
    train(one, 10)
    validate(one, 10)
    again = made(10, 0)
    assert (steps("train"), steps("validation")) == ([10], [])
    validate(again, 10)
    assert steps("validation") == [10]


def test_a_kill_while_an_event_is_written_leaves_all_before_it() -> None:
    one = made()
    train(one, 10)
    (session,) = (path for path in (one.folder / "train").iterdir() if "0000000000" not in path.name)
    size = session.stat().st_size
    train(one, 20)
    content = session.read_bytes()
    for end in range(size, len(content), 7):
        session.write_bytes(content[:end])
        made(20, 0)
        assert steps("train") == [10]
    session.write_bytes(content[:-1] + b"x")
    train(made(20, 0), 30)
    assert steps("train") == [10, 30]


def test_a_full_disk_leaves_a_file_that_later_events_are_added_to() -> None:
    path, limits = Path("events"), resource.getrlimit(resource.RLIMIT_FSIZE)
    steps = [events.scalars(step, {"loss": step / 4}) for step in range(3)]
    for number, event in enumerate(steps):
        before = path.read_bytes() if number else b""
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 30, limits[1]))  # a part of one fits
        try:
            with pytest.raises(OSError, match="too large"):
                events.append(path, [event])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == before
        events.append(path, [event])
    assert list(records.read_frames(path))[1:] == [event.SerializeToString() for event in steps]


def test_from_the_start_again_nothing_of_before_is_left() -> None:
    one = made()
    train(one, 10)
    validate(one, 10)
    again = made()
    assert again.folder == one.folder
    assert sorted(path.name for path in (one.folder / "train").iterdir()) == ["events.out.tfevents.0000000000"]
    assert (steps("train"), steps("validation")) == ([], [])


def test_another_machine_makes_the_curves_of_what_the_checkpoint_remembers() -> None:
    """JSON has lists in the place of tuples."""
    history: Any = [[10, {"loss/total_loss": 2.5, "learning_rate": 0.5}], [10, {"val/loss": 2.0, "val/AP": 0.5}]]
    train(made(10, 10, history), 20)
    assert found()["train", "Loss/total_loss"] == [(10, 2.5), (20, 5.0)]
    assert found()["validation", "Loss/total_loss"] == [(10, 2.0)]
    assert found()["validation", AP] == [(10, 0.5)]


def test_without_a_validation_split_there_are_no_pictures_of_it() -> None:
    one = Board(KEY, NAMES, lambda: [TILE], None)
    one.begin("", Path("label_map.pbtxt"))
    one.resume(0, 0, [])
    train(one, 10)
    assert steps("train") == [10]


def test_what_goes_wrong_is_said_once_and_training_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs").write_text("in the way")
    one = made()
    train(one, 10)
    validate(one, 10)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: logs/") and ": is not a folder; " in line
    assert line.endswith("; TensorBoard lacks it, training continues")


def test_it_needs_no_tensorflow() -> None:
    code = "import sys, detector.board.board; assert 'tensorflow' not in sys.modules"
    assert stage.child("-c", code).stderr == ""
