"""What `make dataset` says of the content, and what it foresees that a training is going to refuse."""

import contextlib
from pathlib import Path

import pytest

from tests.support import faults
from tests.support.importing import planned
from tools.importing import descriptions

TARGET = Path("dataset/pets")


def said(root: Path, source: Path, **policy: object) -> list[str]:
    """With the project's params.yaml, and a policy."""
    faults.workspace(root, "dataset/sample", **policy)
    made = planned(root, source)
    with contextlib.chdir(root):
        return list(descriptions.lines(made, TARGET))


def unlabelled(source: Path, *stems: str) -> Path:
    faults.dataset(source)
    for stem in stems:
        (source / f"{stem}.xml").unlink()
    return source


def test_one_of_each_is_one(tmp_path: Path) -> None:
    source = faults.dataset(tmp_path / "source", train=2, test=1)
    faults.missing_image(source, "a0")
    lines = said(tmp_path, source)
    assert lines[:3] == [
        "train: 1 image, 1 box (cat 1), 0 images without objects",
        "test: 1 image, 1 box (dog 1), 0 images without objects",
        "1 label without an image (train/a0.xml): make train will report it",
    ]


MANY = [f"train/a{number}" for number in range(5)]
TOO_MANY = (
    "make train will refuse this: dataset/pets: 5 of 9 photos cannot be used: has no label 5; label them; or, if they "
    "show no object, set dataset.unlabelled to background in params.yaml, or raise dataset.max_skipped in params.yaml"
)


@pytest.mark.parametrize(
    ("policy", "lines"),
    [
        ({}, [TOO_MANY]),
        ({"max_skipped": 0.56}, []),
        ({"unlabelled": "background"}, []),
        (
            {"unlabelled": "error"},
            [
                "make train will stop at 5 photos without a label that can be used, "
                "as dataset.unlabelled or dataset.unusable in params.yaml is error"
            ],
        ),
    ],
)
def test_too_many_photos_without_a_label(tmp_path: Path, policy: dict[str, object], lines: list[str]) -> None:
    """5 of 9: as many as tests/stages/test_xml2csv.py shows xml2csv to refuse, in the same words."""
    found = said(tmp_path, unlabelled(tmp_path / "source", *MANY), **policy)
    few = "train/a0.jpg, train/a1.jpg, train/a2.jpg and 2 more"
    assert f"5 images without a label ({few}): make train will report them" in found
    assert [line for line in found if "make train will refuse" in line or "will stop" in line] == lines


def test_labels_that_cannot_be_used_count_too(tmp_path: Path) -> None:
    source = faults.dataset(tmp_path / "source")
    for number in range(3):
        faults.broken_xml(source, f"a{number}")
        faults.line(source, f"a{number + 3}")
    found = said(tmp_path, source)
    assert (
        "3 labels that cannot be read (train/a0.xml, train/a1.xml, train/a2.xml): make train will report them" in found
    )
    assert any("6 of 9 photos cannot be used: its label cannot be used 6; " in line for line in found)


def test_without_params_yaml_nothing_is_foreseen(tmp_path: Path) -> None:
    made = planned(tmp_path, unlabelled(tmp_path / "source", *MANY))
    with contextlib.chdir(tmp_path):
        assert not any("refuse" in line for line in descriptions.lines(made, TARGET))
