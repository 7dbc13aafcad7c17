"""What others may hand to a user, from a class name to an archive, tried in hostile forms: a table of small attacks.

    make test-attacks       all of them: how many of each kind, how many held, and those that did not
    make test               every fifth

An attack has held where it ended within ten seconds of computing in a `UserError` or in something harmless, nothing was
written outside of its folder, no file `pwned` is anywhere, and nothing that was printed would steer a terminal.
"""

import contextlib
import csv
import io
import itertools
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from detector.annotations import voc
from detector.base import errors, naming
from detector.base.errors import UserError
from detector.data import columns, labels, records
from detector.data.tables import ImageBoxes
from detector.evaluation.results import Evaluation, write_pictures
from detector.pictures import images
from detector.prediction import photos
from detector.storage import zip_archive
from tests.support import faults, stage
from tests.support.importing import planned
from tests.support.label_files import tree
from tests.test_makefile import HOSTILE, Copy
from tools import overrides, report
from tools.checks import lines, settings
from tools.cloud import bucket_settings, git
from tools.importing import name_lists, sources
from tools.importing import tree as trees
from tools.importing.formats import reading

SECONDS = 10  # of this process: others may keep the machine busy
SLICE = 5  # `make test` tries one of so many
READ = "root:x:0:0"  # what an attack may want to read: /etc/passwd holds it


@dataclass(frozen=True)
class Attack:
    """check: tries it in an empty folder, which is the working directory; raises where it has not held."""

    kind: str
    name: str
    check: Callable[[Path], None]

    def failure(self) -> str:
        """Why it has not held, in words; empty where it has."""
        with tempfile.TemporaryDirectory(prefix="passo-attack.") as name:
            top, printed, began = Path(name).resolve(), io.StringIO(), time.process_time()
            folder = top / "above" / "here"
            folder.mkdir(parents=True)
            (top / "canary").write_text("alive")
            try:
                output = contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)
                with contextlib.chdir(folder), output[0], output[1]:
                    self.check(folder)
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            outside = {path for path in top.rglob("*") if folder not in (path, *path.parents)} - {top / "above"}
            faults = {
                "written outside": outside != {top / "canary"} or (top / "canary").read_text() != "alive",
                "pwned": any(top.rglob("pwned")) or Path("pwned").exists(),
                "slow": time.process_time() - began > SECONDS,
                "printed": not all(line.isprintable() for line in printed.getvalue().split("\n")),
                "read": READ in printed.getvalue(),
            }
            return ", ".join(fault for fault, is_there in faults.items() if is_there)


ATTACKS: list[Attack] = []


def attack(kind: str, payloads: Mapping[str, Any] | Iterable[Any]) -> Callable[[Callable[..., None]], None]:
    """Enter a function (folder, payload) into the table, once for each payload."""
    named = payloads if isinstance(payloads, Mapping) else {ascii(payload)[:60]: payload for payload in payloads}

    def enter(check: Callable[..., None]) -> None:
        for name, payload in named.items():
            ATTACKS.append(Attack(kind, f"{check.__name__.strip('_')}: {name}", partial(_try, check, payload)))

    return enter


def _try(check: Callable[..., None], payload: Any, folder: Path) -> None:
    check(folder, payload)


