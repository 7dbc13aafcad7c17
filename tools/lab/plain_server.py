"""A plain FastAPI loop, as a tutorial has it: the other server of tools/lab/load_serve.py. Not for use."""

from io import BytesIO

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request
from PIL import Image

from detector.base import paths

app = FastAPI()
session = onnxruntime.InferenceSession(paths.EXPORT / "model.onnx")


async def detect(request: Request) -> dict[str, object]:
    """The detections in a photo, as the model gives them."""
    photo = np.asarray(Image.open(BytesIO(await request.body())).convert("RGB"))
    boxes, scores, classes, _ = session.run(
        ["detection_boxes", "detection_scores", "detection_classes", "num_detections"], {"input_tensor": photo[None]}
    )
    return {"boxes": boxes[0].tolist(), "scores": scores[0].tolist(), "classes": classes[0].tolist()}


if __name__ == "__main__":
    app.add_api_route("/v1/detect", detect, methods=["POST"])
    uvicorn.run(app, port=0)
