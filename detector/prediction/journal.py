"""What a prediction has done so far: a line for each photo, so that a run which was killed resumes where it was.

The first line holds what every result depends on, as JSON; another model or threshold begins a new journal. Each
further line is a photo: its name, the size and time of its file before it was read, its picture's size, its detections
with all digits, the best score of any box, how many boxes reach the threshold, and whether the file holds more frames.
A video has such a line for each frame, and one at its end, with what of it could not be read. A line that a kill cut
off is dropped, and its photo or frame is done again.
"""

import fcntl
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detector.base.errors import UserError
from detector.data.tables import Frame, ImageBoxes
from detector.prediction.photos import Photo

NAME = ".passo-journal"  # in the output folder, until all photos are done
_FORMAT = 4


class Journal:
    """The photos that are done. Results are read from the file again: memory does not grow with them.

    Args:
        path: the file; it is locked while this is open.
        run: what all results depend on.
        photos: those of this run; what the file says of others, or of files that have changed since, is dropped.
        pictures: {photo name: its picture, which must exist}.

    Raises:
        UserError: another run is writing it.
    """

    def __init__(
        self, path: Path, run: Mapping[str, object], photos: Iterable[Photo], pictures: Mapping[str, Path]
    ) -> None:
        self._places: dict[str, int] = {}  # {photo name: where its line begins, or that of a video's end}
        self._frames: dict[str, array[int]] = {}  # {video name: where the line of each frame begins}
        self._more: set[str] = set()  # names of photos
        self._begun: dict[str, list[object]] = {}  # {photo name: its file when it was about to be read}
        self._pictures, self._file = pictures, path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UserError(str(path.parent), "another prediction is writing there", "wait for its end") from None
        except OSError:  # a network folder without locks
            pass
        first = {"format": _FORMAT, **run}
        end = self._read(first, {photo.name: photo for photo in photos}, pictures)
        self._file.truncate(end)
        self._file.seek(end)
        if not end:
            self._write(first)
        self.resumed = len(self._places)
        self._path = path

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, photo: Photo) -> bool:
        return photo.name in self._places

    def begin(self, photo: Photo) -> None:
        """A file is about to be read: if it changes from now on, a resumed run reads it again."""
        self._begun[photo.name] = _place(photo.path)

    def add(self, photo: Photo, result: ImageBoxes, best: float, above: int, *, has_more: bool = False) -> None:
        """A photo, or the next frame of a video, is done. It was begun.

        best: the highest score of any box of it, listed or not. above: boxes over the threshold. has_more: frames than
        the one that was looked at.
        """
        line = {
            "name": photo.name,
            **self._files(photo, result),
            "size": [result.width, result.height],
            "classes": result.classes.tolist(),
            "boxes": result.boxes.tolist(),
            "scores": result.scores.tolist(),
            "best": best,
            "above": above,
            "has_more": has_more,
        }
        if result.frame:
            place = self._write({**line, "frame": result.frame})
            self._frames.setdefault(photo.name, array("Q")).append(place)
        else:
            self._places[photo.name] = self._write(line)
            self._more.update([photo.name] if has_more else [])
            del self._begun[photo.name]

    def end(self, video: Photo, problems: Iterable[UserError]) -> None:
        """All frames of a video are done, and its picture is written. problems: what of it could not be read."""
        found = [[problem.where, problem.reason, problem.remedy, problem.item] for problem in problems]
        line = {"name": video.name, **self._files(video), "frames": len(self._frames[video.name]), "problems": found}
        self._places[video.name] = self._write(line)

    def problems(self, video: Photo) -> list[UserError]:
        """What could not be read of a video that is done."""
        return [UserError(*parts) for parts in self._line(self._places[video.name])["problems"]]

    def frame(self, video: Photo, number: int) -> ImageBoxes | None:
        """The result of a frame that is done already."""
        places = self._frames.get(video.name, ())
        return _result(self._line(places[number])) if number < len(places) else None

    def frames(self) -> int:
        """How many frames of videos are done."""
        return sum(map(len, self._frames.values()))

    def count(self) -> int:
        """How many photos and frames are done."""
        return len(self._places.keys() - self._frames.keys()) + self.frames()

    def results(self, photos: Iterable[Photo]) -> Iterator[ImageBoxes]:
        """The results of those of the photos that are done, in their order, and of videos frame by frame."""
        for line in self._lines(photos):
            yield _result(line)

    def best(self, photos: Iterable[Photo]) -> float:
        """The highest score of any box in any photo that is done; 0 where there is none."""
        return max((line["best"] for line in self._lines(photos)), default=0.0)

    def full(self, photos: Iterable[Photo], most: int) -> int:
        """How many of the photos that are done have so many boxes over the threshold, or more."""
        return sum(line["above"] >= most for line in self._lines(photos))

    def of_more_frames(self) -> list[str]:
        """The names of the photos that are done and hold more frames than the one that was looked at, sorted."""
        return sorted(self._more)

    def remove(self) -> None:
        """All is done, and written elsewhere."""
        self._path.unlink()

    def _files(self, photo: Photo, result: ImageBoxes | None = None) -> dict[str, object]:
        """The file and its picture, as they are: another run may replace either. A frame has no picture yet."""
        picture = [] if result and result.frame else _state(self._pictures[photo.name])
        return {"file": self._begun[photo.name], "picture": picture}

    def _lines(self, photos: Iterable[Photo]) -> Iterator[dict[str, Any]]:
        for photo in photos:
            if photo.is_video:
                yield from map(self._line, self._frames.get(photo.name, ()))
            elif photo in self:
                yield self._line(self._places[photo.name])

    def _line(self, place: int) -> dict[str, Any]:
        self._file.seek(place)
        line: dict[str, Any] = json.loads(self._file.readline())
        return line

    def _read(self, first: Mapping[str, object], photos: Mapping[str, Photo], pictures: Mapping[str, Path]) -> int:
        """Take in the lines of an earlier run; returns where the last whole one ends."""
        self._file.seek(0)
        end = 0
        for content in self._file:
            try:
                if not content.endswith(b"\n"):
                    return end
                line: Any = json.loads(content)
                if end:
                    self._take(line, end, photos, pictures)
                elif line != first:
                    return 0
            except (ValueError, KeyError, TypeError, OSError):
                return end
            end += len(content)
        return end

    def _take(
        self, line: Mapping[str, Any], place: int, photos: Mapping[str, Photo], pictures: Mapping[str, Path]
    ) -> None:
        """Take in one line, if it is of a photo that is as it was; a webcam's never is."""
        frame = None if "frames" in line else _result(line).frame
        photo = photos.get(line["name"])
        if not photo or photo.is_webcam or line["file"] != _place(photo.path):
            return
        if frame:
            frames = self._frames.setdefault(photo.name, array("Q"))
            if frame.number == len(frames):
                frames.append(place)
        elif line["picture"] and line["picture"] == _state(pictures[photo.name]):
            self._places[photo.name] = place
            self._more.update([photo.name] if line.get("has_more") else [])

    def _write(self, line: Mapping[str, object]) -> int:
        """Returns where the line begins. It is on its way to the disk when this returns, whatever becomes of us."""
        place = self._file.seek(0, 2)
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()
        return place


def _place(path: Path) -> list[object]:
    """Which file it is, in which state."""
    return [os.path.abspath(path), *_state(path)]  # noqa: PTH100 (a link is not the file that it leads to)


def _state(path: Path) -> list[int]:
    """What changes when a file does; nothing where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _result(line: Mapping[str, Any]) -> ImageBoxes:
    width, height = line["size"]
    boxes = np.array(line["boxes"], dtype=np.float64).reshape(-1, 4)
    classes, scores = np.array(line["classes"], dtype=np.int64), np.array(line["scores"], dtype=np.float64)
    if not len(boxes) == len(classes) == len(scores):
        raise ValueError("a line that is not ours")
    frame = Frame(*line["frame"]) if "frame" in line else None
    return ImageBoxes(str(line["name"]), int(width), int(height), boxes, classes, scores, frame=frame)
