"""The user's mistakes: one family of errors, one line each, exit code 2.

error: dataset/pets/train/cat.1.xml: object 2 (dog): xmin 90 is not left of xmax 40; swap or redraw the box
"""

import errno
import os
import re
import signal
import stat
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

MOST_LINES = 20  # that one command prints
MOST_NAMES = 3  # in one line
MOST_LETTERS = 4000  # of one line
EXIT_FINDINGS = 1  # of a command that checks
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT  # what a shell reports for Ctrl-C; never 0, or DVC would record a finished stage

# What the system refuses, and what to do about it: of whatever library the error is, it is no bug.
FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or a user's share of it
REFUSED = {
    **dict.fromkeys(FULL, "make room"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "change its permissions"),
    errno.EROFS: "that disk can only be read: copy the project to another one",
    errno.EIO: "check the disk",
    errno.ESTALE: "mount that disk again",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "allow more open files: ulimit -n 4096"),
    errno.ENOMEM: "close other programs",
    errno.ENAMETOOLONG: "give a shorter name",
}
OF_THE_MACHINE = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)  # no file is to blame
IN_OTHER_WORDS = {  # of SQLite, in which DVC keeps its notes; of TensorFlow; of Python's tempfile
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EROFS,
    "disk I/O error": errno.EIO,
    **{os.strerror(number): number for number in (*FULL, errno.EROFS, errno.EIO)},
    "No usable temporary directory found": errno.ENOSPC,
}


class UserError(Exception):
    """Something that the user can fix.

    Args:
        where: the file, parameter or command that is wrong, as the user would type it.
        reason: what is wrong, with the value.
        remedy: what to do; may be empty if the reason says it.
        item: which object, line or key inside `where`; may be empty.
    """

    def __init__(self, where: str, reason: str, remedy: str = "", item: str = "") -> None:
        self.where, self.item, self.reason, self.remedy = str(where), item, reason, remedy
        super().__init__(self.line())

    def line(self) -> str:
        """The error as one line: `where: item: reason; remedy`."""
        parts = ": ".join(part for part in (self.where, self.item, self.reason) if part)
        text = f"{parts}; {self.remedy}" if self.remedy else parts
        return printable(text)


def show(lines: Sequence[str], where_all_are: str = "") -> None:
    """Print errors on stderr, one line each: the first `MOST_LINES`, and how many more there are."""
    say(*(f"error: {without_secrets(line)}" for line in lines[:MOST_LINES]), file=sys.stderr)
    if len(lines) > MOST_LINES:
        say(f"and {len(lines) - MOST_LINES} more{where_all_are and f': see {where_all_are}'}", file=sys.stderr)


def say(*lines: str, file: TextIO | None = None) -> None:
    """Print lines, on stdout or another stream, each escaped: all that commands print goes through here.

    Where nobody reads any more, as in `make summary | head -1` or on a terminal that was closed, the rest goes nowhere,
    and the work goes on.
    """
    stream = file or sys.stdout
    try:
        stream.write("".join(f"{escaped(line)}\n" for line in lines))
        stream.flush()
    except OSError as error:
        is_closed = error.errno == errno.EIO and stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)
        if not is_closed and error.errno != errno.EPIPE:
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def printable(text: str) -> str:
    """A text on one line, escaped, for names are made by others; and without secrets."""
    return escaped(without_secrets(" ".join(text.split())))


def escaped(text: str) -> str:
    """A text in which what would steer the terminal, or cannot be seen, is shown as its escape: a\\n.jpg.

    Of a text that no screen holds, its two ends.
    """
    if len(text) > MOST_LETTERS:
        text = f"{text[: MOST_LETTERS // 2]} ... {text[-MOST_LETTERS // 2 :]}"
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def without_secrets(text: str) -> str:
    """A text in which every word that may be an address is shown as `redacted` shows it."""
    return re.sub(r"[^\s'\"]+", lambda word: _without_secret(word[0]), text)


def _without_secret(word: str) -> str:
    if not re.search(r"[:/]/|\?", word):
        return word
    address = word.rstrip(":;,.")
    return redacted(address) + word[len(address) :]


