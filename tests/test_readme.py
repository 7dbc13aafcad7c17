"""README and docs, held to the code: commands, parameters, links, messages, snippets; both languages alike."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.base import params, paths
from detector.data import records
from detector.export.params import ExportParams
from detector.model import pipeline_config
from detector.scene.params import SampleParams
from detector.training.params import TrainParams
from tests.support import faults, tiny
from tests.support.stage import REPOSITORY
from tools import summary
from tools.checks.settings import SECTIONS
from tools.reporting import advice
from tools.reporting.advice import Evidence

LANGUAGES = ("README.md", "README.pt-BR.md")
TRANSLATED = sorted(path.name for path in (REPOSITORY / "docs" / "pt-BR").iterdir())
PAIRS = [LANGUAGES, *((f"docs/{name}", f"docs/pt-BR/{name}") for name in TRANSLATED)]
PAGES = sorted(path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "docs").rglob("*.md"))
DOCUMENTS = [*LANGUAGES, "CONTRIBUTING.md", *PAGES]
ONE_PLACE = ("## What could not be verified", "## O que não foi possível verificar")  # the list is in English alone
MOST_WORDS = 1000  # of README.md, as `wc -w` counts them
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
FILE_ENDINGS = {"py", "json", "csv", "jpg", "md", "html", "txt", "record", "before", "zip"}


def text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def fences(name: str) -> list[tuple[str, str]]:
    """Every fenced block: (language, content)."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text(name), re.MULTILINE | re.DOTALL)


def blocks(name: str, language: str) -> list[str]:
    return [content for own, content in fences(name) if own == language]


def commands(name: str) -> list[str]:
    """The lines of the ```sh blocks without comments; test_end_to_end.py runs README.md's, in this order."""
    lines = [line.partition(" # ")[0].strip() for block in blocks(name, "sh") for line in block.splitlines()]
    return [line for line in lines if line]


def marked(name: str, mark: str) -> str:
    """The content of the text block between <!-- mark --> and <!-- /mark -->."""
    pattern = rf"^<!-- {mark} -->\n```text\n(.*?)^```\n<!-- /{mark} -->$"
    contents = re.findall(pattern, text(name), re.MULTILINE | re.DOTALL)
    assert len(contents) == 1, f"{name}: {len(contents)} blocks marked {mark}"
    return str(contents[0])


def prose(name: str) -> str:
    """The text without fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text(name), flags=re.MULTILINE | re.DOTALL)


def code(name: str) -> Iterator[str]:
    """Every fenced block and every `span` of code."""
    yield from (content for _, content in fences(name))
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(name)))


def compared(name: str) -> str:
    """The prose that both languages have."""
    for heading in ONE_PLACE:
        before, _, after = prose(name).partition(heading)
        assert "\n## " not in after, f"{name}: {heading} is its last section"
        if after:
            return before
    return prose(name)


def destination(name: str, link: str) -> str:
    """Where a link of a page leads, without its anchor: an address, or the English page's path in the repository."""
    path = link.partition("#")[0]
    if "://" in path or not path:
        return path
    absolute = (REPOSITORY / name).parent.joinpath(path).resolve()
    return absolute.relative_to(REPOSITORY).as_posix().replace("/pt-BR/", "/").replace(*reversed(LANGUAGES))


