"""Counts at every threshold, against the evaluation's own at some."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.evaluation import curves
from tests.support.boxes import image, with_crowds
from tools.reporting import confusions, counting, kinds
from tools.reporting.kinds import BACKGROUND, CLASS, RIGHT

CAT, DOG = 1, 2
TRUTH = [image("a", (0, 0, 100, 100, CAT), (200, 0, 300, 100, DOG)), image("b", (0, 0, 50, 50, CAT)), image("c")]
FOUND = [
    image("a", (0, 0, 100, 100, CAT, 0.9), (200, 0, 300, 100, CAT, 0.65)),
    image("b", (0, 0, 50, 50, CAT, 0.29), (300, 300, 400, 400, DOG, 0.3)),
    image("c"),
]


def test_scores_in_hundredths_are_those_that_a_threshold_lets_through() -> None:
    assert counting.hundredths([0, 0.29, 0.289999, 0.65, 0.649999, 1, -1]).tolist() == [0, 29, 28, 65, 64, 100, -1]


def test_counts_by_hand() -> None:
    counts = counting.count(kinds.of_images(TRUTH, FOUND, 0.5), [CAT, DOG])
    assert counts.objects.tolist() == [2, 1]
    at = {place: (int(counts.right()[place]), int(counts.shown()[place])) for place in (0, 29, 30, 31, 66, 91)}
    assert at == {0: (2, 4), 29: (2, 4), 30: (1, 3), 31: (1, 2), 66: (1, 1), 91: (0, 0)}
    assert counts.detections[CLASS, 0, 65] == 1 and counts.detections[CLASS, 0, 66] == 0
    assert counts.detections[BACKGROUND, 1, [30, 31]].tolist() == [1, 0]
    assert counts.missed[:, [29, 30, 65, 66, 91]].tolist() == [[0, 1, 1, 1, 2], [0, 0, 0, 1, 1]]
    assert counts.precision()[29] == 0.5 and np.isnan(counts.precision()[91]) and counts.recall()[66] == 1 / 3
    assert counts.f1()[66] == 0.5 and counts.f1(1)[0] == 0 and counts.detections[RIGHT, 0, 0] == 2


def test_calibration_by_hand() -> None:
    tenths = counting.calibration(kinds.of_images(TRUTH, FOUND, 0.5))
    expected = [(0.29, 1.0, 1), (0.3, 0.0, 1), (0.65, 0.0, 1), (0.9, 1.0, 1)]
    assert np.allclose(tenths, expected) and counting.calibration([]) == []


corners = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40), st.integers(1, 40))
rows = st.lists(st.tuples(corners, st.integers(1, 3), st.integers(1, 99)), max_size=8)


@settings(max_examples=40)
@given(st.lists(st.tuples(rows, rows), min_size=1, max_size=3), st.integers(1, 99))
def test_the_matrix_is_that_of_the_evaluation_at_any_threshold(images: list, place: int) -> None:  # type: ignore[type-arg]
    def made(which: int) -> list:  # type: ignore[type-arg]
        return [
            image(str(k), *((x, y, x + w, y + h, c, s / 100) for (x, y, w, h), c, s in one[which]))
            for k, one in enumerate(images)
        ]

    truth, found = [with_crowds(one, 0) for one in made(0)], made(1)
    ids = [1, 2, 3]
    errors = curves.image_errors(truth, found, score_threshold=place / 100, iou_threshold=0.5)
    expected = curves.confusion_matrix(errors, ids).tolist()
    matrix = confusions.confusion(kinds.of_images(truth, found, 0.5), ids, place)
    assert confusions.at(matrix, place) == expected


def test_of_many_classes_those_with_the_most_errors_have_rows_of_their_own() -> None:
    ids = list(range(1, 21))
    truth = [image(str(k), (0, 0, 100, 100, k)) for k in ids]
    found = [image(str(k), (0, 0, 100, 100, 20 if k == 19 else k, 0.9)) for k in ids]
    matrix = confusions.confusion(kinds.of_images(truth, found, 0.5), ids, 50)
    assert matrix.order == [*range(1, 10), 19, 20, confusions.OTHERS, confusions.BACKGROUND]
    table = confusions.at(matrix, 50)
    assert table[9][10] == 1 and table[11][11] == 9 and sum(map(sum, table)) == 20
    assert [row[-1] for row in confusions.at(matrix, 95)] == [1] * 11 + [9, 0]
