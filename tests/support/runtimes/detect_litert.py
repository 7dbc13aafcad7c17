"""LiteRT's interpreter on photos, in the environment of litert.txt.

    python detect_litert.py MODEL THRESHOLD PHOTO ...

prints a JSON list of [class, score, xmin, ymin, xmax, ymax] for each photo, boxes in pixels. It prepares a photo as
docs/exports.md does it.
"""

import json
import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

file, threshold, *photos = sys.argv[1:]
names = zipfile.ZipFile(file).read("labels.txt").decode().splitlines()
model = Interpreter(file)
model.allocate_tensors()
given = model.get_input_details()[0]
side = int(given["shape"][1])
rows = []
for name in photos:
    photo = Image.open(name).convert("RGB")
    x, y = photo.width / side, photo.height / side
    resize = (x, 0, (1 - x) / 2, 0, y, (1 - y) / 2)
    pixels = np.asarray(photo.transform((side, side), Image.Transform.AFFINE, resize, Image.Resampling.BILINEAR))
    pixels = pixels if given["dtype"] == np.uint8 else np.float32(pixels / 127.5 - 1)
    model.set_tensor(given["index"], pixels[np.newaxis])
    model.invoke()
    boxes, classes, scores, _ = (model.get_tensor(output["index"])[0] for output in model.get_output_details())
    corners = boxes[:, [1, 0, 3, 2]] * [photo.width, photo.height, photo.width, photo.height]
    found = zip(classes, scores, corners, strict=True)
    rows.append([[names[int(c)], float(s), *box.tolist()] for c, s, box in found if s >= float(threshold)])
print(json.dumps(rows))
