"""What the notebooks need of Colab besides `make`.

It runs in the notebook's own Python, before anything is installed: only the standard library and google.colab exist,
and of this project what needs no more.
"""

import atexit
import codecs
import contextlib
import os
import pty
import select
import shlex
import socket
import subprocess
import sys
import termios
import time
import urllib.request
from pathlib import Path

from detector.base import errors

CTRL_C = b"\x03"
SECRETS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY")  # of Colab, which `make dataset` may need
TENSORBOARD_SECONDS = 60  # that it may take to start


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


def sign_in() -> None:
    """Sign in to Google, so that `make` may use your buckets.

    Colab writes the login to this machine, where Google's libraries find it; it is gone with the session.
    """
    from google.colab import auth

    auth.authenticate_user()


def secrets() -> None:
    """Put the secrets of Colab (the key at the left) that `make dataset` may need into the environment, if any."""
    from google.colab import userdata

    for name in SECRETS:
        with contextlib.suppress(Exception):  # it is missing, or not for this notebook; there are several classes
            os.environ[name] = userdata.get(name)


def introduce(name: str, email: str) -> None:
    """Set the name that git writes into commits."""
    for key, value in (("user.name", name), ("user.email", email)):
        run("git", "config", key, value)


def dataset(source: str, name: str, *options: str) -> None:
    """`make dataset`; if the dataset is already in git, only `make pull`, where its files are missing."""
    if name == "sample":  # `make train` draws it
        return
    if not Path("dataset", f"{name}.dvc").exists():
        run("make", "dataset", f"SRC={source}", f"NAME={name}", *options)
        commit(f"Dataset {name}", f"dataset/{name}.dvc", "dataset/.gitignore")
        return
    print(f"dataset/{name} is already in git: SOURCE was ignored; for other photos, choose another DATASET")
    if not Path("dataset", name).exists():
        run("make", "pull", *options)


def commit(message: str, *paths: str) -> None:
    """Commit these files, and all that git tracks, if anything has changed."""
    run("git", "add", "--update")
    if existing := [path for path in paths if Path(path).exists()]:
        run("git", "add", "--", *existing)
    if subprocess.run(["git", "diff", "--cached", "--quiet"], check=False).returncode:
        run("git", "commit", "--quiet", "-m", message)


def tensorboard(logs: str = "logs") -> None:
    """Show TensorBoard of a folder of logs in the cell's output; it ends with the notebook's Python."""
    from google.colab import output

    if not _SERVERS or _SERVERS[-1][0].poll() is not None:
        _SERVERS.append(_served(logs))
    server, port = _SERVERS[-1]
    until = time.monotonic() + TENSORBOARD_SECONDS
    while not _answers(port):
        if time.monotonic() > until or server.poll() is not None:
            raise Stopped("TensorBoard does not start; the cells below do not need it")
        time.sleep(0.5)
    output.serve_kernel_port_as_iframe(port, height=600)


_SERVERS: list[tuple["subprocess.Popen[bytes]", int]] = []  # with their ports


def _served(logs: str) -> tuple["subprocess.Popen[bytes]", int]:
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    command = [_program("tensorboard"), "--logdir", logs, "--port", str(port), "--reload_interval", "15"]
    quiet = subprocess.DEVNULL
    # In a new session: the signal that stops a cell must not end it.
    server = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    atexit.register(server.kill)
    return server, port


def _program(name: str) -> str:
    """The program in .venv, or else on PATH."""
    beside = Path(".venv", "bin", name)
    return str(beside.absolute()) if beside.exists() else name


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/", timeout=5):
            return True
    except OSError:
        return False


def upload() -> str:
    """Let the user choose photos. Returns: the new folder that they are in.

    Raises:
        Stopped: no photo was chosen.
    """
    from google.colab import files

    number = 1
    while Path("photos", str(number)).exists():
        number += 1
    folder = Path("photos", str(number))
    folder.mkdir(parents=True)
    with contextlib.chdir(folder):  # where Colab writes them to
        if not files.upload():
            raise Stopped("no photo was chosen: run this cell again")
    return folder.as_posix()


def show(folder: str, most: int = 4, width: int = 800) -> None:
    """The first JPEGs of a folder, by name."""
    from IPython import display

    for path in sorted(Path(folder).glob("*.jpg"))[:most]:
        display.display(display.Image(filename=str(path), width=width))
