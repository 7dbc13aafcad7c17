"""What the report says of the data: photos and objects of each class and split, and how large the objects are."""

from dataclasses import dataclass

from detector.base import paths
from detector.base.errors import UserError
from tools.page.inputs import REMAKE, read_rows

SIZES = {"small": 32, "medium": 96}  # COCO's: the side below which a box is one; in pixels of the photo
LARGE = "large"


@dataclass(frozen=True)
class Split:
    """Of a split: photos, those without an object, objects, and objects by size."""

    name: str
    photos: int
    empty: int
    objects: int
    sizes: dict[str, int]


def splits() -> list[Split]:
    """The splits whose tables are here."""
    return [split(name) for name in paths.SPLITS if paths.csv(name).is_file()]


def split(name: str) -> Split:
    path = paths.csv(name)
    rows = read_rows(path)
    files, boxes = {row.get("filename") for row in rows}, [row for row in rows if row.get("class")]
    with_boxes = {row.get("filename") for row in boxes}
    sizes = dict.fromkeys((*SIZES, LARGE), 0)
    try:
        for row in boxes:
            width, height = (float(row[f"{axis}max"]) - float(row[f"{axis}min"]) for axis in "xy")
            sizes[size(width * height)] += 1
    except (KeyError, ValueError) as error:
        raise UserError(str(path), f"needs the corners of each box: {error}", REMAKE) from error
    return Split(name, len(files), len(files - with_boxes), len(boxes), sizes)


def size(area: float) -> str:
    """That of a box of so many pixels."""
    return next((name for name, side in SIZES.items() if area < side**2), LARGE)


def by_class(split: str) -> dict[str, tuple[int, int]]:
    """Class -> (photos that show it, objects) of a split."""
    rows = [row for row in read_rows(paths.csv(split)) if row.get("class")]
    names = sorted({row["class"] for row in rows})
    pairs = {name: [row.get("filename") for row in rows if row["class"] == name] for name in names}
    return {name: (len(set(files)), len(files)) for name, files in pairs.items()}
