"""Detections in a video: its frames are looked at on all cores, and written in their order.

No more frames are in memory than there are cores, and few: a video may be of any length. One that is stopped is written
as far as it came; when it resumes, the frames of the journal are drawn again, and not detected in again.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from detector.base import errors
from detector.base.errors import UserError
from detector.data.tables import Frame, ImageBoxes
from detector.pictures import draw, images
from detector.prediction import threads, videos
from detector.prediction.detector import Detector
from detector.prediction.journal import Journal
from detector.prediction.photos import Photo
from detector.prediction.selection import Selection
from detector.prediction.stops import Stops
from detector.prediction.videos import Video

Seen = tuple[ImageBoxes, float, int, Image.Image]


@dataclass(frozen=True)
class VideoDetection:
    """Detects in videos. shown: what is listed and drawn."""

    detector: Detector
    shown: Selection
    done: Journal
    stops: Stops

    def run(self, inputs: Iterable[Photo], targets: Mapping[str, Path]) -> list[UserError]:
        """Detect in the videos that are not done, and write them with boxes; returns what of them cannot be read.

        targets: {video name: where to write it, an MP4}.
        """
        problems = []
        for video in inputs:
            if video in self.done:
                problems += self.done.problems(video)
            elif not self.stops.requested:
                problems += self._in_one(video, targets[video.name])
        return problems

    def _in_one(self, video: Photo, target: Path) -> list[UserError]:
        self.done.begin(video)
        try:
            with videos.opened(video) as film:
                return self._run(video, film, target)
        except UserError as error:
            if self.done.frame(video, 0):  # those that were seen count, without a film
                target.unlink(missing_ok=True)
                self.done.end(video, [error])
            return [error]

    def _run(self, video: Photo, film: Video, target: Path) -> list[UserError]:
        from detector.base.bars import counter  # late: a tenth of the start of a prediction

        frames = ((video.name, frame, self.done.frame(video, frame.number)) for frame in film)
        progress = counter(errors.printable(video.name), film.expected or None)
        most = images.MAX_PIXELS // film.pixels
        seen = threads.in_order(self._look, frames, lambda: bool(self.stops.requested), most)
        writer = None
        with progress, ExitStack() as output, closing(seen):
            for (_, frame, known), (result, best, above, picture) in seen:
                writer = writer or output.enter_context(videos.written(target, picture.size, film))
                writer.add(picture, frame.time)
                if known is None:
                    self.done.add(video, result, best, above)
                progress.update()
        problems = film.problems(any_frame=bool(writer or self.stops.requested), to_its_end=not self.stops.requested)
        if writer and (video.is_webcam or not self.stops.requested):  # a webcam has no other end
            self.done.end(video, problems)
        return problems

    def _look(self, item: tuple[str, videos.Frame, ImageBoxes | None]) -> Seen:
        """What is shown of a frame, the highest score of any box, how many are over the threshold, and its picture."""
        name, frame, known = item
        found = known or self.detector.detect(frame.image, name)
        result = known or replace(self.shown(found), frame=Frame(frame.number, float(frame.time)))
        best, above = float(found.scores.max(initial=0)), len(found.above(self.shown.threshold).boxes)
        draw.draw_on(frame.image, result, self.detector.names)
        return result, best, above, frame.image
