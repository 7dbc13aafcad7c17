"""VOC XML -> one CSV per split, every image and annotation checked on the way.

    dataset.dir/{train,test}/*.{jpg,png,...} with an .xml beside each, dataset.dir/label_map.pbtxt
    -> dataset/data/{train,val,test}.csv       filename,width,height,class,xmin,ymin,xmax,ymax,is_crowd
    -> dataset/data/annotation_report.csv      split,filename,object,problem,action

    python -m stages.xml2csv

The validation split is taken from train by a hash of the file name, so that an image stays in its split when others are
added or removed; copies of a photo stay together. What a rule can repair is repaired; what cannot be used is left out,
as the section `dataset` of params.yaml says; both are listed, and counted on the console. All errors are reported
together, and then only the report is written (exit code 2). detector/annotations/datasets.py has the rules.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from detector.annotations import datasets, left_out, report, voc
from detector.annotations.datasets import LabelledImage
from detector.annotations.report import FileProblem
from detector.base import errors, params, paths
from detector.base.errors import UserError
from detector.data import labels, tables
from detector.data.params import DatasetParams
from detector.data.tables import ImageBoxes


def main() -> None:
    settings = params.load("dataset", DatasetParams)
    labelled, problems = datasets.read(settings)
    train = paths.images(settings.dir, "train")
    validation, changes = datasets.validation(labelled["train"], settings.val_fraction, train)
    problems = report.in_order([*problems, *changes])
    report.write(report.PATH, problems)
    refuse_errors(settings.dir, problems)
    label_map = labels.read(Path(settings.dir) / paths.LABEL_MAP)
    names = labels.by_id(label_map)
    splits = with_validation({split: image_boxes(labelled[split], label_map) for split in labelled}, validation)
    for split, images in splits.items():
        tables.write_csv(paths.csv(split), images, names)
    errors.say(*report.summary(problems), summary(splits, names, problems))


def refuse_errors(dataset: str, problems: Sequence[FileProblem]) -> None:
    """Show every error, or the first of many, and stop."""
    faults = [problem for problem in problems if problem.problem.action == voc.ERROR]
    errors.show([fault.line() for fault in faults], str(report.PATH))
    if faults:
        files = {fault.path for fault in faults}
        count = f"{errors.counted(len(faults), 'error')} in {errors.counted(len(files), 'file')}"
        remedy = (
            f"fix {'them' if len(faults) > 1 else 'it'} and run again; no CSV was written, {report.PATH} lists them all"
        )
        raise UserError(dataset, count, remedy)


def image_boxes(labelled: Iterable[LabelledImage], label_map: Mapping[str, int]) -> list[ImageBoxes]:
    """The images of a split by file name, the boxes of each by class name and corners."""
    return sorted((_image_boxes(image, label_map) for image in labelled), key=lambda image: image.filename)


def _image_boxes(image: LabelledImage, label_map: Mapping[str, int]) -> ImageBoxes:
    objects = sorted((one.name, one.box, one.is_crowd) for one in image.annotation.objects)
    width, height = image.annotation.size or (0, 0)
    return ImageBoxes(
        filename=image.filename,
        width=width,
        height=height,
        boxes=np.array([box for _, box, _ in objects], dtype=np.float64).reshape(-1, 4),
        classes=np.array([label_map[name] for name, _, _ in objects], dtype=np.int64),
        scores=np.ones(len(objects)),
        is_crowd=np.array([is_crowd for _, _, is_crowd in objects], dtype=np.bool_),
    )


def with_validation(
    content: Mapping[str, Sequence[ImageBoxes]], chosen: Collection[str]
) -> dict[str, list[ImageBoxes]]:
    """The three splits: `val` has the images of `train` whose names were chosen."""
    train = [image for image in content["train"] if image.filename not in chosen]
    val = [image for image in content["train"] if image.filename in chosen]
    return {"train": train, "val": val, "test": list(content["test"])}


def summary(
    splits: Mapping[str, Sequence[ImageBoxes]], names: Mapping[int, str], problems: Sequence[FileProblem]
) -> str:
    """One line: images, boxes per class and split, what was left out and why, and how many lines the report has."""
    parts = []
    for split, images in splits.items():
        boxes = Counter(names[class_id] for image in images for class_id in image.classes.tolist())
        counts = ", ".join(f"{name} {boxes[name]}" for name in sorted(boxes))
        crowds = sum(int(image.is_crowd.sum()) for image in images)
        counts += f"; {crowds} difficult, neither learned nor measured" if crowds else ""
        parts.append(f"{split} {len(images)} ({'boxes: ' + counts if boxes else 'no boxes'})")
    actions = Counter(problem.problem.action for problem in problems)
    skipped = f"left out: {left_out.in_words(report.count(problems)) or 'nothing'}"
    listed = f", {errors.counted(actions[voc.WARNING], 'warning')}: see {report.PATH}" if problems else ""
    total = sum(map(len, splits.values()))
    return f"{errors.counted(total, 'image')}: {', '.join(parts)}; {skipped}; {actions[voc.REPAIRED]} repaired{listed}"


if __name__ == "__main__":
    errors.run(main, __doc__)
