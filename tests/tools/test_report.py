"""The report page, through its public door; the page is then read back by an HTML parser."""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from detector.base import paths
from tests.support import finder
from tests.support.run_results import (
    COLUMNS,
    HOSTILE,
    detections,
    evaluate_results,
    picture,
    train_results,
    write,
)
from tests.support.stage import REPOSITORY, child
from tools import report
from tools.page import charts
from tools.reporting import album, latency


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
        if tag not in ("meta", "img", "br", "line", "path", "circle", "i", "input", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "i":
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str, name: str) -> list[str]:
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]


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
    detections()
    write(
        "dataset/data/train.csv", f"{COLUMNS},is_crowd\n" + "x.jpg,60,40,cat,0,0,20,40,0\n" * 2 + "y.jpg,60,40,,,,,,\n"
    )
    write("dataset/data/annotation_report.csv", "split,filename,object,problem,action\n" + "train,a,1,b,repaired\n" * 3)
    write(
        "dvc.lock",
        "stages:\n  train_tpu:\n    deps:\n    - {path: dataset/pets, md5: a1.dir}\n"
        "    - {path: model/start/none, md5: d4.dir}\n    - {path: model/start/pets, md5: e5.dir}\n"
        "    - {path: stages/train_tpu.py, md5: c3}\n    outs:\n    - {path: model/train, md5: b2.dir}\n",
    )
    page = Page(make())
    assert page.open == []
    assert "Finds 1 of 3 objects; 2 of 3 boxes are wrong, at 0.50" in page.text
    assert "ssd_mobilenet_v2_320x320, trained for 1,500 steps. The checkpoint of step 1,000 was the best" in page.text
    assert "The 104 test images hold 111 labelled objects" in page.text
    assert "AP small – AP of objects under 32 × 32 pixels. No such objects in the test images." in page.text
    assert page.text.count("95 %: 0.600 to 0.690") == 2 and page.text.count("95 %:") == 2  # tile and table; not of AP50
    assert "To see whether another run is really better, use make compare ." in page.text
    assert "localization loss 0.130 How far the boxes are off" in page.text
    for words in ("1 right Found", "1 missed No", "1 wrong class A", "0 poor box", "0 duplicate", "1 nothing there"):
        assert words in page.text, words
    assert "cat 1 50 % 0 0 % 1 50 %" in page.text and "dog 1 100 % 0 0 % 0 0 %" in page.text  # confusion
    assert "background 0 0 % 1 100 %" in page.text
    assert "cat 50 % 9 % to 91 % 50 % 9 % to 91 % 0.50 0.661 0.951 2 1 " in page.text  # its row
    assert "train 2 1 2 2 0 0" in page.text and "repaired: 3; see" in page.text
    assert "dataset/pets a1.dir given model/start/pets e5.dir given model/train b2.dir made by train_tpu" in page.text
    assert "c3" not in page.text and "d4" not in page.text
    assert page.all("img", "alt") == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]  # the most errors first
    assert "a.jpg right: 1, wrong class: 1 b.jpg missed: 1 c.jpg nothing there: 1 d.jpg no box" in page.text
    places = [
        page.text.index(f" {name} ") for name in ("Photos The", "Classes How", "How it learned A", "How good it is")
    ]
    assert places == sorted(places)
    assert "What next? More photos of" in page.text


def test_what_was_not_measured_or_on_too_few_photos_is_said_below_the_headline(project: Path) -> None:
    train_results()
    evaluate_results()
    metrics = json.loads(Path("results/evaluate/metrics.json").read_text())
    write("results/evaluate/metrics.json", json.dumps(metrics | {"images": 4}))
    trained = json.loads(Path("model/train/train.json").read_text())
    write("model/train/train.json", json.dumps(trained | {"model": "ssd_mobilenet_v2_320x320"}))
    write("model/train/label_map.pbtxt", "".join(f"item {{ id: {k} name: 'c{k}' }}\n" for k in range(1, 6)))
    for split, number in (("train", 50), ("test", 4)):
        rows = [f"{k}.jpg,60,40,c1,0,0,20,40,0\n" for k in range(number)]
        write(f"dataset/data/{split}.csv", f"{COLUMNS},is_crowd\n{''.join(rows)}")
    page = Page(make())
    where = "dataset/sample/train to dataset/sample/test"
    missing = "No test photo shows c2, c3, c4 and 1 more, so this is not measured; "
    missing += f"move some photos with their XML from {where}."
    assert page.text.index("no part in training") < page.text.index(missing) < page.text.index("What would help")
    assert page.text.count("too few test images for an interval") == 4 and "95 %:" not in page.text
    portuguese = report.PORTUGUESE.read_text(encoding="utf-8")
    assert "Nenhuma foto de teste mostra c2, c3, c4 e mais 1, e isso não é avaliado; " in portuguese
    assert "c1 4 (+-0,35); 20 fotos dão +-0,20; 100, +-0,10" in portuguese