def anchors(path: Path) -> set[str]:
    """Those of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(path.relative_to(REPOSITORY).as_posix()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def overrides(name: str) -> list[tuple[str, str]]:
    """Every -S key=value that is suggested anywhere."""
    return [(key, value) for part in code(name) for key, value in re.findall(r"-S ([\w.]+)=([^\s\\]+)", part)]


# Both languages say the same.


@pytest.mark.parametrize(("english", "portuguese"), PAIRS)
def test_both_languages_give_the_same_commands(english: str, portuguese: str) -> None:
    assert commands(english) == commands(portuguese)


def test_the_readme_begins_with_two_commands() -> None:
    assert commands("README.md")[:2] == ["make train", "make test"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_sh_line_is_run_by_the_end_to_end_test(name: str) -> None:
    assert set(commands(name)) <= set(commands("README.md"))


def test_the_readme_is_short() -> None:
    assert len(text("README.md").split()) <= MOST_WORDS
    assert len(text("docs/tour.md").splitlines()) <= 40


def test_a_command_is_one_line_that_any_shell_runs() -> None:
    for command in commands("README.md"):
        assert not re.search(r"&&|;|\||\\$|[<>$!]", command), command
        assert shlex.split(command)[0] in ("make", "dvc", "git", "source"), command


@pytest.mark.parametrize(("english", "portuguese"), PAIRS)
def test_both_languages_have_the_same_structure(english: str, portuguese: str) -> None:
    shapes = []
    for name in (english, portuguese):
        lines = compared(name).splitlines()
        headings = [line.split()[0] for line in lines if line.startswith("#")]
        tables = [line.count("|") for line in lines if line.startswith("|")]
        links = [destination(name, link) for link in re.findall(r"\]\(([^)]+)\)", compared(name))]
        links = [link for link in links if link != "README.md"]  # each README links the other
        shapes.append((headings, tables, links, [language for language, _ in fences(name)]))
    assert shapes[0] == shapes[1]
    assert len(shapes[0][0]) > 3


@pytest.mark.parametrize(("english", "portuguese"), PAIRS)
def test_both_languages_show_the_same_output(english: str, portuguese: str) -> None:
    marks = re.findall(r"^<!-- (\w+) -->$", text(english), re.MULTILINE)
    assert marks == re.findall(r"^<!-- (\w+) -->$", text(portuguese), re.MULTILINE)
    for mark in marks:
        assert marked(english, mark) == marked(portuguese, mark)
    messages = [
        [block for block in blocks(name, "text") if block.startswith("error: ")] for name in (english, portuguese)
    ]
    assert messages[0] == messages[1]


@pytest.mark.parametrize(("english", "portuguese"), PAIRS)
def test_both_languages_speak_of_the_same_code(english: str, portuguese: str) -> None:
    spans = [
        {destination(name, span) if span.endswith(".md") else span for span in code_spans(compared(name))}
        for name in (english, portuguese)
    ]
    assert spans[0] == spans[1]


def code_spans(words: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", " ".join(words.split())))


@pytest.mark.parametrize(("english", "portuguese"), PAIRS)
def test_both_languages_give_the_same_numbers(english: str, portuguese: str) -> None:
    english_numbers = re.findall(r"\d[\d.,]*\d|\d", compared(english))
    swapped = compared(portuguese).translate(str.maketrans(",.", ".,"))
    outside_code = re.sub(r"`[^`]+`|\]\([^)]+\)", "", swapped)
    numbers = set(re.findall(r"\d[\d.,]*\d|\d", outside_code))
    allowed = {number.replace(".", ",") for number in english_numbers} | {
        number.replace(",", ".") for number in english_numbers
    }
    assert {number for number in numbers if number not in allowed | set(english_numbers)} == set()


# What they name exists.


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_command_is_a_target(name: str) -> None:
    helped = dict(re.findall(r"^([a-z][a-z-]*):.*## (.*)$", MAKEFILE, flags=re.MULTILINE))
    always = {"PYTHON", "TF", "INSTALLER"}
    taken = {target: always | {*re.findall(r"([A-Z]\w*)=", line)} for target, line in helped.items()}
    for part in code(name):
        for target, rest in re.findall(r"(?<![\w/])make ([a-z][\w-]*)(.*)", part):
            assert target in taken, f"{name}: make {target}"
            assert {*re.findall(r"([A-Z_]+\d*)=", rest)} <= taken[target], f"{name}: make {target}{rest}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_parameter_exists(name: str) -> None:
    keys = {f"{section}.{field}" for section, cls in SECTIONS.items() for field in cls.__dataclass_fields__}
    pattern = rf"(?<![\w/.-])((?:{'|'.join(SECTIONS)})\.(\w+))"
    named = [key for part in code(name) for key in re.findall(pattern, part)]
    wrong = {key for key, ending in named if key not in keys and ending not in FILE_ENDINGS}
    assert wrong == set()


def test_the_parameters_are_those_of_params_yaml() -> None:
    assert tuple(SECTIONS) == params.SECTIONS
    for section, cls in SECTIONS.items():
        params.load(section, cls)  # run from the repository; raises for a key that is missing or unknown


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_suggested_value_is_allowed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed = text("params.yaml")
    monkeypatch.chdir(tmp_path)
    for key, value in overrides(name):
        section, _, field = key.partition(".")
        changed, count = re.subn(
            rf"(^{section}:.*?^  {field}: )[^\n#]*",
            rf"\g<1>{value} ",
            committed,
            count=1,
            flags=re.MULTILINE | re.DOTALL,
        )
        assert count == 1, f"{name}: {key}"
        (tmp_path / "params.yaml").write_text(changed)
        loaded = params.load(section, SECTIONS[section])
        assert str(getattr(loaded, field)).lower() == value.lower()  # true is Python's True


def test_values_are_suggested() -> None:
    assert ("train.steps", "600") in overrides("docs/parameters.md")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)]+)\)", prose(name)):
        path, _, anchor = link.partition("#")
        target = (REPOSITORY / name).parent.joinpath(path).resolve() if path else REPOSITORY / name
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            missing.append(link)
    assert missing == []


def test_every_page_can_be_found() -> None:
    """From README.md or README.pt-BR.md, over links."""
    reached, waiting = set(LANGUAGES), [*LANGUAGES]
    while waiting:
        name = waiting.pop()
        links = re.findall(r"\]\(([^)#]+\.md)", prose(name))
        paths_of = {(REPOSITORY / name).parent.joinpath(link).resolve().relative_to(REPOSITORY) for link in links}
        new = {path.as_posix() for path in paths_of} - reached
        reached |= new
        waiting += new
    assert set(DOCUMENTS) <= reached


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_source_file_that_is_named_exists(name: str) -> None:
    pattern = r"(?<![\w/.])((?:detector|stages|tools|tests|requirements|docs)/[\w./-]*)"
    named = {path.rstrip(".") for part in code(name) for path in re.findall(pattern, part)}
    missing = {path for path in named if "NAME" not in path and not (REPOSITORY / path).exists()}
    assert missing == set()


def test_the_tree_is_the_repositorys() -> None:
    (tree,) = [block for block in blocks("docs/pipeline.md", "text") if block.startswith("Makefile ")]
    shown = {line.split()[0].rstrip("/") for line in tree.splitlines()}
    made = {"dataset", "logs", "model", "results"}
    assert {path for path in shown - made if not (REPOSITORY / path).exists()} == set()
    tracked = subprocess.run(["git", "ls-files", "*/*"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    folders = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    assert {folder for folder in folders if not folder.startswith(".")} <= shown


def choices(key: str, folder: Path) -> list[str]:
    """What `key` of the section `train` may be, as the error for another value lists it."""
    (folder / "params.yaml").write_text(re.sub(rf"(?m)^  {key}: \S+", f"  {key}: other", text("params.yaml")))
    with pytest.raises(params.UserError) as caught:
        params.load("train", TrainParams, folder / "params.yaml")
    return caught.value.remedy.removeprefix("give one of ").split(", ")


def test_all_models_checkpoint_types_stages_and_rooms_are_described(tmp_path: Path) -> None:
    described = text("docs/parameters.md")
    rows = [f"| `{word}`" for key in ("model", "fine_tune_checkpoint_type") for word in choices(key, tmp_path)]
    assert len(rows) == 7
    assert [row for row in rows if row not in described] == []
    stages = re.findall(r"^  (\w+):\n    cmd:", text("dvc.yaml"), re.MULTILINE)
    pipeline = text("docs/pipeline.md")
    assert re.findall(r"^\| `(\w+)` \| `(?:dataset|model|results)/", pipeline, re.MULTILINE) == stages
    rooms = {path.parent.name for path in (REPOSITORY / "detector").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", pipeline, re.MULTILINE)) == {*stages, *rooms}


# What they show is what is printed.


def test_the_summary_is_what_make_train_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the scores, the best step and the minutes, which are those of one run on one machine."""
    steps = params.load("train", TrainParams).steps
    images = params.load("sample", SampleParams).test_images
    scores = {"AP": 0.5, "AP50": 0.5}
    monkeypatch.chdir(tmp_path)
    for path in summary.PLACES.values():
        path.mkdir(parents=True)
    start = {"source": "open_images", "asked": "auto", "fine_tune_checkpoint_type": "detection"}
    training = {"steps": steps, "epochs": 1.0, "best_step": steps, "best": scores, "start": start}
    ends = {f"{name}_interval": {"low": 0.4, "high": 0.6} for name in scores}
    measured = {**scores, **ends, "images": images, "per_class": dict.fromkeys(["cat", "dog"], scores)}
    run = Evidence("sample", "", validation=[(steps / 2, 0.4), (steps, 0.5)], steps=steps, best_step=steps, minutes=10)
    printed = summary.lines(training, measured, "", [], advice.findings(run)[0], "sample")
    assert masked(marked("README.md", "summary")) == masked("".join(f"{line}\n" for line in printed))


