"""VOC XML -> one CSV per split, every image and annotation checked on the way.

    dataset.dir/{train,test}/*.{jpg,png,...} with an .xml beside each, dataset.dir/label_map.pbtxt
    -> dataset/data/{train,val,test}.csv       filename,width,height,class,xmin,ymin,xmax,ymax
    -> dataset/data/annotation_report.csv      split,filename,object,problem,action

    python -m stages.xml2csv

The validation split is taken out of train by a hash of the file name, so that an image stays where it is when others
come or go. All faults are reported together, and then nothing but the report is written (exit code 2); what a rule can
repair (a box up to 1 px outside is clipped, <size> is taken from the image) is repaired and listed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from detector.annotations import folders, splitting, voc
from detector.annotations.folders import Finding, LabelledImage
from detector.base import errors, params, paths
from detector.base.errors import UserError
from detector.data import tables
from detector.data.params import DatasetParams

REPORT = paths.DATA / "annotation_report.csv"


def main() -> None:
    settings = params.load("dataset", DatasetParams)
    content, findings = folders.read_dataset(Path(settings.dir))
    folders.write_report(REPORT, findings)
    refuse_errors(settings.dir, findings)
    splits = with_validation(content, settings.val_fraction)
    for split in paths.SPLITS:
        tables.write_csv(paths.csv(split), (row for image in splits[split] for row in rows(image)))
    print(summary(splits, findings))


def refuse_errors(dataset: str, findings: Sequence[Finding]) -> None:
    """Show every error, or the first of many, and stop."""
    faults = [finding for finding in findings if finding.problem.action == voc.ERROR]
    errors.show([fault.line() for fault in faults], str(REPORT))
    if faults:
        count = f"{len(faults)} errors in {len({fault.path for fault in faults})} files"
        raise UserError(dataset, count, f"mend them and run again; no CSV was written, {REPORT} lists them all")


def with_validation(content: dict[str, list[LabelledImage]], fraction: float) -> dict[str, list[LabelledImage]]:
    """The three splits: `val` is taken out of `train`."""
    chosen = splitting.choose((image.filename for image in content["train"]), fraction)
    val = [image for image in content["train"] if image.filename in chosen]
    train = [image for image in content["train"] if image.filename not in chosen]
    return {"train": train, "val": val, "test": content["test"]}


def rows(image: LabelledImage) -> Iterator[dict[str, object]]:
    """The CSV rows of an image: one per object, or one with empty cells."""
    width, height = image.annotation.size or (0, 0)
    start = {"filename": image.filename, "width": width, "height": height}
    for found in image.annotation.objects:
        yield {**start, "class": found.name, **dict(zip(tables.BOX_COLUMNS, found.box, strict=True))}
    if not image.annotation.objects:
        yield start


def summary(splits: dict[str, list[LabelledImage]], findings: Sequence[Finding]) -> str:
    """One line: images, boxes per class and split, and how many lines the report has."""
    parts = []
    for split in paths.SPLITS:
        boxes = Counter(found.name for image in splits[split] for found in image.annotation.objects)
        counts = ", ".join(f"{name} {boxes[name]}" for name in sorted(boxes)) or "no boxes"
        parts.append(f"{split} {len(splits[split])} ({counts})")
    actions = Counter(finding.problem.action for finding in findings)
    listed = f", {actions[voc.WARNING]} warnings: see {REPORT}" if findings else ""
    images = sum(map(len, splits.values()))
    return f"{images} images: {', '.join(parts)}; {actions[voc.REPAIRED]} repaired{listed}"


if __name__ == "__main__":
    errors.run(main, __doc__)
