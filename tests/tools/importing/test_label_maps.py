"""`make dataset` and the label maps of ../shared/cases/11: what is taken, and what is said of it."""

from pathlib import Path, PurePosixPath

import pytest

from detector.base.errors import UserError
from detector.data import labels
from tests.support import cases
from tools.importing import label_maps
from tools.importing import tree as trees

CAT_DOG = labels.render(["cat", "dog"])
GOOD = "item {\n  id: 1\n  name: 'cat'\n}\nitem {\n  id: 2\n  name: 'dog'\n}\n"
SWAPPED = GOOD.replace("cat", "x").replace("dog", "cat").replace("x", "dog")
BACKGROUND = "with id 0 left out: 0 is the background"


def chosen(folder: Path, classes: list[str]) -> tuple[str, str]:
    """The label map of a source and its note, which begins alike for all."""
    tree = trees.walk(folder)
    text, note = label_maps.choose(tree, label_maps.find(tree), PurePosixPath(), classes)
    return text, note.removeprefix("label map ")


@pytest.mark.parametrize(
    ("case", "text", "note"),
    [
        ("bom", CAT_DOG, "made from label_map.pbtxt: cat 1, dog 2; its byte order mark was removed"),
        ("utf16", CAT_DOG, "made from label_map.pbtxt: cat 1, dog 2; converted from UTF-16 to UTF-8"),
        ("background", CAT_DOG, f"made from label_map.pbtxt: cat 1, dog 2; background {BACKGROUND}"),
        ("none_of_the_above", CAT_DOG, f"made from label_map.pbtxt: cat 1, dog 2; none_of_the_above {BACKGROUND}"),
        (
            "from11",
            CAT_DOG,
            "made from label_map.pbtxt: cat 1, dog 2; ids numbered from 1 without gaps: cat 11 is 1, dog 12 is 2",
        ),
        (
            "display",
            CAT_DOG,
            "made from label_map.pbtxt: cat 1, dog 2; display_name taken as the class, which the "
            "annotations use: cat, dog",
        ),
        ("gbk", CAT_DOG, "made from label_map.pbtxt: cat 1, dog 2; its comments are not UTF-8: they were removed"),
        ("curly", CAT_DOG, "made from label_map.pbtxt: cat 1, dog 2; curly quotes taken as straight ones"),
        (
            "supersetcoco",
            labels.render(["person", "cat", "dog"]),
            "made from label_map.pbtxt: person 1, cat 2, dog 3; ids numbered from 1 without gaps: cat 17 is 2, "
            "dog 18 is 3; without an object, but kept: person",
        ),
        ("space", CAT_DOG, "made from label_map.pbtxt: cat 1, dog 2; spaces around names removed: cat"),
        ("pbtext", GOOD, "copied from labelmap.txt: cat 1, dog 2"),
        ("pbtxttxt", SWAPPED, "copied from label_map.pbtxt.txt: dog 1, cat 2"),
    ],
)
def test_case_11(case: str, text: str, note: str) -> None:
    assert chosen(cases.built("11") / case, ["cat", "dog"]) == (text, note)


def test_label_maps_that_say_the_same_are_one(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/pets.pbtxt").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    (tmp_path / "pets.pbtxt").write_text(GOOD)
    (tmp_path / "graph.pbtxt").write_text("node { name: 'input' }")
    assert chosen(tmp_path, ["cat", "dog"]) == (GOOD, "copied from pets.pbtxt: cat 1, dog 2")


def test_class_names_that_no_label_map_can_hold(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the name 'a\\u200bb' holds the invisible character U\+200B; rename it"):
        chosen(tmp_path, ["a\u200bb"])


def test_more_classes_than_any_label_map_may_have(tmp_path: Path) -> None:
    """As where the column of the file names is taken for that of the classes."""
    with pytest.raises(UserError, match="the labels have 10,001 classes; at most 10,000 are supported; is the name"):
        chosen(tmp_path, [f"class {number}" for number in range(10_001)])
