"""Passo's and the recipe's processes of tools.lab.bench_predict.

    python -m tools.lab.predictors <name> <threads> <output> <photos>

<name>: a format of params.yaml's export.formats, run by its runtime; a key of OPENVINO; or `recipe`.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from detector.base import errors, files, params, paths
from detector.data import labels
from detector.export import runtimes
from detector.export.params import FORMATS
from detector.export.runtimes import Detect
from detector.pictures import draw, images
from detector.prediction import openvino_model, page
from detector.prediction.detector import Detector
from detector.prediction.found import Pixels
from detector.prediction.params import PredictParams
from detector.prediction.selection import Selection
from tools.lab import meter
from tools.lab.bench_predict import OPENVINO, RECIPE

LINE, FEWEST, SHOWN = 4, 0.3, 200  # the recipe's: pixels, the lowest score, boxes


def main() -> None:
    name, threads, output, *photos = sys.argv[1:]
    predictor = _recipe if name == RECIPE else _ours
    whole, decode, model = predictor(name, Path(output))
    meter.report(whole, decode, model, [Path(photo) for photo in photos], int(threads))


def _ours(name: str, output: Path) -> tuple[meter.Whole, meter.Decode, meter.Model]:
    """What stages/predict.py does with a photo: decode, detect, select, draw, write picture and thumbnail."""
    detect, names = _detect(name), _names()
    settings = params.load("predict", PredictParams)
    threshold = settings.threshold(paths.EXPORT)
    shown = Selection(threshold, settings.agnostic_nms)

    def whole(photo: Path) -> None:
        with images.upright(photo) as image:
            found = shown(detect(image, photo.name))
            files.write_bytes(output / page.THUMBNAILS / photo.name, page.thumbnail(image))
            draw.draw_on(image, found, names)
            with files.whole_file(output / page.PICTURES / photo.name) as temporary:
                image.save(temporary, "JPEG", quality=90)

    return whole, images.open_upright, lambda image: detect(image, "")


def _names() -> Mapping[int, str]:
    return labels.by_id(labels.read(paths.EXPORT / paths.LABEL_MAP))


def _detect(name: str) -> Detect:
    if name in OPENVINO:
        _, of, precision = OPENVINO[name]
        run = openvino_model.load(paths.EXPORT / FORMATS[of][0], precision=precision)
        return Detector(_names(), run, digest="", most=None).detect
    return runtimes.load(name, paths.EXPORT)


def _recipe(_: str, output: Path) -> tuple[meter.Whole, meter.Decode, meter.Model]:
    """The loop of the two-notebook recipe: the SavedModel, one photo at a time, its boxes drawn, the picture saved."""
    from detector.model.tensorflow_env import tf

    loaded = tf.saved_model.load(str(paths.EXPORT / "saved_model"))
    names = _names()

    def model(image: Pixels) -> dict[str, Any]:
        found = loaded.signatures["serving_default"](input_tensor=tf.convert_to_tensor(image)[tf.newaxis])
        return {name: value[0].numpy() for name, value in found.items()}

    def whole(photo: Path) -> None:
        image = decode(photo)
        visualize(image, model(image), names)
        Image.fromarray(image).save(output / photo.name)

    def decode(photo: Path) -> Pixels:
        return np.array(Image.open(photo).convert("RGB"))

    return whole, decode, model


def visualize(image: Pixels, found: Mapping[str, Any], names: Mapping[int, str]) -> None:
    """What the API's `visualize_boxes_and_labels_on_image_array` does to the pixels: a new picture for each box."""
    boxes, classes, scores = (found[f"detection_{name}"] for name in ("boxes", "classes", "scores"))
    for box, class_id, score in list(zip(boxes, classes, scores, strict=True))[:SHOWN]:
        if score > FEWEST:
            picture = Image.fromarray(image)
            _box(picture, box, f"{names[int(class_id)]}: {round(100 * float(score))}%")
            np.copyto(image, np.array(picture))


def _box(picture: Image.Image, box: Any, text: str) -> None:
    """An outline, and above it the text on a ground of the same colour."""
    pen = ImageDraw.Draw(picture)
    top, left, bottom, right = box * np.array([picture.height, picture.width] * 2)
    corners = [(left, top), (left, bottom), (right, bottom), (right, top), (left, top)]
    pen.line(corners, width=LINE, fill="chartreuse")
    font = ImageFont.load_default()
    _, _, width, height = font.getbbox(text)
    margin = np.ceil(0.05 * height)
    foot = top if top > height + 2 * margin else bottom + height + 2 * margin
    pen.rectangle([(left, foot - height - 2 * margin), (left + width, foot)], fill="chartreuse")
    pen.text((left + margin, foot - height - margin), text, fill="black", font=font)


if __name__ == "__main__":
    errors.run(main)
