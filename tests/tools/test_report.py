"""The report page, through its public door; the page is then read back by an HTML parser."""

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from detector.base import paths
from tests.support.stage import REPOSITORY, child
from tools import report
from tools.page import charts, pictures

HOSTILE = "<script>alert('é')</script>\"><img src=http://evil.example/x>"
METRICS = {
    "AP": 0.6451,
    "AP50": 0.94,
    "AP_interval": {"low": 0.6002, "high": 0.69},
    "AP75": 0.742,
    "AP_large": 0.67,
    "AR100": 0.73,
    "images": 104,
    "groundtruth_boxes": 111,
    "per_class": {"cat": {"AP": 0.661, "AP50": 0.951, "AR100": 0.74}, HOSTILE: {"AP": 0.6294}},
    "loss": {
        "localization_loss": 0.13,
        "classification_loss": 0.206,
        "regularization_loss": 0.771,
        "total_loss": 1.107,
    },
}


class Page(HTMLParser):
    """What a browser would see: the text, the tags, and every address that it would fetch."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "br", "line", "path", "circle", "i"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "i":
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str, name: str) -> list[str]:
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]


def write(path: str | Path, content: object) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def picture(path: str | Path, size: tuple[int, int] = (60, 40), noise: int = 0) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if noise:
        pixels = np.random.default_rng(noise).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, quality=95)
    else:
        Image.new("RGB", size, (200, 30, 30)).save(path)


def train_results() -> None:
    write("model/train/train.json", {"model": "m", "steps": 1500, "best_step": 1000, "best": {"AP": 0.4, "AP50": 0.7}})
    for name, values in {
        "loss/total_loss": [2, 1, 0.5],
        "val/AP": [0.2, 0.4, 0.3],
        "val/AP50": [0.5, 0.7, 0.9],
    }.items():
        rows = "".join(f"{500 * k}\t{value}\n" for k, value in enumerate(values, start=1))
        write(f"results/train/plots/metrics/{name}.tsv", f"step\t{name.split('/')[1]}\n{rows}")


def evaluate_results() -> None:
    write("results/evaluate/metrics.json", METRICS)
    write("results/evaluate/precision_recall.csv", "class,recall,precision,score\ncat,0,1,0.9\ncat,0.5,0.8,0.4\n")
    pairs = [("cat", "cat")] * 3 + [("cat", "background"), ("background", "cat")]
    write("results/evaluate/confusion.csv", "actual,predicted\n" + "".join(f"{a},{p}\n" for a, p in pairs))
    entries: list[dict[str, Any]] = [
        {"rank": 2, "file": "002.jpg", "filename": "fine.jpg", "missed": 0, "false": 0},
        {"rank": 1, "file": "001.jpg", "filename": HOSTILE + ".jpg", "missed": 2, "false": 1},
    ]
    for entry in entries:
        picture(f"results/evaluate/pictures/{entry['file']}")
    write("results/evaluate/pictures/pictures.json", entries)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def make() -> str:
    report.main()
    return paths.REPORT.read_text(encoding="utf-8")


def test_a_whole_run(project: Path) -> None:
    train_results()
    evaluate_results()
    picture("results/predict/pictures/a/x.jpg")
    write("dataset/data/train.csv", "filename,class\na.jpg,cat\na.jpg,cat\nb.jpg,\n")
    write("dataset/data/annotation_report.csv", "split,filename,object,problem,action\n" + "train,a,1,b,repaired\n" * 3)
    write(
        "dvc.lock",
        "stages:\n  train_tpu:\n    deps:\n    - {path: dataset/pets, md5: a1.dir}\n"
        "    - {path: model/start/none, md5: d4.dir}\n    - {path: model/start/pets, md5: e5.dir}\n"
        "    - {path: stages/train_tpu.py, md5: c3}\n    outs:\n    - {path: model/train, md5: b2.dir}\n",
    )
    page = Page(make())
    assert page.open == [] and "No " not in page.text.replace("No such objects", "")
    assert "AP 0.645 and AP50 0.940 on 104 test images" in page.text
    assert "ssd_mobilenet_v2_320x320, trained for 1,500 steps. The checkpoint of step 1,000 was the best" in page.text
    assert "The test images hold 111 labelled objects" in page.text
    assert "AP small – AP of objects under 32 × 32 pixels. No such objects in the test images." in page.text
    assert page.text.count("95 %: 0.600 to 0.690") == 2 and page.text.count("95 %:") == 2  # tile and table; not of AP50
    assert "To see whether another run is really better, use make compare ." in page.text
    assert "localization loss 0.130 How far the boxes are off" in page.text
    assert "cat 3 75% 0 0% 1 25%" in page.text and "background 1 100% 0 0%" in page.text
    assert "train: 2 images, 2 boxes" in page.text and "3 repaired: see" in page.text
    assert "dataset/pets a1.dir given model/start/pets e5.dir given model/train b2.dir made by train_tpu" in page.text
    assert "c3" not in page.text and "d4" not in page.text
    assert [alt.rpartition(": ")[2] for alt in page.all("img", "alt")[:2]] == ["2 missed, 1 false", "no error"]
    assert page.all("img", "alt")[2] == "Detections in a/x.jpg"
    assert page.text.index("How it learned") < page.text.index("How good it is") < page.text.index("Predictions")


def test_what_it_started_from_and_what_was_left_out(project: Path) -> None:
    start = {"source": "package", "asked": "auto", "fine_tune_checkpoint_type": "classification"}
    evaluate_results()
    write("model/train/train.json", {"model": "m", "steps": 300, "best_step": 300, "best": {"AP": 0.4}, "start": start})
    rows = "train,a.jpg,,without a label file; label it,skipped\n" * 2
    write("dataset/data/annotation_report.csv", f"split,filename,object,problem,action\n{rows}")
    page = Page(make())
    assert "Start ImageNet’s weights" in page.text.replace("'", "’")
    assert "Left out 2 photos (without a label file 2)" in page.text


def test_the_page_needs_nothing_from_elsewhere_and_escapes_every_name(project: Path) -> None:
    train_results()
    evaluate_results()
    write("params.yaml", "train:\n  model: " + json.dumps(HOSTILE))
    content = make()
    page = Page(content)
    fetched = [
        value for _, name, value in page.attributes if name in ("src", "href", "srcset", "data", "poster", "action")
    ]
    assert len(fetched) == 2 and all(value.startswith("data:image/jpeg;base64,") for value in fetched)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert (
        "url(" not in content
        and "@import" not in content
        and not any(n.startswith("on") for _, n, _ in page.attributes)
    )
    assert page.text.count(HOSTILE) >= 4  # as text: model, metrics, confusion, picture
    assert any("default-src 'none'" in value for value in page.all("meta", "content"))


def test_pictures_are_scaled_to_a_sane_size(project: Path) -> None:
    train_results()
    for k in range(1, 40):
        picture(f"results/predict/pictures/{k:02d}.jpg", (900, 600), noise=k)  # noise: the worst that JPEG can meet
    sources = Page(make()).all("img", "src")
    decoded = [base64.b64decode(source.partition(",")[2]) for source in sources]
    assert len(sources) == pictures.MOST and len(set(sources)) == pictures.MOST
    assert {Image.open(io.BytesIO(one)).size for one in decoded} == {(520, 347)}
    assert paths.REPORT.stat().st_size < 4_000_000


def test_the_same_inputs_give_the_same_bytes(project: Path) -> None:
    train_results()
    evaluate_results()
    assert make() == make() and str(project) not in make()


def test_what_predictions_cost_where_it_was_measured(project: Path) -> None:
    train_results()
    assert "What predictions cost" not in make()
    row: dict[str, Any] = {"name": HOSTILE, "cores": 2, "images_per_second": 50, "cpu_ms": 20, "cpu_ms_range": [18, 25]}
    row |= {"over": {"recipe": [2.5, 2, 3]}, "file_mb": 18.6, "memory_mb": 190, "start_cpu_s": 0.5, "AP": None}
    write("logs/bench_predict/results.json", {"about": {"machine": "2 cores, load 7.0 to 9.0"}, "rows": [row]})
    write("logs/bench_predict/chart.svg", "<svg/>")
    page = Page(make())
    assert "machine: 2 cores, load 7.0 to 9.0" in page.text
    assert f"{HOSTILE} 2 50 20.0 (18.0 to 25.0) 2.50 (2.00 to 3.00)" in page.text
    assert ("img", "src", f"data:image/svg+xml;base64,{base64.b64encode(b'<svg/>').decode()}") in page.attributes


def test_each_missing_part_shows_what_to_run(project: Path) -> None:
    train_results()
    page = Page(make())
    assert "Not measured yet" in page.text
    for command, what in (("evaluate", "metrics"), ("evaluate", "side-by-side pictures"), ("predict", "predictions")):
        assert f"No {what} yet. Run dvc repro {command} , then make report ." in page.text
    shutil.rmtree("results")
    evaluate_results()
    page = Page(make())
    assert "No training curves yet. Run dvc repro train_tpu , then" in page.text and "0.940 on 104" in page.text


def test_a_training_that_died_is_reported_and_its_steps_are_not_taken_for_the_models(project: Path) -> None:
    train_results()
    evaluate_results()
    assert "did not finish" not in Page(make()).text
    Path("model/train/train.json").unlink()
    page = Page(make())
    assert "The last training did not finish; run make train again, or dvc checkout . The test results" in page.text
    assert "trained for" not in page.text and "was the best on" not in page.text


def test_nothing_at_all_and_damaged_files_are_a_line(project: Path) -> None:
    def run() -> tuple[int, str]:
        done = child("-m", "tools.report")
        return done.returncode, done.stderr

    assert run() == (2, "error: results: nothing to report yet; run: make train\n")
    train_results()
    curve = "results/train/plots/metrics/val/AP.tsv"
    for path, content in (
        ("results/evaluate/metrics.json", "{"),
        ("results/evaluate/metrics.json", "[1]"),
        ("results/evaluate/metrics.json", '{"AP": 1, "per_class": [1]}'),
        ("results/evaluate/metrics.json", '{"AP": 1, "AP_interval": [0, 1]}'),
        ("results/evaluate/confusion.csv", "a,b\n1,2\n"),
        ("results/evaluate/precision_recall.csv", "class,recall,precision\ncat,x,1\n"),
        ("results/evaluate/pictures/pictures.json", "[1]"),
        ("results/evaluate/pictures/pictures.json", '[{"file": "../../../params.yaml"}]'),
        ("model/train/train.json", "[]"),
        ("logs/bench_predict/results.json", '{"rows": []}'),
        ("dvc.lock", "- a\n"),
        ("dvc.lock", "stages: {a: 1}\n"),
        ("params.yaml", "a: ["),
        (curve, "step\tloss\n1\t2\n"),
    ):
        before = Path(path).read_text() if Path(path).is_file() else None
        write(path, content)
        code, error = run()
        if "../" not in content:
            assert code == 2 and error.startswith(f"error: {path}: ") and error.count("\n") == 1, (path, error)
        else:
            assert code == 0, "only the name of a picture counts, so nothing outside the folder is read"
        Path(path).unlink()
        if before is not None:
            write(path, before)
    assert run()[0] == 0


def test_the_commit_is_shown(project: Path) -> None:
    train_results()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    assert re.search(r"Commit [0-9a-f]{40} Images|Commit [0-9a-f]{40} No hashes", Page(make()).text)
    write("params.yaml", "train: {steps: 3}")
    assert re.search(r"Commit [0-9a-f]{40} with uncommitted changes", Page(make()).text)


def test_results_of_another_commit_are_called_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As after `git checkout` without `dvc checkout`: the commit is not what made them."""
    evaluate_results()
    write("dvc.lock", f"stages: {{evaluate: {{outs: [{{path: results/evaluate, md5: {'0' * 32}.dir}}]}}}}")
    text = Page(make()).text
    assert "Not of this commit results/evaluate: this page shows other content than dvc.lock names. Run" in text
    assert "note: results/evaluate: not what dvc.lock names" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (1000, [0, 200, 400, 600, 800, 1000]),
        (2.3, [0, 0.5, 1, 1.5, 2, 2.5]),
        (0, [0, 0.5, 1]),
    ],
)
def test_ticks_are_round_numbers(highest: float, expected: list[float]) -> None:
    assert charts.ticks(highest) == expected


@given(st.floats(1e-9, 1e12))
def test_ticks_reach_the_highest_value(highest: float) -> None:
    ticks = charts.ticks(highest)
    assert 3 <= len(ticks) <= 7 and ticks[-1] >= highest * 0.99999 and ticks == sorted(set(ticks))


def test_a_line_goes_where_its_numbers_say() -> None:
    chart = charts.chart("t", "step", {"a": [(0, 0), (50, 1), (100, float("nan"))]}, x_max=100, y_max=1)
    width, height = 480 - 44 - 20, 270 - 12 - 40  # the drawing without its margins
    assert chart.lines[0].markers == [(44, 12 + height), (44 + width / 2, 12)]
    assert chart.lines[0].path == "M44 230 L252 12" and chart.lines[0].last == "1.000"


@given(st.lists(st.floats(0, 10), min_size=1, max_size=2000))
def test_many_points_are_averaged_inside_their_range(values: list[float]) -> None:
    line = charts.chart("t", "step", {"a": list(enumerate(values))}).lines[0]
    assert 1 <= line.path.count("L") + 1 <= charts.POINTS
    heights = [float(pair.split()[1]) for pair in line.path[1:].split(" L")]
    assert all(12 <= y <= 230 for y in heights)
