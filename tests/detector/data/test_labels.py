"""The label map: what is read is what was written, plain meanings are taken, and the others refused."""

import os
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from object_detection.protos.string_int_label_map_pb2 import StringIntLabelMap

from detector.base.errors import UserError
from detector.data import labels

GOOD = "item {\n  id: 1\n  name: 'cat'\n}\nitem {\n  id: 2\n  name: 'dog'\n}\n"
MIDS = "item { name: '/m/01yrx' id: 1 display_name: 'cat' } item { name: '/m/0bt9lr' id: 2 display_name: 'dog' }"


def parse(text: str | bytes, classes: list[str] | None = None) -> labels.LabelMap:
    return labels.parse(text if isinstance(text, bytes) else text.encode(), "map.pbtxt", classes)


def refusal(text: str | bytes) -> str:
    with pytest.raises(UserError) as refused:
        parse(text)
    return str(refused.value)


def test_a_label_map_survives_a_round_trip_in_id_order(tmp_path: Path) -> None:
    labels.write(tmp_path / "map.pbtxt", ["cão", "a 'quoted' \"name\"", "gato"])
    assert list(labels.read(tmp_path / "map.pbtxt").items()) == [("cão", 1), ("a 'quoted' \"name\"", 2), ("gato", 3)]


@given(st.lists(st.text().map(str.strip).filter(lambda name: not labels.fault(name)), min_size=1, unique=True))
def test_protobuf_agrees_on_what_is_written(names: list[str]) -> None:
    text = labels.render(names)
    proto = StringIntLabelMap()
    text_format.Parse(text, proto)
    assert [(item.id, item.name) for item in proto.item] == list(enumerate(names, 1))
    assert text == text_format.MessageToString(proto, as_utf8=True)
    assert parse(text) == labels.LabelMap(names, list(range(1, len(names) + 1)), [])


@given(st.binary() | st.text("item{}<>[]:,;#'\"\\\n id name display_name 012 ‘’\0", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        assert labels.parse(content, "map.pbtxt").names
    except UserError as refused:
        assert refused.where == "map.pbtxt" and str(refused).isprintable()


def test_ids_come_from_the_map_not_from_its_order() -> None:
    label_map = parse("item{ id: 2 name: 'dog' }\nitem{ id: 1\n name: 'cat' }")
    assert label_map == labels.LabelMap(["cat", "dog"], [1, 2], [])
    assert label_map.numbered() == {"cat": 1, "dog": 2}


@pytest.mark.parametrize(
    ("content", "repair"),
    [
        (b"\xef\xbb\xbf" + GOOD.encode(), "its byte order mark was removed"),
        (GOOD.encode("utf-16"), "converted from UTF-16 to UTF-8"),
        (GOOD.encode("utf-16-le"), "converted from UTF-16-LE to UTF-8"),
        (GOOD.encode("utf-16-be"), "converted from UTF-16-BE to UTF-8"),
        (GOOD.encode("utf-32"), "converted from UTF-32 to UTF-8"),
        (("# 从1开始\n" + GOOD).encode("gbk"), "its comments are not UTF-8: they were removed"),
        ("item { id: 0 name: 'background' }" + GOOD, "background with id 0 left out: 0 is the background"),
        (
            "item { name: 'none_of_the_above' id: 0 }" + GOOD,
            "none_of_the_above with id 0 left out: 0 is the background",
        ),
        (GOOD.replace("1", "11").replace("2", "12"), "ids numbered from 1 without gaps: cat 11 is 1, dog 12 is 2"),
        (GOOD.replace("1", "0").replace("2", "1"), "ids numbered from 1 without gaps: cat 0 is 1, dog 1 is 2"),
        (GOOD.replace("2", "3"), "ids numbered from 1 without gaps: dog 3 is 2"),
        (GOOD.replace("name", "display_name"), "display_name taken as the class where there is no name: cat, dog"),
        (GOOD.replace("'cat'", "‘cat’").replace("'dog'", "“dog”"), "curly quotes taken as straight ones"),
        (GOOD.replace("cat", " cat "), "spaces around names removed: cat"),
        (GOOD.replace("}", "color { a: [1, 'x' 'y'] } }"), "fields that no label map has were ignored: color"),
    ],
)
def test_a_plain_meaning_is_taken_and_the_repair_named(content: str | bytes, repair: str) -> None:
    label_map = parse(content)
    assert (label_map.names, label_map.repairs) == (["cat", "dog"], [repair])


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r\n"),
        "item: [{id: 1, name: 'c' \"at\"}, <id: 2; name: 'dog'>];",
        "item { id: 1 name: 'cat' display_name: 'Cat' } item { id: 2 name: 'dog' frequency: COMMON ancestor_ids: [1] }",
        "item { id: 1 name: 'cat' keypoints { id: 1 label: 'x' } keypoints <id: 2> } item { id: 2 name: '\\144og' }",
    ],
)
def test_all_that_protobuf_reads_needs_no_repair(content: str) -> None:
    text_format.Parse(content, StringIntLabelMap())
    assert (parse(content).names, parse(content).repairs) == (["cat", "dog"], [])


