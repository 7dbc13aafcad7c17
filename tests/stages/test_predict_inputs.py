"""What `make predict` takes: forty odd files in one folder, lists, archives and buckets."""

import os
import re
import shutil
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from detector.base.errors import UserError
from detector.data import labels
from detector.prediction import sources
from stages import predict
from tests.stages.test_predict import RED, SIGNALLING, WHITE, ended, numbered, picture, save, table, tree
from tests.support import films, finder
from tests.support import web as web_server
from tests.support.gcs_server import Server
from tests.support.stage import call, child

BOX = (8, 8, 32, 24)  # of the rectangle in all of these pictures
BLURRED = 2  # pixels, by which the codecs of photos move an edge
HTML = "<!doctype html><title>404</title>"
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfilm.mp4\n#EXT-X-ENDLIST\n"

pillow_heif.register_heif_opener()


def rgb16(path: Path, image: Image.Image) -> None:
    """A PNG of 16 bits a channel, which Pillow does not write."""

    values = (np.asarray(image).astype(">u2") * 257).reshape(image.height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    path.write_bytes(png_header(image.size, 16) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def png_header(size: tuple[int, int], depth: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, 2, 0, 0, 0))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def readable(folder: Path) -> dict[str, int]:
    """Pictures of one red or white rectangle on black, of every kind; {name: by how many pixels a box may be off}."""
    red, white = picture((80, 40), (BOX, RED)), picture((80, 40), (BOX, WHITE))
    other = picture((80, 40), ((50, 8, 60, 16), RED))
    fine: dict[str, Any] = {"quality": 95, "subsampling": 0}
    exif = Image.Exif()
    exif[0x0112] = 3
    grey = np.asarray(white.convert("L"))
    save(folder / "rgb.png", red)
    save(folder / "tiny.png", picture((40, 30), (BOX, RED)))
    save(folder / "wide.png", picture((20000, 20), ((4000, 0, 12000, 20), RED)))
    save(folder / "tall.png", picture((20, 20000), ((0, 4000, 20, 12000), RED)))
    save(folder / "cmyk.jpg", red.convert("CMYK"), **fine)
    save(folder / "cmyk.tif", red.convert("CMYK"))
    rgb16(folder / "rgb16.png", red)
    save(folder / "grey16.png", Image.fromarray(grey.astype(np.uint16) * 257))
    save(folder / "grey16.tif", Image.fromarray(grey.astype(np.uint16) * 257))
    save(folder / "float.tif", Image.fromarray(grey.astype(np.float32) / 255))
    save(folder / "one-bit.png", white.convert("1"))
    save(folder / "grey.jpg", white.convert("L"), quality=95)
    save(folder / "grey-alpha.png", white.convert("LA"))
    save(folder / "rgba.png", red.convert("RGBA"))
    save(folder / "palette.png", red.convert("P"))
    save(folder / "palette.gif", red)
    save(folder / "palette.bmp", red.convert("P"))
    save(folder / "clear.png", red.quantize(4), transparency=3)
    save(folder / "animated.gif", red, save_all=True, append_images=[other])
    save(folder / "animated.png", red, save_all=True, append_images=[other])
    save(folder / "animated.webp", red, save_all=True, append_images=[other], lossless=True)
    save(folder / "pages.tif", red, save_all=True, append_images=[other])
    save(folder / "two.jpg", red, format="MPO", save_all=True, append_images=[other], **fine)
    save(folder / "photo.heic", red, quality=-1)
    save(folder / "photo.avif", red, quality=100)
    save(folder / "turned.jpg", red.rotate(180), exif=exif, **fine)
    save(folder / "progressive.jpg", red, progressive=True, **fine)
    save(folder / "picture.bmp", red)
    save(folder / "lossless.webp", red, lossless=True)
    save(folder / "really-a-png.jpg", red, format="PNG")
    save(folder / "UPPER.JPG", red, format="JPEG", **fine)
    (folder / "good-link.png").symlink_to("rgb.png")
    lossy = (".jpg", ".JPG", ".heic", ".avif")
    return {path.name: BLURRED if path.name.endswith(lossy) else 0 for path in folder.iterdir()}


def unreadable(folder: Path) -> dict[str, str]:
    """Files that are no pictures, or damaged; {name, as it is shown: what is said of it}."""
    for name, kind in (("cut.jpg", "JPEG"), ("cut.png", "PNG"), ("cut.webp", "WEBP")):
        save(folder / name, Image.effect_noise((200, 200), 90).convert("RGB"), format=kind)
        (folder / name).write_bytes((folder / name).read_bytes()[:-5000])
    (folder / "empty.jpg").touch()
    (folder / "empty.mp4").touch()
    (folder / "page.jpg").write_text(HTML)
    (folder / "page.mp4").write_text(HTML)
    (folder / "list.mp4").write_text(PLAYLIST)
    (folder / "broken.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(64))
    (folder / "broken.avif").write_bytes(b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + bytes(64))
    (folder / "bomb.png").write_bytes(png_header((60000, 60000), 8) + chunk(b"IDAT", b"x"))
    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "device.mp4").symlink_to("/dev/zero")
    (folder / "itself.jpg").symlink_to("itself.jpg")
    (folder / "itself.mp4").symlink_to("itself.mp4")
    (folder / "dead.jpg").symlink_to("nowhere.jpg")
    (folder / "dead.mp4").symlink_to("nowhere.mp4")
    for name in ("two\nlines.jpg", "<b>.jpg", "=HYPERLINK(1).jpg", os.fsdecode(b"bad\xff.jpg")):
        save(folder / name, picture())
    said = {
        "cut.jpg": "does not decode to its end",
        "cut.png": "does not decode to its end",
        "cut.webp": "",
        "empty.jpg": "is an empty file",
        "empty.mp4": "is an empty file",
        "page.jpg": "is not an image that can be read",
        "page.mp4": "is not a video that can be read",
        "list.mp4": "is not a video that can be read",
        "broken.heic": "HEIC",
        "broken.avif": "AVIF",
        "bomb.png": "is too large",
        "pipe.jpg": "is not a file",
        "pipe.mp4": "is not a file",
        "device.jpg": "is not a file",
        "device.mp4": "is not a file",
        "itself.jpg": "cannot be read: Too many levels of symbolic links",
        "itself.mp4": "cannot be read: Too many levels of symbolic links",
        "dead.jpg": "image not found",
        "dead.mp4": "video not found",
        r"two\nlines.jpg": "its name is not allowed",
        "<b>.jpg": "its name is not allowed",
        "=HYPERLINK(1).jpg": "its name is not allowed",
        r"bad\udcff.jpg": "its name is not allowed",
    }
    if os.geteuid():  # root may read all
        save(folder / "locked.jpg", picture()).chmod(0)
        films.make(folder / "locked.mp4", 1).chmod(0)
        said |= dict.fromkeys(("locked.jpg", "locked.mp4"), "cannot be read: Permission denied")
    return said


def test_forty_odd_files_in_one_folder(project: Path) -> None:
    folder = project / "photos"
    folder.mkdir()
    good, bad = readable(folder), unreadable(folder)
    assert len(good) + len(bad) > 50
    films.make(folder / "film.mp4", 3)
    films.make(folder / "film.ts", 9)
    for name in ("code.ts", "code.mts"):
        (folder / name).write_text("export const x = 1\n")
    for name in ("raw.CR2", "film.mxf", "photo.pcx"):
        (folder / name).write_text("x")
    (folder / "notes.txt").write_text("x")
    (folder / "loop").symlink_to(".")
    (folder / "folder.jpg").mkdir()
    done = child("-m", "stages.predict", "photos")
    lines = ended(done, 2)
    for name, words in bad.items():
        found = [line for line in lines if f"/{name}:" in line or f"'{name}':" in line]
        assert len(found) == 1 and found[0].startswith("error: ") and words in found[0], (name, found)
    assert len(lines) == len(bad)
    boxes: dict[str, list[list[str]]] = {}
    for row in table():
        boxes.setdefault(row[0], []).append(row[3:9])
    assert sorted(boxes) == sorted([*good, "film.mp4", "film.ts"])
    for name, tolerance in good.items():
        [[label, *numbers]] = boxes[name]
        white = name.startswith(("grey", "float", "one-bit"))
        assert label == ("white" if white else "red"), name
        expected = {"wide.png": (4000, 0, 12000, 20), "tall.png": (0, 4000, 20, 12000)}.get(name, BOX)
        assert np.abs(np.array(numbers[:4], dtype=float) - expected).max() <= tolerance, (name, numbers)
    assert len(boxes["film.mp4"]) == 3
    out = done.stdout.splitlines()
    others = "photos/film.mxf, photos/photo.pcx, photos/raw.CR2"
    assert out[0] == f"passed over: 3 files of a format that is not read ({others})"
    assert out[1] == (
        "several frames, of which the first was used: 5 files (animated.gif, animated.png, animated.webp and 2 more)"
    )
    assert len(tree("predictions/pictures")) == len(good) and [*tree("predictions/videos")] == [
        "film.mp4",
        "film.ts.mp4",
    ]
    [line] = ended(child("-m", "stages.predict", "photos/film.mxf"), 2)
    assert line.startswith("error: photos/film.mxf: is not a video that can be read: ") and "convert it to MP4" in line


def test_a_list_names_photos_relative_to_itself(run: Callable[..., None], project: Path) -> None:
    numbered(3)
    save("other/folder/x.png", picture())
    lines = ["\ufeffphotos/00.png", "", "  photos/01.png\r", "photos/00.png", str(project / "other"), "gone.png"]
    Path("list.TXT").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match=r"list\.TXT: line 6: gone\.png: not found; paths are relative to list\.TXT"):
        run("list.TXT")
    assert [row[0] for row in table()] == ["other/folder/x.png", "photos/00.png", "photos/01.png"]
    Path("empty.txt").write_text("\n \n")
    Path("binary.txt").write_bytes(b"\xff\xfe\x00")
    Path("comments.txt").write_text("# none\n\n#photos/00.png\n")
    empty, binary = "is an empty list", "is not a list: it is not UTF-8"
    for name, words in (("empty.txt", empty), ("comments.txt", empty), ("binary.txt", binary)):
        with pytest.raises(UserError, match=f"{name}: {words}"):
            run(name)


