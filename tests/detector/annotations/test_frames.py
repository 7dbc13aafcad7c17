"""detector.annotations.frames: the frame that boxes were drawn in, and the edges of the photo."""

import io

import numpy as np
import pytest
from PIL import Image

from detector.annotations.frames import SEEN, STORED, evident, fit, place, upright
from detector.annotations.voc import ERROR, REPAIRED, SKIPPED, WARNING, Annotation, VocObject
from detector.pictures import images
from detector.pictures.images import ImageInfo


def info(width, height, orientation=1):
    """Of a JPEG of this size as stored."""
    seen = (height, width) if orientation >= 5 else (width, height)
    return ImageInfo(seen, (width, height), "JPEG", orientation > 1, True, orientation)


def annotation(size, *boxes, encloses=False):
    objects = (VocObject(f"object {n}", "cat", box, encloses=encloses) for n, box in enumerate(boxes, start=1))
    return Annotation("a.jpg", size, tuple(objects))


def placed(size, photo, box=(8.0, 6.0, 40.0, 30.0), others=()):
    """(box, size of its frame, [(kind, action)])"""
    result, problems = place(annotation(size, box), photo, others)
    return result.objects[0].box, result.size, [(problem.kind, problem.action) for problem in problems]


def test_the_size_of_the_photo():
    assert placed((64, 48), info(64, 48)) == ((8, 6, 40, 30), (64, 48), [])


@pytest.mark.parametrize("size", [(128, 96), (32, 24)])
def test_another_scale(size):
    box = tuple(corner * size[0] / 64 for corner in (8.0, 6.0, 40.0, 30.0))
    assert placed(size, info(64, 48), box) == (
        (8, 6, 40, 30),
        (64, 48),
        [("labelled at another scale", REPAIRED)],
    )


def test_a_scale_that_was_rounded():
    """4000x3000, a twelfth of which is 333.3x250; and 500x374 doubled and more."""
    problems = place(annotation((333, 250), (1, 1, 9, 9)), info(4000, 3000), ())[1]
    assert problems[0].reason == "labelled at another scale: <size> is 333x250, the image 4000x3000"
    assert placed((1337, 1000), info(500, 374))[2] == [("labelled at another scale", REPAIRED)]
    assert placed((1345, 1000), info(500, 374))[2][0][1] == ERROR


def test_a_size_that_is_a_pixel_off_changes_nothing():
    assert placed((65, 47), info(64, 48)) == ((8, 6, 40, 30), (64, 48), [("<size> is a pixel off", REPAIRED)])


def test_no_size():
    box, size, problems = placed(None, info(64, 48))
    assert (box, size) == ((8, 6, 40, 30), (64, 48))
    assert problems == [("<size> is missing or makes no sense", REPAIRED)]


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((48, 64), "drawn on the image turned by a quarter, or <size> is the wrong way round"),
        ((96, 128), "drawn on the image turned by a quarter, or <size> is the wrong way round"),
        ((640, 48), "drawn on another image, or <size> is wrong"),
        ((2, 2), "drawn on another image, or <size> is wrong"),
    ],
)
def test_no_frame_of_the_photo(size, words):
    """Both readings are named. Without boxes there is nothing to decide."""
    photo = info(64, 48)
    (problem,) = place(annotation(size, (1, 1, 9, 9)), photo, ())[1]
    assert problem.action == ERROR
    assert problem.reason == f"<size> is {size[0]}x{size[1]}, the image is 64x48: its boxes were {words}"
    (problem,) = place(annotation(size), photo, ())[1]
    assert (problem.kind, problem.action) == ("unrelated <size>", REPAIRED)


def test_a_photo_that_is_nearly_square_the_wrong_way_round():
    assert placed((100, 101), info(101, 100))[2][0][1] == ERROR


@pytest.mark.parametrize(
    ("size", "orientation", "frame"),
    [
        *[((48, 64), 6, SEEN), ((64, 48), 6, STORED), ((96, 128), 8, SEEN), ((32, 24), 5, STORED)],
        *[(None, 6, None), ((64, 48), 3, None), ((640, 48), 6, None), ((64, 48), 1, None)],
    ],
)
def test_photos_that_can_tell(size, orientation, frame):
    assert evident(size, info(64, 48, orientation)) == frame