def refused(call: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """The line with which a call is refused; it must be."""
    try:
        result = call(*arguments, **options)
    except UserError as error:
        assert error.line().isprintable() and len(error.line()) < 5000, error.line()
        return error.line()
    raise AssertionError(f"was taken: {result!r:.100}")


def harmless(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a call returns; None where it is refused."""
    with contextlib.suppress(UserError):
        return call(*arguments, **options)


# ---------------------------------------------------------------- make's variables

VARIABLES = {  # target: its variables
    "dataset": ("SRC", "NAME", "SHA256"),
    "predict": ("IMAGES", "OUTPUT"),
    "compare": ("A", "B"),
    "train": ("DATASET", "STEPS", "BATCH", "WORK_DIR"),
    "trace": ("IMAGE",),
    "convert": ("TO",),
    "bucket": ("PROJECT", "BUCKET", "LOCATION", "TPU_ACCOUNT"),
    "pull": ("COMMIT",),
    "continue": ("NAME",),
}
PAIRS = [(target, name) for target, names in VARIABLES.items() for name in names]
# Each value with some of the variables: in all of them, it is the same `quote`.
CALLS = [(*PAIRS[(7 * k) % len(PAIRS)], value) for k, value in zip(range(80), itertools.cycle(HOSTILE), strict=False)]


@attack("make's variables", {f"{target} {name}={value!a}": (target, name, value) for target, name, value in CALLS})
def arrives_as_one_word(folder: Path, payload: tuple[str, str, str]) -> None:
    target, name, value = payload
    copy = Copy(folder)
    copy.git("init", "--quiet")
    copy.git("commit", "--quiet", "--allow-empty", "-m", "start")
    needed = {"predict": ["IMAGES=a"], "compare": ["A=a"]}.get(target, [])
    identity = {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com"}
    done = copy.make(target, *[one for one in needed if not one.startswith(f"{name}=")], f"{name}={value}", **identity)
    assert done.returncode == 0, done.stderr
    words = [word for call in copy.recorded() for word in call]
    assert any(word.endswith(value.replace("\n", " ")) for word in words), words


@attack("make's variables", ["x;touch pwned", "$(shell touch pwned)", "`touch pwned`", "-rf", "a=b", "../x", "a.jpg"])
def is_no_target(folder: Path, payload: str) -> None:
    copy = Copy(folder)
    assert copy.make("report", "--", payload).returncode in (0, 2)
    assert len(copy.recorded()) <= 1


# ---------------------------------------------------------------- names

STEERING = {
    "clears the screen": "cat\x1b[2J\x1b[H",
    "retitles the window": "cat\x1b]0;pwned\x07",
    "fills the clipboard": "\x1b]52;c;cHduZWQ=\x07cat",
    "a link": "\x1b]8;;http://evil.example\x07cat",
    "8-bit CSI": "\x9b31mcat",
    "backspaces": "cat\x08\x08\x08dog",
    "carriage return": "cat\rdog",
    "a second line": "cat\nerror: all is lost",
    "a tab": "cat\tdog",
    "NUL": "cat\0dog",
    "delete": "cat\x7fdog",
    "next line": "cat\x85dog",
    "right to left": "cat\u202egpj",
    "isolates": "\u2066cat\u2069dog",
    "line separator": "cat\u2028dog",
    "paragraph separator": "cat\u2029dog",
    "zero width space": "c\u200bat",
    "byte order mark": "c\ufeffat",
    "soft hyphen": "ca\u00adt",
    "tag letters": "cat\U000e0041",
    "annotation anchor": "c\ufff9at",
}
MARKUP = {
    "a script": "</script><script>alert(1)</script>",
    "an image": "<img src=x onerror=alert(1)>",
    "a comment": "<!--",
    "a template": "<template><style>",
    "half a tag": "<svg onload=alert(1)//",
}
FORMULAS = {
    "a link to a stranger": '=HYPERLINK("http://evil.example")',
    "a command": "=cmd|'/C calc'!A0",
    "with plus": "+cmd|'/C calc'!A0",
    "with minus": "-cmd|'/C calc'!A0",
    "with at": "@SUM(1+1)*cmd|'/C calc'!A0",
    "with a wide sign": "＝HYPERLINK(A1)",
    "with a blank": '=HYPERLINK ("http://evil.example")',
    "cells of another file": "='http://evil.example/[x.xlsx]S'!A1",
    "behind a semicolon": "cat;=cmd|'/C calc'!A0",
}
LONG = {"100,000 letters": "x" * 100_000}
NAMES = {**STEERING, **MARKUP, **FORMULAS}
FILE_NAMES = {key: name.replace("/", "|") for key, name in NAMES.items() if "\0" not in name}


@attack("class names", {**NAMES, **LONG})
def in_a_label_map(_: Path, name: str) -> None:
    text = labels.render([name])
    reason = refused(labels.parse, text.encode(), "label_map.pbtxt")
    assert "rename it" in reason


@attack("class names", {**NAMES, **LONG})
def in_an_xml_of_a_sound_dataset(folder: Path, name: str) -> None:
    """Left out or an unknown class; the console and the report steer nothing."""
    faults.dataset(folder / "dataset/pets")
    faults.workspace(folder)
    clean = "".join(letter for letter in name if letter in "\t\n\r" or letter >= " ").replace("&", "&amp;")
    text = faults.voc("a0.jpg", [("cat", faults.BOX), (clean.replace("<", "&lt;"), faults.BOX)])
    (folder / "dataset/pets/train/a0.xml").write_text(text, encoding="utf-8", newline="")
    done = stage.run("xml2csv", folder)
    assert "Traceback" not in done.stderr
    for line in [*done.stdout.split("\n"), *done.stderr.split("\n")]:
        assert line.isprintable() and len(line) < 10_000
    with (folder / "dataset/data/annotation_report.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert all(cell.isprintable() and naming.cell(naming.from_cell(cell)) == cell for cell in cells)
    if (folder / "dataset/data/train.csv").exists():
        assert clean not in (folder / "dataset/data/train.csv").read_text(encoding="utf-8")


def coco(name: str) -> dict[str, object]:
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 50}],
        "categories": [{"id": 1, "name": name}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}],
    }


FORMATS: dict[str, Callable[[str], dict[str, object]]] = {  # label files of a.jpg in which a class has a name
    "COCO": lambda name: {"a.json": coco(name)},
    "YOLO": lambda name: {"a.txt": "0 0.5 0.5 0.5 0.5\n", "classes.txt": name},
    "data.yaml": lambda name: {"a.txt": "0 0.5 0.5 0.5 0.5\n", "data.yaml": f"names: [{json.dumps(name)}]\n"},
    "CSV": lambda name: {"a.csv": f'filename,class,xmin,ymin,xmax,ymax\na.jpg,"{name.replace(chr(34), "")}",1,2,3,4\n'},
}
BY_FORMAT = [
    (f"{kind}, {key}", (kind, name)) for k, (key, name) in enumerate(NAMES.items()) for kind in [list(FORMATS)[k % 4]]
]


@attack("class names", dict(BY_FORMAT))
def in_another_format(folder: Path, payload: tuple[str, str]) -> None:
    """Refused, or read as another name that is sound."""
    kind, name = payload
    source = tree(folder / "source", "a.jpg", "b.jpg", files=FORMATS[kind](name))
    (folder / "dataset").mkdir()
    plan = harmless(planned, folder, source, 0.5)
    if plan:
        assert not [one for one in labels.parse(plan.label_map.encode(), "x").names if labels.fault(one)]


@attack("file names", FILE_NAMES)
def of_a_photo_in_a_dataset(folder: Path, name: str) -> None:
    faults.dataset(folder / "dataset/pets")
    faults.workspace(folder)
    for suffix in (".jpg", ".xml"):
        (folder / f"dataset/pets/train/a0{suffix}").rename(folder / f"dataset/pets/train/{name}{suffix}")
    done = stage.run("xml2csv", folder)
    assert done.returncode == 0, done.stderr
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    for table in ("train", "val", "annotation_report"):
        with (folder / f"dataset/data/{table}.csv").open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert all(cell.isprintable() and naming.cell(naming.from_cell(cell)) == cell for cell in cells)
        assert table == "annotation_report" or f"{name}.jpg" not in cells


@attack("file names", FILE_NAMES)
def of_a_photo_to_import(folder: Path, name: str) -> None:
    for photo in ("b.jpg", f"{name}.jpg"):
        faults.pair(folder / "source", photo).with_suffix(".xml").write_text(faults.voc(""))
    (folder / "dataset").mkdir()
    plan = planned(folder, folder / "source", 0.5)
    assert not [path for path in plan.targets if naming.fault(path.name)]


@attack("file names", {**FILE_NAMES, "not UTF-8": "cat\udcff", "leaves its folder": "..", "hidden": ".cat"})
def of_a_photo_to_predict(folder: Path, name: str) -> None:
    (folder / "in").mkdir()
    (folder / f"in/{name}.jpg").touch()
    found, problems = photos.find([folder / "in"])
    assert not [photo for photo in found if naming.fault(photo.name)]
    assert all(problem.line().isprintable() for problem in problems)


@attack(
    "file names", {**MARKUP, "a quote": 'x" onerror="alert(1)', "an entity": "&lt;script&gt;", "braces": "{plot_divs}"}
)
def of_a_picture_that_dvc_plots_shows(folder: Path, name: str) -> None:
    """DVC puts the file's name into HTML as it is."""
    name = name.replace("/", "|")
    image = ImageBoxes(
        f"{name}.jpg", 8, 8, np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0, bool)
    )
    Image.new("RGB", (8, 8)).save(folder / f"{name}.jpg")
    (folder / "out").mkdir()
    write_pictures(Evaluation([image], [image], {}, {1: "cat"}, 0.5, 0.5), folder / "out", folder, 1)
    (shown,) = (folder / "out/pictures").iterdir()
    assert not set(shown.name) & set("<>\"'&{}")


@attack("names to the terminal", {**NAMES, **LONG, "a surrogate": "cat\udc80"})
def in_an_error(_: Path, name: str) -> None:
    for error in (
        UserError(name, "x", "y"),
        UserError("x", name),
        UserError("x", "y", name),
        UserError("x", "y", "z", name),
    ):
        assert error.line().isprintable() and len(error.line()) < 5000


@attack("names to the terminal", {**NAMES, **LONG, "a surrogate": "cat\udc80"})
def in_what_is_printed(_: Path, name: str) -> None:
    errors.say(name, f"  {name}")
    errors.show([name])
    errors.say(str(lines.error(name, name)))


@attack(
    "names to the terminal",
    ["'; touch pwned; '", "$(touch pwned)", "`touch pwned`", "a b; touch pwned", "-rf\n; touch pwned"],
)
def in_a_command_to_paste(folder: Path, name: str) -> None:
    """Whoever runs what the doctor says runs nothing else."""

    def failing() -> list[lines.Line]:
        raise OSError(13, "Permission denied", name)

    (line,) = lines.Check("x", failing).lines({})
    subprocess.run(["sh", "-c", str(line).partition("check it: ")[2]], cwd=folder, capture_output=True, check=False)


# ---------------------------------------------------------------- archives

OUTSIDE = [
    *("../pwned", "x/../../pwned", "../../pwned", "/tmp/passo/pwned", "//pwned", "x/..", "C:\\pwned", "C:/pwned"),
    *("..\\pwned", "x\\..\\..\\pwned", "./../pwned", "x/./../../pwned", "\\\\host\\pwned", "../" * 60 + "pwned"),
]
ODD = ["n" * 256, "n/" * 600 + "a.jpg", "fine/A.JPG", "fine/a.jpg", "x\x1b[2J.jpg", "x\n.jpg", ".hidden", "__MACOSX/x"]
KINDS = {
    "a link": tarfile.SYMTYPE,
    "a hard link": tarfile.LNKTYPE,
    "a device": tarfile.CHRTYPE,
    "a disk": tarfile.BLKTYPE,
    "a pipe": tarfile.FIFOTYPE,
    "a sparse file": tarfile.GNUTYPE_SPARSE,
}


def tar(*members: tuple[tarfile.TarInfo | str, bytes], mode: Any = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as file:
        for one, content in (("fine/a.jpg", b"1"), *members):
            info = tarfile.TarInfo(one) if isinstance(one, str) else one
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def special(name: str, kind: bytes, target: str = "/etc/passwd") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def renamed_by_pax(path: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"path": path}
    return info, b"x"


def header(size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo("pwned.jpg")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def zeros(mebibytes: int, before: bytes = b"") -> bytes:
    """Deflated: a kilobyte for each MiB of zeros."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    start = packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH) if before else b""
    return start + block * mebibytes + packer.flush()


GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
TARS = {
    **{f"member {name!a:.40}": tar((name, b"x")) for name in (*OUTSIDE, *ODD)},
    **{f"a folder {name}": tar(special(name, tarfile.DIRTYPE)) for name in ("..", "../x", "/tmp/passo/pwned")},
    **{kind: tar(special("x", number)) for kind, number in KINDS.items()},
    **{f"by PAX {name}": tar(renamed_by_pax(name)) for name in ("../pwned", "/tmp/passo/pwned", "..")},
    "a link, then a file through it": tar(special("x", tarfile.SYMTYPE, ".."), ("x/pwned", b"x")),
    "a hard link out of it": tar(special("x", tarfile.LNKTYPE, "../../canary"), ("x", b"dead")),
    "the root as a link": tar(special("fine", tarfile.SYMTYPE, "../.."), ("fine/pwned", b"x")),
    "a bomb": GZIP + zeros(2048, header(2**31)) + bytes(8),
    "a bomb behind its end": GZIP + zeros(2048, tar(mode="w")) + bytes(8),
    "a name of 2 GB": GZIP + zeros(2048, header(2**31, tarfile.GNUTYPE_LONGNAME)) + bytes(8),
    "a PAX header of 2 GB": GZIP + zeros(2048, header(2**31, tarfile.XHDTYPE)) + bytes(8),
    "more than it holds": header(2**40) + b"x",
    "a negative size": header(0)[:124] + b"\xff" * 12 + header(0)[136:],
    "cut off in a file": tar(("x", bytes(5000)), mode="w")[:4000],
    "cut off between two": tar(("x", bytes(512)), mode="w")[:1024],
    "cut off, packed": tar(("x", os.urandom(5000)))[:3000],
    "a gzip of nothing": GZIP,
    "another gzip behind it": tar() + tar(("../pwned", b"x")),
    "bzip2 of nothing": b"BZh9",
    "xz of nothing": b"\xfd7zXZ\0\0",
}


def unpacked(folder: Path, content: bytes) -> None:
    """Refused, or only regular files below the folder."""
    (folder / "archive").write_bytes(content)
    harmless(zip_archive.unpack, folder / "archive", folder / "out", "archive")
    assert all(path.is_dir() or stat.S_ISREG(path.lstat().st_mode) for path in folder.rglob("*"))
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 2**28
    assert not Path("/tmp/passo/pwned").exists()


@attack("tar archives", TARS)
def _tar(folder: Path, content: bytes) -> None:
    unpacked(folder, content)


def zipped(name: str, content: bytes = b"x", mode: int = 0o100644, **fields: Any) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file, warnings.catch_warnings(action="ignore"):  # of a name twice
        file.writestr("fine/a.jpg", b"1")
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        for key, value in fields.items():
            setattr(info, key, value)
        file.writestr(info, content)
    return packed.getvalue()


def patched(content: bytes, at_local: int, at_central: int, value: bytes) -> bytes:
    """The last member's headers with other bytes at these places."""
    changed = bytearray(content)
    for signature, place in ((b"PK\3\4", at_local), (b"PK\1\2", at_central)):
        start = content.rindex(signature) + place
        changed[start : start + len(value)] = value
    return bytes(changed)


def deflated(declared: int) -> bytes:
    """A zip of 2 MB with 2 GB of zeros, which says how many they are."""
    content = patched(zipped("a.jpg", zeros(2048)), 8, 10, b"\x08\0")
    return patched(content, 22, 24, declared.to_bytes(4, "little"))


ZIPS = {
    **{f"member {name!a:.40}": zipped(name) for name in (*OUTSIDE, *ODD)},
    "a link": zipped("x", b"/etc/passwd", 0o120777),
    "a link to a folder above": zipped("x", b"../..", 0o120777),
    "a device": zipped("x", b"", 0o020666),
    "a pipe": zipped("x", b"", 0o010666),
    "a socket": zipped("x", b"", 0o140666),
    "setuid": zipped("x", b"#!/bin/sh", 0o104755),
    "encrypted": patched(zipped("x"), 6, 8, b"\1\0"),
    "an unknown method": patched(zipped("x"), 8, 10, b"\x63\0"),
    "a wrong checksum": patched(zipped("x"), 14, 16, b"\0\0\0\0"),
    "a bomb": deflated(2**31),
    "a bomb that lies": deflated(1000),
    "a size of 4 GB": patched(zipped("x"), 18, 20, b"\xfe\xff\xff\xff\xfe\xff\xff\xff"),
    "another name inside": zipped("fine/b.jpg").replace(b"fine/b.jpg", b"../../pwne", 1),
    "a comment with a zip": zipped("x") + zipped("../pwned"),
    "cut off": zipped("x", bytes(1000))[:800],
    "its end alone": b"PK\5\6" + bytes(18),
    "65,535 members that are not there": zipped("x")[:-22] + b"PK\5\6" + bytes(4) + b"\xff\xff\xff\xff" + bytes(10),
    "nothing": b"",
}


@attack("zip archives", ZIPS)
def _zip(folder: Path, content: bytes) -> None:
    unpacked(folder, content)
    if (folder / "out/x").exists():
        assert not (folder / "out/x").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)


# ---------------------------------------------------------------- label files


def read(folder: Path) -> reading.Contents:
    """The labels of a folder."""
    return reading.read(trees.walk(folder))


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
DOCTYPES = {
    "a file": '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
    "a folder": '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/">]>',
    "an address": '<!DOCTYPE a [<!ENTITY e SYSTEM "http://127.0.0.1:9/e">]>',
    "a public one": '<!DOCTYPE a [<!ENTITY e PUBLIC "x" "http://127.0.0.1:9/e">]>',
    "a program": '<!DOCTYPE a [<!ENTITY e SYSTEM "expect://touch pwned">]>',
    "PHP's filter": '<!DOCTYPE a [<!ENTITY e SYSTEM "php://filter/resource=/etc/passwd">]>',
    "a parameter": '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;<!ENTITY e "x">]>',
    "a DTD": '<!DOCTYPE a SYSTEM "file:///etc/passwd" [<!ENTITY e "x">]>',
    "a billion laughs": f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}<!ENTITY e "&l11;">]>',
    "quadratic": f'<!DOCTYPE a [<!ENTITY e "{"x" * 50_000}">]>',
    "itself": '<!DOCTYPE a [<!ENTITY e "&f;"><!ENTITY f "&e;">]>',
    "an attribute": '<!DOCTYPE a [<!ENTITY e "x"><!ATTLIST annotation x CDATA "&e;">]>',
    "unused": '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]>',
}
BODY = (
    "<annotation><filename>{0}</filename><object><name>{0}</name>"
    + faults.voc_box(faults.BOX)
    + "</object></annotation>"
)
XMLS: dict[str, bytes] = {
    **{f"entity: {key}": (start + BODY.format("&e;")).encode() for key, start in DOCTYPES.items()},
    "quadratic, used": (DOCTYPES["quadratic"] + BODY.format("&e;" * 10_000)).encode(),
    "UTF-16": (DOCTYPES["a file"] + BODY.format("&e;")).encode("utf-16"),
    "UTF-7": b'<?xml version="1.0" encoding="UTF-7"?>' + BODY.format("x").encode("utf-7"),
    "an encoding that is not": b'<?xml version="1.0" encoding="x-pwned"?><annotation/>',
    "XInclude": b'<annotation xmlns:xi="http://www.w3.org/2001/XInclude"><filename>'
    b'<xi:include href="/etc/passwd" parse="text"/></filename></annotation>',
    "a stylesheet": b'<?xml-stylesheet href="http://127.0.0.1:9/x.xsl"?><annotation/>',
    "a schema": b'<annotation xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    b'xsi:schemaLocation="x http://127.0.0.1:9/x.xsd"/>',
    "100,000 levels": b"<annotation>" + b"<a>" * 100_000,
    "100,000 attributes": b"<annotation " + b" ".join(b'a%d=""' % n for n in range(100_000)) + b"/>",
    "100,000 names": BODY.format("x" * 100_000).encode(),
    "100,000 half tags": BODY.format("&lt;a" * 100_000).encode(),
    "50,000 objects": b"<annotation>" + b"<object/>" * 50_000 + b"</annotation>",
    "500,000 comments": b"<annotation>" + b"<!---->" * 500_000 + b"</annotation>",
    "17 MB": b"<annotation>" + b" " * 2**24 + b"</annotation>",
    "NUL bytes": b"<annotation>\0</annotation>",
    "a path above": BODY.format("../../../etc/passwd").encode(),
    "an absolute path": BODY.format("/etc/passwd").encode(),
    "huge numbers": b"<annotation><size><width>1e308</width><height>9" + b"9" * 5000 + b"</height></size></annotation>",
    "CDATA": b"<annotation><filename><![CDATA[]]&gt;<script>]]></filename></annotation>",
}


