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
    assert (result.returncode, result.stderr) == (0, "") and len(lines) <= 14
    assert lines[:7] == [
        "AP 0.645, AP50 0.940 on 104 test images, best at step 400 of 500",
        "  95 %        AP 0.600 to 0.690, AP50 0.900 to 0.980 with other test images",
        "  per class   cat 0.661, dog 0.629 (AP)",
        "  SavedModel  model/export/saved_model",
        "  TFLite      model/export/model.tflite",
        "  report      results/report.html",
        "  pictures    results/evaluate/pictures",
    ]


def test_an_interval_that_would_say_nothing_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path / "model/train/train.json", {"steps": 500})
    write(tmp_path / "results/evaluate/metrics.json", METRICS | {"images": 4})
    assert run(tmp_path).stdout.splitlines()[1] == "  95 %        too few test images for an interval"
    without_width = {f"{name}_interval": {"low": 1.0, "high": 1.0} for name in ("AP", "AP50")}
    write(tmp_path / "results/evaluate/metrics.json", METRICS | without_width)
    assert "95 %" not in run(tmp_path).stdout


def test_results_of_another_commit_are_called_so(tmp_path: Path) -> None:
    write(tmp_path / "model/train/train.json", {"steps": 500})
    write(tmp_path / "results/evaluate/metrics.json", METRICS)
    lock = {"stages": {"train_tpu": {"outs": [{"path": "model/train", "md5": f"{'0' * 32}.dir"}]}}}
    write(tmp_path / "dvc.lock", lock)
    result = run(tmp_path)
    assert result.returncode == 0 and result.stdout.startswith("AP 0.645")
    assert result.stderr == (
        "note: model/train: not what dvc.lock names, so of another run; run: dvc checkout, or go back to the commit "
        "that they are of: git switch -\n"
    )


def test_what_is_missing_is_not_shown_and_what_was_not_measured_is_a_dash(tmp_path: Path) -> None:
    write(tmp_path / "model/train/train.json", {"steps": 20, "best_step": 20, "best": {}})  # no validation split
    write(tmp_path / "results/evaluate/metrics.json", {"images": 3, "per_class": {}})
    result = run(tmp_path)
    assert result.stdout.startswith("AP -, AP50 - on 3 test images, after 20 training steps\nNext:\n")


START = {"source": "open_images", "asked": "auto", "fine_tune_checkpoint_type": "detection"}


def trained(folder: Path, **changes: object) -> list[str]:
    """What is printed of a training of 300 steps whose last validation was the best, but for the `changes`."""
    training = {"steps": 300, "best_step": 300, "best": {"AP": 0.7}, "stopped_by": "steps", "start": START}
    write(folder / "model/train/train.json", {**training, **changes})
    write(folder / "results/evaluate/metrics.json", METRICS)
    result = run(folder)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_which_weights_it_started_from_and_how_often_it_saw_the_photos(tmp_path: Path) -> None:
    lines = trained(tmp_path, epochs=13.6)
    assert lines[0].endswith(", best at step 300 of 300 (13.6 epochs)")
    assert lines[3] == "  start       Open Images' detector"
    assert trained(tmp_path, start={**START, "source": "package"})[3] == (
        "  start       ImageNet's weights, as Open Images' detector could not be fetched; to try again: "
        "source .venv/bin/activate; dvc repro --force --single-item pretrained, then make train"
    )


def test_what_was_left_out_is_counted_with_the_reasons(tmp_path: Path) -> None:
    rows = ["test,a.jpg,,without a label file; label it,skipped"] * 2
    rows += ["train,b.jpg,,broken XML: no tag; fix it,skipped"]
    rows += ["train,c.xml,object 2 (cat),empty: 3 3; draw it,skipped", "train,c.xml,object 1,clipped; -,repaired"]
    (tmp_path / "dataset/data").mkdir(parents=True)
    report = tmp_path / "dataset/data/annotation_report.csv"
    report.write_text("split,filename,object,problem,action\n" + "\n".join(rows) + "\n")
    assert trained(tmp_path)[4] == "  left out    3 photos (without a label file 2, broken XML 1), 1 box (empty 1)"
    report.write_text("split,filename,object,problem,action\n")
    assert not any("left out" in line for line in trained(tmp_path))


