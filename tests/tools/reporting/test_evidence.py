"""What the advice rests on, from detections by hand."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from detector.data.tables import ImageBoxes
from tests.support.boxes import image
from tests.support.run_results import write
from tools.reporting import advice, evidence, kinds
from tools.reporting.measured import Measured

CAT, DOG = 1, 2
A, B = (0, 0, 100, 100), (200, 0, 300, 100)
MODEL = "ssd_mobilenet_v2_320x320"  # its input is 300 x 300


def measured(truth: Sequence[ImageBoxes], found: Sequence[ImageBoxes], place: int = 50) -> Measured:
    return Measured(kinds.of_images(truth, found, 0.5), {CAT: "cat", DOG: "dog"}, place, 0.5)


def test_the_errors_that_count() -> None:
    truth = image("a", (*A, CAT), (*B, DOG))
    found = image("a", (*A, CAT, 0.9), (*A, DOG, 0.85), (*B, CAT, 0.6), (300, 300, 400, 400, CAT, 0.3))
    errors = evidence.errors(measured([truth], [found]), MODEL)
    assert (errors["threshold"], errors["objects"], errors["found"], errors["wrong"]) == (0.5, 2, 1, 2)
    assert errors["f1"] == 2 / (3 + 2)
    assert errors["best"] == (0.86, pytest.approx(2 / 3), 1, 1)  # from 0.86 to 0.90 the same: the one next to 0.50
    assert errors["sure"] == 1  # the dog of 0.85
    assert errors["twice"] == 1  # it lies on the cat that is found; the cat of 0.6 is on a dog that is not


def test_objects_are_small_by_what_the_network_sees_of_them() -> None:
    truth = image("a", (0, 0, 53, 42, CAT), (100, 0, 154, 43, CAT), (200, 0, 300, 300, CAT))  # of 500 x 400 pixels
    found = image("a", (100, 0, 154, 43, CAT, 0.9), (200, 0, 300, 300, CAT, 0.4))
    errors = evidence.errors(measured([truth], [found]), MODEL)
    assert (errors["small"], errors["others"]) == ((0, 1), (1, 2))  # 31.8 x 31.5 pixels of 300; 32.4 x 32.3; large
    assert evidence.errors(measured([truth], [found], 30), MODEL)["others"] == (2, 2)
    assert evidence.errors(measured([truth], [found]), "ssd_mobilenet_v2_fpnlite_640x640")["small"] == (0, 0)


def test_a_run_out_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert evidence.of_run("dataset/pets", {}, {}, None) == advice.Evidence("pets", "None", [], [])
    write("results/train/plots/metrics/val/AP.tsv", "step\tAP\n200\t0.5\n100\tnan\n")
    write("dataset/data/train.csv", "filename,class\na.jpg,cat\na.jpg,cat\nb.jpg,cat\nb.jpg,dog\nc.jpg,\n")
    write("logs/speed.json", '{"seconds_per_step": 0.5}')
    training = {"model": MODEL, "steps": 300, "best_step": 200, "best": {"AP": 0.5}, "stopped_by": "patience"}
    run = evidence.of_run("dataset/pets", training, {"per_class": {"dog": {"AP50": 0.7}, "cow": {"AP50": "x"}}}, None)
    assert run.validation == [(200, 0.5)] and (run.steps, run.best_step, run.ended, run.minutes) == (300, 200, False, 5)
    assert [(one.name, one.photos, one.ap50) for one in run.classes] == [
        ("cat", 2, None),
        ("cow", 0, None),
        ("dog", 1, 0.7),
    ]
