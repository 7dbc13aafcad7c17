"""VOC data as people keep it -> which file goes where in `train/` and `test/`.

    train/ test/ (valid/ or val/ too)                    images and XML side by side
    Annotations/ JPEGImages/ (ImageSets/Main/*.txt)      PASCAL VOC's own
    one folder of images and XML                         split by a hash of the file name

Any of them may be inside folders that hold nothing else. Upper and lower case of folder names do not matter.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from detector.annotations import splitting
from detector.base.errors import UserError
from detector.data import labels
from detector.pictures import images

VALIDATION = ("valid", "val", "validation")
LAYOUTS = "give train/ and test/, or Annotations/ and JPEGImages/, or one folder of images with their XML"

Stems = dict[str, list[Path]]  # {stem: its images and XML files}


@dataclass(frozen=True)
class Plan:
    """What to import: {target below the dataset's folder: source}, and notes for the user."""

    root: Path
    targets: dict[Path, Path]
    notes: list[str]


def find(source: Path, test_fraction: float) -> Plan:
    """The plan for a folder in any of the layouts.

    Raises:
        UserError: unknown layout, a split is empty, two files would get the same name, or one is not a file.
    """
    root = source
    while (splits := _splits(root, test_fraction)) is None:
        inner = _folders(root)
        if len(inner) != 1:
            raise UserError(str(source), "holds no VOC data in a known layout", LAYOUTS)
        root = inner[0]
    train, test, notes = splits
    for name, files in (("train", train), ("test", test)):
        if not any(images.is_image(path) for path in files):
            raise UserError(str(root), f"no image for {name}/", "a dataset needs at least one image in each")
    targets: dict[Path, Path] = {}
    for name, files in (("train", train), ("test", test)):
        for path in files:
            target = Path(name) / path.name
            if target in targets:
                raise UserError(str(path), f"has the same name as {targets[target]}", "rename one, with its XML")
            targets[target] = path
    return Plan(root, dict(sorted(targets.items())), notes)


def _splits(root: Path, test_fraction: float) -> tuple[list[Path], list[Path], list[str]] | None:
    """(train, test, notes), or None where `root` has none of the layouts."""
    folders = {path.name.lower(): path for path in _folders(root)}
    if "train" in folders:
        return _side_by_side(folders, test_fraction)
    if "annotations" in folders and "jpegimages" in folders:
        return _voc(folders, test_fraction)
    stems = _stems([root])
    if any(path.suffix.lower() == ".xml" for paths in stems.values() for path in paths):
        return _by_hash(stems, test_fraction, "one folder")
    return None


def _side_by_side(folders: dict[str, Path], test_fraction: float) -> tuple[list[Path], list[Path], list[str]]:
    extra = [folders[name] for name in VALIDATION if name in folders]
    train = _stems([folders["train"], *extra])
    notes = [f"{path.name}/ goes into train/, from which xml2csv takes its own validation split" for path in extra]
    if "test" in folders:
        test = _stems([folders["test"]])
        return _files(train, train), _files(test, test), ["found train/ and test/", *notes]
    chosen, rest, hash_notes = _by_hash(train, test_fraction, "train/ without test/")
    return chosen, rest, hash_notes + notes


def _voc(folders: dict[str, Path], test_fraction: float) -> tuple[list[Path], list[Path], list[str]]:
    stems = _stems([folders["annotations"], folders["jpegimages"]])
    lists = _image_sets(folders.get("imagesets"))
    if not lists.get("test"):
        return _by_hash(stems, test_fraction, "Annotations/ and JPEGImages/ without a list of test images")
    test = lists.pop("test")
    train = set().union(*lists.values()) - test if any(lists.values()) else set(stems) - test
    notes = ["found Annotations/, JPEGImages/ and ImageSets/Main/"]
    for count, what in (
        (len(set(stems) - train - test), "are in no list, and left out"),
        (len((train | test) - set(stems)), "of the lists have no file"),
    ):
        notes += [f"{count} names {what}"] if count else []
    return _files(stems, train), _files(stems, test), notes


def _image_sets(folder: Path | None) -> dict[str, set[str]]:
    """{list: stems} of ImageSets/Main; a line is a stem, which VOC's lists of one class follow with 1, 0 or -1."""
    lists = {}
    for name in ("train", "trainval", "val", "test"):
        path = folder / "Main" / f"{name}.txt" if folder else Path()
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            lists[name] = {line.split()[0] for line in lines if line.strip()}
    return lists


def _by_hash(stems: Stems, test_fraction: float, what: str) -> tuple[list[Path], list[Path], list[str]]:
    test = splitting.choose(stems, test_fraction, "test")
    note = f"found {what}: {test_fraction:.0%} for test/, by a hash of the file name"
    return _files(stems, stems.keys() - test), _files(stems, test), [note]


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != "__MACOSX")


def _stems(folders: Iterable[Path]) -> Stems:
    """The images and XML files of some folders by their stem, sorted; other and hidden files are ignored."""
    stems: Stems = defaultdict(list)
    for path in (path for folder in folders for path in sorted(folder.iterdir())):
        if not path.name.startswith(".") and (images.is_image(path) or path.suffix.lower() == ".xml"):
            _check(path)
            stems[path.stem].append(path)
    return dict(stems)


def _check(path: Path) -> None:
    """Refuse what has the name of an image or XML file, but cannot be copied and tracked as one."""
    if not path.is_file():
        reason = "is a broken link" if path.is_symlink() and not path.exists() else "is not a file"
        raise UserError(str(path), reason, "remove it, or rename it")
    if path.name.encode(errors="replace").decode() != path.name:
        raise UserError(str(path.parent), "the file name is not UTF-8", "rename it, with its XML", item=repr(path.name))


def _files(stems: Stems, chosen: Collection[str]) -> list[Path]:
    return [path for stem, paths in stems.items() if stem in chosen for path in paths]


def label_maps(root: Path) -> Iterator[Path]:
    """Every file below a folder that may be a label map, by its name, sorted; `labels.is_label_map` looks inside."""
    paths = (path for path in root.rglob("*") if labels.may_be_label_map(path.name))
    yield from sorted(path for path in paths if path.is_file())
