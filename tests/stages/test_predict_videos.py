"""Videos and webcams through `make predict`: boxes frame by frame, and a video with them that a browser plays."""

import functools
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest
from PIL import Image

from detector.base.errors import UserError
from tests.stages.test_predict import RED, ended, picture, save, table, tree
from tests.support import disk, films
from tests.support.stage import child

BLURRED = 2  # pixels, by which the codec moves an edge
SIGNALLING = """
import os, sys
from detector.prediction.journal import Journal
from detector.base import errors
from stages import predict
after, number = int(sys.argv.pop(1)), int(sys.argv.pop(1))
real = Journal.add
def add(self, photo, result, *rest):
    real(self, photo, result, *rest)
    if result.frame and result.frame.number == after - 1:
        os.kill(os.getpid(), number)
Journal.add = add
errors.run(predict.main)
"""


def decoded(path: str | Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_every_frame_has_its_box_and_its_time(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    films.make(Path("photos/a/film.mp4"), 300)
    save("photos/b.png", picture((80, 40), ((10, 5, 30, 25), RED)))
    run("photos")
    header = Path("predictions/detections.csv").read_text().splitlines()[0]
    assert header == "filename,width,height,class,xmin,ymin,xmax,ymax,score,frame,time"
    *rows, photo = table()
    assert photo == ["b.png", "80", "40", "red", "10.0", "5.0", "30.0", "25.0", "1.0", "", ""]
    assert [row[:4] for row in rows] == [["a/film.mp4", "160", "96", "red"]] * 300
    assert [row[9] for row in rows] == [str(number) for number in range(300)]
    assert [row[10] for row in rows] == [str(round(number / 30, 3)) for number in range(300)]
    boxes = np.array([row[4:8] for row in rows], dtype=float)
    assert np.abs(boxes - [films.place(number) for number in range(300)]).max() <= BLURRED
    dataset = json.loads(Path("predictions/images.json").read_text())
    assert dataset["videos"] == [{"id": 1, "name": "a/film.mp4"}]
    assert dataset["images"][6] == {
        "id": 7,
        "file_name": "a/film.mp4",
        "width": 160,
        "height": 96,
        "video_id": 1,
        "frame_id": 6,
        "time": 0.2,
    }
    assert "video_id" not in dataset["images"][300]
    assert len(json.loads(Path("predictions/detections.json").read_text())) == 301
    assert [*tree("predictions/videos")] == ["a/film.mp4"] and [*tree("predictions/pictures")] == ["b.png.jpg"]
    assert 'Videos: <a href="videos/a/film.mp4">a/film.mp4</a>.' in Path("predictions/index.html").read_text()
    out = capsys.readouterr().out
    assert out.startswith("300 frames, 1 image, 301 detections (red 301, white 0), ")


def test_the_video_with_boxes_is_one_that_browsers_play(run: Callable[..., None]) -> None:
    films.make(Path("film.mkv"), 20)
    run("film.mkv")
    path = Path("predictions/videos/film.mkv.mp4")
    content = path.read_bytes()
    assert content[4:8] == b"ftyp" and content.index(b"moov") < content.index(b"mdat")
    frames = decoded(path)
    with av.open(str(path)) as container:
        [stream] = container.streams
        assert (stream.codec_context.name, stream.pix_fmt, stream.frames) == ("h264", "yuv420p", 20)
        assert float(stream.average_rate) == pytest.approx(30, abs=0.1)
    assert [round(frame.time, 3) for frame in frames] == [round(number / 30, 3) for number in range(20)]
    xmin, ymin, xmax, ymax = films.place(10)
    drawn = frames[10].to_ndarray(format="rgb24").astype(int)
    assert drawn.shape == (96, 160, 3)
    assert np.abs(drawn[(ymin + ymax) // 2 + 10, (xmin + xmax) // 2] - RED).max() < 40
    assert drawn[ymax - 2 : ymax + 3, xmin + 20, 1].max() > 60  # the outline, which is orange
    before = content
    run("film.mkv")
    assert path.read_bytes() == before


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_video_of_a_phone_is_upright(run: Callable[..., None], rotation: int) -> None:
    films.make(Path("film.mp4"), 2, rotation=rotation)
    run("film.mp4")
    width, height = films.SIZE
    left, top, right, bottom = films.place(0)
    box = {
        90: (top, width - right, bottom, width - left),
        180: (width - right, height - bottom, width - left, height - top),
        -90: (height - bottom, left, height - top, right),
    }[rotation]
    rows = table()
    assert np.abs(np.array(rows[0][4:8], dtype=float) - box).max() <= BLURRED
    frame = decoded("predictions/videos/film.mp4")[0]
    assert (frame.width, frame.height) == (int(rows[0][1]), int(rows[0][2]))
    assert (frame.width, frame.height) == ((width, height) if rotation == 180 else (height, width))
    assert frame.rotation == 0


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("film.avi", "mjpeg"),
        ("film.webm", "libvpx"),
        ("film.mpg", "mpeg2video"),
        ("film.mov", "mpeg4"),
        ("film.TS", "libx264"),
        ("film.flv", "flv"),
        ("film.asf", "mpeg4"),
        ("film.vob", "mpeg2video"),
        ("film.3g2", "mpeg4"),
    ],
)
def test_other_formats(run: Callable[..., None], name: str, codec: str) -> None:
    films.make(Path(name), 5, codec=codec)
    run(name)
    assert [row[9] for row in table()] == ["0", "1", "2", "3", "4"]
    assert [row[10] for row in table()] == ["0.0", "0.033", "0.067", "0.1", "0.133"]
    assert len(decoded(f"predictions/videos/{name}.mp4")) == 5


def test_pixels_that_are_no_squares(run: Callable[..., None]) -> None:
    with av.open("film.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = (*films.SIZE, "yuv420p")
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        container.mux(stream.encode(av.VideoFrame(*films.SIZE, "yuv420p")))
        container.mux(stream.encode(None))
    run("film.mp4")
    with av.open("predictions/videos/film.mp4") as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_a_rate_that_varies_and_sides_that_are_odd(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    times = [0, 1, 2, 10, 11, 40]
    monkeypatch.setattr(films, "SIZE", (161, 97))
    films.make(Path("film.mkv"), 6, codec="libvpx", times=times)
    run("film.mkv")
    assert [row[10] for row in table()] == [str(round(one / 30, 3)) for one in times]
    frames = decoded("predictions/videos/film.mkv.mp4")
    assert [round(frame.time, 2) for frame in frames] == [round(one / 30, 2) for one in times]
    assert table()[0][1:3] == ["161", "97"] and (frames[0].width, frames[0].height) == (162, 98)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_video_that_was_stopped_resumes_to_the_same_bytes(
    run: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    films.make(Path("in/film.mp4"), 40)
    films.make(Path("in/next.mp4"), 5)
    run("in", "--output", "whole")
    done = child("-c", SIGNALLING, "25", str(int(number)), "in", "--output", "parts")
    if number == signal.SIGKILL:
        ended(done, -number)
        frames = 25
        assert not Path("parts/videos/film.mp4").exists()
    else:
        assert ended(done, 130) == ["stopped: 0 of 2 files are done; to resume, run it again"]
        frames = len(decoded("parts/videos/film.mp4"))
        assert [int(row[9]) for row in table("parts")] == list(range(frames)) and 25 <= frames < 40
    capsys.readouterr()
    run("in", "--output", "parts")
    assert capsys.readouterr().out.splitlines()[0] == f"resumes: 0 of 2 files are done, and {frames} frames"
    assert tree("parts") == tree("whole")


def test_a_time_that_jumps_is_listed_and_shortened_in_the_film(run: Callable[..., None]) -> None:
    """As where a camera's clock was set: by seven hours, which MP4 cannot hold, and by a year."""
    for name, jump in (("hours.m2ts", 7 * 3600), ("year.mkv", 365 * 86400)):
        films.make(Path(name), 3, times=[0, 1, 30 * jump])
        run(name)
        assert [row[10] for row in table()] == ["0.0", "0.033", f"{jump}.0"]
        frames = decoded(f"predictions/videos/{name}.mp4")
        assert [round(frame.time, 2) for frame in frames] == [0, 0.03, 3600.03]


def test_a_first_time_that_is_huge(run: Callable[..., None]) -> None:
    films.make(Path("film.mkv"), 3, times=[30 * 10**8 + number for number in range(3)])
    run("film.mkv")
    assert [row[10] for row in table()] == ["0.0", "0.033", "0.067"]


def test_a_film_that_cannot_be_written_is_named_and_its_frames_and_the_others_are_done(
    run: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """An AVI of a frame a day: MP4 cannot hold that."""
    films.make(Path("in/a.avi"), 3, codec="mjpeg")
    films.make(Path("in/b.mp4"), 3)
    run("in")
    assert Path("predictions/videos/a.avi.mp4").exists()
    content, day = bytearray(Path("in/a.avi").read_bytes()), (86400).to_bytes(4, "little")
    start = content.index(b"strh") + 8 + 20  # dwScale and dwRate of the stream's header
    content[start : start + 8] = day + (1).to_bytes(4, "little")
    Path("in/a.avi").write_bytes(content)
    for _ in range(2):
        with pytest.raises(UserError, match=r"in/a\.avi: cannot be written as MP4: .*: predictions has the others"):
            run("in")
        assert not Path("predictions/.passo-journal").exists()
        assert [*tree("predictions/videos")] == ["b.mp4"]
        page = Path("predictions/index.html").read_text()
        assert 'href="videos/b.mp4"' in page and 'href="videos/a.avi.mp4"' not in page
        assert [row[10] for row in table() if row[0] == "a.avi"] == ["0.0", "86400.0", "172800.0"]
    assert "resumes" not in capsys.readouterr().out


def test_ctrl_c_while_a_video_is_being_opened_is_no_fault_of_it(project: Path) -> None:
    films.make(project / "film.mp4", 3)
    code = SIGNALLING.replace("Journal.add = add", "Journal.begin = lambda *_: os.kill(os.getpid(), number)")
    [line] = ended(child("-c", code, "1", str(int(signal.SIGINT)), "film.mp4"), 130)
    assert line == "stopped: 0 of 1 file are done; to resume, run it again"


def test_damaged_videos(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    films.make(Path("in/cut.mp4"), 60)
    content = Path("in/cut.mp4").read_bytes()
    Path("in/cut.mp4").write_bytes(content[: len(content) // 2])  # without its index
    films.make(Path("in/cut.mkv"), 120)
    content = Path("in/cut.mkv").read_bytes()
    Path("in/cut.mkv").write_bytes(content[: len(content) // 2])
    films.make(Path("in/hole.mp4"), 60)
    content = bytearray(Path("in/hole.mp4").read_bytes())
    middle = content.index(b"mdat") + 2000
    content[middle : middle + 1500] = os.urandom(1500)
    Path("in/hole.mp4").write_bytes(content)
    films.make(Path("in/odd.mp4"), 3)
    Path("in/odd.mp4").write_bytes(Path("in/odd.mp4").read_bytes().replace(b"avc1", b"zzzz"))
    with av.open("in/sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UserError) as error:
        run("in")
    lines = [*capsys.readouterr().err.splitlines(), error.value.line()]
    said = ("cut.mkv: is cut off: its frames end at ", "cut.mp4: is not a video that can be read: Invalid data")
    said += ("hole.mp4: is damaged: ", "odd.mp4: is not a video that can be read: its codec is", "sound.mp4: holds no")
    assert sorted(lines, key=lambda line: line.partition("in/")[2]) == lines
    assert [words in line for words, line in zip(said, lines, strict=True)] == [True] * 5
    names = [video["name"] for video in json.loads(Path("predictions/images.json").read_text())["videos"]]
    assert names == ["cut.mkv", "hole.mp4"] and "sound.mp4" not in Path("predictions/index.html").read_text()
    frames = [row[0] for row in table()]
    assert 20 < frames.count("cut.mkv") < 100 and 10 < frames.count("hole.mp4") < 60


def test_what_a_damaged_video_lacks_is_said_after_a_stop_too(run: Callable[..., None]) -> None:
    films.make(Path("in/cut.mkv"), 120)
    content = Path("in/cut.mkv").read_bytes()
    Path("in/cut.mkv").write_bytes(content[: len(content) // 2])
    films.make(Path("in/next.mp4"), 105)
    lines = ended(child("-c", SIGNALLING, "101", str(int(signal.SIGTERM)), "in"), 143)
    assert lines[0].startswith("error: in/cut.mkv: is cut off: ") and lines[1].startswith("stopped: 1 of 2 files")
    with pytest.raises(UserError, match=r"in/cut\.mkv: is cut off: "):
        run("in")


def test_a_playlist_reads_no_other_file(run: Callable[..., None], project: Path) -> None:
    """FFmpeg would read what it names."""
    films.make(project / "secret.mp4", 3)
    lists = {
        "a.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.mp4\n#EXT-X-ENDLIST\n",
        "b.mp4": "ffconcat version 1.0\nfile secret.mp4\n",
        "c.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{project}/secret.mp4\n#EXT-X-ENDLIST\n",
    }
    (project / "lists").mkdir()
    for name, content in lists.items():
        (project / "lists" / name).write_text(content)
    with pytest.raises(UserError, match=r"lists/c\.mp4: is not a video that can be read: .*: 3 in all; .*no others"):
        run("lists")


def test_a_full_disk_is_a_line_and_the_video_goes_on_where_there_is_room(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = [Image.effect_noise(films.SIZE, 90).convert("RGB") for _ in range(60)]
    monkeypatch.setattr(films, "pictures", lambda _: noise)
    films.make(project / "film.mp4", 60)
    with disk.small(project / "small", "300k"):
        [line] = ended(child("-m", "stages.predict", "film.mp4", "--output", "small/out"), 2)
        full = "No space left on device; make room, and run the command again"
        assert line == f"error: small/out/videos/film.mp4: {full}"
        assert not list(Path("small/out/videos").iterdir())
        disk.enlarge(project / "small", "4m")
        done = child("-m", "stages.predict", "film.mp4", "--output", "small/out")
        assert ended(done, 0) == [] and done.stdout.startswith("resumes: 0 of 1 file are done, and ")
        assert len(decoded("small/out/videos/film.mp4")) == len(table("small/out")) == 60


def test_a_webcam_ends_with_ctrl_c(project: Path) -> None:
    """In its place FFmpeg draws frames without an end."""
    code = """
import av
av_open = av.open
def opened(file, mode=None, format=None, **options):
    if format == "v4l2":
        assert file == "/dev/video3"
        file, format = "color=red:size=80x40:rate=30", "lavfi"
    return av_open(file, mode, format=format, **options)
av.open = opened
"""
    for _ in range(2):  # the second time begins anew
        done = child("-c", code + SIGNALLING, "7", str(int(signal.SIGINT)), "3")
        frames = len(decoded("predictions/videos/webcam3.mp4"))
        assert ended(done, 0) == [] and done.stdout.startswith(f"{frames} frames, {frames} detections (red {frames}, ")
        assert frames >= 7 and [row[0] for row in table()] == ["webcam3"] * frames
        assert not Path("predictions/.passo-journal").exists()
    [line] = ended(child("-m", "stages.predict", "97"), 2)
    assert line.startswith(
        "error: /dev/video97: this webcam cannot be opened: No such file or directory; ls /dev/video* "
    )


PAGE = """<!doctype html><meta charset="utf-8"><canvas></canvas><video src="film.mp4" muted></video><script>
const video = document.querySelector("video"), canvas = document.querySelector("canvas")
const tell = what => fetch("told", {method: "POST", body: JSON.stringify(what)})
video.onerror = () => tell({error: video.error.message})
video.onended = () => {
  canvas.width = video.videoWidth, canvas.height = video.videoHeight
  const context = canvas.getContext("2d")
  context.drawImage(video, 0, 0)
  tell({
    size: [video.videoWidth, video.videoHeight], duration: video.duration,
    frames: video.getVideoPlaybackQuality().totalVideoFrames, pixel: [...context.getImageData(AT, 1, 1).data],
  })
}
video.playbackRate = 4
video.play().catch(error => tell({error: `${error}`}))
</script>"""


class Page(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; what is posted is in `told`."""

    told: ClassVar[queue.Queue[Any]] = queue.Queue()

    def do_POST(self) -> None:
        self.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_chromium_plays_it(run: Callable[..., None], tmp_path: Path) -> None:
    films.make(Path("film.mp4"), 300)
    run("film.mp4")
    xmin, ymin, xmax, ymax = films.place(299)
    page = PAGE.replace("AT", f"{(xmin + xmax) // 2}, {(ymin + ymax) // 2 + 10}")
    Path("predictions/videos/index.html").write_text(page)
    handler = functools.partial(Page, directory="predictions/videos")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/chromium"]
        command += ["--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0", address]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as browser:
            try:
                told = Page.told.get(timeout=120)
            finally:
                browser.terminate()
                server.shutdown()
    assert told["size"] == [160, 96] and told["duration"] == pytest.approx(10, abs=0.05)
    assert told["frames"] >= 290
    assert np.abs(np.array(told["pixel"][:3]) - RED).max() < 40
