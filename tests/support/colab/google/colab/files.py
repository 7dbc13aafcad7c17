"""Uploads: the photos of the folder STAND_IN_PHOTOS, written to the working directory, as Colab does."""

import os
from pathlib import Path


def upload() -> dict[str, bytes]:
    chosen = {path.name: path.read_bytes() for path in Path(os.environ["STAND_IN_PHOTOS"]).iterdir()}
    for name, content in chosen.items():
        Path(name).write_bytes(content)
    return chosen
