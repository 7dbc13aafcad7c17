"""MediaPipe's ObjectDetector on photos, in the environment of mediapipe.txt.

    python detect_mediapipe.py MODEL THRESHOLD PHOTO ...

prints a JSON list of [class, score, xmin, ymin, xmax, ymax] for each photo, boxes in whole pixels. Without a threshold
('') it is the model's own.
"""

import json
import sys

import mediapipe
from mediapipe.tasks.python import BaseOptions, vision

model, threshold, *photos = sys.argv[1:]
options = vision.ObjectDetectorOptions(BaseOptions(model_asset_path=model))
if threshold:
    options.score_threshold = float(threshold)
with vision.ObjectDetector.create_from_options(options) as detector:
    found = [detector.detect(mediapipe.Image.create_from_file(photo)).detections for photo in photos]


def corners(box):
    return box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height


rows = [
    [
        (each.category_name, each.score, *corners(one.bounding_box))
        for one in detections
        for each in one.categories  # a box that two classes have is one detection
    ]
    for detections in found
]
print(json.dumps(rows))
