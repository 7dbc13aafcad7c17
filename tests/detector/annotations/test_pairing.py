"""Names that mean the same photo: the strongest key first, a weaker one only where it means a single photo."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.annotations.pairing import Match, match


@pytest.mark.parametrize(
    ("wanted", "available", "differs_by"),
    [
        ("a", "a", ""),
        (unicodedata.normalize("NFD", "cão"), "cão", "Unicode normalization"),
        ("IMG_1", "img_1", "upper and lower case"),
        ("Captura%20da%20pra%C3%A7a", "Captura da praça", "percent encoding"),
        ("a.jpg", "a", "an image suffix"),
        ("a", "A.JPEG", "an image suffix"),
        ("day%201/a.png", "Day 1/A", "an image suffix"),
        ("0a1b2c3d-a%20b.jpg", "A b", "Label Studio's prefix"),
        ("labels/0a1b2c3d-a", "labels/a", "Label Studio's prefix"),
    ],
)
def test_a_name_is_found_by_its_strongest_key(wanted: str, available: str, differs_by: str) -> None:
    assert match([wanted], [available, "b"]) == {wanted: Match(available, differs_by)}


def test_a_stronger_key_takes_a_name_away_from_a_weaker_one() -> None:
    assert match(["pet", "PET"], ["pet", "Pet"]) == {
        "pet": Match("pet", ""),
        "PET": Match("Pet", "upper and lower case"),
    }


@pytest.mark.parametrize(("wanted", "available"), [(["PET"], ["pet", "Pet"]), (["Pet", "PET"], ["pet"])])
def test_what_may_mean_several_means_none(wanted: list[str], available: list[str]) -> None:
    assert match(wanted, available) == {}


def test_a_number_behind_a_dot_is_no_suffix() -> None:
    assert match(["cat.1"], ["cat"]) == {}


NAMES = st.lists(st.text("aA%20éE\u0301./jpgJPG", max_size=6), max_size=8)


@given(NAMES, NAMES)
def test_each_is_used_once_and_equal_names_are_always_found(wanted: list[str], available: list[str]) -> None:
    found = match(wanted, available)
    assert len({one.name for one in found.values()}) == len(found)
    assert set(wanted) & set(available) <= {name for name, one in found.items() if one.name == name}
