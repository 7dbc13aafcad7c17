"""Lets one call fail that the system may refuse: SQLite's way to test, at our scale.

What Python asks of the system is counted where it is about a folder: opening, making, renaming and removing by an audit
hook, writing and syncing by wrappers of Python's own functions, memory where Pillow decodes and lxml parses. What
libraries in C do by themselves, as SQLite and TensorFlow, is not.
"""

import builtins
import errno
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree
from PIL import ImageFile

READ, FOLDER, OPEN, WRITE, SYNC = "open to read", "open a folder", "open to write", "write", "fsync"
MKDIR, RENAME, REMOVE, ALLOCATE = "mkdir", "rename", "remove", "allocate"
ERRORS = {  # which a call of a kind may meet
    READ: (errno.EIO, errno.ENOMEM),
    FOLDER: (errno.EIO,),
    OPEN: (errno.ENOSPC, errno.EACCES, errno.EIO),
    WRITE: (errno.ENOSPC, errno.EIO),
    SYNC: (errno.EIO, errno.ENOSPC),
    MKDIR: (errno.ENOSPC, errno.EACCES),
    RENAME: (errno.ENOSPC, errno.EIO, errno.EACCES),
    REMOVE: (errno.EIO, errno.EACCES),
    ALLOCATE: (errno.ENOMEM,),
}
NEED_ROOM = (OPEN, WRITE, MKDIR)  # a disk that is full stays full
EVENTS = {"os.mkdir": MKDIR, "os.rename": RENAME, "os.remove": REMOVE, "os.rmdir": REMOVE}


@dataclass
class Injection:
    """Counts the calls about what is below `root`; the one with the number `point`, from 0, fails with `error`."""

    root: Path
    point: int
    error: int
    kinds: list[str]

    def install(self) -> None:
        """For the rest of this process."""
        opened, sync, send, load, parse = io.open, os.fsync, os.sendfile, ImageFile.ImageFile.load, etree.fromstring
        injection = self

        class Raw(io.FileIO):
            def write(self, data: Any, /) -> int:
                injection.call(WRITE, self.name)
                return super().write(data)

        def open_(file: Any, mode: str = "r", buffering: int = -1, *arguments: Any, **options: Any) -> Any:
            is_ours = isinstance(file, str | os.PathLike) and self.is_inside(file)
            if not (is_ours and set(mode) & set("wax+")):
                return opened(file, mode, buffering, *arguments, **options)
            raw = Raw(file, mode.replace("t", "").replace("b", ""))
            buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffer if "b" in mode else io.TextIOWrapper(buffer, *arguments, **options)

        io.open = builtins.open = open_  # type: ignore
        os.fsync = self._before(SYNC, sync)
        os.sendfile = self._before(WRITE, send)
        ImageFile.ImageFile.load = self._before(ALLOCATE, load)  # type: ignore
        etree.fromstring = self._before(ALLOCATE, parse)
        sys.addaudithook(self._hear)

    def call(self, kind: str, path: object = None) -> None:
        """Raises: OSError or MemoryError: if this call is to fail."""
        number = len(self.kinds)
        self.kinds.append(kind)
        is_full = self.error == errno.ENOSPC and 0 <= self.point < number and kind in NEED_ROOM
        if number != self.point and not is_full:
            return
        if kind == ALLOCATE:
            raise MemoryError
        raise OSError(self.error, os.strerror(self.error), *([os.fspath(path)] if isinstance(path, str) else []))

    def is_inside(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and Path(self.root, path).is_relative_to(self.root)

    def _before(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.call(kind)
            return function(*arguments, **options)

        return wrapped

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and self.is_inside(arguments[0]):
            is_write = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            is_file = Path(self.root, arguments[0]).is_file()  # a folder may be opened by its name in another one
            kind = OPEN if is_write else READ if is_file else FOLDER
            self.call(kind, os.fspath(arguments[0]))
        elif event in EVENTS and self.is_inside(arguments[0]):
            self.call(EVENTS[event], os.fspath(arguments[0]))
