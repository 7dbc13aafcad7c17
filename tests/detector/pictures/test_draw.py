"""Boxes on pictures: what is drawn, what is left alone, and letters that stay on the image."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from detector.data.tables import ImageBoxes
from detector.pictures import draw
from tests.support.boxes import image, with_crowds
from tests.support.stage import child

NAMES = {1: "cat", 2: "dog"}


def boxes(size: tuple[int, int], *rows: Sequence[float]) -> ImageBoxes:
    """Rows are (xmin, ymin, xmax, ymax, class, score)."""
    return image("a.jpg", *rows, size=size)


def painted(before: Image.Image, after: Image.Image) -> tuple[int, int, int, int] | None:
    """The bounding box of what differs: (xmin, ymin, xmax, ymax), the last two exclusive."""
    return ImageChops.difference(before.convert("RGB"), after).getbbox()


def test_box_and_label_are_where_they_belong() -> None:
    grey = Image.new("RGB", (340, 200), (128, 128, 128))
    result = draw.draw_boxes(grey, boxes(grey.size, (100, 60, 300, 160, 1, 0.9)), NAMES)
    for corner in ((100, 60), (300, 60), (100, 160), (300, 160), (200, 60), (101, 110)):  # lines are 2 pixels wide
        assert result.getpixel(corner) == draw.colour(1)
    assert result.getpixel((200, 110)) == (128, 128, 128)  # nothing inside
    assert result.getpixel((99, 110)) == result.getpixel((102, 110)) == (0, 0, 0)  # a dark edge on both sides
    label = result.crop((100, 40, 140, 59))
    assert {draw.colour(1), (0, 0, 0)} <= set(label.get_flattened_data())


def test_the_image_itself_is_left_alone_and_without_boxes_comes_back_equal() -> None:
    photo = Image.effect_noise((60, 40), 50).convert("RGB")
    before = photo.copy()
    draw.draw_boxes(photo, boxes(photo.size, (5, 5, 30, 30, 2, 0.5)), NAMES)
    assert photo == before
    same = draw.draw_boxes(photo, boxes(photo.size), NAMES)
    assert same == before
    assert same is not photo


def test_score_threshold_is_inclusive() -> None:
    white = Image.new("RGB", (100, 100), "white")
    found = boxes(white.size, (10, 30, 40, 90, 1, 0.5), (60, 30, 90, 90, 2, 0.49))
    result = draw.draw_boxes(white, found, NAMES, score_threshold=0.5)
    assert result.getpixel((10, 60)) == draw.colour(1)
    assert result.getpixel((60, 60)) == (255, 255, 255)


def test_scores_can_be_left_out() -> None:
    white = Image.new("RGB", (200, 100), "white")
    found = boxes(white.size, (50, 40, 60, 50, 1, 0.5))
    with_score, without = (draw.draw_boxes(white, found, NAMES, show_scores=show) for show in (True, False))
    assert painted(white, with_score)[2] > painted(white, without)[2] + 20  # type: ignore[index]


def test_best_score_is_on_top() -> None:
    white = Image.new("RGB", (100, 100), "white")
    result = draw.draw_boxes(white, boxes(white.size, (10, 40, 90, 90, 1, 0.9), (10, 40, 90, 90, 2, 0.8)), NAMES)
    assert result.getpixel((10, 60)) == draw.colour(1)


def test_labels_of_equal_boxes_do_not_cover_each_other() -> None:
    white = Image.new("RGB", (200, 200), "white")
    one, two = (50, 60, 150, 160, 1, 0.9), (50, 60, 150, 160, 2, 0.8)
    pixels = draw.draw_boxes(white, boxes(white.size, one, two), NAMES).get_flattened_data()
    for class_id, row in ((1, one), (2, two)):
        alone = draw.draw_boxes(white, boxes(white.size, row), NAMES).get_flattened_data()
        line = 2 * (100 + 100)  # pixels of the outline, which is one pixel wide: these may be covered
        assert pixels.count(draw.colour(class_id)) >= alone.count(draw.colour(class_id)) - line


def test_the_line_of_a_crowd_is_dashed() -> None:
    white = Image.new("RGB", (100, 100), "white")
    found = boxes(white.size, (10, 20, 90, 90, 1, 1))
    crowd = with_crowds(found, 0)
    left = [[draw.draw_boxes(white, one, {1: ""}).getpixel((10, y)) for y in range(21, 89)] for one in (found, crowd)]
    assert set(left[0]) == {draw.colour(1)}
    assert set(left[1]) == {draw.colour(1), (0, 0, 0)}
    assert [left[1].count(pixel) for pixel in (draw.colour(1), (0, 0, 0))] == [35, 33]  # 4 pixels each, in turn


def test_colours_are_distinct_and_stable() -> None:
    assert len({draw.colour(class_id) for class_id in range(1, 91)}) == 90  # COCO has 90 ids
    assert draw.colour(1) == (0xE6, 0x9F, 0x00)


def test_accents_are_drawn_and_differ_from_their_plain_letters() -> None:
    def label(name: str) -> Image.Image:
        white = Image.new("RGB", (300, 200), "white")
        return draw.draw_boxes(white, boxes(white.size, (50, 100, 250, 150, 1, 0.5)), {1: name})

    pictures = [label(name) for name in ("maçã", "maca", "maça", "macã", "ma\ufffe\ufffe")]
    for k, picture in enumerate(pictures):
        assert all(picture != other for other in pictures[k + 1 :])  # a missing glyph would draw the same box twice


def test_unknown_class_shows_its_id() -> None:
    white = Image.new("RGB", (100, 100), "white")
    found = boxes(white.size, (10, 40, 90, 90, 7, 0.9))
    assert draw.draw_boxes(white, found, {}) == draw.draw_boxes(white, found, {7: "7"})


def test_a_name_that_the_font_cannot_write_shows_its_id() -> None:
    white = Image.new("RGB", (300, 100), "white")
    found = boxes(white.size, (10, 40, 90, 90, 7, 0.5))
    for name in ("猫", "cat 猫", "חתול", "قط", "बिल्ली", "แมว", "q\u0301\u0323"):
        assert draw.draw_boxes(white, found, {7: name}) == draw.draw_boxes(white, found, {7: "7"})
        assert draw.shown_as_ids({7: name, 8: "cat"}) == [f"7 {name}"]
    names = dict(enumerate(["maçã", "кошка", "γάτα", "Straße 2", "mac\u0327a\u0303", "mèo tiếng", "☃"]))
    assert draw.shown_as_ids(names) == []
    assert draw.draw_boxes(white, found, {7: "mac\u0327a\u0303"}) == draw.draw_boxes(white, found, {7: "maçã"})


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.lists(st.tuples(*[st.floats(-200, 200)] * 4, st.integers(1, 9), st.floats(0, 1)), max_size=5),
    st.text(max_size=30),
)
def test_any_box_on_any_size_keeps_the_size(size: tuple[int, int], rows: list[tuple[float, ...]], name: str) -> None:
    image = Image.new("L", size, 90)
    result = draw.draw_boxes(image, boxes(size, *rows), dict.fromkeys(range(1, 10), name))
    assert (result.mode, result.size) == ("RGB", size)


@pytest.mark.parametrize("row", [(0, 0, 20, 20), (190, 0, 200, 20), (0, 190, 20, 200), (190, 190, 200, 200)])
def test_a_label_at_the_border_is_as_large_as_one_in_the_middle(row: tuple[int, ...]) -> None:
    """Nothing of the ground and of the letters is cut off: as many pixels are painted as on a wider canvas."""
    white = Image.new("RGB", (200, 200), "white")
    pictures = [
        draw.draw_boxes(white, boxes(white.size, (*place, 1, 0.5)), {1: "long name"}).get_flattened_data()
        for place in (row, (90, 90, 110, 110))
    ]
    ground = [sum(pixel == draw.colour(1) for pixel in pixels) for pixels in pictures]
    assert ground[0] >= ground[1] - 4 * 20  # the outline may be under the label; the label is the greater part
    assert ground[1] > 900


def test_long_name_is_shortened_to_the_image() -> None:
    white = Image.new("RGB", (60, 60), "white")
    result = draw.draw_boxes(white, boxes(white.size, (10, 30, 50, 50, 1, 0.5)), {1: "a name that is much too long"})
    assert painted(white, result)[2] <= 60  # type: ignore[index]
    text, font = draw._fitted("a name that is much too long", 11, 60)
    assert text.endswith("…")
    assert font.getlength(text) <= 60
    assert draw._fitted("cat", 11, 0)[0] == ""


@pytest.mark.parametrize(
    ("size", "half"),
    [((500, 374), (500, 374)), ((50, 40), (480, 384)), ((4000, 3000), (800, 600)), ((1, 1), (480, 480))],
)
def test_side_by_side_halves(size: tuple[int, int], half: tuple[int, int]) -> None:
    photo = Image.new("RGB", size, (128, 128, 128))
    found, truth = boxes(size, (0, 0, size[0], size[1], 1, 0.9)), boxes(size)
    sheet = draw.side_by_side(photo, found, truth, NAMES, score_threshold=0.5)
    strip = sheet.height - half[1]
    assert sheet.width == 2 * half[0] + 4
    assert 30 < strip < 60
    left = sheet.crop((0, strip, half[0], sheet.height))
    right = sheet.crop((half[0] + 4, strip, sheet.width, sheet.height))
    assert left.getpixel((0, half[1] - 1)) == draw.colour(1)  # detections on the left, scaled with the photo
    assert right == Image.new("RGB", half, (128, 128, 128))  # no groundtruth: the bare photo


def test_side_by_side_titles_count_what_is_shown() -> None:
    photo = Image.new("RGB", (500, 300), "white")
    truth = boxes(photo.size, (0, 50, 100, 100, 1, 1))

    def strip(score: float) -> Image.Image:
        detections = boxes(photo.size, (0, 50, 100, 100, 1, score))
        return draw.side_by_side(photo, detections, truth, NAMES, score_threshold=0.5).crop((0, 0, 500, 46))

    assert strip(0.9) == strip(0.8) != strip(0.4)


def test_no_matplotlib_is_imported() -> None:
    code = "import sys; from detector.pictures import draw; draw._font(12); "
    code += "print('matplotlib' in sys.modules, 'tensorflow' in sys.modules)"
    assert child("-c", code).stdout.split() == ["False", "False"]
