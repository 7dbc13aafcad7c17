"""One page that shows a dataset before anything is trained: its photos with their boxes, and what to look at first.

    make inspect [DATASET=pets]      (or: python -m tools.inspect_dataset [--dataset=pets])

In:  the dataset's folder (dataset.dir, or dataset/<DATASET>) and params.yaml; no CSV, record or model
Out: results/inspect.html, self-contained: no script, font or picture from elsewhere, so it opens offline and can be
     mailed. The same inputs give the same bytes.

Photos are read, left out, repaired and split by the rules of xml2csv. What the page calls worth a look is no error:
training takes it as it is.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from detector.base import errors, files, params, paths
from detector.data.params import DatasetParams
from detector.model import pipeline_config
from detector.model.pipeline_config import DatasetFacts, PipelineParams
from tools import overrides
from tools.cloud import dvc_add
from tools.inspecting import anchors, copies, counts, dataset, gallery, left_out, size_map, suspicious, verdict
from tools.inspecting.anchors import Anchors
from tools.inspecting.dataset import Dataset, Photo
from tools.inspecting.findings import LOOK, NOTE, Case, Finding, boxes_in_photos, finding
from tools.page.rendering import render

PAGE = paths.REPORT.with_name("inspect.html")
TEMPLATE = "inspect.html.j2"
MANY = 0.05  # of the boxes without an anchor that fits: worth a look, not a mere note


def main() -> None:
    """Read, compute, write."""
    name = arguments().dataset
    settings = params.load("dataset", DatasetParams)
    if name:
        settings = replace(settings, dir=overrides.dataset(name))
    dvc_add.refuse_missing(Path(settings.dir))
    values = context(settings, params.load("train", PipelineParams, partial=True))
    page = render(TEMPLATE, values)
    files.write_text(PAGE, page)
    errors.say(f"{settings.dir}: {values['headline']}")
    errors.say(*(f"  {sentence}" for sentence in values["sentences"]))
    errors.say(f"{PAGE}: {len(page.encode()) / 1e6:.1f} MB, opens in any browser, offline too")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.inspect_dataset",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", default="", help="its name in dataset/; without it, dataset.dir of params.yaml")
    return parser.parse_args()


def context(settings: DatasetParams, train: PipelineParams) -> dict[str, Any]:
    """Everything that the template shows."""
    content = dataset.read(settings)
    network = anchors.of(pipeline_config.build(train, DatasetFacts(Path(), max(1, len(content.classes)), 1)))
    size = network.size if network else pipeline_config.TEMPLATES[train.model][1]
    found = findings(content, Path(settings.dir), network, size)
    sample = gallery.sample(content.photos, content.classes)
    shots = [one for _, _, some in sample for one in some]
    every = [one for group in found.values() for one in group]
    shots += [one for each in every for group in each.groups for one in group]
    numbers = {name: number for number, name in enumerate(content.classes, start=1)}
    return {
        "dataset": settings.dir,
        "train": train,
        "first": verdict.first(every),
        "found": found,
        "classes": counts.by_class(content),
        "splits": counts.by_split(content.photos),
        "sample": sample,
        "files": counts.files(content.photos),
        "drawings": gallery.drawings(shots, numbers),
        "colours": gallery.colours(content.classes),
        "numbers": numbers,
        "frame": size_map,
        "headline": verdict.headline(content),
        **at_network(content, network, size),
    }


def findings(content: Dataset, folder: Path, network: Anchors | None, size: int) -> dict[str, list[Finding]]:
    """What to look at, by the section of the page that shows it, in its order."""
    return {
        "left_out": left_out.find(content.problems, content.photos),
        "scarce": verdict.scarce(counts.by_class(content), folder),
        "copies": copies.find(content.photos),
        "odd": suspicious.find(content.photos, size),
        "unmatched": unmatched(content.photos, network) if network else [],
    }


def at_network(content: Dataset, network: Anchors | None, size: int) -> dict[str, Any]:
    """How the boxes suit the network, and the verdict, which says so too; size: of its input."""
    boxes, names = counts.at_input(content.photos, size)
    fits = counts.fits(boxes, names, network.best_iou(boxes) if network else None, content.classes)
    return {
        "size": size,
        "network": network,
        "fits": fits,
        "size_map": size_map.drawn(boxes, network) if network and len(boxes) else None,
        "sentences": verdict.sentences(counts.by_split(content.photos), content.problems, fits, size),
    }


def unmatched(photos: Sequence[Photo], network: Anchors) -> list[Finding]:
    """Boxes that no anchor fits."""
    worst = counts.worst_matched(photos, network)
    cases = [Case(photo, tuple(odd), f"best IoU {best:.2f}") for photo, odd, best in worst]
    total, many = sum(len(photo.boxes) for photo in photos), sum(len(case.odd) for case in cases)
    words = (
        f"{boxes_in_photos(cases)} that no anchor fits",
        "The anchor that is most like them overlaps them by less than half. They are learned from that one, less well.",
        "If there are many, choose a model with other anchors (train.model), or cut large photos into parts.",
    )
    return [finding("unmatched", LOOK if many > MANY * total else NOTE, words, cases)] if cases else []


if __name__ == "__main__":
    errors.run(main)