@attack("XML", XMLS)
def as_voc(_: Path, content: bytes) -> None:
    annotation, problems = voc.parse(content, ("cat",))
    assert READ not in repr((annotation, problems)) and "ha" * 1000 not in repr(annotation)


@attack("XML", ["as many classes, and as many unknown ones"])
def of_unknown_classes(_: Path, _name: str) -> None:
    """Each error would list all that are known: 500 MB of text."""
    content = "<annotation>" + "".join(f"<object><name>{n}</name></object>" for n in range(2000)) + "</annotation>"
    _, problems = voc.parse(content.encode(), [f"known {n}" for n in range(10_000)])
    assert len(problems) >= 2000 and sum(len(problem.remedy) for problem in problems) < 10_000_000


@attack(
    "XML", {key: content.replace(b"annotation>", b"annotations>") for key, content in XMLS.items() if key[0] != "1"}
)
def as_cvat(folder: Path, content: bytes) -> None:
    contents = read(tree(folder, "a.jpg", files={"annotations.xml": content}))
    assert READ not in repr(contents)


PLACES = [
    *("../a.jpg", "../../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "C:\\Windows\\win.ini"),
    *("..\\..\\canary",),
    *("http://127.0.0.1:9/a.jpg", "gs://bucket/a.jpg", "~/.ssh/id_rsa", "$HOME/x", "a.jpg/../../../canary", "\0", "."),
    *("-rf", "|touch pwned", "$(touch pwned)", "a.jpg; touch pwned", "//host/share/a.jpg", "x/" * 5000 + "a.jpg"),
    *("..", ""),
    *("a.jpg\0.png", "%2e%2e/canary", "../canary", "/proc/self/environ", "/dev/zero", "CON", "a" * 5000),
]


@attack("COCO, YOLO, JSON", PLACES)
def a_photo_elsewhere(folder: Path, place: str) -> None:
    """Label files name photos; what is read is in the tree."""
    box = coco("cat") | {"images": [{"id": 1, "file_name": place, "width": 100, "height": 50}]}
    source = tree(folder / "source", "a.jpg", files={"a.json": box})
    for dataset in read(source).datasets:
        assert all(photo.path.resolve().is_relative_to(source) for photo in dataset.photos)


DEEP = 100_000
JSONS = {
    "deep lists": "[" * DEEP,
    "deep objects": '{"a":' * DEEP,
    "deep in an annotation": '{"images":[],"categories":[],"annotations":[{"bbox":' + "[" * DEEP,
    "a key twice": '{"images":[],"images":[],"annotations":[],"categories":[]}',
    "a million digits": '{"images":[{"id":' + "9" * 1_000_000 + '}],"annotations":[],"categories":[]}',
    "NaN": '{"images":[{"id":NaN,"file_name":"a.jpg"}],"categories":[],'
    '"annotations":[{"bbox":[NaN,Infinity,-Infinity,1e999]}]}',
    "lone surrogates": '{"images":[{"id":1,"file_name":"\\ud800"}],"annotations":[],"categories":[]}',
    "types": '{"images":{"id":[]},"annotations":"x","categories":7}',
    "ids": '{"images":[{"id":true,"file_name":[]}],"annotations":[{"image_id":{}}],"categories":[{"id":[]}]}',
    "__proto__": '{"__proto__":{"x":1},"images":[],"annotations":[],"categories":[]}',
    "a pickle": "cposix\nsystem\n(S'touch pwned'\ntR.",
    "100,000 images": '{"annotations":[],"categories":[],"images":['
    + ",".join(f'{{"id":{n},"file_name":"{n}"}}' for n in range(100_000))
    + "]}",
    "brackets": '{"images":' + "[" * 100 + "{" * 100,
}


@attack("COCO, YOLO, JSON", JSONS)
def a_json(folder: Path, content: str) -> None:
    for dataset in read(tree(folder, "a.jpg", files={"a.json": content})).datasets:
        assert all(error.line().isprintable() for error in dataset.errors)


LINES = {
    "an id of 9 digits": "999999999 0.5 0.5 0.5 0.5",
    "a negative id": "-1 0.5 0.5 0.5 0.5",
    "an id in a path": "../../x 0.5 0.5 0.5 0.5",
    "infinite": "0 inf nan 1e999 -inf",
    "pixels": "0 500 500 100 100",
    "a million numbers": "0 " + "0.5 " * 1_000_000,
    "100,000 lines": "0 0.5 0.5 0.5 0.5\n" * 100_000,
    "underscores": "0 0_5 0.5 0.5 0.5",
    "wide digits": "\uff10 0.5 0.5 0.5 0.5",
    "escapes": "0 0.5 0.5 0.5 0.5\x1b[2J",
}


@attack("COCO, YOLO, JSON", LINES)
def a_yolo_label(folder: Path, content: str) -> None:
    for dataset in read(tree(folder, "a.jpg", files={"a.txt": content, "classes.txt": "cat\n"})).datasets:
        assert all(error.line().isprintable() for error in dataset.errors)


YAMLS = {
    "a command": "names: !!python/object/apply:os.system ['touch pwned']",
    "a new object": "names: !!python/object/new:os.system ['touch pwned']",
    "a module": "names: !!python/module:pwned",
    "a name": "names: !!python/name:os.system",
    "eval": "names: !!python/object/apply:eval [\"open('pwned', 'w')\"]",
    "subprocess": "names: !!python/object/apply:subprocess.Popen [[touch, pwned]]",
    "Ruby": "names: !ruby/object:Gem::Installer x",
    "Java": "names: !!javax.script.ScriptEngineManager [x]",
    "a billion laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefghij"))
    + "names: *j",
    "itself": "names: &a [*a]",
    "merged": "x: &x {a: 1}\nnames: {<<: *x}",
    "deep": "names: " + "[" * 5000,
    "long": "names: [" + "x, " * 100_000 + "]",
    "another document": "names: [cat]\n---\nnames: !!python/object/apply:os.system ['touch pwned']",
    "a directive": "%TAG ! tag:yaml.org,2002:python/\n---\nnames: !object/apply:os.system ['touch pwned']",
    "a file": "names: !include /etc/passwd",
    "the environment": "names: [!ENV '${HOME}']",
    "splits above": "names: [cat]\ntrain: ../../../etc\nval: /etc\ntest: [~/.ssh, '../../canary']",
    "a download": "names: [cat]\ndownload: touch pwned",
    "NUL": "names: [c\0at]",
    "a key that is a list": "names: {[a]: b}",
}


