"""Commands of a notebook, each in a terminal of its own, as a user runs them.

It runs in the notebook's own Python, before anything is installed, as all of this room does: only the standard library,
IPython and google.colab exist, and of this project what needs no more.
"""

import codecs
import os
import pty
import select
import shlex
import subprocess
import sys
import termios

from detector.base import errors

CTRL_C = b"\x03"


class Stopped(Exception):  # noqa: N818 - it ends "Run all", and is not a bug
    """A command failed: the cells below do not run. The command has printed why; a traceback would hide it."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def run(*command: str) -> None:
    """Run a command in a new terminal, and show its output here.

    Stopping the cell is a Ctrl-C in that terminal, after which a training saves its state. If the notebook's Python
    dies, the terminal closes, and a training saves its state, too.

    Raises:
        Stopped: it ended with another code than 0.
    """
    shown = shlex.join(map(errors.redacted, command))
    print(f"$ {shown}", flush=True)
    ours, its = _terminal()
    try:
        code = _run_in(ours, its, ["setsid", "--ctty", "--wait", *command])
    finally:
        os.close(ours)  # whatever still runs in the terminal gets SIGHUP
    if code:
        raise Stopped(f"{shown} ended with {code}: see above; nothing below was run")


def _run_in(ours: int, its: int, command: list[str]) -> int:
    """Show the output of the command until it has ended; returns its exit code."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "COLUMNS": "100"}
    environment.pop("MPLBACKEND", None)  # of the notebook's own matplotlib
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    try:
        process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment)
    finally:
        os.close(its)
    while True:
        try:
            has_ended = process.poll() is not None  # first: what it wrote before that is still to be shown
            if select.select([ours], [], [], 0 if has_ended else 0.2)[0]:
                sys.stdout.write(decode(os.read(ours, 65536)))
                sys.stdout.flush()
            elif has_ended:
                return process.returncode
        except KeyboardInterrupt:
            os.write(ours, CTRL_C)
        except OSError:  # no process uses this terminal any more
            return process.wait()


def _terminal() -> tuple[int, int]:
    """Our end of a new terminal, and the program's; newlines are not converted, and Ctrl-C is not shown."""
    ours, its = pty.openpty()
    settings = termios.tcgetattr(its)
    settings[1] &= ~termios.ONLCR
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(its, termios.TCSANOW, settings)
    return ours, its


def commit(message: str, *paths: str) -> None:
    """Commit these files, and all that git tracks, if anything has changed."""
    run("git", "add", "--update")
    if existing := [path for path in paths if os.path.lexists(path)]:
        run("git", "add", "--", *existing)
    if subprocess.run(["git", "diff", "--cached", "--quiet"], check=False).returncode:
        run("git", "commit", "--quiet", "-m", message)


def last_commit() -> str:
    """All 40 digits of it."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
