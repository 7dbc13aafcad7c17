"""Class names that look like a slip are named with their counts; sound ones are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.annotations.class_names import doubts

TYPING_ERROR = "may be a typing error, it differs by a letter or two"
SAME = "the same name but for case, spaces or Unicode form"


@pytest.mark.parametrize(
    ("boxes", "lines"),
    [
        ({}, []),
        ({"cat": 120, "car": 100, "dog": 90}, []),
        ({"class1": 3, "class2": 90, "5": 4, "6": 90}, []),  # numbered
        ({"cat": 120, "Cat": 3}, [f"Cat 3, cat 120: {SAME}"]),
        ({"ice box": 9, "ice-box": 4, "IceBox": 5}, [f"IceBox 5, ice box 9, ice-box 4: {SAME}"]),
        ({"c\xe3o": 5, "ca\u0303o": 4}, [rf"'ca\u0303o' 4, 'c\xe3o' 5: {SAME}"]),
        ({"dog": 90, "dgo": 3}, [f"dog 90, dgo 3: dgo {TYPING_ERROR}"]),
        ({"cat": 100, "car": 5}, [f"cat 100, car 5: car {TYPING_ERROR}"]),
        ({"cat": 100, "car": 6}, []),  # more than 5 % is no slip
        ({"cat": 6, "car": 3}, []),  # nor half of it
        (
            {"traffic light": 80, "trafic ligth": 3},
            [f"traffic light 80, trafic ligth 3: trafic ligth {TYPING_ERROR}"],
        ),
        (
            {"ox": 2, "whale": 1, "elk": 0, "cow": 3},
            ["classes with fewer than 3 boxes: ox 2, whale 1"],
        ),
        ({"!": 5, "?": 5}, []),
    ],
)  # fmt: skip
def test_doubts(boxes: dict[str, int], lines: list[str]) -> None:
    assert doubts(boxes) == lines


@given(st.dictionaries(st.text(), st.integers(0, 1000)))
def test_any_names_make_printable_lines(boxes: dict[str, int]) -> None:
    assert all(line.isprintable() for line in doubts(boxes))
