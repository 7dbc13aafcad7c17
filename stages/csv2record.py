"""CSV + images -> TFRecords with the Object Detection API's feature keys, one example per image.

    dataset/data/{train,val,test}.csv, dataset.dir/{train,test}/ images, dataset.dir/label_map.pbtxt
    -> dataset/data/{train,val,test}.record

    python -m stages.csv2record

An image that TensorFlow decodes as people see it is copied byte for byte; any other (CMYK, palette, alpha, 16 bits,
HEIC, AVIF, BMP, TIFF, WebP, GIF, turned by EXIF) is encoded again in RGB. Images without objects are kept. An image
with a box that is_crowd has the feature `image/object/is_crowd`: 0 or 1 for each of its boxes. The training record is
in an order drawn from the file names, so that classes are mixed; the others are sorted by file name.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from detector.annotations import examples, splitting
from detector.base import errors, files, params, paths
from detector.base.bars import counter
from detector.base.errors import UserError
from detector.data import labels, records, tables
from detector.data.params import DatasetParams
from detector.data.tables import ImageBoxes

BATCH = 64  # images in memory at once


def main() -> None:
    settings = params.load("dataset", DatasetParams)
    label_map = labels.read(Path(settings.dir) / paths.LABEL_MAP)
    splits = {split: tables.read_csv(paths.csv(split), label_map) for split in paths.SPLITS}
    splits["train"].sort(key=lambda image: splitting.fraction(image.filename, "order"))
    names = labels.by_id(label_map)
    faults: list[UserError] = []
    counts = []
    with ExitStack() as stack:  # all records appear, or none
        for split, images in splits.items():
            path = stack.enter_context(files.whole_file(paths.record(split)))
            faults += write_record(path, images, paths.images(settings.dir, split), names)
            counts.append(f"{split} {sum(1 for _ in records.read_frames(path))} of {len(images)}")
        refuse(settings.dir, faults)
    errors.say(f"images written to the records: {', '.join(counts)}")


def write_record(path: Path, images: Sequence[ImageBoxes], folder: Path, names: Mapping[int, str]) -> list[UserError]:
    """Write the examples of `images` in their order; returns the errors of those that cannot be written."""
    faults = []
    with path.open("wb") as file, counter("writing", len(images)) as progress:
        for result in encode(images, folder, names):
            progress.update()
            if isinstance(result, UserError):
                faults.append(result)
            else:
                records.write_frame(file, result)
    return faults


def encode(images: Sequence[ImageBoxes], folder: Path, names: Mapping[int, str]) -> Iterator[bytes | UserError]:
    """The serialized example of each image, or its error, in their order."""

    def attempt(image: ImageBoxes) -> bytes | UserError:
        try:
            return records.encode(examples.example(image, folder, names))
        except UserError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(images), BATCH):
            yield from pool.map(attempt, images[start : start + BATCH])


def refuse(dataset: str, faults: Sequence[UserError]) -> None:
    """Show every error, or the first of many, and stop."""
    errors.show([fault.line() for fault in faults])
    if faults:
        raise UserError(dataset, f"{len(faults)} errors, no record was written", "fix them, then: dvc repro csv2record")


if __name__ == "__main__":
    errors.run(main, __doc__)