def redacted(address: str) -> str:
    """An address, or a path, as it may be shown: without a login, and without a query, which may hold a signature.

    By rule: it may be mistyped, and a parser would take the password of https:/user:secret@host for a part of a path.
    It may follow a name: SRC=https://...
    """
    start, rest = re.findall(r"^((?:[\w-]+=)?[A-Za-z][\w+.-]*:?/+)?(.*)", address, re.DOTALL)[0]
    is_address = ":" in start or "//" in start
    *login, place = re.split("@|%40", rest)
    if any(re.search(":|%3[Aa]", part) for part in login) or (
        is_address and re.search("@|%40", rest.partition("/")[0])
    ):
        rest = place
    return f"{start}{rest[: _query(rest, is_address=is_address)]}"


def _query(rest: str, *, is_address: bool) -> int | None:
    """Where a query begins: at a question mark, in an address also without one; a value follows, or it is none."""
    last_value = rest.rfind("=")
    marks = [match.start() for match in re.finditer(r"[?？]|%3[Ff]" if is_address else r"\?", rest)][:1]
    marks = [place for place in marks if is_address or place < last_value]
    others = re.search(r"[\s#&;,＆]|%26", rest[: max(last_value, 0)]) if is_address else None
    return min([*marks, *([others.start()] if others else [])], default=None)


def few(names: Sequence[str]) -> str:
    """`a, b, c and 4 more`: the first names, for an error."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 boxes`, `1,000 photos`."""
    plural = "" if number == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{number:,} {noun}{plural}"


def exit_with(findings: Sequence[str]) -> None:
    """Show what a command found to be wrong, and exit with code 1; do nothing where there is nothing."""
    show(findings)
    if findings:
        sys.exit(EXIT_FINDINGS)


def innermost(error: BaseException) -> BaseException:
    """What went wrong at the bottom: DVC, api_core, requests and urllib3 each store what they wrap in another place.

    The outer ones quote the address, which may hold a signature or the id of an upload.
    """
    seen: list[BaseException] = []
    inner: BaseException | None = error
    while inner and inner not in seen:  # two errors may each name the other as their cause
        seen.append(inner)
        places = (getattr(inner, "cause", None), getattr(inner, "reason", None), *inner.args, inner.__cause__)
        inner = next((place for place in places if isinstance(place, Exception)), None)
    return seen[-1]


def refusal(error: BaseException) -> UserError | None:
    """The user's error that an error is if the system has refused what was asked of it; None where it is another."""
    inner = innermost(error)
    if isinstance(inner, MemoryError):
        return UserError("memory", "there is not enough", f"{REFUSED[errno.ENOMEM]}, and run the command again")
    number, where, words = None, "disk", IN_OTHER_WORDS.copy()
    if isinstance(inner, OSError):
        number = inner.errno
        where = (inner.filename2 if number in FULL else None) or inner.filename or where
        words |= {os.strerror(number): number for number in REFUSED}  # of shutil, which counts many up
    if number not in REFUSED:
        number = next((meant for text, meant in words.items() if text in str(inner)), None)
    if number is None:  # `raise Timeout from None`, as diskcache says it where SQLite finds no room
        return refusal(inner.__context__) if inner.__suppress_context__ and inner.__context__ else None
    return UserError(str(where), os.strerror(number), f"{REFUSED[number]}, and run the command again")


def run(main: Callable[[], None], manual: str | None = None) -> None:
    """Run a command's `main`: a `UserError` becomes one line on stderr and exit code 2, Ctrl-C exit code 130.

    What the system refuses is the user's, too: a full disk, one that cannot be written to.

    Args:
        main: the command.
        manual: its module's docstring, if it takes no arguments: `--help` prints it, anything else is refused.
    """
    try:
        if manual:
            _only_help(sys.argv[1:], manual)
        main()
    except KeyboardInterrupt:
        say("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        mistake = error if isinstance(error, UserError) else refusal(error)
        if mistake is None:
            raise
        say(f"error: {mistake.line()}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    finally:
        say()  # what argparse has printed


def _only_help(arguments: Sequence[str], manual: str) -> None:
    if set(arguments) & {"-h", "--help"}:
        say(*manual.strip().split("\n"))
        sys.exit(0)
    if arguments:
        remedy = "values are in params.yaml; for one run: dvc exp run -S section.key=value"
        raise UserError(" ".join(arguments), "this command takes no arguments", remedy)