@attack("data.yaml", YAMLS)
def of_a_yolo_dataset(folder: Path, content: str) -> None:
    source = tree(folder, "a.jpg", files={"a.txt": "0 0.5 0.5 0.5 0.5\n", "data.yaml": content})
    contents = read(source)
    assert READ not in repr(contents) and os.environ["HOME"] not in repr([one.names for one in contents.datasets])


@attack("params.yaml", YAMLS)
def as_params(folder: Path, content: str) -> None:
    (folder / "params.yaml").write_text(content.replace("names:", "train:"))
    settings.read([])


@attack(
    "params.yaml",
    ["${oc.env:HOME}", "$(touch pwned)", "~", "a(b", "choice(1,2)", "range(1,9)", "{a: 1}", "[1", "'", "=", "\\"],
)
def by_an_override(_: Path, value: str) -> None:
    for override in (f"train.work_dir={value}", f"{value}=1", f"+{value}", f"~{value}"):
        harmless(lambda override=override: list(overrides.parsed([override])))


HEAD = "filename,width,height,class,xmin,ymin,xmax,ymax,is_crowd\n"
ROWS = {
    "a folder above": "../../etc/passwd,9,9,cat,1,2,3,4,0",
    "above, inside": "x/../../a.jpg,9,9,cat,1,2,3,4,0",
    "absolute": "/etc/passwd,9,9,cat,1,2,3,4,0",
    "up": "..,9,9,cat,1,2,3,4,0",
    "no name": ",9,9,cat,1,2,3,4,0",
    "NUL": "a\0.jpg,9,9,cat,1,2,3,4,0",
    "not UTF-8": "a\udcff.jpg,9,9,cat,1,2,3,4,0",
    "an unknown class": "a.jpg,9,9,<script>,1,2,3,4,0",
    "NaN": "a.jpg,9,9,cat,nan,2,3,4,0",
    "infinite": "a.jpg,9,9,cat,1,2,inf,4,0",
    "huge": "a.jpg,1e308,9,cat,1,2,3,4,0",
    "negative": "a.jpg,-9,9,cat,1,2,3,4,0",
    "half a pixel": "a.jpg,9.5,9,cat,1,2,3,4,0",
    "a flag of 2": "a.jpg,9,9,cat,1,2,3,4,2",
    "too few": "a.jpg,9,9",
    "too many": "a.jpg,9,9,cat,1,2,3,4,0,5",
    "an open quote": '"a.jpg,9,9,cat,1,2,3,4,0',
    "two sizes": "a.jpg,9,9,cat,1,2,3,4,0\na.jpg,8,8,cat,1,2,3,4,0",
    "a long cell": "a.jpg,9,9," + "x" * 200_000 + ",1,2,3,4,0",
}


