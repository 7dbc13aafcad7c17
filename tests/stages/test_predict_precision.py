"""`predict.precision`: which model and which runtime compute a prediction."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detector.base.errors import UserError
from detector.prediction import openvino_model
from tests.stages.test_predict import RED, WHITE, picture, save, table
from tests.support.stage import REPOSITORY, child


def set_precision(value: str) -> None:
    params = Path("params.yaml")
    params.write_text(params.read_text().replace("precision: float32", f"precision: {value}"))


@pytest.mark.skipif(openvino_model.is_installed(), reason="OpenVINO is installed")
@pytest.mark.parametrize(
    ("precision", "reason"),
    [
        ("bfloat16", "predict.precision: bfloat16 needs OpenVINO, which is missing; run: make openvino"),
        ("int8", "model/export/model_int8.tflite: no model yet; put tflite_int8 into export.formats in params.yaml"),
        ("int4", "params.yaml: predict.precision: 'int4' is not allowed; give one of float32, bfloat16, int8"),
    ],
)
def test_what_is_missing_is_one_line(run: Callable[..., None], precision: str, reason: str) -> None:
    save("photos/a.png", picture((80, 40), ((10, 5, 30, 25), RED)))
    set_precision(precision)
    with pytest.raises(UserError) as error:
        run("photos")
    assert error.value.line().startswith(reason)
    assert not Path("predictions/detections.csv").exists()


@pytest.mark.slow
def test_openvino_finds_the_same_and_is_named(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The real one, of requirements/openvino.lock."""
    packages = tmp_path_factory.mktemp("openvino")
    lock = REPOSITORY / "requirements/openvino.lock"
    install = ["install", "-q", "--no-deps", "--require-hashes", "--target", packages, "-r", lock]
    done = subprocess.run([sys.executable, "-m", "pip", *install], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"openvino.lock cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    export = Path("model/export").resolve()
    Path("model/export").unlink()
    shutil.copytree(export, "model/export")
    shutil.copy(export / "model.onnx", "model/export/model_int8.onnx")
    for number in range(4):
        rectangles = ((number, 5, number + 20, 25), RED), ((50, number, 70, 30), WHITE)
        save(f"photos/{number}.png", picture((80, 40), *rectangles))

    def predict(output: str) -> str:
        done = child("-m", "stages.predict", "photos", "--output", output, PYTHONPATH=f"{packages}:{REPOSITORY}")
        assert done.returncode in (0, 2) and "Traceback" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    assert " by OpenVINO" not in predict("float32")
    set_precision("int8")
    assert " images/s in int8 by OpenVINO, scores from " in predict("int8")
    expected, found = table("float32"), table("int8")
    assert len(expected) == 8 and [row[:4] for row in found] == [row[:4] for row in expected]
    boxes = [np.array([row[4:] for row in rows], float) for rows in (expected, found)]
    assert np.abs(boxes[0] - boxes[1]).max() <= 0.1
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("precision: int8", "precision: bfloat16"))
    said = predict("bfloat16")
    if "this processor has no bfloat16" not in said:
        assert " images/s in bfloat16 by OpenVINO, " in said
        assert [row[:4] for row in table("bfloat16")] == [row[:4] for row in expected]
