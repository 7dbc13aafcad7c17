"""Errors as a user sees them: one line and an exit code."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detector.base import errors
from tests.support.stage import REPOSITORY, child

COMMANDS = [
    f"{folder}.{path.stem}"
    for folder in ("stages", "tools")
    for path in sorted((REPOSITORY / folder).glob("*.py"))
    if "errors.run(main" in path.read_text(encoding="utf-8")
]


def test_a_users_mistake_is_one_line_and_exit_code_2() -> None:
    code = (
        "from detector.base import errors\n"
        "def main(): raise errors.UserError('cat.xml', 'xmin 9 is\\nright of xmax 4', 'redraw it', item='object 2')\n"
        "errors.run(main)"
    )
    done = child("-c", code)
    assert done.returncode == 2
    assert done.stderr == "error: cat.xml: object 2: xmin 9 is right of xmax 4; redraw it\n"
    assert done.stdout == ""


def test_an_interrupt_is_130_so_that_dvc_records_no_finished_stage() -> None:
    done = child("-c", "from detector.base import errors\ndef main(): raise KeyboardInterrupt\nerrors.run(main)")
    assert done.returncode == 130
    assert done.stderr == "interrupted\n"


def test_our_own_mistake_keeps_its_traceback() -> None:
    done = child("-c", "from detector.base import errors\ndef main(): raise ValueError('a bug')\nerrors.run(main)")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


HIDDEN = """
def full():
    try:
        raise sqlite3.OperationalError("database or disk is full")
    except sqlite3.OperationalError:
        raise RuntimeError from None
"""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("OSError(errno.ENOSPC, 'x', 'in.jpg', None, 'out.jpg')", "out.jpg: No space left on device; make room"),
        ("OSError(errno.EROFS, 'x', 'a.csv')", "a.csv: Read-only file system; that disk can only be read: copy the"),
        ("PermissionError(errno.EACCES, 'x', 'a.csv')", "a.csv: Permission denied; change its permissions, and run"),
        ("OSError(errno.EIO, 'x')", "disk: Input/output error; check the disk, and run the command again"),
        ("sqlite3.OperationalError('database or disk is full')", "disk: No space left on device; make room, and run"),
        ("full()", "disk: No space left on device; make room, and run"),  # as diskcache says what SQLite said
        ("RuntimeError('ckpt-1; No space left on device [Op:Save]')", "disk: No space left on device; make room, and"),
        ("numpy.zeros(2**58)", "memory: there is not enough; close other programs, and run the command"),
    ],
)
def test_what_the_system_refuses_is_one_line_too(error: str, line: str) -> None:
    begin = "import errno, numpy, sqlite3\nfrom detector.base import errors\n" + HIDDEN
    done = child("-c", f"{begin}def main(): raise {error}\nerrors.run(main)")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {line}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "module",
    [
        *(f"stages.{n}" for n in ("sample", "xml2csv", "csv2record", "pretrained", "evaluate")),
        "tools.report",
        "tools.summary",
    ],
)
def test_a_stage_has_a_manual_and_takes_no_arguments(tmp_path: Path, module: str) -> None:
    for option in ("--help", "-h"):
        done = child("-m", module, option, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"python -m {module}" in done.stdout
    done = child("-m", module, "--steps", "5000", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: --steps 5000: this command takes no arguments; "
        "values are in params.yaml; for one run: dvc exp run -S section.key=value\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_innermost_error_is_found_even_where_two_wrap_each_other() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert errors.innermost(first) is second
    assert str(errors.innermost(OSError(ConnectionError(ValueError("refused"))))) == "refused"


def test_what_others_have_named_cannot_steer_the_terminal() -> None:
    """Clear the screen, retitle the window, forge a line, write backwards."""
    name = "cat\x1b[2J\x1b]0;pwned\x07\nerror: all is lost\u202e"
    done = child("-c", f"from detector.base import errors; errors.say({name!r}, '  dog')")
    assert done.stdout == "cat\\x1b[2J\\x1b]0;pwned\\x07\\nerror: all is lost\\u202e\n  dog\n"


@pytest.mark.parametrize("text", ["a" * 10**6, "//" + "&" * 10**6, "?" * 10**6, "https://" + "a;" * 10**6])
def test_a_text_without_end_is_printed_in_no_time(text: str) -> None:
    start = time.monotonic()
    assert len(errors.printable(text)) < 5000
    assert time.monotonic() - start < 10  # looking for addresses took minutes


def test_nobody_reads_any_more_and_the_work_goes_on(tmp_path: Path) -> None:
    code = (
        "from detector.base import errors\n"
        "def main():\n"
        "    for number in range(3): errors.say(str(number))\n"
        "    open('done', 'w').close()\n"
        "errors.run(main)"
    )
    assert unread("-c", code, cwd=tmp_path) == (0, "")
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("module", COMMANDS)
def test_a_command_ends_quietly_where_nobody_reads(tmp_path: Path, module: str) -> None:
    assert unread("-m", module, "--help", cwd=tmp_path) == (0, "")


def unread(*arguments: str, cwd: Path) -> tuple[int, str]:
    """`python ARGUMENTS | true`: its exit code and stderr; its stdout is a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env=environment,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    return done.returncode, done.stderr
