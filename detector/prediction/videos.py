"""Videos and webcams as upright RGB frames, and pictures as an H.264 video that browsers play; with PyAV (FFmpeg).

A video may be a list of others: some formats name files and addresses, which FFmpeg would open. Here it gets the bytes
of one file, and reads those formats alone that hold their frames themselves.
"""

import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

from detector.base import errors, files
from detector.base.errors import UserError
from detector.pictures import images
from detector.prediction.photos import Photo

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream

_FORMATS = "asf,avi,flv,matroska,mov,mpeg,mpegts,ogg"  # FFmpeg's names
_WEBCAM_FORMAT = "v4l2"
_READ = 2**20  # bytes at once
_SHORT = 0.9  # the share of its duration at which the frames of a whole video may end, and a second less
_LONGEST_SIDE = 16_384  # pixels, of a video that x264 writes
_RATE = 30  # frames a second, where a video does not say
_TICKS = 90_000  # a second, at most, of a video that is written
_LONGEST_GAP = 3600  # seconds between two frames of it: MP4 has 31 bits for the ticks of several gaps
_UPRIGHT = {  # degrees against the clock, by which a frame is to be turned
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    -180: Image.Transpose.ROTATE_180,
    -90: Image.Transpose.ROTATE_270,
}
# x264 at its usual quality. The bytes depend on the number of its threads. With slower presets they would differ from
# run to run (the "macroblock tree"), and frames that it looks ahead at would be in memory.
_ENCODER = {"crf": "23", "preset": "superfast", "threads": "4"}
_BT709, _LIMITED = 1, 1  # FFmpeg's numbers: how players take the colours of a video that says so
_REMEDY = "convert it to MP4, or leave it out"


@dataclass(frozen=True)
class Frame:
    """number: from 0. time: seconds from the first frame. image: upright RGB."""

    number: int
    time: Fraction
    image: Image.Image


class Video:
    """A video or a webcam that is open.

    where: its file, for errors. expected: how many frames it has; 0 where it does not say, or has no end. damaged:
    packets that did not decode yet. pixels: of a frame. aspect: width to height of a pixel as it is stored.
    """

    def __init__(self, container: "InputContainer", stream: "VideoStream", where: str) -> None:
        self._container, self._stream, self.where = container, stream, where
        self.rate = Fraction(stream.average_rate or stream.guessed_rate or _RATE)
        self.time_base = Fraction(stream.time_base or 1 / self.rate)
        self._duration = float((stream.duration or 0) * self.time_base or (container.duration or 0) / 1_000_000)
        self._end = 0.0  # seconds: the time of the last frame so far
        self.expected = stream.frames or round(self._duration * self.rate)
        self.damaged = 0
        self.pixels = max(1, stream.width * stream.height)
        self.aspect = Fraction(stream.sample_aspect_ratio or 1)

    def __iter__(self) -> Iterator[Frame]:
        """Each frame that decodes, in the order in which it is shown; their times grow."""
        first = last = None
        step = max(1, round(1 / self.rate / self.time_base))
        for number, frame in enumerate(self._decoded()):
            following = last + step if last is not None else 0
            last = frame.pts if frame.pts is not None and (last is None or frame.pts > last) else following
            first = last if first is None else first
            time = (last - first) * self.time_base
            self._end = float(max(time, last * self.time_base))  # some files count from the first frame, some from 0
            yield Frame(number, time, self._upright(frame))

    def problems(self, *, any_frame: bool, to_its_end: bool) -> list[UserError]:
        """What is wrong with it, as far as it was read. Sound may be a little longer than the picture."""
        reason = ""
        if not any_frame:
            reason = "is not a video that can be read: no frame decodes"
        elif self.damaged:
            reason = f"is damaged: {errors.counted(self.damaged, 'packet')} did not decode; the other frames are done"
        elif to_its_end and self._end < _SHORT * self._duration - 1:
            reason = f"is cut off: its frames end at {self._end:.1f} s of {self._duration:.1f} s; those are done"
        return [UserError(self.where, reason, _REMEDY)] if reason else []

    def _decoded(self) -> "Iterator[VideoFrame]":
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                decoded = packet.decode()
            except av.error.EOFError:
                return
            except av.FFmpegError as error:
                if error.errno in errors.REFUSED:
                    raise OSError(error.errno, error.strerror, self.where) from None
                self.damaged += 1
            else:
                yield from decoded

    def _upright(self, frame: "VideoFrame") -> Image.Image:
        if frame.width * frame.height > images.MAX_PIXELS:
            raise _too_large(self.where, frame.width, frame.height)
        image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
        return image.transpose(_UPRIGHT[frame.rotation]) if frame.rotation in _UPRIGHT else image


@contextmanager
def opened(video: Photo) -> Iterator[Video]:
    """Yields a video, or a webcam.

    Raises:
        UserError: it is missing, no file, no video that can be read, or too large.
    """
    import av

    where = str(video.path)
    with ExitStack() as stack:
        with _errors_of(where, is_webcam=video.is_webcam):
            if video.is_webcam:
                container = av.open(where, "r", format=_WEBCAM_FORMAT)
            else:
                file = stack.enter_context(_file(video.path))
                container = av.open(file, "r", options={"format_whitelist": _FORMATS}, buffer_size=_READ)
            stack.enter_context(container)
        yield Video(container, _stream(container, where), where)