def test_the_annotations_decide_between_name_and_display_name() -> None:
    assert parse(MIDS).names == parse(MIDS, ["/m/0bt9lr"]).names == ["/m/01yrx", "/m/0bt9lr"]
    label_map = parse(MIDS, ["cat"])
    assert label_map.names == ["cat", "dog"]
    assert label_map.repairs == ["display_name taken as the class, which the annotations use: cat, dog"]


def test_a_name_takes_the_unicode_form_of_the_annotations() -> None:
    label_map = parse("item { id: 1 name: 'ca\u0303o' }", ["c\xe3o"])
    assert label_map.names == ["c\xe3o"]
    assert label_map.repairs == ["accents written in the Unicode form of the annotations: c\xe3o"]
    assert not parse("item { id: 1 name: 'ca\u0303o' }", ["ca\u0303o"]).repairs


def test_what_the_annotations_use_is_a_class_even_with_id_0() -> None:
    content = "item { id: 0 name: 'none_of_the_above' } item { id: 1 name: 'cat' }"
    assert parse(content, ["none_of_the_above", "cat"]).names == ["none_of_the_above", "cat"]


def test_ids_of_the_file_are_kept_for_what_was_made_with_it() -> None:
    assert parse(GOOD.replace("1", "17")).by_own_id() == {2: "dog", 17: "cat"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "map.pbtxt: has no items; items look like: item { id: 1 name: 'cat' }"),
        ("item { id: 0 name: 'background' }", "has no items"),
        ("item { id: 1 name: 'cat'", "line 1, column 25: the end of the file where id, name or } is expected"),
        ("item { id: 1\n name: 'cat }", "line 2, column 8: ' without its end on the same line, or before an unknown"),
        ("item { id: 1\n name: cat }", "line 2, column 8: cat where a text in straight quotes is expected; write it"),
        ("item { id: 1 name: ‘cat' }", "line 1, column 20: ‘ where a text in straight quotes is expected"),
        ("item { id: '1' name: 'cat' }", "line 1, column 12: '1' where a whole number is expected"),
        ("item { id: 9999999999 name: 'cat' }", "line 1, column 12: 9999999999 where a whole number is expected"),
        ("item { id： 1 }", "line 1, column 10: ： where : is expected"),
        ("item { id: 1 id: 2 }", "line 1, column 14: id where no second id is expected"),
        (GOOD + "itme { id: 3 name: 'x' }", "line 9, column 1: itme where item { ... } is expected"),
        ("cat\ndog\n", "line 1, column 1: cat where item { ... } is expected"),
        ("item { id: 1 x: ] name: 'cat' }", "line 1, column 17: ] where a value is expected"),
        ("item { id: 1 x " + "{x" * 50_000, "the end of the file where } is expected"),
        (
            "item { id: 1 name: '从' }".encode("gbk"),
            "text that is not UTF-8 where a name in UTF-8 is expected",
        ),
        (
            "item { id: 1 name: '\\377' }",
            "where a name in UTF-8 is expected; open it in an editor and save it as UTF-8",
        ),
        (b"item\0{}", "holds NUL bytes: it is not a text file"),
        (b"\xff\xfei", "is not the utf-16 that it begins as"),
        (b" " * (2**20 + 1), "has 1,048,577 bytes: no label map is so large"),
        ("".join(f"item{{id:{n} name:'{n}'}}" for n in range(1, 10_002)), "has 10,001 classes; at most 10,000"),
        ("item { name: 'cat' }", "line 1: cat: has no id; give every item its own id"),
        ("item { id: -1 name: 'cat' }", "line 1: cat: the id is -1; give every item its own id"),
        (GOOD.replace("2", "1"), "line 5: dog: the id is 1, as that of line 1; give every item its own id"),
        (GOOD.replace("dog", "cat "), "line 5: cat: the name is that of line 1; give every id its own name"),
        ("item { id: 1 }", "line 1: id 1: has no name; give every item its own name"),
        ("item { id: 1 name: ' ' }", "line 1: id 1: has no name"),
        ("item { id: 1 name: 'background' }", "id 1: background is not allowed as a class name: it means that no"),
        ("item { id: 1 name: 'a\\nb' }", r"line 1: id 1: the name 'a\nb' holds the invisible character U+000A"),
        ("item { id: 1 name: 'a\u202eb' }", "the invisible character U+202E; rename it, in the annotations too"),
        ("item { id: 1 name: 'a\u2028b' }", "the invisible character U+2028"),
        ("item { id: 1 name: '</script><b' }", "id 1: the name '</script><b' holds <; rename it, in the annotations"),
        ("item { id: 1 name: 'a>b' }", "the name 'a>b' holds >"),
        ("item { id: 1 name: '\\033[2J' }", r"the name '\x1b[2J' holds the invisible character U+001B"),
        (f"item {{ id: 1 name: '{'long' * 51}' }}", "long... has 204 letters, more than 200; rename it"),
        ("item { id: 1 name: '=cmd|\"/C calc\"!A0' }", "is a formula to a spreadsheet; rename it"),
        ("item { id: 1 name: '@SUM(1+1)' }", "the name '@SUM(1+1)' is a formula to a spreadsheet"),
        ("item { id: 1 name: '＝SUM(1+1)' }", "is a formula to a spreadsheet"),
        ("""item { id: 1 name: '=HYPERLINK ("http://evil")' }""", "is a formula to a spreadsheet"),
        ("""item { id: 1 name: "='http://evil/[x.xlsx]S'!A1" }""", "is a formula to a spreadsheet"),
    ],
)
def test_a_wrong_label_map_is_refused_with_its_place(content: str | bytes, reason: str) -> None:
    assert reason in refusal(content)


