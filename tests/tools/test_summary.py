"""The summary at the end of `make train`, through the public door."""

import json
import subprocess
from pathlib import Path

from tests.support.stage import child

METRICS = {
    "AP": 0.6451,
    "AP50": 0.94,
    "AP_interval": {"low": 0.6002, "high": 0.69},
    "AP50_interval": {"low": 0.9, "high": 0.98},
    "images": 104,
    "boxes": 111,
    "per_class": {"cat": {"AP": 0.661, "AP50": 0.951}, "dog": {"AP": 0.6294}},
}


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return child("-m", "tools.summary", cwd=folder)


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_everything_that_exists(tmp_path: Path) -> None:
    write(tmp_path / "model/train/train.json", {"steps": 500, "best_step": 400, "best": {"AP": 0.7, "AP50": 0.9}})
    write(tmp_path / "results/evaluate/metrics.json", METRICS)
    (tmp_path / "results/evaluate/pictures").mkdir()
    (tmp_path / "model/export/saved_model").mkdir(parents=True)
    (tmp_path / "model/export/model.tflite").touch()
    (tmp_path / "results/report.html").touch()
    result = run(tmp_path)
    lines = result.stdout.splitlines()
    assert (result.returncode, result.stderr) == (0, "") and len(lines) <= 12
    assert lines[:7] == [
        "AP 0.645, AP50 0.940 on 104 test images, best at step 400 of 500",
        "  95 %        AP 0.600 to 0.690, AP50 0.900 to 0.980 with other test images",
        "  per class   cat 0.661, dog 0.629 (AP)",
        "  SavedModel  model/export/saved_model",
        "  TFLite      model/export/model.tflite",
        "  report      results/report.html",
        "  pictures    results/evaluate/pictures",
    ]


def test_what_is_missing_is_not_shown_and_what_was_not_measured_is_a_dash(tmp_path: Path) -> None:
    write(tmp_path / "model/train/train.json", {"steps": 20, "best_step": 20, "best": {}})  # no validation split
    write(tmp_path / "results/evaluate/metrics.json", {"images": 3, "per_class": {}})
    result = run(tmp_path)
    assert result.stdout.startswith("AP -, AP50 - on 3 test images, after 20 training steps\nNext:\n")


def test_many_classes_stay_one_line(tmp_path: Path) -> None:
    write(tmp_path / "model/train/train.json", {"steps": 20, "best_step": 20, "best": {}})  # no validation split
    classes = {f"c{k}": {"AP": k / 100} for k in range(1, 21)}
    write(tmp_path / "results/evaluate/metrics.json", {**METRICS, "per_class": classes})
    lines = run(tmp_path).stdout.splitlines()
    assert lines[2].startswith("  per class   c1 0.010, c2 0.020, ") and lines[2].endswith("c12 0.120, and 8 more (AP)")


def test_nothing_trained_yet_and_a_damaged_file(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: model/train/train.json: not found; run: make train\n"
    write(tmp_path / "model/train/train.json", {"steps": 20, "best_step": 20, "best": {}})  # no validation split
    (tmp_path / "results/evaluate").mkdir(parents=True)
    (tmp_path / "results/evaluate/metrics.json").write_text("{")
    result = run(tmp_path)
    assert result.returncode == 2 and result.stderr.startswith("error: results/evaluate/metrics.json: not valid JSON: ")


def test_a_training_that_died_is_not_summed_up_with_the_numbers_of_the_model_before_it(tmp_path: Path) -> None:
    write(tmp_path / "results/train/metrics.json", {"step": 40})
    write(tmp_path / "results/evaluate/metrics.json", METRICS)
    result = run(tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "error: model/train/train.json: the last training did not finish; run make train again, or dvc checkout\n"
    )


def test_it_imports_nothing_heavy() -> None:
    code = "import sys, tools.summary; sys.exit(bool({'numpy', 'pandas', 'tensorflow'} & set(sys.modules)))"
    assert child("-c", code).returncode == 0
