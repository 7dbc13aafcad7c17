"""Splits by name: copies stay together, a class keeps a photo, and without copies nothing changes."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from detector.annotations import splitting

NAMES = st.sets(st.text("abc01.", min_size=1, max_size=5), max_size=30)
SHARES = st.floats(0, 1)


def as_before(names: set[str], share: float, purpose: str) -> set[str]:
    """The rule before there were groups, in its own words."""
    number = {
        name: int.from_bytes(hashlib.sha256(f"{purpose}{name}".encode()).digest()[:8], "big") / 2**64 for name in names
    }
    ordered = sorted(names, key=number.__getitem__)
    count = sum(number[name] < share for name in ordered)
    if share > 0 and ordered:
        count = min(max(count, 1), len(ordered) - 1)
    return set(ordered[:count])


@given(NAMES, SHARES, st.sampled_from(["", "test"]))
def test_without_copies_the_split_is_the_one_by_name(names, share, purpose):
    assert splitting.choose(names, share, purpose) == as_before(names, share, purpose)
    assert splitting.choose(names, share, purpose, {name: name for name in names}) == as_before(names, share, purpose)


@given(NAMES, SHARES, st.data())
def test_copies_follow_the_first_of_their_names(names, share, data):
    group_of = {}
    for name in sorted(names):
        firsts = sorted({*group_of.values(), name})
        group_of[name] = data.draw(st.sampled_from(firsts))
    chosen = splitting.choose(names, share, "", group_of)
    firsts = set(group_of.values())
    assert chosen == {name for name in names if group_of[name] in splitting.choose(firsts, share)}
    if len(firsts) > 1 and share > 0:
        assert 0 < len(chosen) < len(names)


def test_one_group_alone_is_not_divided():
    assert splitting.choose(["a", "b"], 0.9, "", {"a": "a", "b": "a"}) == set()


ORDER = sorted("abcdef", key=splitting.fraction)


def test_a_class_whose_photos_were_all_chosen_gets_the_last_of_them_back():
    first, second, third, *_ = ORDER
    classes = {name: ["cat"] for name in ORDER} | {first: ["bird"], second: ["bird", "cat"]}
    assert splitting.keep_classes({first, second, third}, classes) == {first, third}
    assert splitting.keep_classes({first, third}, classes) == {first, third}


def test_a_class_comes_back_with_all_its_copies():
    first, second, third, *_ = ORDER
    classes = {name: ["cat"] for name in ORDER} | {second: ["bird"], third: ["bird"]}
    group_of = {second: second, third: second}
    assert splitting.keep_classes({first, second, third}, classes, "", group_of) == {first}


def test_something_stays_chosen():
    """The only photo of a bird was chosen alone: the next that takes no class away takes its place."""
    first, second, third, *_ = ORDER
    classes = {name: ["cat"] for name in ORDER} | {first: ["bird"], second: ["fish"]}
    assert splitting.keep_classes({first}, classes) == {third}
    assert splitting.keep_classes({first}, {first: ["bird"], second: ["fish"]}) == {first}
    assert splitting.keep_classes(set(), classes) == set()
    assert splitting.keep_classes(set(), {}) == set()


@given(st.dictionaries(st.text("abc01", min_size=1, max_size=3), st.sets(st.sampled_from("xyz")), max_size=12), SHARES)
def test_no_class_is_lost_where_another_photo_could_be_chosen(classes, share):
    chosen = splitting.choose(classes, share)
    kept = splitting.keep_classes(chosen, classes)
    assert bool(kept) == bool(chosen)
    left = {one for name in classes.keys() - kept for one in classes[name]}
    lost = {one for name in kept for one in classes[name]} - left
    if lost:  # whichever photo were chosen, it would take a class away
        counts = [sum(one in each for each in classes.values()) for one in "xyz"]
        assert all(any(counts["xyz".index(one)] == 1 for one in each) for each in classes.values())