def test_what_the_photos_are_too_few_or_their_objects_too_small_for(tmp_path: Path) -> None:
    trained(tmp_path, model="ssd_mobilenet_v2_320x320")
    (tmp_path / "model/train/label_map.pbtxt").write_text("item { id: 1 name: 'cat' }\n")
    tables = tmp_path / "dataset/data"
    tables.mkdir(parents=True)

    def warnings(train: list[str], test: list[str]) -> list[str]:
        for split, rows in {"train": train, "test": test}.items():
            text = "\n".join(["filename,width,height,class,xmin,ymin,xmax,ymax,is_crowd", *rows])
            (tables / f"{split}.csv").write_text(text + "\n")
        lines = trained(tmp_path, model="ssd_mobilenet_v2_320x320")
        return [line for line in lines if line.startswith("  warning")]

    large, none = "{}.jpg,100,100,cat,10,10,90,90,0", "{}.jpg,100,100,,,,,,"
    assert warnings([large.format(k) for k in range(50)], [large.format(k) for k in range(20)]) == []
    twice = [large.format(k // 2) for k in range(38)] + [none.format(99)]  # 19 photos show a cat
    assert warnings(twice, [large.format(k) for k in range(20)]) == [
        "  warning     too few training photos to learn from: cat 19; take 50 or more of each class"
    ]
    small = [f"{k}.jpg,100,100,cat,10,10,15,15,0" for k in range(50)]  # 15 of 300 pixels
    (line,) = warnings(small, [large.format(k) for k in range(20)])
    assert line.startswith("  warning     71% of the boxes are smaller than 16 pixels of the network's 300x300 input")
    (tables / "test.csv").unlink()
    assert not any("warning" in line for line in trained(tmp_path, model="ssd_mobilenet_v2_320x320"))


def test_it_ends_with_the_step_that_would_help_most(tmp_path: Path) -> None:
    def last(**changes: object) -> list[str]:
        return trained(tmp_path, **changes)[-3:]

    photos = ["Helps most:", "  make dataset SRC=folder NAME=pets"]
    assert last()[:2] == photos and last()[2].startswith("    more photos: no weakness stands out")
    curve = tmp_path / "results/train/plots/metrics/val/AP.tsv"
    curve.parent.mkdir(parents=True)
    curve.write_text("step\tAP\n100\t0.4\n200\t0.5\n300\t0.6\n")
    longer = [
        "Helps most:",
        "  make train STEPS=600",
        "    train longer: validation AP rose by 0.150 in the second half",
    ]
    assert last() == longer
    write(tmp_path / "logs/speed.json", {"seconds_per_step": 0.65})
    assert last()[2].startswith("    train longer, 6 minutes here: ")  # 390 s
    for changes in ({"best_step": 200}, {"best": {}}, {"stopped_by": "patience"}):
        assert last(**changes)[:2] == photos
    write(tmp_path / "logs/speed.json", "damaged")
    assert last() == longer
    (tmp_path / "params.yaml").write_text("dataset: {dir: dataset/birds}\n")
    tables = tmp_path / "dataset/data"
    tables.mkdir(parents=True)
    rows = [f"{k}.jpg,100,100,dog,10,10,90,90,0" for k in range(5)]
    (tables / "train.csv").write_text("\n".join(["filename,width,height,class,xmin,ymin,xmax,ymax,is_crowd", *rows]))
    assert "  make dataset SRC=folder NAME=birds ADD=1   more labelled photos" in trained(tmp_path)
    assert last()[1:] == [
        "  make dataset SRC=folder NAME=birds ADD=1",
        "    more photos of cat: training photos that show it: 0; with 50 or more AP is higher",
    ]


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
        "error: model/train/train.json: the last training did not finish; run make train again, or: "
        "source .venv/bin/activate; dvc checkout\n"
    )


def test_it_imports_nothing_heavy() -> None:
    code = "import sys, tools.summary; sys.exit(bool({'numpy', 'pandas', 'tensorflow'} & set(sys.modules)))"
    assert child("-c", code).returncode == 0