@pytest.mark.parametrize(
    "name", ["+", "-", "=", "@home", "-1", "=2", "prédio", "a (b)", "-a (1)", "hi!", "C++", "a & b", '"a"', "x" * 200]
)
def test_signs_and_accents_are_part_of_a_name(name: str) -> None:
    assert labels.fault(name) == ""


def test_joiners_of_emoji_and_persian_are_part_of_a_name() -> None:
    assert parse("item { id: 1 name: '👩\u200d🌾' } item { id: 2 name: 'می\u200cخواهم' }").numbered()["👩\u200d🌾"] == 1


def test_a_label_map_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.pbtxt").mkdir()
    (tmp_path / "file").touch()
    for path, reason in (("folder.pbtxt", "Is a directory"), ("file/x.pbtxt", "Not a directory")):
        with pytest.raises(UserError, match=f"{path}: cannot be read: {reason}; put a label map there"):
            labels.read(tmp_path / path)
    os.mkfifo(tmp_path / "pipe.pbtxt")
    with pytest.raises(UserError, match=r"pipe.pbtxt: is not a file"):
        labels.read(tmp_path / "pipe.pbtxt")


def test_a_copy_has_the_same_bytes_or_the_ids_that_the_stages_see(tmp_path: Path) -> None:
    sound, odd, target = tmp_path / "sound.pbtxt", tmp_path / "odd.pbtxt", tmp_path / "copy.pbtxt"
    sound.write_text(GOOD)
    labels.copy(sound, target)
    assert target.read_bytes() == sound.read_bytes()
    odd.write_text(GOOD.replace("1", "17"))
    labels.copy(odd, target)
    assert target.read_text() == labels.render(["dog", "cat"])


@pytest.mark.parametrize(
    ("name", "content", "may_be", "is_one"),
    [
        ("label_map.pbtxt", "nonsense", True, True),
        ("Label_Map.PBTXT.txt", "", True, True),
        ("pets.pbtxt", GOOD, True, True),
        ("graph.pbtxt", "node { name: 'x' }", True, False),
        ("labelmap.txt", GOOD, True, True),
        ("labelmap.txt", "# label:color_rgb:parts:actions\ncat:1,2,3::\n", True, False),  # CVAT's
        ("classes.txt", GOOD, False, True),
        ("._label_map.pbtxt", "", False, True),
    ],
)
def test_which_file_is_a_label_map(name: str, content: str, may_be: bool, is_one: bool) -> None:
    assert labels.may_be_label_map(name) == may_be
    assert labels.is_label_map(name, content.encode()) == is_one


def test_names_by_id_in_the_order_of_the_map() -> None:
    assert list(labels.by_id({"cat": 1, "dog": 2}).items()) == [(1, "cat"), (2, "dog")]
