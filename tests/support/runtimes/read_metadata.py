"""A TFLite model's metadata by MediaPipe's generated code, in the environment of mediapipe.txt, as JSON.

python read_metadata.py MODEL
"""

import json
import sys
from pathlib import Path

from mediapipe.tasks.metadata import metadata_schema_py_generated as schema
from mediapipe.tasks.metadata import schema_py_generated as model_schema

content = Path(sys.argv[1]).read_bytes()
model = model_schema.ModelT.InitFromObj(model_schema.Model.GetRootAsModel(content, 0))
(place,) = [entry.buffer for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
root = schema.ModelMetadata.GetRootAsModelMetadata(bytes(model.buffers[place].data), 0)


def plain(value):
    """What json can write of an object of the generated code: its attributes, but for those that are not set."""
    if hasattr(value, "__dict__"):
        return {name: plain(one) for name, one in vars(value).items() if one is not None}
    if isinstance(value, (list, tuple)) or type(value).__name__ == "ndarray":
        return [plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else getattr(value, "item", lambda: value)()


print(json.dumps(plain(schema.ModelMetadataT.InitFromObj(root))))
