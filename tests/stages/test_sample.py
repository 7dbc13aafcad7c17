"""The embedded dataset: the same bytes for the same seed, true boxes, and no easy way to tell cats from dogs."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from lxml import etree
from PIL import Image

from detector.data import labels
from detector.scene import compose
from tests.support.stage import REPOSITORY, child

TRAIN, TEST = 120, 24
CHANCE_AT_MOST = 0.65  # of right answers: 0.5 and 2.5 standard deviations of some 75 guesses


def run(root: Path, old: str = "", new: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m stages.sample` in `root`, with params.yaml as it is but for one replacement."""
    content = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    assert old in content
    (root / "params.yaml").write_text(content.replace(old, new, 1), encoding="utf-8")
    return child("-m", "stages.sample", cwd=root, **environment)


def small(train: int, test: int, seed: int = 1) -> tuple[str, str]:
    """What to replace in params.yaml for that many images."""
    return (
        "seed: 1\n  train_images: 400\n  test_images: 100",
        f"seed: {seed}\n  train_images: {train}\n  test_images: {test}",
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample")
    result = run(root, *small(TRAIN, TEST))
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"dataset/sample: {TRAIN} train and {TEST} test images\n"
    return root / "dataset" / "sample"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@dataclass(frozen=True)
class Found:
    """One object as the XML has it; `box` is [xmin, ymin, xmax, ymax] in pixels."""

    image: Path
    name: str
    truncated: int
    box: tuple[int, int, int, int]


def objects(folder: Path) -> list[Found]:
    found = []
    for path in sorted(folder.glob("*.xml")):
        for node in etree.parse(path).findall("object"):
            xmin, ymin, xmax, ymax = (
                int(node.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")
            )
            truncated = int(node.findtext("truncated", ""))
            found.append(
                Found(path.with_suffix(".jpg"), node.findtext("name", ""), truncated, (xmin, ymin, xmax, ymax))
            )
    return found


def test_layout_and_label_map(dataset: Path) -> None:
    assert sorted(path.name for path in dataset.iterdir()) == ["label_map.pbtxt", "test", "train"]
    assert labels.read(dataset / "label_map.pbtxt") == {"cat": 1, "dog": 2}
    for split, count in (("train", TRAIN), ("test", TEST)):
        names = [f"{split}_{number:05d}" for number in range(count)]
        assert sorted(path.name for path in (dataset / split).iterdir()) == sorted(
            name + ending for name in names for ending in (".jpg", ".xml")
        )


def test_first_images_do_not_depend_on_the_counts(dataset: Path, tmp_path: Path) -> None:
    """A second run with other counts gives the same bytes: deterministic, and a prefix."""
    assert run(tmp_path, *small(9, 3)).returncode == 0
    again = contents(tmp_path / "dataset" / "sample")
    first = contents(dataset)
    assert len(again) == 2 * (9 + 3) + 1
    assert {name: first[name] for name in again} == again


def test_bytes_do_not_depend_on_the_processors_vector_units(dataset: Path, tmp_path: Path) -> None:
    """numpy rounds exp, sin and power otherwise with AVX-512 than without: the pictures use none of them."""
    features = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR AVX2 FMA3 X86_V3 X86_V4"
    known = set(np._core._multiarray_umath.__cpu_dispatch__)  # type: ignore[attr-defined]
    disabled = " ".join(feature for feature in features.split() if feature in known)
    result = run(tmp_path, *small(4, 1), NPY_DISABLE_CPU_FEATURES=disabled)
    assert result.returncode == 0, result.stderr
    first = contents(dataset)
    again = contents(tmp_path / "dataset" / "sample")
    assert {name: first[name] for name in again} == again


def test_another_seed_draws_other_pictures(dataset: Path, tmp_path: Path) -> None:
    assert run(tmp_path, *small(2, 1, seed=2)).returncode == 0
    name = "train/train_00000.jpg"
    assert (tmp_path / "dataset" / "sample" / name).read_bytes() != (dataset / name).read_bytes()


def test_a_second_run_replaces_the_folder_whole(tmp_path: Path) -> None:
    folder = tmp_path / "dataset" / "sample"
    folder.mkdir(parents=True)
    (folder / "left over").write_text("of an older run")
    assert run(tmp_path, *small(1, 1)).returncode == 0
    assert len(contents(folder)) == 5
    assert [path.name for path in (tmp_path / "dataset").iterdir()] == ["sample"]


def test_xml_agrees_with_the_jpeg(dataset: Path) -> None:
    for path in sorted(dataset.glob("*/*.xml")):
        root = etree.parse(path).getroot()
        with Image.open(path.with_suffix(".jpg")) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            size = tuple(int(root.findtext(f"size/{side}", "")) for side in ("width", "height", "depth"))
            assert size == (*image.size, 3)
            assert 320 <= min(image.size) <= max(image.size) <= 500
        assert root.findtext("filename") == path.with_suffix(".jpg").name
        assert root.findtext("folder") == path.parent.name
        assert {node.findtext("name") for node in root.findall("object")} <= {"cat", "dog"}
        for found in root.findall("object"):
            xmin, ymin, xmax, ymax = (
                int(found.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")
            )
            assert 0 <= xmin < xmin + compose.MIN_BOX <= xmax <= size[0]
            assert 0 <= ymin < ymin + compose.MIN_BOX <= ymax <= size[1]
            if 0 in (xmin, ymin) or xmax == size[0] or ymax == size[1]:
                assert found.findtext("truncated") == "1"


def test_variety(dataset: Path) -> None:
    """Both classes alike often, several animals and none, small and large, truncated and whole."""
    found = objects(dataset / "train")
    per_image = [len(etree.parse(path).findall("object")) for path in sorted((dataset / "train").glob("*.xml"))]
    assert 0.4 < sum(item.name == "cat" for item in found) / len(found) < 0.6
    assert 0 < per_image.count(0) < 0.15 * TRAIN
    assert per_image.count(1) > 0.5 * TRAIN
    assert sum(count > 1 for count in per_image) > 0.1 * TRAIN
    sides = [max(box[2] - box[0], box[3] - box[1]) for box in (item.box for item in found)]
    assert min(sides) < 100
    assert max(sides) > 280
    assert 0.15 < sum(item.truncated for item in found) / len(found) < 0.85


def test_jpeg_sizes(dataset: Path) -> None:
    sizes = [path.stat().st_size for path in dataset.glob("*/*.jpg")]
    assert 15_000 < np.mean(sizes) < 40_000
    assert max(sizes) < 80_000


def nearest_mean_accuracy(features: npt.NDArray[np.float64], is_cat: npt.NDArray[np.bool_]) -> float:
    """(N, F) features: learnt from every other object, measured on the rest."""
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    learn, check = scaled[::2], scaled[1::2]
    cat, dog = learn[is_cat[::2]].mean(axis=0), learn[~is_cat[::2]].mean(axis=0)
    guess = ((check - cat) ** 2).sum(axis=1) < ((check - dog) ** 2).sum(axis=1)
    return float((guess == is_cat[1::2]).mean())


def test_neither_colour_nor_place_tells_the_class(dataset: Path) -> None:
    found = objects(dataset / "train")
    is_cat = np.array([item.name == "cat" for item in found])
    colours, places = [], []
    for item in found:
        with Image.open(item.image) as image:
            pixels = np.asarray(image.crop(item.box), np.float64).reshape(-1, 3)
            colours.append([*pixels.mean(axis=0), *pixels.std(axis=0)])
            xmin, ymin, xmax, ymax = item.box
            places.append([(xmin + xmax) / image.width, (ymin + ymax) / image.height])
    assert nearest_mean_accuracy(np.array(colours), is_cat) < CHANCE_AT_MOST
    assert nearest_mean_accuracy(np.array(places), is_cat) < CHANCE_AT_MOST


def test_the_classifier_above_can_tell_what_differs() -> None:
    is_cat = np.array([True, True, False, False] * 5)
    assert nearest_mean_accuracy(np.where(is_cat, 1.0, 0.0)[:, None], is_cat) == 1.0


def test_train_and_test_share_no_picture(dataset: Path) -> None:
    pictures = [path.read_bytes() for path in dataset.glob("*/*.jpg")]
    assert len(set(pictures)) == TRAIN + TEST


def test_box_is_where_the_animal_is_seen() -> None:
    """Hiding a part of an animal shrinks its box to the rest, and hiding its head is refused."""
    visible = np.zeros((100, 100), np.bool_)
    visible[20:80, 10:90] = True
    head = np.zeros_like(visible)
    head[20:40, 60:90] = True
    animal = compose._Animal("cat", int(visible.sum()), int(head.sum()), visible, head)
    whole = compose._annotation(animal)
    assert whole == compose.SceneObject("cat", False, 10, 20, 90, 80)
    left = np.zeros_like(visible)
    left[:, :40] = True
    assert animal.stays_visible(left)
    assert not animal.stays_visible(head)
    animal.hide(left)
    assert compose._annotation(animal) == compose.SceneObject("cat", True, 40, 20, 90, 80)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 1\n", "seed: -1\n", "sample.seed: -1 is not allowed; give a whole number from 0 to"),
        ("train_images: 400", "train_images: 0", "sample.train_images: 0 is not allowed"),
        ("test_images: 100", "test_images: many", "sample.test_images: 'many' is not allowed"),
        ("train_images: 400", "train_images: 2.5", "sample.train_images: 2.5 is not allowed"),
        (
            "test_images: 100",
            "pictures: 100",
            "sample.pictures: unknown key (its value is 100); sample has seed, train_images, test_images",
        ),
    ],
)
def test_bad_params_are_refused_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    result = run(tmp_path, old, new)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "dataset").exists()


def test_the_stage_imports_nothing_heavy_before_it_works() -> None:
    code = (
        "import sys, stages.sample; print(sorted({'tensorflow', 'pandas', 'numpy', 'scipy', 'PIL'} & set(sys.modules)))"
    )
    assert child("-c", code).stdout == "[]\n"


def test_drawing_needs_neither_tensorflow_nor_pandas() -> None:
    code = "import sys, stages.sample\nfrom detector.data import labels\nfrom detector.scene import compose\n"
    code += "compose.render(1, 'train', 0)\nprint(sorted({'tensorflow', 'pandas'} & set(sys.modules)))"
    assert child("-c", code).stdout == "[]\n"
