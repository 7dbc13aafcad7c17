"""Follow one photo from its source to its detections: where it came from, what was changed, where it is now.

    make trace IMAGE=cat.12.jpg         (or: python -m tools.trace_photo cat.12.jpg)

IMAGE: the photo's name in the dataset or in the source, with or without folders and suffix.

In:  dataset/<name>/receipts.csv, the photo and its label, dataset/data/{*.csv,*.record,annotation_report.csv},
     results/{evaluate,predict}/detections.csv; what is missing is said to be
Out: lines on the terminal, in the order of the way; exit code 1 where no photo has that name
"""

import argparse
import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from detector.annotations import left_out
from detector.base import errors, files, naming, params, paths
from detector.base.errors import UserError
from detector.data import records
from detector.data.params import DatasetParams
from tools.cloud import lineage
from tools.importing import receipts

Row = Mapping[str, str]
DETECTIONS = {"evaluate": paths.EVALUATE / "detections.csv", "predict": paths.PREDICT / "detections.csv"}
WIDTH = 10  # of the first column


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.trace_photo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("image", help="its name in the dataset or in the source")
    wanted = parser.parse_args().image
    dataset = Path(params.load("dataset", DatasetParams).dir)
    photos = matching(dataset, wanted)
    if not photos:
        raise UserError(wanted, f"no photo of {dataset} and no file of its source has this name", "see receipts.csv")
    if len(photos) > 1:
        shown = errors.few([str(photo.get("target") or photo["source"]) for photo in photos])
        raise UserError(wanted, f"means {len(photos)} photos: {shown}", "give more of the path")
    lineage.warn(lineage.stale(paths.DATA, *(file.parent for file in DETECTIONS.values())))
    for step, line in lines(dataset, photos[0]):
        errors.say(f"{step:<{WIDTH}}{errors.printable(line)}")


def matching(dataset: Path, wanted: str) -> list[Row]:
    """The receipts that a name means; of photos without one, a row with their `target` alone."""
    rows: list[Row] = list(table(dataset / receipts.NAME))
    listed = {row["target"] for row in rows}
    for split in ("train", "test"):
        folder = paths.images(dataset, split)
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        rows += [{"target": f"{split}/{path.name}"} for path in inside if f"{split}/{path.name}" not in listed]
    keys: tuple[Callable[[str], str], ...] = (str, lambda name: str(PurePosixPath(name).with_suffix("")))
    means = wanted.strip("/")
    for key in keys if PurePosixPath(means).name else ():
        if exact := [row for row in rows if any(is_end(means, key(name)) for name in names(row))]:
            photos = [row for row in exact if row.get("why") is not None or Path(row["target"]).suffix != ".xml"]
            return photos or exact
    return []


def names(row: Row) -> list[str]:
    return [row[key] for key in ("target", "source") if row.get(key)]


def is_end(wanted: str, path: str) -> bool:
    """Whether `path` ends in the parts of `wanted`."""
    return path == wanted or path.endswith(f"/{wanted}")


def table(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV; none where it is missing. `line` is where each begins in the file."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        begins = 2
        for row in reader:
            texts = {key: naming.from_cell(value) for key, value in row.items() if isinstance(value, str)}
            yield {**texts, "line": str(begins)}
            begins = reader.line_num + 1


def lines(dataset: Path, photo: Row) -> Iterator[tuple[str, str]]:
    """(step, what became of the photo there), in the order of the way."""
    if photo.get("source"):
        yield "source", photo["source"] + (f", label {photo['label']}" if photo.get("label") else ", no label")
        yield "import", photo["why"]
    if not photo.get("target"):
        return
    split, _, name = photo["target"].partition("/")
    yield "dataset", f"{dataset / photo['target']}: {state(dataset / photo['target'], photo.get('sha256', ''))}"
    if label := photo.get("label_target"):
        yield "label", f"{dataset / label}: {state(dataset / label, photo.get('label_sha256', ''))}"
    own = {name, PurePosixPath(label or name).name, str(PurePosixPath(name).with_suffix(".xml"))}
    for row in table(left_out.REPORT):
        if row["split"] == split and row["filename"] in own:
            yield "rule", f"{row['action']}: {': '.join(filter(None, (row['object'], row['problem'])))}"
    yield from in_csv_and_record(split, name)
    for stage, path in DETECTIONS.items():
        if stage == "predict" or split == "test":
            yield stage, detections(path, name)


def state(path: Path, expected: str) -> str:
    """Whether a file is as it was imported, and its sha256."""
    if not path.is_file():
        return "missing"
    digest = files.sha256(path)
    known = {"": "no receipt", digest: "as imported"}.get(expected, "changed since it was imported")
    return f"{known}, sha256 {digest}"


def in_csv_and_record(split: str, name: str) -> Iterator[tuple[str, str]]:
    splits = ("test",) if split == "test" else ("train", "val")
    rows = [(one, row) for one in splits for row in table(paths.csv(one)) if row["filename"] == name]
    if not rows:
        missing = [str(paths.csv(one)) for one in splits if not paths.csv(one).exists()]
        yield "csv", f"{', '.join(missing)} is missing; run: dvc repro xml2csv" if missing else "in no CSV"
        return
    where, first = rows[0]
    shown = "; ".join(box(row) for _, row in rows if row["class"]) or "no boxes"
    yield "csv", f"{paths.csv(where)}: line {first['line']}, {first['width']}x{first['height']}: {shown}"
    yield "record", in_record(paths.record(where), name)


def in_record(path: Path, name: str) -> str:
    if not path.exists():
        return f"{path} is missing; run: dvc repro csv2record"
    for number, (offset, example) in enumerate(zip(records.offsets(path), records.read(path), strict=True), start=1):
        if example["image/filename"] == [name.encode()]:
            count = len(example.get("image/object/class/label", []))
            digest = example["image/key/sha256"][0].decode()
            boxes = errors.counted(count, "box")
            return f"{path}: record {number}, at byte {offset}: {boxes}, image sha256 {digest}"
    return f"{path}: not in it; run: dvc repro csv2record"


def detections(path: Path, name: str) -> str:
    if not path.exists():
        return f"{path} is missing; run: make train"
    rows = [row for row in table(path) if PurePosixPath(row["filename"]).name == name]
    if not rows:
        return f"{path}: not in it"
    return f"{path}: line {rows[0]['line']}: " + ("; ".join(box(row) for row in rows if row["class"]) or "none")


def box(row: Row) -> str:
    """`cat 0.93 [12, 30, 200, 180]`; of a label without the score."""
    corners = ", ".join(f"{float(row[corner]):.6g}" for corner in ("xmin", "ymin", "xmax", "ymax"))
    score = f" {float(row['score']):.2f}" if row.get("score") else ""
    crowd = " (crowd)" if row.get("is_crowd") == "1" else ""
    return f"{row['class']}{score} [{corners}]{crowd}"


if __name__ == "__main__":
    errors.run(main)