def test_a_list_names_whatever_images_may_name(
    run: Callable[..., None], bucket: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    numbered(2)
    pack("a.zip")
    shutil.move("a.zip", "photos/a.zip")
    save("photos/trip [1]/x.png", picture())
    save("photos/trip [1]/y.png", picture())
    bucket.put("pets", "day/z.png", Path("photos/00.png").read_bytes())
    Path("photos/trip [1]/globs.txt").write_text("# mine\n*.png\nnone*.png\n../list.txt\n")
    lines = [
        "# a comment",
        "",
        "00.png",
        "a.zip",
        "trip [1]/globs.txt",
        "list.txt",
        "gs://pets",
        "gs://",
        "000087",
        "a\0*.png",
    ]
    Path("photos/list.txt").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"list\.txt: line 10: a\\x00\*\.png: not found; .*: 4 in all; predictions has"):
        run("photos/list.txt")
    assert [row[0].removeprefix("photos/") for row in table()] == [
        *("gs:/pets/day/z.png", "00.png", "a.zip/00.png", "a.zip/01.png", "trip [1]/x.png", "trip [1]/y.png")
    ]
    err = capsys.readouterr().err
    assert "photos/trip [1]/globs.txt: line 3: none*.png: not found; paths are relative to globs.txt" in err
    assert "error: gs://: names no object in a bucket; " in err
    assert "photos/list.txt: line 9: 000087: not found" in err  # no webcam


