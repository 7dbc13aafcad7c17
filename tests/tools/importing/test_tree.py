"""The walk over a source: links, and what leads in a circle."""

from pathlib import Path

from tools.importing import tree

AGAIN = "is a link to a folder that is there already"


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_link_to_a_folder_is_that_folder(tmp_path: Path) -> None:
    """Photos on a larger disk."""
    put(tmp_path, "disk/photos/a.jpg", "disk/photos/more/b.jpg", "source/labels/a.xml")
    (tmp_path / "source/images").symlink_to(tmp_path / "disk/photos")
    found = tree.walk(tmp_path / "source")
    assert [str(path) for path in found.files] == ["images/a.jpg", "images/more/b.jpg", "labels/a.xml"]
    assert found.odd == {}


def test_each_folder_is_entered_once(tmp_path: Path) -> None:
    """A link upwards, one to a folder beside it, two to one outside, and a circle by way of that."""
    put(tmp_path, "source/photos/a.jpg", "disk/b.jpg")
    for name, place in {
        "source/photos/up": "..",
        "source/a-link": "photos",
        "source/disk": tmp_path / "disk",
        "source/disk2": tmp_path / "disk",
        "disk/back": tmp_path / "source",
    }.items():
        (tmp_path / name).symlink_to(place)
    found = tree.walk(tmp_path / "source")
    assert [str(path) for path in found.files] == ["disk/b.jpg", "photos/a.jpg"]
    assert {str(path): fault for path, fault in found.odd.items()} == dict.fromkeys(
        ("a-link", "disk/back", "disk2", "photos/up"), AGAIN
    )
