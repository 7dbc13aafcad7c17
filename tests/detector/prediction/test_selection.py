"""Which detections are shown: by score, and of boxes that overlap the best alone; counted by hand."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.data.boxes import iou
from detector.prediction.selection import Selection, most_detections
from tests.support.boxes import image

FOUND = image(
    "a.jpg",
    (0, 0, 100, 100, 1, 0.9),
    (0, 0, 100, 80, 2, 0.8),  # IoU 0.8 with the first
    (0, 0, 60, 80, 1, 0.7),  # IoU 0.6 with the second, 0.48 with the first
    (200, 0, 300, 100, 2, 0.6),
    (0, 0, 100, 100, 2, 0.4),
)


@pytest.mark.parametrize(
    ("threshold", "agnostic_nms", "scores"),
    [
        (0.5, 1, [0.9, 0.8, 0.7, 0.6]),
        (0.5, 0.8, [0.9, 0.8, 0.7, 0.6]),
        (0.5, 0.79, [0.9, 0.7, 0.6]),  # what was removed removes nothing
        (0.5, 0.5, [0.9, 0.7, 0.6]),
        (0.5, 0.47, [0.9, 0.6]),
        (0, 1, [0.9, 0.8, 0.7, 0.6, 0.4]),
        (0, 0, [0.9, 0.6]),
        (0.95, 0.5, []),
    ],
)
def test_by_hand(threshold: float, agnostic_nms: float, scores: list[float]) -> None:
    shown = Selection(threshold, agnostic_nms)(FOUND)
    assert shown.scores.tolist() == scores
    assert (shown.filename, shown.width, shown.height) == ("a.jpg", 500, 400)


SIDE = st.integers(0, 50)


@given(st.lists(st.tuples(SIDE, SIDE, st.integers(1, 2), st.floats(0, 1)), max_size=8), st.floats(0, 1))
def test_no_two_overlap_more_and_each_that_went_overlaps_a_better_one(
    rows: list[tuple[int, int, int, float]], most: float
) -> None:
    found = image("a.jpg", *((x, y, x + 20, y + 20, class_id, score) for x, y, class_id, score in rows)).best_first()
    shown = Selection(0, most)(found)
    overlaps = iou(shown.boxes, shown.boxes)
    assert all(overlaps[k, j] <= most for k in range(len(overlaps)) for j in range(k))
    kept = {tuple(box) for box in shown.boxes.tolist()}
    for box, score in zip(found.boxes, found.scores, strict=True):
        better = shown.above(float(score)).boxes
        assert tuple(box.tolist()) in kept or (iou([box], better) > most).any()


@pytest.mark.parametrize(("content", "most"), [({"max_detections": 100}, 100), ({}, None), ([], None), ("x", None)])
def test_how_many_a_model_gives(tmp_path: Path, content: object, most: int | None) -> None:
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert most_detections(tmp_path / "model.json") == most
    assert most_detections(tmp_path / "missing.json") is None
