"""A check, and the lines that it prints: each with the command that fixes it."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from detector.base.errors import UserError, without_secrets

OK, NOTE, ERROR = "ok", "note", "error"


@dataclass(frozen=True)
class Line:
    """level: `ok`; `note`, where training would run all the same; `error`, where it would fail."""

    level: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        label = self.level if self.level == OK else f"{self.level}:"
        text = f"{self.what}; {self.remedy}" if self.remedy else self.what
        return f"{label:<6} {without_secrets(' '.join(text.split()))}"


def ok(what: str) -> Line:
    """What is in order."""
    return Line(OK, what)


def note(what: str, remedy: str) -> Line:
    """What training can live with."""
    return Line(NOTE, what, remedy)


def error(what: str, remedy: str) -> Line:
    """What training would fail of."""
    return Line(ERROR, what, remedy)


def mistake(refused: UserError, more: str = "") -> Line:
    """The error that training itself would end with; `more` is added to what to do."""
    return error(": ".join(filter(None, (refused.where, refused.item, refused.reason))), refused.remedy + more)


@dataclass(frozen=True)
class Check:
    """A check, and the sections of params.yaml that it is called with."""

    name: str
    call: Callable[..., Iterable[Line]]
    sections: tuple[str, ...] = ()

    def lines(self, params: Mapping[str, Any]) -> list[Line]:
        """What it reports: nothing where a section has a fault, which is reported elsewhere; its own failure, too."""
        if not set(self.sections) <= set(params):
            return []
        lines: list[Line] = []
        try:
            for line in self.call(*(params[section] for section in self.sections)):
                lines.append(line)  # noqa: PERF402 - what it reported before it failed counts
        except UserError as refused:
            lines.append(mistake(refused))
        except OSError as failed:
            where = failed.filename or self.name
            lines.append(
                error(f"{where}: cannot be read: {failed.strerror}", f"check it: ls -ld {shlex.quote(str(where))}")
            )
        except Exception as failed:  # a line and not a traceback: the other checks are of use without this one
            reason = f"{self.name}: cannot be checked: {type(failed).__name__}: {failed}"
            lines.append(error(reason, "run make install; if that does not help, please report it"))
        return lines