def masked(words: str) -> str:
    """Without what differs from run to run."""
    words = re.sub(r"\(\S+ epochs\)|\d+ minutes here", "?", words)
    return re.sub(r"(?<= )(?:-|[01]\.\d{3})(?=[ ,])|(?<=best at step )\d+", "?", words)


def test_the_annotation_errors_are_those_of_xml2csv(tmp_path: Path) -> None:
    folder = faults.dataset(tmp_path / "dataset" / "pets", train=1)
    faults.pair(folder / "train", "cat.17.jpg").with_suffix(".xml").write_text(faults.voc("cat.18.jpg"))
    faults.pair(folder / "train", "cat.18.jpg")
    faults.pair(folder / "train", "dog.4.jpg", objects=[("dog", faults.BOX), ("dgo", faults.BOX)])
    faults.pair(folder / "train", "dog.9.jpg", size=(48, 64))
    completed = faults.run(faults.workspace(tmp_path), "stages.xml2csv")
    assert (completed.returncode, completed.stderr) == (2, marked("docs/own-data.md", "errors"))


def test_what_is_left_out_is_what_xml2csv_prints(tmp_path: Path) -> None:
    folder = faults.dataset(tmp_path / "dataset" / "pets", train=1)
    for number in range(1, 5):
        faults.pair(folder / "train", f"cat.{number}.jpg")
        faults.pair(folder / "train", f"dog.{number}.jpg", objects=[("dog", faults.BOX)])
    (folder / "train/cat.1.xml").write_text(faults.voc("IMG_4001.JPG"))
    (folder / "train/cat.2.xml").write_text(faults.voc("IMG_4002.JPG"))
    (folder / "train/dog.1.xml").write_text(faults.voc("dog.1.jpg", objects=[("dog", faults.BOX)], size=(128, 96)))
    objects = [("dog", faults.BOX), ("dog", (9, 9, 9, 9))]
    (folder / "train/dog.2.xml").write_text(faults.voc("dog.2.jpg", objects=objects))
    (folder / "train/cat.3.xml").unlink()
    (folder / "train/cat.4.xml").unlink()
    completed = faults.run(faults.workspace(tmp_path), "stages.xml2csv")
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout == marked("docs/own-data.md", "left out")


