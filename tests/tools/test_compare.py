"""`make compare` on real git and DVC: hand-made detections, evaluated as experiments, branches and commits."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import tools.compare
from detector.base import paths
from detector.data import labels, tables
from detector.data.tables import ImageBoxes
from detector.evaluation import results
from tests.support import boxes
from tests.support.stage import REPOSITORY, call
from tools import report
from tools.reporting import before

IMAGES = 24
CAT = (10, 10, 110, 110)
NAMES = {1: "cat"}
DETECTED = {"base": 12, "near": 13, "good": 24, "bad": 0}  # cats found, of one in every image
COPY = "mkdir -p {0} && cp made/{1} {0}"
PIPELINE = f"""
stages:
  xml2csv:
    cmd: {COPY.format("dataset/data", "test.csv")}
    deps: [made/test.csv]
    outs: [dataset/data/test.csv]
  evaluate:
    cmd: {COPY.format("results/evaluate", "label_map.pbtxt")} && cp made/${{run}}.csv results/evaluate/detections.csv
    deps: [dataset/data/test.csv]
    params: [run]
    outs: [results/evaluate]
"""
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    **{f"GIT_{who}_{what}": "a@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": str(REPOSITORY),
    "DVC_NO_ANALYTICS": "1",
}


def run(root: Path, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**ENVIRONMENT, "DVC_SITE_CACHE_DIR": str(root / ".site")}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def image(number: int, *rows: Sequence[float]) -> ImageBoxes:
    return boxes.image(f"{number:02}.jpg", *rows, size=(300, 200))


def write_groundtruth(path: Path, images: int = IMAGES, xmax: float = CAT[2]) -> None:
    tables.write_csv(path, [image(number, (10, 10, xmax, 110, 1)) for number in range(images)], NAMES)


def compare(root: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """The command in this process, which has imported DVC and numpy already; two tests below start their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(root / ".site"))
        done = call(tools.compare.main, root, *arguments)
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def refused(root: Path, *arguments: str) -> str:
    """The one line on stderr; nothing else is printed."""
    done = compare(root, *arguments, code=2)
    assert done.stdout == "" and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    return done.stderr.removeprefix("error: ").rstrip("\n")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commit `never` without results; commit `v1` with those of `base`; on it the experiments `good` and `bad`."""
    root = tmp_path_factory.mktemp("compare") / "project"
    root.mkdir()
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "params.yaml").write_text("run: base\n")
    (root / ".gitignore").write_text("/.site\n/dataset/data/test.csv\n/results/evaluate\n")
    write_groundtruth(root / "made/test.csv")
    labels.write(root / "made/label_map.pbtxt", ["cat"])
    for name, count in DETECTED.items():
        detections = [image(number, *[(*CAT, 1, 0.9)][: int(number < count)]) for number in range(IMAGES)]
        tables.write_csv(root / f"made/{name}.csv", detections, NAMES, scores=True)
    commands = (
        *("git init -q -b main", "dvc init -q", "dvc config core.check_update false", "git add ."),
        *("git commit -qm start", "git tag never", "dvc repro -q", "git add .", "git commit -qm base", "git tag v1"),
        *("dvc exp run -q -n good -S run=good", "dvc exp run -q -n bad -S run=bad"),
    )
    for command in commands:
        run(root, *command.split())
    return root


@pytest.fixture
def project(evaluated: Path, tmp_path: Path) -> Path:
    """A copy to spoil; its workspace is that of the last experiment, `bad`."""
    return Path(shutil.copytree(evaluated, tmp_path / "project", symlinks=True))


def rows(text: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("AP")}


def test_a_clearly_better_experiment(evaluated: Path) -> None:
    command = [sys.executable, "-m", "tools.compare", "v1", "good"]
    lines = run(evaluated, *command).stdout.splitlines()
    assert lines[:3] == ["A: v1", "B: good", "      A      B      B - A   95 % interval     p       B is"]
    # 12 of 24 found at precision 1: 51 of COCO's 101 recalls
    assert lines[3].startswith("AP    0.505  1.000  +0.495  +0.") and lines[3].endswith("  better")
    assert lines[4].startswith("AP50  0.505  1.000  +0.495  +0.") and lines[4].endswith("  better")
    assert lines[5].startswith("24 test images. p: how often chance alone ")
    assert "training seed" in lines[6] and len(lines) == 7
    low, high, p = (float(lines[3].split()[k]) for k in (4, 6, 7))
    assert 0.25 < low < 0.495 < high < 0.75 and p < 0.005
    assert compare(evaluated, "v1", "good").stdout.splitlines() == lines  # the same bytes twice


def test_the_other_way_round_it_is_worse(evaluated: Path) -> None:
    there, back = (rows(compare(evaluated, *pair).stdout)["AP"] for pair in (("v1", "good"), ("good", "v1")))
    assert back[1:3] == there[1:3][::-1]
    assert float(back[3]) == -float(there[3])
    assert [float(back[4]), float(back[6])] == [-float(there[6]), -float(there[4])]
    assert (back[7], back[8:]) == (there[7], ["worse"])


def test_without_b_it_is_the_workspace(project: Path) -> None:
    text = compare(project, "good").stdout
    assert text.startswith("A: good\nB: workspace\n")
    assert rows(text)["AP"][1:4] == ["1.000", "0.000", "-1.000"] and rows(text)["AP"][-1] == "worse"
    shutil.copy(project / "made/near.csv", project / detections_of(project))  # the file there, recorded or not
    text = compare(project, "v1").stdout
    # 13 of 24 found instead of 12: 55 recalls instead of 51, in one image only
    assert rows(text)["AP"][1:4] == ["0.505", "0.545", "+0.040"] and rows(text)["AP"][-3:] == [
        "1.0000",
        "no",
        "evidence",
    ]


def detections_of(root: Path) -> Path:
    return root / paths.EVALUATE / results.DETECTIONS


def test_results_of_another_commit_are_called_so(project: Path) -> None:
    note = "note: results/evaluate: not what dvc.lock names, so of another run; run: dvc checkout, "
    assert compare(project, "good").stderr == ""
    run(project, "git", "checkout", "-q", "v1", "--", "dvc.lock", "params.yaml")
    assert compare(project, "good").stderr.startswith(note)
    assert compare(project, "good", "bad").stderr == "", "neither is what is here"


def test_a_run_and_itself(evaluated: Path) -> None:
    (commit,) = run(evaluated, "git", "rev-parse", "--short", "HEAD").stdout.split()
    text = compare(evaluated, "main", commit).stdout
    for metric in ("AP", "AP50"):
        expected = [metric, "0.505", "0.505", "+0.000", "+0.000", "to", "+0.000", "1.0000", "no", "evidence"]
        assert rows(text)[metric] == expected


def test_it_runs_in_a_subfolder_too(evaluated: Path) -> None:
    done = run(evaluated / "made", sys.executable, "-m", "tools.compare", "v1", "good")
    assert rows(done.stdout)["AP"][-1] == "better"


def test_the_report_has_the_last_commit_beside_the_workspace(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project / ".site"))
    found = before.last_commit()
    assert found and found.commit == run(project, "git", "rev-parse", "HEAD").stdout.strip() and not found.why_not
    assert {name: (round(one.first, 3), one.second, one.verdict) for name, one in found.comparisons.items()} == {
        "AP": (0.505, 0.0, "worse"),
        "AP50": (0.505, 0.0, "worse"),
    }
    shutil.copy(REPOSITORY / "params.yaml", project)  # which has no `run`
    (project / "dvc.yaml").write_text(PIPELINE.replace("${run}", "bad").replace("    params: [run]\n", ""))
    (project / "results/evaluate/metrics.json").write_text('{"AP": 0}')
    report.main()
    page = re.sub(r"<[^>]*>", " ", paths.REPORT.read_text(encoding="utf-8"))
    assert f"Beside the last commit  {found.commit[:10]}" in page
    shown = " ".join(page[page.index("95 % interval") :].split())
    assert "AP 0.505 0.000 -0.505 -0.7" in shown and "worse AP50 0.505 0.000 -0.505" in shown
    write_groundtruth(project / paths.csv("test"), xmax=111)
    other = before.last_commit()
    assert other and other.why_not == "measured on other boxes" and not other.comparisons
    report.main()
    assert "Sem comparação: as caixas do gabarito são outras" in report.PORTUGUESE.read_text(encoding="utf-8")
    (project / "results/evaluate/metrics.json").unlink()
    shutil.copy(project / "made/base.csv", detections_of(project))  # what the commit has
    assert before.last_commit() is None
    run(project, "git", "checkout", "-qf", "never")
    assert before.last_commit() is None


# What cannot be compared.


@pytest.mark.parametrize("name", ["nosuch", "v1~9", "-x", "a b; touch pwned", "never:dvc.yaml"])
def test_unknown_revision(evaluated: Path, name: str) -> None:
    expected = f"{name}: not the name of one experiment, branch, tag or commit; make runs and git log list them"
    assert refused(evaluated, "--", "v1", name) == expected


def test_never_evaluated(evaluated: Path) -> None:
    assert refused(evaluated, "never", "v1") == (
        "never: results/evaluate/detections.csv: missing: no training was evaluated there; choose a run that was "
        "committed (git add dvc.lock params.yaml dataset model results) after its training"
    )


def test_not_in_the_cache_of_a_clone(project: Path, tmp_path: Path) -> None:
    """A fresh clone has neither cache nor remote; with a remote, what the message says brings the data."""
    run(project, "git", "clone", "-q", ".", str(tmp_path / "clone"))
    run(tmp_path / "clone", "git", "fetch", "-q", "origin", "refs/exps/*:refs/exps/*")
    line = refused(tmp_path / "clone", "good", "v1")
    assert line.startswith("good: results/evaluate/detections.csv: neither in DVC's cache nor in its remote: ")
    assert line.endswith("; run: dvc fetch --all-commits (of an experiment: dvc exp pull origin good)")
    assert refused(tmp_path / "clone", "HEAD").startswith("HEAD: results/evaluate/detections.csv: neither in ")
    for root in (project, tmp_path / "clone"):  # local: DVC asks a commit for its own .dvc/config, and that has none
        run(root, "dvc", "remote", "add", "--local", "-q", "-d", "store", str(tmp_path / "store"))
    run(project, "dvc", "push", "-q", "--all-tags")
    run(tmp_path / "clone", "dvc", "fetch", "-q", "--all-commits")
    assert rows(compare(tmp_path / "clone", "v1", "main").stdout)["AP"][-2:] == ["no", "evidence"]


def test_one_file_gone_from_the_cache(project: Path) -> None:
    lost = [path for path in project.glob(".dvc/cache/files/md5/*/*") if path.read_bytes().startswith(b"filename,")]
    assert len(lost) == 4  # the groundtruth and three runs
    for path in lost:
        path.unlink()
    assert refused(project, "good").startswith("good: results/evaluate/detections.csv: neither in DVC's cache nor ")


def test_other_images(project: Path) -> None:
    write_groundtruth(project / paths.csv("test"), IMAGES - 5)
    assert refused(project, "v1") == (
        "v1, workspace: measured on other test images: 19.jpg, 20.jpg, 21.jpg and 2 more in one of the two only; "
        "choose two runs with the same test split; if the files here are out of date: dvc repro evaluate"
    )


def test_other_boxes(project: Path) -> None:
    write_groundtruth(project / paths.csv("test"), xmax=111)
    assert refused(project, "v1").startswith(
        "v1, workspace: measured on other boxes: in 00.jpg, 01.jpg, 02.jpg and 21 "
    )


def test_other_label_map(project: Path) -> None:
    labels.write(project / paths.EVALUATE / paths.LABEL_MAP, ["cat", "dog"])
    assert refused(project, "v1").startswith("v1, workspace: their label maps differ: cat 1 and cat 1, dog 2; ")


def test_detections_of_other_images(project: Path) -> None:
    tables.write_csv(detections_of(project), [image(0)], NAMES, scores=True)
    line = refused(project, "v1")
    assert line.startswith("v1, workspace: results/evaluate/detections.csv: images without groundtruth or without ")


def test_damaged_detections(project: Path) -> None:
    detections_of(project).write_text("a,b\n1,2\n")
    assert refused(project, "v1") == (
        "workspace: results/evaluate/detections.csv: not a table of boxes: missing columns: "
        "filename, width, height, class, xmin, ymin, xmax, ymax, score; run: dvc repro evaluate"
    )


def test_nothing_to_find(project: Path) -> None:
    tables.write_csv(project / paths.csv("test"), [boxes.image("a.jpg")], NAMES)
    tables.write_csv(detections_of(project), [image(0)], NAMES, scores=True)
    assert "measured on other test images" in refused(project, "v1")


def test_no_dvc_here(tmp_path: Path) -> None:
    expected = ".: not inside a DVC repository; run from the project's root"
    assert refused(tmp_path, "v1", "v2") == expected
    run(tmp_path, "git", "init", "-q")
    assert refused(tmp_path, "v1") == expected
    run(tmp_path, "dvc", "init", "-q")  # and no commit
    assert refused(tmp_path, "v1").startswith("v1: not the name of one experiment, branch, tag or commit; ")


def test_help_is_quick() -> None:
    code = "import sys, tools.compare; sys.exit(bool({'numpy', 'pandas', 'dvc', 'pycocotools'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
    assert "make compare A=" in run(REPOSITORY, sys.executable, "-m", "tools.compare", "--help").stdout


def test_docs_parameters_md_shows_what_is_printed(evaluated: Path) -> None:
    """But for the names of the runs and the numbers."""
    (shown,) = re.findall(r"```text\n(A: .*?)```", (REPOSITORY / "docs/parameters.md").read_text(), re.DOTALL)
    printed = compare(evaluated, "v1", "good").stdout
    masked = [re.sub(r"(?m)^([AB]): .*", r"\1", re.sub(r"\d[\d.,]*\d|\d", "N", text)) for text in (shown, printed)]
    assert masked[0] == masked[1]
