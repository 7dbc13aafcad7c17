"""What a check finds: one line each, with the command that mends it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from detector.base.errors import UserError

OK, NOTE, ERROR = "ok", "note", "error"


@dataclass(frozen=True)
class Line:
    """A finding. level: `ok`; `note`, where training would run all the same; `error`, where it would fail."""

    level: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        label = self.level if self.level == OK else f"{self.level}:"
        text = f"{self.what}; {self.remedy}" if self.remedy else self.what
        return f"{label:<6} {' '.join(text.split())}"


Check = Callable[[], Iterable[Line]]


def ok(what: str) -> Line:
    """What is in order."""
    return Line(OK, what)


def note(what: str, remedy: str) -> Line:
    """What training can live with."""
    return Line(NOTE, what, remedy)


def error(what: str, remedy: str) -> Line:
    """What training would fail of."""
    return Line(ERROR, what, remedy)


def mistake(found: UserError) -> Line:
    """The error that training itself would end with."""
    return error(": ".join(part for part in (found.where, found.item, found.reason) if part), found.remedy)


def answers(name: str, check: Check) -> list[Line]:
    """What a check says; where it fails itself, that is a finding, too."""
    found: list[Line] = []
    try:
        for line in check():
            found.append(line)  # noqa: PERF402 - what it said before it failed counts
    except UserError as refused:
        found.append(mistake(refused))
    except OSError as failed:
        where = failed.filename or name
        found.append(error(f"{where}: cannot be read: {failed.strerror}", f"look at it: ls -ld '{where}'"))
    except Exception as failed:  # a finding and not a traceback: the other checks are of use without this one
        reason = f"{name}: cannot be checked: {type(failed).__name__}: {failed}"
        found.append(error(reason, "run make install; if that is no help, please report it"))
    return found
