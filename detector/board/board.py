"""One training in TensorBoard, with the names that the Object Detection API gives its curves and pictures.

logs/<when it began>-<key>/      the key's first digits; one folder for all sessions of a training
    pipeline.config, label_map.pbtxt
    train/                       the losses, the learning rate; the first batch, as augmented; pipeline.config as text
    validation/                  a file a validation: losses, AP, and photos: left detections, right groundtruth

Events have times, so none of this is an output of DVC. A validation's file is whole or missing. What a kill leaves of
the others is removed when the training resumes, with all that came after its last checkpoint: no step is there twice.
"""

import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from detector.base import errors, files, paths
from detector.board import events
from detector.board.pictures import SamePhotos, Tile, sheet
from detector.data import labels
from detector.data.tables import ImageBoxes

LOGS = Path("logs")
CONFIG = "pipeline.config"
TRAIN, VALIDATION = "train", "validation"  # the runs
KEY_DIGITS = 8
START = "0000000000"  # marks the file of step 0
TAGS = {  # of the API, by the names in results/train
    "val/loss": "Loss/total_loss",
    "val/AP": "DetectionBoxes_Precision/mAP",
    "val/AP50": "DetectionBoxes_Precision/mAP@.50IOU",
}
QUALITY = 85  # of JPEGs
History = Iterable[tuple[int, Mapping[str, float]]]  # what was logged, step by step


def folder_of(key: str) -> Path | None:
    """The folder of the training `key`, if it has one."""
    return max(LOGS.glob(f"*-{key[:KEY_DIGITS]}"), default=None)


class Board:
    """The folder of one training; whatever goes wrong here is said once, and the training continues without it.

    Args:
        key: of the training.
        names: class id -> name.
        first_batch: makes the first images of the first batch as they are trained on.
        photos: of the validation split, if there is one.
    """

    def __init__(
        self,
        key: str,
        names: Mapping[int, str],
        first_batch: Callable[[], Sequence[Tile]],
        photos: Callable[[], SamePhotos] | None,
    ) -> None:
        self.folder = folder_of(key) or LOGS / f"{time.strftime('%Y%m%d-%H%M%S')}-{key[:KEY_DIGITS]}"
        self._names, self._first_batch, self._make_photos = names, first_batch, photos
        self._photos: SamePhotos | None = None
        self._session = self.folder / TRAIN / events.named(f"{time.time():.0f}")
        self._has_failed = False

    def begin(self, config: str, label_map: Path) -> None:
        """Write down what is trained: the text of its pipeline.config, and a copy of the label map."""
        with self._optional():
            files.write_text(self.folder / CONFIG, config)
            labels.copy(label_map, self.folder / paths.LABEL_MAP)

    def resume(self, step: int, validated_step: int, history: History) -> None:
        """Continue behind these steps, 0 for a new training; `history` has the curves up to there.

        What is later is removed, for it comes again. What is missing, as on another machine, is made of the history.
        """
        with self._optional():
            ends = [events.cut(path, step) for path in sorted((self.folder / TRAIN).glob(events.named("*")))]
            seen = {int(path.suffix[1:]): path for path in (self.folder / VALIDATION).glob(events.named("*"))}
            for late in [path for number, path in seen.items() if number > validated_step]:
                late.unlink()
            for number, values in history:
                if "val/AP" in values and number not in seen:
                    self._write_validation(number, _tagged(values), [])
                elif "val/AP" not in values and number > max(ends, default=0):
                    self.train(number, values)
            if not step:
                self._write_start()
            if self._make_photos:
                self._photos = self._make_photos()

    def train(self, step: int, values: Mapping[str, float]) -> None:
        """The losses and the rate of a step, by their names in results/train."""
        with self._optional():
            events.append(self._session, [events.scalars(step, _tagged(values))])

    def validation(
        self,
        step: int,
        losses: Mapping[str, float],
        scores: Mapping[str, float],
        detections: Sequence[ImageBoxes],
        threshold: float,
    ) -> None:
        """What was measured and found at a step; the pictures show detections with a score of at least `threshold`."""
        with self._optional():
            values = {f"loss/{name}": value for name, value in losses.items()}
            values |= {f"val/{name}": value for name, value in scores.items()}
            drawn = self._photos.drawn(detections, threshold) if self._photos else ()
            self._write_validation(step, _tagged(values), drawn)

    def _write_validation(
        self, step: int, values: Mapping[str, float], drawn: Iterable[tuple[str, Image.Image]]
    ) -> None:
        pictures = [_picture(step, f"eval_side_by_side/{name}", picture) for name, picture in drawn]
        path = self.folder / VALIDATION / events.named(f"{step:0{len(START)}}")
        events.write(path, [events.scalars(step, values), *pictures])

    def _write_start(self) -> None:
        config = (self.folder / CONFIG).read_text(encoding="utf-8")
        text = events.text(0, CONFIG, "".join(f"    {line}\n" for line in config.splitlines()))
        batch = _picture(0, "train_input_images", sheet(self._first_batch(), self._names))
        events.write(self.folder / TRAIN / events.named(START), [text, batch])

    @contextmanager
    def _optional(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not self._has_failed:
                fault = f"{type(error).__name__}: {error}"
                errors.say(
                    f"warning: {self.folder}: {fault}; TensorBoard lacks it, training continues", file=sys.stderr
                )
            self._has_failed = True


def _tagged(values: Mapping[str, float]) -> dict[str, float]:
    """The values by the API's tags."""
    return {TAGS.get(name, name.replace("loss/", "Loss/")): value for name, value in values.items()}


def _picture(step: int, tag: str, picture: Image.Image) -> Any:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return events.picture(step, tag, buffer.getvalue(), picture.size)
