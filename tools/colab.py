"""What the notebooks need of Colab beside `make`.

It runs in the notebook's own Python, before anything is installed: with the standard library and google.colab alone.
"""

import atexit
import codecs
import contextlib
import os
import pty
import shlex
import socket
import subprocess
import sys
import termios
import time
import urllib.request
from pathlib import Path

CTRL_C = b"\x03"
SECRETS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY")  # of Colab's, that `make dataset` may need
TENSORBOARD_SECONDS = 60  # that it may take to answer


class Stopped(Exception):  # noqa: N818 - what ends "Run all" is no bug
    """A command failed: the cells below do not run. The command has said why; a traceback would bury it."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def run(*command: str) -> None:
    """Run a command in a terminal of its own, whose output appears here.

    Stopping the cell is its Ctrl-C, after which a training saves what it has; where the notebook's Python dies, its
    terminal is closed, which is the same to it.

    Raises:
        Stopped: it ended with another code than 0.
    """
    print(f"$ {shlex.join(command)}", flush=True)
    ours, its = _terminal()
    in_it = ["setsid", "--ctty", "--wait", *command]
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "COLUMNS": "100"}
    process = subprocess.Popen(in_it, stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    with contextlib.closing(os.fdopen(ours, "rb", buffering=0)) as terminal:
        while True:
            try:
                try:
                    chunk = terminal.read(4096)
                except OSError:  # all programs in it have ended
                    break
                if not chunk:
                    break
                sys.stdout.write(decode(chunk))
                sys.stdout.flush()
            except KeyboardInterrupt:
                os.write(ours, CTRL_C)
    code = process.wait()
    if code:
        raise Stopped(f"{shlex.join(command)} ended with {code}: see above; nothing below was run")


def _terminal() -> tuple[int, int]:
    """Our end of a new terminal, and the program's; newlines come as they are, and Ctrl-C is not shown."""
    ours, its = pty.openpty()
    settings = termios.tcgetattr(its)
    settings[1] &= ~termios.ONLCR
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(its, termios.TCSANOW, settings)
    return ours, its


def sign_in() -> None:
    """To Google, so that `make` may use your buckets.

    Colab leaves the login where Google's libraries look for it, in this machine, which is gone with the session.
    """
    from google.colab import auth

    auth.authenticate_user()


def secrets() -> None:
    """Hand on the secrets of Colab (the key in its left margin) that `make dataset` may need, where there are any."""
    from google.colab import userdata

    for name in SECRETS:
        with contextlib.suppress(Exception):  # it is not there, or not for this notebook: of several classes
            os.environ[name] = userdata.get(name)


def introduce(name: str, email: str) -> None:
    """Tell git whose name to write into commits."""
    for key, value in (("user.name", name), ("user.email", email)):
        run("git", "config", key, value)


def commit(message: str, *paths: str) -> None:
    """Commit these paths as they are, if git has them otherwise."""
    run("git", "add", "--", *paths)
    if subprocess.run(["git", "diff", "--cached", "--quiet"], check=False).returncode:
        run("git", "commit", "--quiet", "-m", message)


def tensorboard(logs: str = "logs") -> None:
    """TensorBoard of a folder of logs, in the cell's output; it ends with the notebook's Python."""
    from google.colab import output

    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    command = [_program("tensorboard"), "--logdir", logs, "--port", str(port), "--reload_interval", "15"]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    atexit.register(server.kill)
    until = time.monotonic() + TENSORBOARD_SECONDS
    while not _answers(port):
        if time.monotonic() > until or server.poll() is not None:
            raise Stopped("TensorBoard does not start; the cells below can do without it")
        time.sleep(0.5)
    output.serve_kernel_port_as_iframe(port, height=600)


def _program(name: str) -> str:
    """One that `make install` has installed, or else one on PATH."""
    beside = Path(".venv", "bin", name)
    return str(beside.absolute()) if beside.exists() else name


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{port}/", timeout=5):
            return True
    except OSError:
        return False


def upload(folder: str) -> None:
    """Let the user choose photos, and put them into a folder.

    Raises:
        Stopped: none was chosen.
    """
    from google.colab import files

    Path(folder).mkdir(exist_ok=True)
    with contextlib.chdir(folder):  # where Colab writes them to
        if not files.upload():
            raise Stopped("no photo was chosen: run this cell again")


def show(folder: str, most: int = 4, width: int = 800) -> None:
    """The first JPEGs of a folder, by name."""
    from IPython import display

    for path in sorted(Path(folder).glob("*.jpg"))[:most]:
        display.display(display.Image(filename=str(path), width=width))