def test_the_same_in_portuguese(project: Path) -> None:
    train_results()
    evaluate_results()
    detections()
    make()
    content = report.PORTUGUESE.read_text(encoding="utf-8")
    page = Page(content)
    assert page.open == [] and '<html lang="pt-BR">' in content and "report.html" in page.all("a", "href")
    assert "Encontra 1 de 3 objetos; 2 de 3 caixas estão erradas, com limiar 0,50" in page.text
    assert "treinado por 1.500 passos" in page.text and "95 %: 0,600 a 0,690" in page.text
    assert "a.jpg certa: 1, classe errada: 1 b.jpg não encontrado: 1 c.jpg nada ali: 1 d.jpg nenhuma caixa" in page.text
    data = json.loads(re.findall(r'id="data">(.*?)</script>', content, re.DOTALL)[0])
    assert data["decimal"] == "," and data["words"]["class"] == "classe errada"


def boxes(content: str, number: int) -> list[tuple[str, str]]:
    """(kind, x) of the boxes that are drawn over a photo without a script."""
    figure = content.split('<figure class="shot"')[number + 1]
    return [(kind, x) for kind, x in re.findall(r'<rect class="(\w+)" x="([\d.]+)"', figure) if kind != "edge"]


def test_boxes_are_drawn_by_kind(project: Path) -> None:
    evaluate_results()
    detections()
    content = make()
    assert boxes(content, 0) == [("missed", "40.0"), ("class", "40.0"), ("right", "0.0")]
    assert boxes(content, 1) == [("missed", "30.0")] and boxes(content, 3) == []


def test_the_data_of_the_script_count_at_every_threshold(project: Path) -> None:
    evaluate_results()
    detections()
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', make(), re.DOTALL)[0])
    assert (data["place"], data["objects"], data["classes"]) == (50, [2, 1], ["cat", "dog"])
    assert [data["right"][0][k] for k in (30, 31, 90, 91)] == [2, 1, 1, 0] and data["shown"][1][70:72] == [1, 0]
    assert [data["kinds"]["missed"][k] for k in (30, 31, 80, 81, 90, 91)] == [0, 1, 1, 2, 2, 3]
    assert data["photos"][1] == [
        "b.jpg",
        60,
        40,
        7,
        0,
        30.0,
        0.0,
        20.0,
        20.0,
        *[30] * 2,
        0,
        0,
        0,
        30.0,
        0.0,
        20.0,
        20.0,
        *[30] * 2,
        0,
    ]
    assert len(data["photos"]) == 4 and data["boxes"][7] == "missed" and data["boxes"][0] == "right"


def test_a_threshold_that_shows_nothing_and_one_wrong_box(project: Path) -> None:
    evaluate_results()
    detections(detected=[f"{name}.jpg,60,40,,,,,," for name in "abcd"])
    assert "Finds no box at any score" in Page(make()).text
    detections(detected=["a.jpg,60,40,dog,0,0,20,20,0.2", *(f"{name}.jpg,60,40,,,,,," for name in "bcd")])
    assert "Shows no box at 0.50: a lower threshold shows more" in Page(make()).text
    detections(detected=["a.jpg,60,40,dog,0,0,20,20,0.9", *(f"{name}.jpg,60,40,,,,,," for name in "bcd")])
    assert "Finds 0 of 3 objects; 1 of 1 boxes is wrong, at 0.50" in Page(make()).text