@attack("CSV", ROWS)
def of_the_stages(folder: Path, row: str) -> None:
    (folder / "a.csv").write_bytes((HEAD + row + "\n").encode(errors="surrogateescape"))
    refused(columns.read, folder / "a.csv", {"cat": 1}, columns.IS_CROWD, "run: dvc repro xml2csv")


@attack("CSV", {**ROWS, **{f"a photo at {place!a:.40}": f'"{place}",9,9,cat,1,2,3,4,0' for place in PLACES}})
def to_import(folder: Path, row: str) -> None:
    source = tree(folder / "source", "a.jpg", files={"a.csv": (HEAD + row + "\n").encode(errors="surrogateescape")})
    for dataset in read(source).datasets:
        assert all(error.line().isprintable() for error in dataset.errors)
        assert all(photo.path.resolve().is_relative_to(source) for photo in dataset.photos)


LISTS = {
    "a line of blanks": "a.jpg\nb" + " " * 100_000 + "c\n",
    "a line of flags": "a.jpg\nb" + " 1" * 20_000 + "\n",
    "lines of flags": "a.jpg\n" + "".join(f"b{n}{' 1' * 2000}\n" for n in range(100)),
    "quotes": "a.jpg\n" + '"' * 100_000 + "\n",
    "folders": "a.jpg\n" + "a/" * 100_000 + "b.jpg\n",
    "percent signs": "a.jpg\n" + "%" * 100_000 + "\n",
    "Label Studio's prefixes": "a.jpg\n" + "0a1b2c3d-" * 20_000 + "\n",
    "escapes": "a.jpg\n\x1b[2J\n\x9b31m\u202e\n",
    "paths": "a.jpg\n" + "".join(f"{place}\n" for place in PLACES),
    "half of UTF-16": "\ufeffa.jpg\n".encode("utf-16-le")[:-1],
}


