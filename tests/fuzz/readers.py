"""Damage sound files at random, and give them to every reader: no crash, no hang, no unbounded memory.

    make test-fuzz, or: python -m tests.fuzz.readers [--minutes=10] [--seed=1]

Each kind of input gets the same share of the time. A reader may answer, or refuse with a `UserError` of one line;
anything else, more than 20 seconds or more than 4 GB are failures: the input is kept in a file, which is named, and the
exit code is 1. `tests/tools/importing/formats/test_fuzzing.py` does the same with hypothesis, for seconds.
"""

import argparse
import contextlib
import io
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from detector.annotations import voc
from detector.base.errors import UserError
from detector.data import columns, labels
from detector.data.columns import IS_CROWD
from detector.pictures import images
from detector.prediction import videos
from detector.prediction.photos import Photo
from tests.support import faults, films, stage
from tests.support.importing import planned
from tests.tools.importing.formats.test_fuzzing import FILES, TOKENS

SECONDS, GIGABYTES = 20, 4  # for one input
SHOWN = "{:<22}{:>9} inputs{:>9} taken{:>9} refused{:>9.1f} ms at most"
WORD = re.compile(rb"[\w.+-]+")
LABEL_MAP = b"item {\n  id: 1\n  name: 'cat'\n}\nitem { id: 2 name: \"dog\" display_name: 'Dog' }\n"
TABLE = b"filename,width,height,class,xmin,ymin,xmax,ymax,is_crowd\na.jpg,100,50,cat,1,2,3,4,0\nb.jpg,100,50,,,,,,\n"


@dataclass(frozen=True)
class Reader:
    """content: a sound input. read: takes a damaged one; False where it refused it, a `UserError` likewise."""

    content: bytes
    read: Callable[[bytes], object]


def readers(folder: Path) -> dict[str, Reader]:
    """All readers, by the kind of what they read."""
    table = folder / "table.csv"
    photos = {f"{photo}.jpg": _picture("JPEG", seed) for seed, photo in enumerate("abcd")}
    labelled = {
        **photos,
        "c.xml": _xml(),
        "d.xml": _xml(),
    }  # for an import of what is left where all others are damaged
    sound = {
        "PASCAL VOC": Reader(faults.voc("a.jpg", objects=[("cat", faults.BOX), ("dog", faults.BOX)]).encode(), _voc),
        "label map": Reader(LABEL_MAP, lambda content: labels.parse(content, "label_map.pbtxt")),
        "CSV of boxes": Reader(TABLE, lambda content: _table(table, content)),
        "JPEG": Reader(_picture("JPEG"), lambda content: images.glance("a.jpg", content)),
        "PNG": Reader(_picture("PNG"), lambda content: images.glance("a.png", content)),
        "video": Reader(_video(folder), lambda content: _frames(folder / "a.mp4", content)),
        "list of a split": _imported(folder, "ImageSets/train.txt", b"c\nd.jpg\n", labelled),
        "lists in JSON": _imported(folder, "split.json", b'{"train": ["c.jpg"], "test": ["d"]}', labelled),
        "lists in CSV": _imported(folder, "split.csv", b"filename,split\nc.jpg,train\nd,test\n", labelled),
        "TFRecord": _imported(folder, "train.record", _record(folder), {"label_map.pbtxt": LABEL_MAP}),
        "zip": _imported(folder, "photos.zip", _zip(), {}),
    }
    for kind, (name, written) in FILES.items():
        text = written if isinstance(written, str) else json.dumps(written)
        beside = (
            {} if name.endswith((".json", ".xml", ".csv")) else {"classes.txt": b"cat\ndog\n", "b.txt": b"0 1 1 1 1"}
        )
        sound[kind] = _imported(folder, name, text.encode(), labelled | beside)
    return sound


def _voc(content: bytes) -> bool:
    return voc.parse(content, None)[0] is not None