def test_photos_that_are_not_here_and_detections_of_other_photos(project: Path) -> None:
    evaluate_results()
    detections()
    shutil.rmtree("dataset/pets")
    assert "The test images are not here. Run make pull or source .venv/bin/activate; dvc checkout" in Page(make()).text
    write("dataset/pets/test/a.jpg", "damaged")
    picture("dataset/pets/test/b.jpg", (6, 4))  # another photo
    assert "The test images are not here." in Page(make()).text
    for other in ("other.jpg,60,40,cat", "a.jpg,60,40,bird"):  # while a training on another dataset runs
        write("dataset/data/test.csv", f"{COLUMNS},is_crowd\n{other},0,0,20,20,0\n")
        assert (
            "No detections yet. Run source .venv/bin/activate; dvc repro evaluate , then make report ."
            in Page(make()).text
        )


def test_what_it_started_from_and_what_was_left_out(project: Path) -> None:
    start = {"source": "package", "asked": "auto", "fine_tune_checkpoint_type": "classification"}
    evaluate_results()
    write("model/train/train.json", {"model": "m", "steps": 300, "best_step": 300, "best": {"AP": 0.4}, "start": start})
    rows = "train,a.jpg,,has no label; label it,skipped\n" * 2 + "train,a.jpg,object 1 (cat),bent: by 3,skipped\n"
    write("dataset/data/annotation_report.csv", f"split,filename,object,problem,action\n{rows}")
    page = Page(make())
    assert "Start ImageNet’s weights" in page.text.replace("'", "’")
    assert "photos: 2; has no label 2" in page.text
    portuguese = Path("results/report.pt-BR.html").read_text()
    assert "fotos: 2; sem anotação 2" in portuguese and '<span lang="en">bent</span> 1' in portuguese
    assert "os pesos da ImageNet" in portuguese


def test_formats_and_how_to_run_them(project: Path) -> None:
    evaluate_results()
    Path("model/export/saved_model").mkdir(parents=True)
    Path("model/export/saved_model/a").write_bytes(bytes(1_500_000))
    Path("model/export/model.onnx").write_bytes(bytes(250_000))
    write("results/parity/metrics.json", {"onnx": {"AP": 0.64}})
    write("model/export/model.json", {"licences": {"code": "Apache-2.0", "initial_weights": None}})
    page = Page(make())
    assert "saved_model 1.5 – – TensorFlow and TensorFlow Serving" in page.text
    assert "model.onnx 0.2 0.640 – ONNX Runtime, OpenVINO; make predict runs it" in page.text
    assert "Code: Apache-2.0. Initial weights: see where they came from." in page.text
    assert (
        "make bench-predict measures all of a prediction" in page.text
        and "com.google.mediapipe:tasks-vision" in page.text
    )


def test_what_a_photo_takes_is_measured_once_for_each_model(project: Path) -> None:
    evaluate_results()
    finder.save(Path("model/export"))
    first = make()
    assert re.search(r"model.onnx 0.0 – \d+\.\d ONNX Runtime", Page(first).text)
    [value] = json.loads(latency.FILE.read_text()).values()
    assert make() == first
    latency.FILE.write_text(latency.FILE.read_text().replace(f": {value}", ": 123.4"))
    assert "model.onnx 0.0 – 123.4 ONNX" in Page(make()).text  # it is not measured again
    latency.FILE.write_text("damaged")
    assert "123.4" not in make()


