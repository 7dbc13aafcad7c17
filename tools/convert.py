"""Write a dataset for another tool, as a new folder: labels in its format, and a copy of the photos.

    make convert TO=voc|coco|yolo|csv [DATASET=pets] [OUTPUT=folder]
    python -m tools.convert --to=coco [--dataset=pets] [--output=folder]

The dataset is that of params.yaml (dataset.dir), or dataset/<DATASET>; it is only read, by the rules by which a
training reads it. The folder is converted/<name>-<TO>, or OUTPUT; an existing one is never written to. docs/formats.md
says what each format loses.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from detector.annotations import datasets, frames, voc
from detector.annotations.datasets import LabelledImage
from detector.annotations.report import FileProblem
from detector.annotations.voc import VocObject
from detector.base import errors, files, params, paths
from detector.base.errors import UserError, counted
from detector.data import labels
from detector.data.params import DatasetParams
from detector.pictures import images
from tools import overrides
from tools.converting import writers
from tools.converting.writers import Picture, Splits

CONVERTED = Path("converted")
LOST = {"yolo": "left out: YOLO has no word for it"}  # what becomes of a crowd


def main() -> None:
    arguments = parse_arguments()
    settings = params.load("dataset", DatasetParams)
    source = Path(overrides.dataset(arguments.dataset)) if arguments.dataset else Path(settings.dir)
    target = files.expanded(arguments.output) if arguments.output else CONVERTED / f"{source.name}-{arguments.to}"
    if target.exists() or target.is_symlink():
        raise UserError(str(target), "exists", "choose another OUTPUT, or move it away")
    labelled, problems = datasets.read(replace(settings, dir=str(source)))
    refuse_errors(source, problems)
    splits = named({split: pictures(paths.images(source, split), labelled[split]) for split in ("train", "test")})
    with files.whole_folder(target, is_new=True) as folder:
        writers.write(folder, arguments.to, splits, labels.read(source / paths.LABEL_MAP))
    errors.say(f"{target}: written as {arguments.to}")
    errors.say(*(f"  {line}" for line in summary(splits, problems, arguments.to)))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.convert", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--to", default="", help=f"the format: {', '.join(writers.WRITERS)}")
    parser.add_argument("--dataset", default="", help="the name of a folder in dataset/ (default: dataset.dir)")
    parser.add_argument("--output", default="", help="a new folder (default: converted/<name>-<to>)")
    arguments = parser.parse_args()
    arguments.to = arguments.to.lower()
    if arguments.to not in writers.WRITERS:
        reason = f"{arguments.to} is not a format" if arguments.to else "is empty"
        raise UserError("TO", reason, f"give one of {', '.join(writers.WRITERS)}: make convert TO=coco")
    return arguments


def refuse_errors(source: Path, problems: Iterable[FileProblem]) -> None:
    """Show what would stop a training, too, and stop."""
    faults = [one for one in problems if one.problem.action == voc.ERROR]
    errors.show([fault.line() for fault in faults])
    if faults:
        raise UserError(str(source), counted(len(faults), "error"), "fix them and run again; nothing was written")


def pictures(folder: Path, labelled: Iterable[LabelledImage]) -> list[Picture]:
    """The photos by file name, with their boxes on the picture as seen."""
    return [
        _picture(folder / one.filename, one.annotation.objects, one.annotation.size)
        for one in sorted(labelled, key=lambda one: one.filename)
    ]


def _picture(path: Path, objects: tuple[VocObject, ...], size: tuple[int, int] | None) -> Picture:
    info = images.check(path)
    if size == info.raw_size != info.size:  # a training takes the pixels as stored; others apply EXIF
        objects = tuple(replace(one, box=frames.upright(one.box, info)) for one in objects)
    return Picture(path, path.name, info.size, objects, info.turned)


def named(splits: Splits) -> dict[str, list[Picture]]:
    """The splits with names whose stems differ, in upper and lower case too: a label has the stem of its photo."""
    taken: set[str] = set()
    result: dict[str, list[Picture]] = {}
    for split, many in splits.items():
        result[split] = []
        for picture in many:
            stem, suffix = picture.stem, Path(picture.name).suffix
            while stem.casefold() in taken:
                stem += "_"
            taken.add(stem.casefold())
            result[split].append(replace(picture, name=stem + suffix))
    return result


def summary(splits: Splits, problems: Sequence[FileProblem], to: str) -> list[str]:
    """What was written, and what was not."""
    lines = []
    for split, many in splits.items():
        boxes = sum(len(picture.objects) for picture in many)
        lines.append(f"{split}: {counted(len(many), 'photo')}, {boxes} boxes")
    everything = [picture for many in splits.values() for picture in many]
    if crowds := sum(one.is_crowd for picture in everything for one in picture.objects):
        lines.append(f"{crowds} difficult objects, or crowds, {LOST.get(to, 'written as such')}")
    if turned := sum(picture.is_turned for picture in everything):
        what = "boxes are on the photo as seen; tools that ignore EXIF see it otherwise"
        lines.append(f"{counted(turned, 'photo')} turned by EXIF: {what}")
    if renamed := [picture.path.name for picture in everything if picture.name != picture.path.name]:
        lines.append(f"{len(renamed)} renamed, as another photo has the same name: {errors.few(renamed)}")
    actions: Mapping[str, int] = Counter(one.problem.action for one in problems)
    listed = [f"{actions[action]} {action}" for action in (voc.SKIPPED, voc.REPAIRED) if actions[action]]
    return lines + ([f"{', '.join(listed)}, as before a training: dvc repro xml2csv lists them"] if listed else [])


if __name__ == "__main__":
    errors.run(main)