def _table(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    columns.read(path, {"cat": 1, "dog": 2}, IS_CROWD, "fix it")


def _imported(folder: Path, name: str, content: bytes, beside: dict[str, bytes]) -> Reader:
    """`make dataset` of a folder with that file and others."""
    root = Path(tempfile.mkdtemp(dir=folder))
    source = root / "source"
    for file, sound in {**beside, name: content}.items():
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_bytes(sound)

    def read(damaged: bytes) -> None:
        (source / name).write_bytes(damaged)
        planned(root, source)

    return Reader(content, read)


def _picture(kind: str, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (50, 100, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def _video(folder: Path) -> bytes:
    return films.make(folder / "sound.mp4", 20).read_bytes()


def _frames(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    with videos.opened(Photo(path, path.name)) as film:
        return not film.problems(any_frame=sum(1 for _ in film) > 0, to_its_end=True)


def _xml() -> bytes:
    return faults.voc("a.jpg", size=(100, 50)).encode()


def _record(folder: Path) -> bytes:
    """A record with two photos, made by the stages themselves."""
    root = folder / "stages"
    root.mkdir()
    faults.workspace(root)
    faults.dataset(root / "dataset/pets")
    for name in ("xml2csv", "csv2record"):
        done = stage.run(name, root)
        assert done.returncode == 0, done.stderr
    return (root / "dataset/data/test.record").read_bytes()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("train/x.jpg", "test/y.jpg"):
            archive.writestr(name, _picture("JPEG", len(name)))
            archive.writestr(name.replace("jpg", "xml"), _xml())
    return stream.getvalue()


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The content with one to four changes: words replaced; bytes removed, moved, doubled, cut off, put in."""
    for _ in range(draw.randint(1, 4)):
        words = list(WORD.finditer(content))
        if words and draw.random() < 0.6:
            start, end = draw.choice(words).span()
            content = content[:start] + draw.choice((draw.choice(TOKENS), draw.choice(words)[0])) + content[end:]
            continue
        start = draw.randrange(len(content) + 1)
        end = start + draw.choice((0, 1, 2, 8, 64))
        change = draw.choice((_put_in, _removed, _moved, _doubled, _cut_off))
        content = change(content[:start], content[start:end], content[end:], draw)
    return content


def _put_in(before: bytes, part: bytes, after: bytes, draw: random.Random) -> bytes:
    return before + draw.choice((draw.choice(TOKENS), draw.randbytes(len(part) + 1))) + after


def _removed(before: bytes, part: bytes, after: bytes, draw: random.Random) -> bytes:
    return before + after


def _moved(before: bytes, part: bytes, after: bytes, draw: random.Random) -> bytes:
    whole = before + after
    place = draw.randrange(len(whole) + 1)
    return whole[:place] + part + whole[place:]


def _doubled(before: bytes, part: bytes, after: bytes, draw: random.Random) -> bytes:
    return before + part * draw.choice((2, 100)) + after


def _cut_off(before: bytes, part: bytes, after: bytes, draw: random.Random) -> bytes:
    return before


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Within, an input that takes too long ends in a `TimeoutError`, one that takes too much in a `MemoryError`."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES << 30, resource.RLIM_INFINITY))
    yield
    signal.alarm(0)


def failure(reader: Reader, content: bytes) -> tuple[bool, str]:
    """Whether the input was taken, and the traceback of what should not have happened, or empty."""
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            return reader.read(content) is not False, ""
    except UserError as error:
        return False, "" if error.line().isprintable() else f"an error of several lines: {error.line()!r}"
    except Exception:
        return False, traceback.format_exc()
    finally:
        signal.alarm(0)


def fuzz(kind: str, reader: Reader, seconds: float, seed: int) -> str:
    """Damage and read for so long; the first failure, or empty."""
    draw = random.Random(f"{seed} {kind}")  # noqa: S311
    counts, slowest = {True: 0, False: 0}, 0.0
    reader.read(reader.content)  # or the rest would show nothing
    end = time.monotonic() + seconds
    while (start := time.monotonic()) < end:
        content = damaged(reader.content, draw)
        taken, wrong = failure(reader, content)
        if wrong:
            handle, path = tempfile.mkstemp(prefix="fuzz.")
            os.write(handle, content)
            return f"{kind}: {path}\n{wrong}"
        counts[taken] += 1
        slowest = max(slowest, time.monotonic() - start)
    print(SHOWN.format(kind, sum(counts.values()), counts[True], counts[False], 1000 * slowest), flush=True)
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, limits():
        every = readers(Path(folder))
        seconds = arguments.minutes * 60 / len(every)
        failures = [wrong for kind, one in every.items() if (wrong := fuzz(kind, one, seconds, arguments.seed))]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(every)} kinds of input, {len(failures)} failures, {memory:.2f} GB at most")
    print("\n".join(failures), end="")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
