"""What the notebooks call, besides what they read in their form.

It runs in the notebook's own Python, before anything is installed: only the standard library, IPython, Pillow and
google.colab exist, and of this project what needs no more.
"""

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from detector.base import errors, files
from tools.notebooks import model_zip, places, runtime
from tools.notebooks.browser import download as download
from tools.notebooks.browser import report as report
from tools.notebooks.browser import show as show
from tools.notebooks.browser import tensorboard as tensorboard
from tools.notebooks.browser import upload
from tools.notebooks.model_zip import pack as pack
from tools.notebooks.terminal import Stopped as Stopped
from tools.notebooks.terminal import commit as commit
from tools.notebooks.terminal import last_commit, run

SECRETS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY")  # of Colab, which `make dataset` may need
SAMPLES = Path("photos/samples")


def place(dataset: str, *, use_drive: bool, drive_folder: str, bucket: str) -> places.Nowhere:
    """Where the form says that a training is kept; a bucket, if there is one.

    Args:
        dataset: each one has a folder of its own in Drive.
        use_drive: it is mounted; with a bucket as well, where photos may come from it.
        bucket: its name, or its address.

    Raises:
        Stopped: `drive_folder` is not in Drive.
    """
    errors.say(f"Passo at commit {last_commit()}")
    if name := bucket.strip().removeprefix("gs://").strip("/").lower():
        if use_drive:
            places.mount()
        return places.Bucket(name)
    return places.in_drive(drive_folder, dataset) if use_drive else places.Nowhere()


def introduce(name: str, email: str) -> None:
    """Set the name that git writes into commits."""
    for key, value in (("user.name", name), ("user.email", email)):
        run("git", "config", key, value)


def secrets() -> None:
    """Put the secrets of Colab (the key at the left) that `make dataset` may need into the environment, if any."""
    from google.colab import userdata

    for name in SECRETS:
        with contextlib.suppress(Exception):  # it is missing, or not for this notebook; there are several classes
            os.environ[name] = userdata.get(name)


def dataset(source: str, name: str, *options: str) -> None:
    """`make dataset`; if the dataset is already in git, only `make pull`, where its files are missing."""
    if name == "sample":  # `make train` draws it
        return
    if not Path("dataset", f"{name}.dvc").exists():
        run("make", "dataset", f"SRC={source}", f"NAME={name}", *options)
        commit(f"Dataset {name}", f"dataset/{name}.dvc", "dataset/.gitignore")
        return
    errors.say(f"dataset/{name} is already in git: SOURCE was ignored; for other photos, choose another DATASET")
    if not Path("dataset", name).exists():
        run("make", "pull", *options)


def training(tf: str, dataset: str, steps: int, batch: int, work_dir: str) -> list[str]:
    """The arguments of `make train`, as the form has them; `runtime.chosen` says what 0 means."""
    steps, batch = runtime.chosen(tf, steps, batch)
    values = {"TF": tf, "DATASET": dataset, "STEPS": steps, "BATCH": batch, "WORK_DIR": work_dir}
    return [f"{name}={value}" for name, value in values.items() if value]


def try_out(model: Sequence[str], tf: str) -> None:
    """Detect in three photos that a model was not trained on, and show them: those of its zip, or of its dataset.

    Args:
        model: as `places.Nowhere.model` returns it.
        tf: TF of make.
    """
    zipped = [argument.removeprefix("MODEL=") for argument in model if argument.endswith(".zip")]
    if not zipped:
        with files.whole_folder(SAMPLES) as new:
            for photo in model_zip.test_photos():
                shutil.copyfile(photo, new / photo.name)
    if not (model_zip.holds_photos(Path(zipped[0])) if zipped else any(SAMPLES.iterdir())):
        errors.say("no photos of its dataset are here; your own are next")
        return
    images = zipped[0] if zipped else SAMPLES
    run("make", "predict", f"IMAGES={images}", *model, f"TF={tf}")
    show("predictions/pictures")


def photos() -> str:
    """Let the user choose photos. Returns: the new folder that they are in.

    Raises:
        Stopped: no photo was chosen.
    """
    number = 1
    while Path("photos", str(number)).exists():
        number += 1
    folder = Path("photos", str(number))
    upload(folder, "photos")
    return folder.as_posix()
