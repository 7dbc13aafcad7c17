"""The embedded dataset: draw photo-like scenes with cats and dogs, and write VOC XML beside each JPEG.

params.yaml `sample` -> dataset/sample/{train,test}/NAME.jpg and NAME.xml, dataset/sample/label_map.pbtxt

    python -m stages.sample

The same seed gives the same bytes, on any number of processors; with more images the first ones stay the same.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from detector.annotations.voc_writer import LabelledBox, voc_xml
from detector.base import errors, files, params, paths
from detector.scene.params import SampleParams

CLASSES = ("cat", "dog")  # ids 1 and 2


@dataclass(frozen=True)
class Task:
    """One image to draw into `folder`."""

    seed: int
    split: str
    index: int
    folder: Path

    @property
    def name(self) -> str:
        """The image's file name without its suffix; no two splits share one."""
        return f"{self.split}_{self.index:05d}"


def draw(task: Task) -> None:
    """Write one image and its XML."""
    from detector.scene import compose

    picture = compose.render(task.seed, task.split, task.index)
    boxes = [LabelledBox(one.name, (one.xmin, one.ymin, one.xmax, one.ymax), one.truncated) for one in picture.objects]
    size = picture.width, picture.height
    xml = voc_xml(f"{task.name}.jpg", size, boxes, folder=task.split, database="Passo sample")
    (task.folder / f"{task.name}.jpg").write_bytes(picture.jpeg)
    (task.folder / f"{task.name}.xml").write_bytes(xml)


def draw_all(tasks: list[Task], workers: int) -> None:
    """Draw with one process per worker; no image depends on another, so neither does it on `workers`."""
    from detector.base.bars import bar

    with ProcessPoolExecutor(workers) as pool:
        for _ in bar(pool.map(draw, tasks, chunksize=4), "drawing", len(tasks)):
            pass


def main() -> None:
    """Draw both splits and write the label map, as one whole folder."""
    section = params.load("sample", SampleParams)
    from detector.data import labels

    with files.whole_folder(paths.SAMPLE) as folder:
        counts = {"train": section.train_images, "test": section.test_images}
        for split in counts:
            (folder / split).mkdir()
        tasks = [Task(section.seed, split, i, folder / split) for split, count in counts.items() for i in range(count)]
        draw_all(tasks, min(os.cpu_count() or 1, len(tasks)))
        labels.write(folder / paths.LABEL_MAP, CLASSES)
    errors.say(f"{paths.SAMPLE}: {section.train_images} train and {section.test_images} test images")


if __name__ == "__main__":
    errors.run(main, __doc__)
