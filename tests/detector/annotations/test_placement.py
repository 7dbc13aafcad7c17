"""Whether objects are at the same places, by boxes that a reader can place by hand."""

import pytest

from detector.annotations import placement
from detector.annotations.placement import agree
from detector.annotations.voc import Annotation, VocObject

Boxes = list[tuple[str, tuple[float, float, float, float]]]
CAT = ("cat", (10.0, 20.0, 30.0, 40.0))  # centre 0.2, 0.3 of 100 x 100


def places(*boxes: tuple[str, tuple[float, float, float, float]], size: tuple[int, int] = (100, 100)):
    objects = tuple(VocObject(f"object {number}", name, box) for number, (name, box) in enumerate(boxes, 1))
    return placement.of(Annotation("", size, objects))


def test_a_place_is_a_share_of_the_photo():
    (place,) = places(CAT, size=(200, 100)) or ()
    assert (place.x, place.y) == (0.1, 0.3) and place.side == pytest.approx(0.15)


def test_labels_without_a_frame_say_nothing():
    assert placement.of(None) is None and placement.of(Annotation("", None, ())) is None
    assert agree(None, places(CAT)) and agree(places(CAT), None) and agree(places(), places())


@pytest.mark.parametrize(
    ("other", "flip", "is_crop", "same"),
    [
        (("cat", (10, 20, 30, 40)), 0, False, True),
        (("cat", (24, 20, 44, 40)), 0, False, True),  # 0.14 to the right: a tenth, and a quarter of the sides of 0.2
        (("cat", (26, 20, 46, 40)), 0, False, False),  # 0.16
        (("cat", (26, 20, 46, 40)), 0, True, True),  # as a crop shifts it
        (("dog", (12, 20, 40, 50)), 0, False, True),  # another person's labels
        (("cat", (70, 20, 90, 40)), 1, False, True),
        (("cat", (70, 20, 90, 40)), 0, False, False),
        (("cat", (10, 20, 30, 40)), 1, False, True),  # flipped without its labels
        (("cat", (10, 60, 30, 80)), 2, False, True),
        (("cat", (70, 60, 90, 80)), 3, False, True),
    ],
)
def test_one_object(other, flip, is_crop, same):
    assert agree(places(CAT), places(other), flip, is_crop=is_crop) is same
    assert agree(places(other), places(CAT), flip, is_crop=is_crop) is same


def test_half_of_the_objects_decide_of_the_photo_with_fewer():
    """A person may have labelled one cat of ten; but where nothing is labelled, nothing was there."""
    dog, bird = ("dog", (60, 60, 80, 90)), ("bird", (0, 90, 5, 95))
    assert agree(places(CAT, dog, bird), places(CAT)) and agree(places(CAT), places(CAT, dog, bird))
    assert agree(places(CAT, dog), places(CAT, bird))
    assert not agree(places(dog, bird), places(CAT))
    assert not agree(places(CAT), places()) and not agree(places(), places(CAT))