@attack("names of classes", {"alike": ("<a>", "\u2039a\u203a"), "alike, in another order": ("\u2039a\u203a", "<a>")})
def that_become_one(folder: Path, names: tuple[str, ...]) -> None:
    """The label map of the dataset is one that can be read."""
    content = coco("cat")
    content["categories"] = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    content["images"] = [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 50} for n in range(3)]
    content["annotations"] = [
        {"id": 2 * n + k, "image_id": n, "category_id": 1 + k, "bbox": [1 + n, 1, 20 + k, 20]}
        for n in range(3)
        for k in range(2)
    ]
    lists = {"train.txt": "0.jpg\n1.jpg\n", "test.txt": "2.jpg\n"}
    tree(folder / "source", "0.jpg", "1.jpg", "2.jpg", files={"a.json": content, **lists})
    (folder / "dataset").mkdir()
    (folder / "label_map.pbtxt").write_text(planned(folder, folder / "source", 0.5).label_map)
    assert list(labels.read(folder / "label_map.pbtxt")) == ["\u2039a\u203a"]


@attack("lists of photos", LISTS)
def of_a_split(folder: Path, content: str | bytes) -> None:
    labels = {f"{stem}.xml": faults.voc(f"{stem}.jpg", size=(100, 50)) for stem in "abc"}
    tree(folder / "source", "a.jpg", "b.jpg", "c.jpg", files={**labels, "train.txt": content})
    (folder / "dataset").mkdir()
    harmless(planned, folder, folder / "source", 0.5)


@attack("lists of photos", [f"{count} photos of one name" for count in (200, 3000)])
def of_photos_of_one_name(_: Path, payload: str) -> None:
    """Each line asks all of them how near they are."""
    photos = [PurePosixPath(f"{n}/a.jpg") for n in range(int(payload.split()[0]))]
    names = name_lists._Names(photos, [])
    assert names.meant("7/a.jpg") == photos[7]
    assert not any(names.meant(f"x{n}/a.jpg") for n in range(20))


ITEM = "item {{ id: 1 name: {} }}"
MAPS = {
    "nothing": "",
    "no items": "x",
    "deep": "item { x " + "{ x " * 50_000,
    "open": "item { id: 1 name: 'cat",
    "an unknown escape": ITEM.format(r"'\q'"),
    "half an escape": ITEM.format(r"'\x'"),
    "not UTF-8": ITEM.format(r"'\377'"),
    "a NUL": ITEM.format(r"'a\0b'"),
    "a control character": ITEM.format(r"'\033[2J'"),
    "a line": ITEM.format(r"'cat\ndog'"),
    "NUL bytes": "item\0{}",
    "a negative id": "item { id: -1 name: 'cat' }",
    "an id of 10 digits": "item { id: 9999999999 name: 'cat' }",
    "an id twice": "item { id: 1 name: 'a' } item { id: 1 name: 'b' }",
    "a name twice": "item { id: 1 name: 'a' } item { id: 2 name: 'a' }",
    "no name": "item { id: 1 }",
    "no id": "item { name: 'a' }",
    "the background": ITEM.format("'background'"),
    "10,001 classes": "".join(f"item{{id:{n} name:'{n}'}}" for n in range(1, 10_002)),
    "2 MB": " " * 2**21,
    "a letter of another width": "item { id\uff1a 1 }",
    "a script": ITEM.format("'</script><script>alert(1)</script>'"),
}


@attack("label maps", MAPS)
def refused_with_its_place(folder: Path, content: str) -> None:
    (folder / "label_map.pbtxt").write_text(content)
    assert refused(labels.load, "label_map.pbtxt").startswith("label_map.pbtxt: ")


# ---------------------------------------------------------------- pictures, records


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    shape = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + shape + b"".join(chunks) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def saved(form: str, size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "grey").save(buffer, form)
    return buffer.getvalue()