def test_a_name_that_no_file_can_have_is_a_line(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    numbered(1)
    long = "an image " * 40
    Path("list.txt").write_text(f"photos/00.png\n{long}\n")
    with pytest.raises(UserError, match=rf"{long.strip()}: cannot be read: File name too long.* has the others"):
        run("list.txt", long.strip())
    assert [row[0] for row in table()] == ["00.png"]
    assert f"list.txt: line 2: {long.strip()}: not found; paths are relative" in capsys.readouterr().err
    for option in ("--output", "--model"):
        done = call(predict.main, Path(), "photos", option, long)
        [line] = ended(done, 2)
        assert line.endswith("File name too long; give a shorter name, and run the command again")


def stopped(done: "subprocess.CompletedProcess[str]", total: int) -> int:
    """How many photos a run has done that SIGTERM ended."""
    *_, line = ended(done, 143)  # behind the errors of those that it has tried
    found = re.fullmatch(rf"stopped: (\d+) of {total} photos are done; to resume, run it again", line)
    assert found and 2 <= int(found[1]) < total - 1
    return int(found[1])


def pack(path: str) -> None:
    names = sorted(Path("photos").iterdir())
    if path.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.write(name, name.name)
    else:
        with tarfile.open(path, f"w:{path.rpartition('.')[2]}") as archive:
            for name in names:
                archive.add(name, name.name)


@pytest.mark.parametrize("name", ["my photos.zip", "photos.tar.xz"])
def test_an_archive_and_a_run_of_it_that_is_stopped(
    run: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    names = numbered(10)
    Path("photos/broken.jpg").write_text("x")
    pack(name)
    with pytest.raises(UserError, match=rf"{name}/broken\.jpg: is not an image that can be read"):
        run(name, "--output", "whole")
    assert [row[0] for row in table("whole")] == names
    done = stopped(child("-c", SIGNALLING, "2", "15", name, "--output", "parts"), 11)
    assert len(list(Path(".work/predict").iterdir())) == 1
    capsys.readouterr()
    with pytest.raises(UserError, match="broken"):
        run(name, "--output", "parts")
    assert capsys.readouterr().out.splitlines()[0] == f"resumes: {done} of 11 photos are done"
    assert tree("parts") == tree("whole")
    assert not list(Path(".work/predict").iterdir())


def test_two_runs_do_not_share_what_was_unpacked(run: Callable[..., None]) -> None:
    numbered(1)
    pack("a.zip")
    with (
        sources.opened(["a.zip"]),
        pytest.raises(UserError, match=r"a\.zip: another prediction is reading it; wait for"),
    ):
        run("a.zip")
    run("a.zip")
    assert [row[0] for row in table()] == ["00.png"]


def test_archives_beside_photos(run: Callable[..., None]) -> None:
    numbered(2)
    pack("a.zip")
    Path("bad.zip").write_text("no zip")
    with zipfile.ZipFile("out.zip", "w") as archive:
        archive.writestr("../x.png", b"x")
    with zipfile.ZipFile("none.zip", "w") as archive:
        archive.writestr("notes.md", b"x")
    with pytest.raises(UserError, match=r"none\.zip: no images or videos there; .*: 3 in all; predictions has"):
        run("a.zip", "bad.zip", "out.zip", "none.zip", "photos/00.png")
    assert [row[0] for row in table()] == ["a.zip/00.png", "a.zip/01.png", "photos/00.png"]


@pytest.fixture
def bucket(gcs: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for name, value in gcs.environment().items():
        monkeypatch.setenv(name, value)
    gcs.create("pets")
    return gcs


def test_photos_in_a_bucket(
    run: Callable[..., None],
    bucket: Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = numbered(10)
    pack("a.zip")
    for name in names:
        bucket.put("pets", f"trip/day/{name}", Path("photos", name).read_bytes())
    bucket.put("pets", "trip/notes.md", b"x")
    bucket.put("pets", "trip/broken.png", b"x")
    bucket.put("pets", "trip/raw.dng", b"x")
    bucket.put("pets", "trips/raw.dng", b"x")
    bucket.put("pets", "packed/a.zip", Path("a.zip").read_bytes())
    done = stopped(child("-c", SIGNALLING, "2", "15", "gs://pets/trip"), 11)
    with pytest.raises(UserError, match=r"gs://pets/trip/broken\.png: is not an image that can be read"):
        run("gs://pets/trip")
    assert capsys.readouterr().out.splitlines()[:2] == [
        "passed over: 1 file of a format that is not read (gs://pets/trip/raw.dng)",
        f"resumes: {done} of 11 photos are done",
    ]
    assert [row[0] for row in table()] == [f"day/{name}" for name in names]
    run("gs://pets/trip/day/01.png")
    assert [row[0] for row in table()] == ["01.png"]
    run("gs://pets/packed/a.zip", "photos/01.png")
    assert [row[0] for row in table()] == [*(f"gs:/pets/packed/a.zip/{name}" for name in names), "photos/01.png"]
    with pytest.raises(UserError, match=r"gs://pets/trip/broken\.png: is not an image"):
        run("gs://pets", "--output", "all")
    assert [row[0] for row in table("all")] == [f"day/{name}" for name in names]
    for url, words in (("gs://pets/no", "nothing there"), ("gs://none/x", "not found: "), ("gs:///x", "names no")):
        with pytest.raises(UserError, match=f"{url}: {words}"):
            run(url)
    assert not list(Path(".work/predict").glob("*/objects"))


# The model.


def test_another_model_from_a_folder_a_zip_or_a_bucket(
    run: Callable[..., None], project: Path, tmp_path_factory: pytest.TempPathFactory, bucket: Server
) -> None:
    """One whose label map calls class 1 a rose. Its threshold is its own: a third of that square is red."""
    other = finder.save(tmp_path_factory.mktemp("other") / "export")
    labels.write(other / "label_map.pbtxt", ["rose", "lily"])
    (other / "model.json").write_text('{"score_threshold": 0.25}')
    save("photos/a.png", picture((80, 40), ((0, 0, 8, 8), RED), ((12, 12, 20, 20), RED)))
    Path("model/export").unlink()
    run("photos", "--model", str(other))
    (row,) = table()
    assert row[3] == "rose"
    before = tree("predictions")
    zipped = shutil.make_archive(str(other.parent / "roses"), "zip", other.parent, "export")
    for packed in (zipped, shutil.make_archive(str(other.parent / "flat"), "zip", other)):
        run("photos", "--model", packed)
        assert tree("predictions") == before
    for file in other.iterdir():
        bucket.put("pets", f"models/roses/{file.name}", file.read_bytes())
    run("photos", "--model", "gs://pets/models/roses")
    assert tree("predictions") == before
    with pytest.raises(UserError, match=r"nowhere: no such folder; give a folder that `export` made"):
        run("photos", "--model", "nowhere")
    empty = shutil.make_archive(str(other.parent / "empty"), "zip", Path("photos"))
    with pytest.raises(UserError, match=r"empty\.zip: holds no exported model; give a folder that `export` made"):
        run("photos", "--model", empty)
    bucket.put("pets", "roses.zip", Path(zipped).read_bytes())
    tar = shutil.make_archive(str(other.parent / "roses"), "gztar", other.parent, "export")
    files = str(other / "model.onnx"), "gs://pets/models/roses/model.onnx"
    for where in (*files, str(other.parent), tar, "gs://pets/roses.zip", "gs://pets/models"):
        run("photos", "--model", where)
        assert tree("predictions") == before
    shutil.copytree(other, other.parent / "second")
    for where, words in (
        (str(other.parent), "holds 2 exported models: export, second; give one of them"),
        ("photos/a.png", "is neither a folder nor an archive; give a folder"),
        ("s3://user:secret@pets/x", "s3:// is not supported; give https://... or gs://..."),
    ):
        with pytest.raises(UserError, match=re.escape(words)) as error:
            run("photos", "--model", where)
        assert "secret" not in error.value.line()


def test_another_model_from_the_web(
    run: Callable[..., None], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = finder.save(tmp_path_factory.mktemp("other") / "export")
    labels.write(other / "label_map.pbtxt", ["rose", "lily"])
    save("photos/a.png", picture((80, 40), ((0, 0, 8, 8), RED)))
    web_server.project(tmp_path_factory.mktemp("trusted"), monkeypatch)
    with web_server.serve() as web:
        web.files["/m"] = Path(shutil.make_archive(str(other.parent / "m"), "zip", other.parent, "export")).read_bytes()
        web.play("/m", cut=100)  # and goes on where it was cut off
        run("photos", "--model", f"{web.https}/m?signature=secret")
        assert [row[3] for row in table()] == ["rose"] and not list(Path(".work/downloads").iterdir())
        with zipfile.ZipFile("out.zip", "w") as archive:
            archive.writestr("../model.onnx", b"")
        web.files |= {"/out.zip": Path("out.zip").read_bytes(), "/none.zip": b"no zip"}
        for where, words in (
            (f"{web.url}/m", "anybody on the way could change it; give https://"),
            (f"{web.https}/no.zip", "the server answers 404 Not Found"),
            (f"{web.https}/none.zip", "cannot be unpacked: File is not a zip file"),
            (f"{web.https}/out.zip", "would be written outside of the folder"),
            (f"{web.https}/model.onnx", "is one file; the classes are in another; give a zip of its folder"),
        ):
            with pytest.raises(UserError, match=re.escape(words)):
                run("photos", "--model", where)
        assert not list(Path(".work/downloads").iterdir()) and not Path("model.onnx").exists()