def test_the_import_prints_what_is_shown_but_for_the_numbers(tmp_path: Path) -> None:
    source = faults.dataset(tmp_path / "photos")
    for split, name in (("train", "dog.1.jpg"), ("test", "cat.1.jpg")):
        faults.pair(source / split, name, objects=[(name[:3], faults.BOX)])
    (source / "data").mkdir()
    (source / "label_map.pbtxt").rename(source / "data" / "object-detection.pbtxt")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    check_update = false\n")
    completed = faults.run(tmp_path, "tools.dataset", "--src=photos", "--name=pets")
    assert completed.returncode == 0, completed.stderr
    shown = re.sub(r"(?m)^  .*(too few training|few test photos).*\n", "", completed.stdout)  # of 11 photos
    assert re.sub(r"\d+", "N", shown) == re.sub(r"\d+", "N", marked("docs/own-data.md", "import"))


def test_the_refused_value_is_reported_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(
        re.sub(r"(?m)^  accelerator: \S+", "  accelerator: cuda", text("params.yaml"))
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(params.UserError) as caught:
        params.load("train", TrainParams)
    assert f"error: {caught.value.line()}\n" in blocks("docs/parameters.md", "text")


def test_the_tours_photo_has_the_row_and_the_fractions_shown(tmp_path: Path) -> None:
    folder = faults.dataset(tmp_path / "dataset" / "pets")
    photo = faults.image(folder / "train" / "cat.7.jpg", size=(400, 300))
    photo.with_suffix(".xml").write_text(faults.voc(photo.name, [("cat", (100, 60, 300, 210))], (400, 300)))
    for stage in ("xml2csv", "csv2record"):
        completed = faults.run(faults.workspace(tmp_path), f"stages.{stage}")
        assert completed.returncode == 0, completed.stderr
    tour = text("docs/tour.md")
    header, row = re.findall(r"^ +(\S+,\S+)$", tour, re.MULTILINE)
    written = [(tmp_path / paths.csv(split)).read_text().splitlines() for split in ("train", "val")]
    (split,) = [lines for lines in written if row in lines]
    assert split[0] == header
    (example,) = [
        one
        for split in ("train", "val")
        for one in records.read(tmp_path / paths.record(split))
        if one["image/filename"] == [b"cat.7.jpg"]
    ]
    fractions = [example[f"image/object/bbox/{corner}"][0] for corner in ("xmin", "ymin", "xmax", "ymax")]
    assert [float(word) for word in re.findall(r"\b0\.\d+", tour)] == [pytest.approx(value) for value in fractions]


def test_the_rates_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (0\.\d+) \|$", text("docs/training.md"), re.MULTILINE)
    assert len(rows) >= 5
    for batch, rate in rows:
        assert f"{pipeline_config.auto_learning_rate(int(batch)):.5f}" == rate


# The snippets.

SNIPPETS = ("docs/use.md", "docs/pt-BR/use.md")


@pytest.mark.parametrize(("english", "portuguese"), PAIRS)
def test_the_snippets_are_the_same_code_in_both_languages(english: str, portuguese: str) -> None:
    code = [[ast.dump(ast.parse(block)) for block in blocks(name, "python")] for name in (english, portuguese)]
    assert code[0] == code[1]


def test_the_runtimes_are_those_that_were_tried() -> None:
    """By test_mediapipe.py."""
    for page in ("docs/exports.md", "docs/pt-BR/exports.md"):
        for name, package in (("MediaPipe", "mediapipe"), ("LiteRT", "ai-edge-litert")):
            tried = text(f"tests/support/runtimes/{package.rpartition('-')[2]}.txt")
            assert {
                f"{package}=={version}" in tried for version in re.findall(rf"{name} (\d[\d.]*\d)", text(page))
            } == {True}


def test_the_snippets_use_what_the_export_has() -> None:
    saved_model, tflite = blocks(SNIPPETS[0], "python")
    exporting = text("detector/export/saved_model.py") + text("detector/export/tflite_metadata.py")
    names = re.findall(r'"(detection_\w+|serving_default|labels\.txt)"', saved_model + tflite)
    assert len(names) == 5
    assert [name for name in names if name not in exporting] == []
    assert "input_tensor=" in saved_model and 'name="input_tensor"' in exporting
    assert f'"{paths.EXPORT}/saved_model"' in saved_model and f'"{paths.EXPORT}/model.tflite"' in tflite


def run_snippets(root: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Run both snippets in a project with a model, and a photo in dataset/sample/test; every score counts.

    Returns the words of the lines that the SavedModel's and the TFLite snippet print.
    """
    printed = []
    for block in blocks(SNIPPETS[0], "python"):
        script = block.replace("score >= 0.5", "score >= 0")
        assert script != block
        environment = {"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": str(root)}
        completed = subprocess.run(
            [sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        assert completed.returncode == 0, completed.stderr
        lines = re.sub(
            r"\s*\n(?!\S+ \d\.\d{3} \[)", " ", completed.stdout.strip()
        ).splitlines()  # numpy may break a box
        printed.append([line.split(maxsplit=2) for line in lines])
    return printed[0], printed[1]


@pytest.mark.slow
def test_the_snippets_run_on_an_exported_model_and_agree(tmp_path: Path) -> None:
    """An untrained detector, exported as `export` does it: the best scores are the same, but for the last digit."""
    from detector.data import labels
    from detector.export import exporting
    from detector.model import od_api

    label_map = tmp_path / "label_map.pbtxt"
    labels.write(label_map, ["cat", "dog"])
    config = tiny.config(label_map=label_map, learning_rate=0.1)
    (tmp_path / paths.EXPORT).mkdir(parents=True)
    labels.copy(label_map, tmp_path / paths.EXPORT / paths.LABEL_MAP)
    settings = ExportParams(("saved_model", "tflite"), "uint8")
    exporting.export(od_api.build_model(config), config, tmp_path / paths.EXPORT, settings, None)
    faults.image(tmp_path / "dataset/sample/test/test_00000.jpg", size=(320, 240))
    saved_model, tflite = run_snippets(tmp_path)
    assert len(saved_model) == len(tflite) == 100
    assert {number for number, _, _ in saved_model} <= {"1", "2"}
    assert {name for name, _, _ in tflite} <= {"cat", "dog"}
    scores = [[float(score.rstrip(",")) for _, score, _ in lines[:5]] for lines in (saved_model, tflite)]
    assert scores[0] == pytest.approx(scores[1], abs=0.0011)  # printed with three decimals, which are rounded


@pytest.mark.slow
def test_the_refused_checkpoint_type_is_reported_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.model import checkpoints
    from detector.model.tensorflow_env import tf

    monkeypatch.chdir(tmp_path)
    prefix = paths.PRETRAINED / "ckpt-1"
    backbone = tf.Module()
    backbone.kernel = tf.Variable(1.0)
    checkpoints.write(tf.train.Checkpoint(feature_extractor=backbone), prefix.parent)
    with pytest.raises(params.UserError) as caught:
        checkpoints.check_type(prefix, "detection")
    assert f"error: {caught.value.line()}\n" in blocks("docs/parameters.md", "text")