def tiff(width: int, height: int, following: int = 0) -> bytes:
    tags = ((256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (278, height), (279, 2**31 - 1))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


JPEG, BIG = saved("JPEG"), 65_535
PICTURES = {
    "PNG of 4 gigapixels": png(BIG, BIG),
    "PNG of 2**62 pixels": png(2**31 - 1, 2**31 - 1),
    "PNG without pixels": png(0, 0),
    "PNG in black and white, 100 megapixels": png(
        10_000, 10_000, depth=1, colour=0, data=zlib.compress(bytes(12_510_000))
    ),
    "PNG with a text of 10 MB": png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10_000_000)))),
    "PNG with a profile of 10 MB": png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10_000_000)))),
    "PNG with 16 MB too much": png(8, 8, data=zlib.compress(bytes(2**24))),
    "PNG that is cut off": png(8, 8)[:40],
    "PNG with a chunk of 2 GB": png(8, 8)[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT",
    "PNG of an unknown kind": png(8, 8, depth=7, colour=9),
    "APNG of 1,000,000 frames": png(8, 8, chunk(b"acTL", struct.pack(">II", 1_000_000, 0))),
    "GIF of 4 gigapixels": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
    "GIF without a picture": b"GIF89a\x08\0\x08\0\0\0\0;",
    "BMP of 2**62 pixels": saved("BMP")[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + saved("BMP")[26:],
    "BMP of a negative height": saved("BMP")[:18] + struct.pack("<ii", 8, -(2**31)) + saved("BMP")[26:],
    "TIFF of 4 gigapixels": tiff(BIG, BIG),
    "TIFF whose pages are a circle": tiff(8, 8, following=8),
    "TIFF with a strip of 2 GB": tiff(8, 8),
    "WebP of 268 megapixels": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2,
    "JPEG of 4 gigapixels": JPEG.replace(b"\xff\xc0\0\x11\x08\0\x08\0\x08", b"\xff\xc0\0\x11\x08\xff\xff\xff\xff"),
    "JPEG that is cut off": JPEG[: len(JPEG) // 2],
    "JPEG of markers": b"\xff\xd8" + b"\xff\xe0\0\2" * 100_000,
    "JPEG with EXIF that is none": JPEG[:2] + b"\xff\xe1\0\x10Exif\0\0II*\0\xff\xff\xff\xff" + JPEG[2:],
    "a HEIC that is none": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "an AVIF that is none": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
    "a HEIC box of 8 EB": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x01meta" + b"\x7f" + b"\xff" * 7,
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(pwned) (w) file closefile\n",
    "a PDF": b"%PDF-1.4\n1 0 obj<</OpenAction<</S/Launch/F(touch pwned)>>>>endobj\n",
    "an SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "an SVG with a file": b'<svg xmlns:x="http://www.w3.org/1999/xlink"><image x:href="file:///etc/passwd"/></svg>',
    "ImageMagick's MVG": b"push graphic-context\nfill 'url(https://x\";touch \"pwned)'\npop graphic-context",
    "a PPM of 4 gigapixels": b"P6\n65535 65535\n255\n",
    "an XBM": b"#define x_width 65535\n#define x_height 65535\nstatic char x_bits[] = {",
    "an icon": b"\0\0\1\0\1\0\0\0\0\0\1\0\x20\0\xff\xff\xff\xff\x16\0\0\0",
    "a page of HTML": b"<html><script>alert(1)</script>",
    "a zip": zipped("../pwned"),
    "a pickle": b"\x80\4cposix\nsystem\n(S'touch pwned'\ntR.",
    "nothing": b"",
    "a byte": b"\xff",
    "a million zeros": bytes(1_000_000),
}


@attack("image bombs", PICTURES)
def in_a_dataset(_: Path, content: bytes) -> None:
    """Refused, or a picture within the limit: some of these are sound but for what hangs on them."""
    info = harmless(images.check, "a.jpg", content)
    assert info is None or info.size[0] * info.size[1] <= images.MAX_PIXELS
    harmless(images.open_upright, "a.jpg", content)


def frames(*contents: bytes) -> bytes:
    file = io.BytesIO()
    for content in contents:
        records.write_frame(file, content)
    return file.getvalue()


def example(**features: Any) -> bytes:
    own = {"image/encoded": [JPEG], "image/filename": [b"a.jpg"]}
    box = {
        f"image/object/bbox/{key}": [value]
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), (0.1, 0.1, 0.9, 0.9), strict=True)
    }
    return records.encode(
        {**own, **box, "image/object/class/text": [b"cat"], **{f"image/{k}": v for k, v in features.items()}}
    )


SOUND = frames(example())
RECORDS: dict[str, bytes] = {
    **{f"a photo called {place!a:.40}": frames(example(filename=[place.encode()])) for place in PLACES},
    **{
        f"a photo: {key}": frames(example(filename=[name.encode(errors="replace") + b".jpg"]))
        for key, name in NAMES.items()
    },
    **{
        f"a class: {key}": frames(example(**{"object/class/text": [name.encode(errors="replace")]}))
        for key, name in NAMES.items()
    },
    "a length of 8 EB": struct.pack("<Q", 2**63) + SOUND[8:],
    "a length of 8 EB, with its checksum": struct.pack("<Q", 2**63)
    + records._checksum(struct.pack("<Q", 2**63))
    + SOUND[12:],
    "a bit that flipped": SOUND[:40] + bytes([SOUND[40] ^ 1]) + SOUND[41:],
    "cut off": SOUND[:-5],
    "no example": frames(b"\xff" * 20),
    "empty examples": frames(*[b""] * 1000),
    "no image": frames(example(encoded=[])),
    "an image that is none": frames(example(encoded=[b"%!PS"])),
    "a bomb": frames(example(encoded=[PICTURES["PNG of 4 gigapixels"]])),
    "corners that are missing": frames(example(**{"object/bbox/xmin": []})),
    "corners without end": frames(example(**{"object/bbox/xmin": [float("nan")], "object/bbox/xmax": [float("inf")]})),
    "classes that differ": frames(example(**{"object/class/label": [7]})),
    "numbers for names": frames(example(filename=[1], **{"object/class/text": [2]})),
}


@attack("TFRecords", RECORDS)
def to_restore(folder: Path, content: bytes) -> None:
    (folder / "source").mkdir()
    (folder / "source/train.record").write_bytes(content)
    (folder / "dataset").mkdir()
    plan = harmless(planned, folder, folder / "source", 0.5)
    assert plan is None or not [path for path in plan.targets if naming.fault(path.name) or ".." in path.parts]


# ---------------------------------------------------------------- addresses, git

ADDRESSES = [
    *("file:///etc/passwd", "ftp://127.0.0.1/a.zip", "ssh://127.0.0.1/a", "gopher://127.0.0.1/", "smb://h/s"),
    *("s3://b/a.zip",),
    *("git+ssh://h/r", "javascript://%0aalert(1)", "data://x", "ext::touch pwned", "http://127.0.0.1:9/a.zip"),
    *("HTTP://h/a.zip",),
    *("kaggle:../../etc/passwd", "kaggle:a/b/../../c", "kaggle:a/b;touch pwned", "kaggle:a b/c"),
    *("kaggle:a/b/versions/0",),
    *("kaggle:a/b/versions/1/../2", "kaggle:-o/", "kaggle:", "kaggle:a/$(touch pwned)", "gs://", "gs:///x"),
    *("~nobody/x",),
    *("/dev/zero", "/dev/stdin", "|touch pwned", "-rf", "$(touch pwned)", "https://", "https:///x"),
    *("https://h\r\nX: y/a.zip", "https://h/\x1b[2J", "https://[::1", "https://h:99999/a.zip", "https://h:x/a.zip"),
    *("//h/s",),
]


@attack("addresses", ADDRESSES)
def as_a_source(folder: Path, address: str) -> None:
    """Refused before anything is asked for."""

    def brought() -> None:
        with sources.opened(address, "") as path:
            raise AssertionError(f"opened {path}")

    with mock.patch.dict(os.environ, {"PASSO_BACKOFF_SECONDS": "0", "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9"}):
        refused(brought)


@attack("addresses", ["..", "../x", "/etc", "x/../../..", "a/../../../etc", "~", "\0", "#"])
def as_a_folder_of_a_source(folder: Path, inner: str) -> None:
    tree(folder / "source", "a.jpg", files={"a.xml": faults.voc("a.jpg", size=(100, 50))})
    (folder / "dataset").mkdir()
    refused(planned, folder, f"{folder / 'source'}#{inner}", 0.5)


@attack(
    "addresses",
    ["../x", "a;b", "-x-", "a b", "a\nb", "a/b", "..", "127.0.0.1", "x" * 64, "g00gle-x", "a..b", "a$(b)", "é", ""],
)
def as_a_bucket(_: Path, name: str) -> None:
    refused(bucket_settings.bucket_name, name)


