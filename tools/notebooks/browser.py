"""What a notebook shows in its cells, and what goes from and to the user's own computer."""

import atexit
import contextlib
import html
import io
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from detector.base import errors, paths
from tools.notebooks.terminal import Stopped

SHOWN = (".jpg", ".jpeg")  # what predict and evaluate write, as the photos' own names end: IMG_1.JPG, too
MOST_SIDE = 1600  # pixels of a picture in a notebook, which holds its outputs
TENSORBOARD_SECONDS = 60  # that it may take to start
# TensorBoard's own 10 pictures of a kind would hide most steps.
TENSORBOARD_OPTIONS = ("--reload_interval=15", "--samples_per_plugin=images=1000")
BASE = '<base href="about:srcdoc">'  # of a page in a frame; else its links to its own parts lead to the notebook

_SERVERS: list[tuple["subprocess.Popen[bytes]", int]] = []  # with their ports


def show(folder: str, most: int = 4, width: int = 800) -> None:
    """The first JPEGs in a folder and below it, by name, `width` pixels wide; how many there are, if there are more."""
    from IPython import display
    from PIL import Image  # Colab has it

    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SHOWN)
    for path in found[:most]:
        with Image.open(path) as picture:
            picture.thumbnail((MOST_SIDE, MOST_SIDE))
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=85)
        display.display(display.Image(data=buffer.getvalue(), format="jpeg", width=width))
    if len(found) > most:
        errors.say(f"{most} of {len(found):,}; the others are in {folder}")


def report(language: str = "en", height: int = 800) -> None:
    """The report, in a frame of its own: its style and its script see nothing of the notebook.

    Args:
        language: of the page, if there is one in it.
        height: in pixels.
    """
    from IPython import display

    translated = paths.REPORT.with_name(f"{paths.REPORT.stem}.{language}.html")
    path = translated if translated.exists() else paths.REPORT
    page = path.read_text(encoding="utf-8").replace("<head>", f"<head>{BASE}", 1)
    frame = f'<iframe srcdoc="{html.escape(page)}" style="width: 100%; height: {height}px; border: 0"></iframe>'
    display.display(display.HTML(f"<div>{frame}</div>"))  # IPython asks for another class where an iframe comes first


def upload(folder: Path, what: str) -> list[str]:
    """Let the user choose files of their computer, which come into a folder. Returns: their paths.

    Args:
        what: they are, for the message.

    Raises:
        Stopped: nothing was chosen.
    """
    from google.colab import files

    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder):  # where Colab writes them to
        chosen = sorted(files.upload())
    if not chosen:
        raise Stopped(f"nothing was chosen: run this cell again, and choose {what}")
    return [(folder / name).as_posix() for name in chosen]


def download(path: Path) -> None:
    """Offer a file for download."""
    from google.colab import files

    files.download(str(path))


def tensorboard(logs: str = "logs") -> None:
    """Show TensorBoard of a folder of logs in the cell's output; it ends with the notebook's Python.

    Where it does not start in time that is said, and the cells below run.
    """
    from google.colab import output

    if not _SERVERS or _SERVERS[-1][0].poll() is not None:
        _SERVERS.append(_served(logs))
    server, port = _SERVERS[-1]
    until = time.monotonic() + TENSORBOARD_SECONDS
    while not _answers(port):
        if time.monotonic() > until or server.poll() is not None:
            errors.say("TensorBoard does not answer; training does without it; to see the curves, run this cell again")
            return
        time.sleep(0.5)
    output.serve_kernel_port_as_iframe(port, height=600)


def _served(logs: str) -> tuple["subprocess.Popen[bytes]", int]:
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    command = [_program("tensorboard"), "--logdir", logs, "--port", str(port), *TENSORBOARD_OPTIONS]
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