def test_a_photo_that_can_tell_keeps_its_own_reading():
    """Trained as stored, with the size as stored, whatever the others say."""
    for others in ((), (SEEN,), (STORED,), (SEEN, STORED)):
        assert placed((64, 48), info(64, 48, 6), others=others) == ((8, 6, 40, 30), (64, 48), [])
        assert placed((48, 64), info(64, 48, 6), others=others) == ((8, 6, 40, 30), (48, 64), [])


@pytest.mark.parametrize("photo", [info(64, 48, 3), info(64, 64, 6)])
def test_photos_that_cannot_tell_follow_the_others(photo):
    box, size = (8.0, 6.0, 40.0, 30.0), photo.raw_size
    assert placed(size, photo) == (box, size, [("turned by EXIF", WARNING)])
    assert placed(size, photo, others=(SEEN,)) == (box, size, [("turned by EXIF", WARNING)])
    assert placed(size, photo, others=(SEEN, STORED))[2] == [("turned by EXIF", ERROR)]
    assert placed(size, photo, others=(STORED,)) == (upright(box, photo), size, [("turned by EXIF", REPAIRED)])


def test_a_photo_without_size_is_trained_as_stored_where_the_others_are():
    """Its two sizes differ, so that the CSV can say so: the boxes stay."""
    box, size, problems = placed(None, info(64, 48, 6), others=(STORED,))
    assert (box, size) == ((8, 6, 40, 30), (64, 48))
    assert [action for _, action in problems] == [REPAIRED, REPAIRED]


def test_scaled_and_turned():
    """Half a turn, labelled at double size: (16, 12, 80, 60) is (8, 6, 40, 30), which is (24, 18, 56, 42) as seen."""
    box, _, problems = placed((128, 96), info(64, 48, 3), (16.0, 12.0, 80.0, 60.0), (STORED,))
    assert box == (24, 18, 56, 42)
    assert len(problems) == 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_what_pillow_does(orientation):
    """A white box on a black picture is where the box is then."""
    pixels = np.zeros((48, 64, 3), dtype=np.uint8)
    pixels[6:30, 8:40] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", exif=exif)
    photo = images.check("a.png", buffer.getvalue())
    seen = np.asarray(images.open_upright("a.png", buffer.getvalue()))
    xmin, ymin, xmax, ymax = (int(corner) for corner in upright((8, 6, 40, 30), photo))
    assert photo.orientation == orientation
    assert (seen[ymin:ymax, xmin:xmax] == 255).all()
    assert (seen == 255).sum() == 24 * 32 * 3


def fitted(box, tolerance=0.0, encloses=False):
    """(boxes, [(problem, action)]) in a picture of 64x48."""
    result, problems = fit(annotation(None, box, encloses=encloses), (64, 48), tolerance)
    return [one.box for one in result.objects], [(problem.reason, problem.action) for problem in problems]


@pytest.mark.parametrize(
    ("box", "tolerance", "expected"),
    [
        ((-1.0, 2.0, 64.5, 49.0), 0, (0, 2, 64, 48)),  # a pixel is always allowed
        ((0.0, -0.25, 5.0, 5.0), 0, (0, 0, 5, 5)),
        ((-6.4, 2.0, 9.0, 52.8), 0.1, (0, 2, 9, 48)),
    ],
)
def test_a_little_outside_is_clipped(box, tolerance, expected):
    (clipped,), ((_, action),) = fitted(box, tolerance)
    assert (clipped, action) == (expected, REPAIRED)


@pytest.mark.parametrize(
    ("box", "tolerance"),
    [
        *[((-1.01, 2.0, 30.0, 40.0), 0), ((0.0, 0.0, 65.1, 48.0), 0), ((-6.5, 2.0, 9.0, 40.0), 0.1)],
        *[((2.0, 2.0, 9.0, 52.9), 0.1), ((70.0, 0.0, 80.0, 9.0), 1), ((-1.0, 0.0, 0.0, 9.0), 1)],
        ((-0.9, 3.0, 0.001, 9.0), 0),
    ],
)
def test_further_outside_is_left_out(box, tolerance):
    """Of the last ones nothing is left inside."""
    boxes, ((reason, action),) = fitted(box, tolerance)
    assert (boxes, action) == ([], SKIPPED)
    assert reason.startswith("outside: box [")
    assert reason.endswith(" px over the edge of the 64x48 image")


def test_a_box_that_encloses_may_reach_out_further_than_what_was_drawn():
    assert fitted((20.0, -20.0, 30.0, 60.0), encloses=True)[0] == [(20, 0, 30, 48)]
    assert fitted((70.0, 2.0, 80.0, 9.0), encloses=True)[0] == []