def _file(path: Path) -> BinaryIO:
    if not stat.S_ISREG(path.stat().st_mode):
        raise UserError(str(path), "is not a file", "leave it out")
    if not path.stat().st_size:
        raise UserError(str(path), "is an empty file", _REMEDY)
    return path.open("rb")


def _stream(container: "InputContainer", where: str) -> "VideoStream":
    stream = next(iter(container.streams.video), None)
    if not stream:
        raise UserError(where, "holds no video", _REMEDY)
    if not stream.codec_context:
        raise UserError(where, "is not a video that can be read: its codec is unknown", _REMEDY)
    if stream.width * stream.height > images.MAX_PIXELS:
        raise _too_large(where, stream.width, stream.height)
    if max(stream.width, stream.height) > _LONGEST_SIDE:
        reason = f"is too large: {stream.width}x{stream.height} pixels, H.264 has sides of {_LONGEST_SIDE:,} at most"
        raise UserError(where, reason, "scale it down")
    stream.thread_type = "AUTO"
    return stream


def _too_large(where: str, width: int, height: int) -> UserError:
    reason = f"is too large: {width}x{height} pixels, the limit is {images.MAX_PIXELS:,}"
    return UserError(where, reason, "scale it down")


@contextmanager
def _errors_of(where: str, *, is_webcam: bool) -> Iterator[None]:
    import av

    try:
        yield
    except (OSError, av.FFmpegError) as error:
        if error.errno in errors.OF_THE_MACHINE:
            raise
        said = f"cannot be read: {error.strerror}", "fix its permissions"
        if is_webcam:
            remedy = "ls /dev/video* lists them; no other program may use it"
            said = f"this webcam cannot be opened: {error.strerror}", remedy
        elif isinstance(error, FileNotFoundError):
            said = "video not found", "put it there, or leave it out"
        elif isinstance(error, av.FFmpegError):
            said = f"is not a video that can be read: {error.strerror}", _REMEDY
        raise UserError(where, *said) from error


class Writer:
    """Writes pictures as frames. All have the size of the first one; a side that is odd gets a black line."""

    def __init__(self, container: "OutputContainer", size: tuple[int, int], video: Video) -> None:
        self._container, self._size = container, size
        self._time_base = video.time_base if video.time_base.denominator <= _TICKS else Fraction(1, _TICKS)
        self._last, self._cut = -1, 0  # in that base: the last frame's time, and what gaps were too long by
        self._stream = container.add_stream("libx264", rate=video.rate, options=_ENCODER)
        self._stream.width, self._stream.height = (side + side % 2 for side in size)
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = self._time_base
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        context.sample_aspect_ratio = video.aspect

    def add(self, picture: Image.Image, time: Fraction) -> None:
        """The next frame, RGB. time: seconds from the first one, later than the last one's.

        Where the time jumps, as where a camera's clock was set, the gap is an hour in what is written.
        """
        import av

        picture = picture if picture.size == self._size else picture.resize(self._size)
        even = picture.crop((0, 0, self._stream.width, self._stream.height))
        rgb = av.VideoFrame.from_image(even)  # type: ignore[no-untyped-call]
        frame = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = self._pts(time), self._time_base
        self._container.mux(self._stream.encode(frame))

    def _pts(self, time: Fraction) -> int:
        longest = max(1, int(_LONGEST_GAP / self._time_base))
        wanted = max(self._last + 1, round(time / self._time_base) - self._cut)
        self._cut += max(0, wanted - self._last - longest)
        self._last = min(wanted, self._last + longest)
        return self._last

    def end(self) -> None:
        self._container.mux(self._stream.encode(None))


@contextmanager
def _writing_errors(where: str) -> Iterator[None]:
    """An error of the system becomes Python's own: in FFmpeg's nobody can write which file it is about.

    Others are the video's, which does not end the run. (FFmpeg's PermissionError is Python's, and no av.error.OSError.)
    """
    import av

    try:
        yield
    except av.FFmpegError as error:  # not Python's own, which may name the file that is read
        if isinstance(error, MemoryError):
            raise
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror) from None
        reason = f"cannot be written as MP4: {error.strerror}; the frames up to there are listed"
        raise UserError(where, reason, _REMEDY) from error


@contextmanager
def written(path: Path, size: tuple[int, int], video: Video) -> Iterator[Writer]:
    """Yields what writes `path`, an MP4 with the rate of `video`, whole or not at all. size: (width, height)."""
    import av

    options = {"movflags": "faststart"}  # what a player needs first comes first
    with (
        files.whole_file(path) as temporary,
        _writing_errors(video.where),
        av.open(f"file:{temporary}", "w", format="mp4", options=options) as container,
    ):
        writer = Writer(container, size, video)
        yield writer
        writer.end()