def test_the_page_needs_nothing_from_elsewhere_and_escapes_every_name(project: Path) -> None:
    train_results()
    evaluate_results()
    detections(names=["cat", "dog"])
    for name in ("dataset/data/test.csv", "results/evaluate/detections.csv"):
        write(name, Path(name).read_text().replace(",dog,", ",d&o'g,"))
    write("results/evaluate/label_map.pbtxt", "item { id: 1 name: 'cat' }\nitem { id: 2 name: \"d&o'g\" }\n")
    write(
        "params.yaml", Path("params.yaml").read_text().replace("ssd_mobilenet_v2_320x320 #", json.dumps(HOSTILE) + " #")
    )
    content = make()
    page = Page(content)
    fetched = {
        value for _, name, value in page.attributes if name in ("src", "href", "srcset", "data", "poster", "action")
    }
    others = {one for one in fetched if not one.startswith(("data:image/jpeg;base64,", "#"))}
    assert others == {"data:,", "report.pt-BR.html"}  # no icon; the other language
    assert not {"iframe", "object", "base", "form"} & set(page.tags) and page.tags.count("script") == 2
    assert "url(" not in content and "@import" not in content
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert page.text.count(HOSTILE) >= 2 and page.text.count("d&o'g") >= 3  # as text: the model; the class
    [policy] = [value for value in page.all("meta", "content") if "default-src" in value]
    script = re.findall(r"<script>(.*?)</script>", content, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ") and f"script-src 'sha256-{digest}'" in policy


def test_pictures_are_scaled_to_a_sane_size(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(album, "MOST", 5)
    evaluate_results()
    names = [f"{k}.jpg" for k in range(7)]
    detections(
        [f"{name},900,600,cat,0,0,{k + 1},600,0" for k, name in enumerate(names)],
        [f"{n},900,600,,,,,," for n in [*names, "c.jpg", "d.jpg"]],
    )
    for k, name in enumerate(names):
        picture(f"dataset/pets/test/{name}", (900, 600), noise=k + 1)  # noise: the worst that JPEG can meet
    sources = Page(make()).all("img", "src")
    decoded = [base64.b64decode(source.partition(",")[2]) for source in sources]
    assert len(sources) == len(set(sources)) == 5
    assert {Image.open(io.BytesIO(one)).size for one in decoded} == {(640, 427)}
    assert "5 of 9 test images are on this page; the numbers are of all." in Page(make()).text


def test_a_picture_is_halved_where_no_quality_fits(project: Path) -> None:
    evaluate_results()
    detections(["a.jpg,640,640,cat,0,0,9,9,0"], [f"{name}.jpg,60,40,,,,,," for name in "cd"] + ["a.jpg,640,640,,,,,,"])
    picture("dataset/pets/test/a.jpg", (640, 640), noise=1)
    source = base64.b64decode(Page(make()).all("img", "src")[0].partition(",")[2])
    assert len(source) <= album.PICTURE_BYTES and Image.open(io.BytesIO(source)).size == (320, 320)


def test_the_pages_can_be_mailed_whatever_the_dataset(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_BYTES", 300_000)
    evaluate_results()
    names = [f"{k}.jpg" for k in range(12)]
    corners = [f"{k}.5,{k}.5,{k + 99}.5,{k + 99}.5" for k in range(150)]
    detections(
        [f"{name},300,300,cat,{box},0" for name in names for box in corners],
        [f"{name},300,300,dog,{box},0.9" for name in names for box in corners]
        + ["c.jpg,60,40,,,,,,", "d.jpg,60,40,,,,,,"],
    )
    for name in names:
        picture(f"dataset/pets/test/{name}", (300, 300))
    page = Page(make())
    assert page.all("img", "alt") == sorted(names)[:3] and "3 of 14 test images are on this page" in page.text
    assert max(path.stat().st_size for path in (paths.REPORT, report.PORTUGUESE)) <= 300_000
    monkeypatch.setattr(report, "MOST_BYTES", 1000)
    page = Page(make())
    assert "0 of 14 test images are on this page" in page.text and "are not here" not in page.text


def test_the_same_inputs_give_the_same_bytes(project: Path) -> None:
    train_results()
    evaluate_results()
    detections()
    assert make() == make() and str(project) not in make()


def test_what_predictions_cost_where_it_was_measured(project: Path) -> None:
    train_results()
    assert "What predictions cost" not in make()
    row: dict[str, Any] = {"name": HOSTILE, "cores": 2, "images_per_second": 50, "cpu_ms": 20, "cpu_ms_range": [18, 25]}
    row |= {"over": {"recipe": [2.5, 2, 3]}, "file_mb": 18.6, "memory_mb": 190, "start_cpu_s": 0.5, "AP": None}
    onnx = {**row, "key": "onnx", "name": "ONNX Runtime, float32", "cores": 1, "cpu_ms": 16.25}
    write("logs/bench_predict/results.json", {"about": {"machine": "2 cores, load 7.0 to 9.0"}, "rows": [row, onnx]})
    write("model/export/model.onnx", "x" * 250_000)
    write("logs/bench_predict/chart.svg", "<svg/>")
    page = Page(make())
    assert "machine: 2 cores, load 7.0 to 9.0" in page.text
    assert "model.onnx 0.2 – 16.2 ONNX Runtime" in page.text
    portuguese = report.PORTUGUESE.read_text(encoding="utf-8")
    assert '<th scope="col">ms de CPU por foto</th>' in portuguese and '<tbody lang="en">' in portuguese
    assert f"{HOSTILE} 2 50 20.0 (18.0 to 25.0) 2.50 (2.00 to 3.00)" in page.text
    assert ("img", "src", f"data:image/svg+xml;base64,{base64.b64encode(b'<svg/>').decode()}") in page.attributes


def test_each_missing_part_shows_what_to_run(project: Path) -> None:
    train_results()
    page = Page(make())
    assert "Not measured yet" in page.text
    for command, what in (("evaluate", "metrics"), ("evaluate", "detections"), ("export", "exported model")):
        assert f"No {what} yet. Run source .venv/bin/activate; dvc repro {command} , then make report ." in page.text
    shutil.rmtree("results")
    evaluate_results()
    page = Page(make())
    assert (
        "No training curves yet. Run source .venv/bin/activate; dvc repro train_tpu , then" in page.text
        and "0.940 on 104" in page.text
    )


def test_a_training_that_died_is_reported_and_its_steps_are_not_taken_for_the_models(project: Path) -> None:
    train_results()
    evaluate_results()
    assert "did not finish" not in Page(make()).text
    Path("model/train/train.json").unlink()
    page = Page(make())
    assert "The last training did not finish; run make train again, or source .venv/bin/activate; " in page.text
    assert "dvc checkout . The test results below" in page.text
    assert "trained for" not in page.text and "was the best on" not in page.text


def test_nothing_at_all_and_damaged_files_are_a_line(project: Path) -> None:
    def run() -> tuple[int, str]:
        done = child("-m", "tools.report")
        return done.returncode, done.stderr

    assert run() == (2, "error: results: nothing to report yet; run: make train\n")
    train_results()
    detections()
    curve = "results/train/plots/metrics/val/AP.tsv"
    for path, content in (
        ("results/evaluate/metrics.json", "{"),
        ("results/evaluate/metrics.json", "[1]"),
        ("results/evaluate/metrics.json", '{"AP": 1, "per_class": [1]}'),
        ("results/evaluate/metrics.json", '{"AP": 1, "AP_interval": [0, 1]}'),
        ("results/evaluate/detections.csv", "a,b\n1,2\n"),
        ("results/evaluate/label_map.pbtxt", "item {"),
        ("dataset/data/test.csv", "a,b\n1,2\n"),
        ("results/evaluate/precision_recall.csv", "class,recall,precision\ncat,x,1\n"),
        ("results/parity/metrics.json", "{"),
        ("model/export/model.json", "{"),
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
        assert code == 2 and error.startswith(f"error: {path}: ") and error.count("\n") == 1, (path, error)
        Path(path).unlink()
        if before is not None:
            write(path, before)
    assert run()[0] == 0


def test_the_commit_is_shown(project: Path) -> None:
    train_results()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    assert re.search(r"Commit [0-9a-f]{40} No hashes", Page(make()).text)
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
    assert chart.lines[0].path == "M44 230 L252 12" and chart.lines[0].last == 1 and chart.lines[0].values == "0:0 50:1"


@given(st.lists(st.floats(0, 10), min_size=1, max_size=2000))
def test_many_points_are_averaged_inside_their_range(values: list[float]) -> None:
    line = charts.chart("t", "step", {"a": list(enumerate(values))}).lines[0]
    assert 1 <= line.path.count("L") + 1 <= charts.POINTS
    heights = [float(pair.split()[1]) for pair in line.path[1:].split(" L")]
    assert all(12 <= y <= 230 for y in heights)
