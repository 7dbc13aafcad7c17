"""The words of the report: complete in Portuguese, and nothing in the catalogue that no page says."""

import re
from pathlib import Path

import pytest

from tests.support.stage import REPOSITORY
from tools.checks import enough
from tools.lab import bench_predict
from tools.page.language import ENGLISH, portuguese
from tools.reporting import content, model

STRING = r'"((?:[^"\\]|\\.)*)"'
TEMPLATES = sorted((REPOSITORY / "tools/page/report").glob("*.j2"))
PLACE = r"\{(\w+)"


WARNINGS = [
    *enough.too_few({"cat": 1, "dog": 20}, {"cat": 0, "dog": 1}, Path("dataset/pets")),
    *(one for model in ("320x320", "640x640") for one in enough.too_small([(0.01, 0.01)], model, 300)),
]


def said(template: Path) -> set[str]:
    """The messages of a template, as far as they stand in it."""
    text = template.read_text(encoding="utf-8")
    return {*re.findall(rf"(?:\b_|\bplain)\({STRING}", text), *re.findall(rf"missing\({STRING[:-1]}\", {STRING}", text)}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_all_messages_of_a_template_are_translated(template: Path) -> None:
    messages = {one if isinstance(one, str) else one[1] for one in said(template)}
    assert messages - set(portuguese().words) == set()


def test_all_other_messages_are_translated_and_none_is_left_over() -> None:
    words = portuguese().words
    messages = {
        *content.WORDS.values(),
        content.WRONG,
        content.ONE_WRONG,
        content.NO_BOX,
        content.NOTHING,
        *model.USES.values(),
        *(one.text for one in WARNINGS),
        *filter(None, bench_predict.HEAD),
    }
    assert messages - set(words) == set()
    rooms = (
        "tools/page",
        "tools/reporting",
        "tools/lab",
        *(f"detector/{one}" for one in ("annotations", "evaluation", "pictures", "weights")),
    )
    places = [REPOSITORY / room for room in rooms]
    files = [REPOSITORY / "tools/compare.py"] + [
        path for place in places for kind in ("*.py", "*.j2") for path in place.rglob(kind)
    ]
    sources = re.sub(r'; "\n +why \+= "', "; ", "".join(path.read_text(encoding="utf-8") for path in files))
    for kind in ("an image", "a HEIC photo", "an AVIF photo"):
        sources += f'"is not {kind} that can be read"'  # images.py fills it in
    sources = sources.replace("'a line'", '"a line"')
    words = {message: words[message] for message in words if message not in {one.text for one in WARNINGS}}
    said = [(f'"{message}"', f'"{message}: ') for message in words]  # of a problem, what was met comes after its kind
    assert [pair[0] for pair in said if not any(one in sources for one in pair)] == []


def test_a_translation_has_the_same_places_and_the_same_code() -> None:
    for message, translated in portuguese().words.items():
        assert sorted(re.findall(PLACE, message)) == sorted(re.findall(PLACE, translated)), message
        assert message.count("`") == translated.count("`"), message


def test_numbers_and_code() -> None:
    assert (ENGLISH.number(0.12345), portuguese().number(0.5, 1), ENGLISH.number(None)) == ("0.123", "0,5", "–")
    assert ENGLISH.number(float("nan")) == "–" and (ENGLISH.whole(1234), portuguese().whole(1234)) == ("1,234", "1.234")
    assert [ENGLISH.percent(one) for one in (0, 0.001, 0.5, 0.999, 1)] == ["0 %", "1 %", "50 %", "99 %", "100 %"]
    filled = ENGLISH.html("`a <b>` and {name}, {rise:.2f} of {count}", name="<i>`x`", rise=0.126, count=1000)
    assert filled == "<code>a &lt;b&gt;</code> and &lt;i&gt;`x`, 0.13 of 1,000"
