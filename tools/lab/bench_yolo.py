"""YOLO11n's process of tools.lab.bench_predict, in the environment of bench_predict.txt: predict, nothing drawn.

    python -m tools.lab.bench_yolo <photos>

Random weights: they cost what trained ones cost, but for the boxes that they would find.
"""

import sys
from pathlib import Path

from PIL import Image
from ultralytics import YOLO

from tools.lab import meter

INPUT = 320  # pixels, the side


def main(photos: list[Path]) -> None:
    model = YOLO("yolo11n.yaml")

    def predict(source: object) -> object:
        return model.predict(source, imgsz=INPUT, verbose=False)

    meter.report(predict, lambda photo: Image.open(photo).convert("RGB"), predict, photos, 1)


if __name__ == "__main__":
    main([Path(photo) for photo in sys.argv[1:]])
