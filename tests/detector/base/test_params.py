"""params.yaml: what is allowed is loaded, what is not is refused in a line that names the key."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from detector.base import params
from detector.base.errors import UserError


@dataclass(frozen=True)
class Section:
    steps: int = params.whole(1, 100)
    rate: float = params.number(0, 1)
    scale: float = params.number(0)
    peak: float | str = params.number(0, 1, auto=True)
    kind: str = params.one_of("cat", "dog")
    source: str = params.text("a path")
    digest: str = params.text("a sha256", empty=True)
    exact: bool = params.flag()


GOOD = {
    "steps": "5",
    "rate": "1e-3",
    "scale": "2",
    "peak": "auto",
    "kind": "cat",
    "source": "here",
    "digest": "''",
    "exact": "true",
}


def load(tmp_path: Path, **changes: str | None) -> Section:
    lines = {**GOOD, **changes}
    file = tmp_path / "params.yaml"
    file.write_text("train:\n" + "".join(f"  {key}: {value}\n" for key, value in lines.items() if value is not None))
    return params.load("train", Section, file)


def test_values_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    # PyYAML would read 1e-3 as a string (YAML 1.1); DVC reads YAML 1.2
    assert load(tmp_path) == Section(5, 0.001, 2.0, "auto", "cat", "here", "", True)


def test_a_whole_number_will_do_for_a_fraction(tmp_path: Path) -> None:
    rate = load(tmp_path, rate="1").rate
    assert rate == 1.0
    assert isinstance(rate, float)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"steps": "0"}, "train.steps: 0 is not allowed; give a whole number from 1 to 100"),
        ({"steps": "101"}, "train.steps: 101 is not allowed; give a whole number from 1 to 100"),
        ({"steps": "2.5"}, "train.steps: 2.5 is not allowed; give a whole number from 1 to 100"),
        ({"steps": "abc"}, "train.steps: 'abc' is not allowed; give a whole number from 1 to 100"),
        ({"steps": "true"}, "train.steps: True is not allowed; give a whole number from 1 to 100"),
        ({"steps": ""}, "train.steps: None is not allowed; give a whole number from 1 to 100"),
        ({"rate": "auto"}, "train.rate: 'auto' is not allowed; give a number from 0 to 1"),
        ({"rate": ".nan"}, "train.rate: nan is not allowed; give a number from 0 to 1"),
        ({"rate": "true"}, "train.rate: True is not allowed; give a number from 0 to 1"),
        ({"rate": "'0.5'"}, "train.rate: '0.5' is not allowed; give a number from 0 to 1"),
        ({"scale": ".inf"}, "train.scale: inf is not allowed; give a number from 0 up"),
        ({"peak": "2"}, "train.peak: 2 is not allowed; give a number from 0 to 1, or auto"),
        ({"kind": "bird"}, "train.kind: 'bird' is not allowed; give one of cat, dog"),
        ({"source": "''"}, "train.source: '' is not allowed; give a path"),
        ({"source": '"a\\0b"'}, "train.source: 'a\\x00b' is not allowed; give a path"),
        ({"source": '"\\ud800"'}, "train.source: '\\ud800' is not allowed; give a path"),
        ({"exact": "yes"}, "train.exact: 'yes' is not allowed; give true or false"),
        ({"exact": "1"}, "train.exact: 1 is not allowed; give true or false"),
        ({"steps": None}, "train.steps: missing; give a whole number from 1 to 100"),
        ({"stepz": "5"}, "train.stepz: unknown key (its value is 5); did you mean steps?"),
        (
            {"colour": "5"},
            "train.colour: unknown key (its value is 5); "
            "train has steps, rate, scale, peak, kind, source, digest, exact",
        ),
    ],
)
def test_what_is_not_allowed_is_named(tmp_path: Path, change: dict[str, str | None], line: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path, **change)
    assert caught.value.line() == f"{tmp_path / 'params.yaml'}: {line}"


@pytest.mark.parametrize("content", ["", "- a\n", "train:\n", "train: [\n", "train: 5\n", "\x00"])
def test_a_broken_file_is_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        params.load("train", Section, file)
    assert "\n" not in caught.value.line()


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found; run from the project's root"):
        params.load("train", Section, tmp_path / "params.yaml")


@pytest.mark.parametrize(("name", "reason"), [("", "Is a directory"), ("params.yaml/x", "Not a directory")])
def test_a_folder_in_the_files_place_is_one_line(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "params.yaml").touch()
    with pytest.raises(UserError, match=f"cannot be read: {reason}; restore it: git checkout"):
        params.load("train", Section, tmp_path / name)


def test_an_unknown_section_is_refused_and_the_known_ones_are_those_of_the_file(tmp_path: Path) -> None:
    load(tmp_path)
    file = tmp_path / "params.yaml"
    file.write_text(file.read_text() + "trian:\n  steps: 5000\n")
    with pytest.raises(UserError) as caught:
        params.load("train", Section, file)
    assert caught.value.line() == f"{file}: trian: unknown section; there are {', '.join(params.SECTIONS)}"
    repository = Path(__file__).resolve().parents[3]
    assert tuple(YAML(typ="safe", pure=True).load((repository / "params.yaml").read_text())) == params.SECTIONS


def test_partial_leaves_other_keys_alone(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Part:
        kind: str = params.one_of("cat", "dog")

    load(tmp_path)
    assert params.load("train", Part, tmp_path / "params.yaml", partial=True) == Part("cat")


def test_every_fault_of_a_section_is_reported(tmp_path: Path) -> None:
    load(tmp_path)
    document = {**params.read(tmp_path / "params.yaml"), "trian": {}}
    document["train"] = {"steps": 0, "stepz": 5, **{key: document["train"][key] for key in ("rate", "scale", "peak")}}
    items = [fault.item for fault in params.faults(document, "train", Section)]
    assert items == [
        "trian",
        "train.stepz",
        "train.steps",
        *(f"train.{key}" for key in ("kind", "source", "digest", "exact")),
    ]