REVISIONS = [
    *("--upload-pack=touch pwned", "--exec=touch pwned", "--output=pwned", "-c core.pager=touch pwned"),
    *("HEAD; touch pwned",),
    *("$(touch pwned)", "`touch pwned`", "HEAD\ntouch pwned", ":/x", "HEAD^{/(a+)+$}", "@{-1}", "../../x", "\x1b[2J"),
    *("", "-"),
]


@attack("git", REVISIONS)
def as_a_revision(folder: Path, text: str) -> None:
    git.run("init", "--quiet")
    git.run("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "start")
    assert git.commit(text) in ("", git.head())


# ---------------------------------------------------------------- pages


class Page(HTMLParser):
    """The tags of a page, and its attributes that would run or fetch something."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.bad += [tag] if tag in ("script", "iframe", "object", "embed", "base", "link", "form") else []
        for name, value in attrs:
            fetches = name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster")
            if name.startswith("on") or (fetches and not (value or "").startswith(("data:image/", "#"))):
                self.bad.append(f"{tag} {name}={value}")

    handle_startendtag = handle_starttag


SCRIPTS = {
    **MARKUP,
    "a quote": '"><script>alert(1)</script>',
    "a single quote": "'><img src=x onerror=alert(1)>",
    "an event": '" onmouseover="alert(1)',
    "an address": "javascript:alert(1)",
    "an entity": "&lt;script&gt;alert(1)&lt;/script&gt;",
    "a template": "{{ 7 * 7 }}{% raw %}",
    "the end of a style": "</style><script>alert(1)</script>",
    "the end of a title": "</title><script>alert(1)</script>",
    "the end of an SVG": "</svg><script>alert(1)</script>",
    "CDATA": "<![CDATA[<script>alert(1)</script>]]>",
    "a surrogate": "\\ud800<script>",
    "a style": "x;background:url(http://evil.example)",
    "UTF-7": "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
}


def a_run(folder: Path, name: str) -> None:
    """Results in which everything that has a name has this one: as they would come from another's bucket."""
    metrics = {"AP": 0.5, "AP50": 0.9, "images": 1, "per_class": {name: {"AP": 0.5}}, "loss": {"total_loss": 1.0}}
    row = json.dumps(name)
    contents = {
        "params.yaml": f"train: {{model: {row}}}\ndataset: {{dir: {row}}}\n",
        "results/evaluate/metrics.json": json.dumps(metrics),
        "results/evaluate/confusion.csv": 'actual,predicted\n"' + name.replace('"', '""') + '",background\n',
        "results/evaluate/precision_recall.csv": 'class,recall,precision,score\n"'
        + name.replace('"', '""')
        + '",0,1,0.9\n',
        "model/train/train.json": json.dumps({"model": name, "steps": 5, "best_step": 5, "start": {"name": name}}),
        "dvc.lock": f"stages: {{{row}: {{cmd: {row}, deps: [{{path: {row}, md5: {row}}}]}}}}\n",
        "dataset/data/annotation_report.csv": "split,filename,object,problem,action\n"
        + "train,"
        + ",".join('"' + name.replace('"', '""') + '"' for _ in range(3))
        + ",skipped\n",
    }
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")


def detected(folder: Path, filename: str, name: str) -> None:
    """One photo with one object and one detection, which the report shows."""
    shutil.copy(stage.REPOSITORY / "params.yaml", folder)
    cells = [naming.cell(filename), "8", "8", naming.cell(name), "0", "0", "8", "8"]
    tables = {"dataset/data/test.csv": ("is_crowd", "0"), "results/evaluate/detections.csv": ("score", "1")}
    for file, last in tables.items():
        with (folder / file).open("w", encoding="utf-8", newline="") as table:
            head = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax", last[0]]
            csv.writer(table).writerows([head, [*cells, last[1]]])
    label_map = f"item {{ id: 1 name: {json.dumps(name)} }}\n"
    (folder / "results/evaluate/label_map.pbtxt").write_text(label_map, encoding="utf-8")


OURS = ["link", "link href=data:,", "a href=report.pt-BR.html"]  # no icon; the page in the other language


@attack("report.html", SCRIPTS)
def in_everything_that_has_a_name(folder: Path, name: str) -> None:
    a_run(folder, name)
    done = stage.call(report.main, folder)
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        content = (folder / "results/report.html").read_text(encoding="utf-8")
        assert Page(content).bad == OURS and "url(" not in content.replace("background:url(http://evil", "")


@attack("report.html", {f"as a photo or class, {name}": text for name, text in SCRIPTS.items()})
def in_what_was_detected(folder: Path, name: str) -> None:
    """Photos and classes are data of the page's script."""
    a_run(folder, "cat")
    photo = folder / "dataset/sample/test" / name.replace("/", "")
    photo.parent.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(photo, "JPEG")
    detected(folder, photo.name, "cat" if naming.fault(name) else name)
    done = stage.call(report.main, folder)
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        content = (folder / "results/report.html").read_text(encoding="utf-8")
        assert Page(content).bad == [*OURS, "script", "script"]


@attack("report.html", [*PLACES, "../../secret.jpg", "x/../../../secret.jpg"])
def a_picture_elsewhere(folder: Path, place: str) -> None:
    """The tables name the photos to show."""
    a_run(folder, "cat")
    Image.new("RGB", (8, 8), "red").save(folder / "secret.jpg")
    detected(folder, place, "cat")
    done = stage.call(report.main, folder)
    assert "Traceback" not in done.stderr
    page = folder / "results/report.html"
    assert not page.exists() or "data:image" not in page.read_text(encoding="utf-8")


BRACKETS = ["results/evaluate/metrics.json", "results/parity/metrics.json", "model/train/train.json"]


@attack("report.html", [*BRACKETS, "dvc.lock", "params.yaml"])
def a_file_of_brackets(folder: Path, path: str) -> None:
    a_run(folder, "cat")
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text("[" * (100_000 if path.endswith("json") else 3000))
    done = stage.call(report.main, folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr[-500:]


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize("one", ATTACKS[::SLICE], ids=lambda one: f"{one.kind}: {one.name}")
def test_an_attack_holds(one: Attack) -> None:
    assert one.failure() == ""


def test_there_are_as_many_as_promised() -> None:
    assert len(ATTACKS) >= 350
    assert len({(one.kind, one.name) for one in ATTACKS}) == len(ATTACKS)


def main() -> None:
    """Try all, print the table; exit code 1 where one has not held."""
    tried = Counter(one.kind for one in ATTACKS)
    failed = [(one, failure) for one in ATTACKS if (failure := one.failure())]
    missed = Counter(one.kind for one, _ in failed)
    errors.say(f"{'kind':24} {'tried':>5} {'held':>5}")
    errors.say(*(f"{kind:24} {count:5} {count - missed[kind]:5}" for kind, count in sorted(tried.items())))
    errors.say(f"{'all':24} {tried.total():5} {tried.total() - missed.total():5}")
    errors.exit_with([f"{one.kind}: {one.name}: {failure}" for one, failure in failed])


if __name__ == "__main__":
    sys.exit(main())
