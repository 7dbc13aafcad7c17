"""`make runs` on real git and a DVC cache made by hand: no training, no DVC command."""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

import tools.runs
from detector.data import labels, tables
from detector.evaluation import significance
from tests.support import boxes
from tests.support.stage import call, child
from tools.running import history, notes

IMAGES = 24
CAT = (10, 10, 110, 110)
NOON = 1_000_000_000  # of the first run, seconds since 1970; each further one is an hour later
MODEL, TEST = "model/train", "dataset/data/test.csv"


class Lab:
    """A repository whose dvc.lock and cache hold what a pipeline would have left."""

    def __init__(self, root: Path) -> None:
        self.root, self.now = root, NOON
        (root / ".dvc").mkdir()
        (root / ".dvc/config").write_text("")
        (root / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n/logs\n")
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        who = {f"GIT_{one}_{what}": "t@t" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        when = {f"GIT_{one}_DATE": f"{self.now} +0000" for one in ("AUTHOR", "COMMITTER")}
        environment = {**os.environ, **who, **when}
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def store(self, content: bytes, ending: str = "") -> str:
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        place = self.root / ".dvc/cache/files/md5" / digest[:2] / f"{digest[2:]}{ending}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return digest + ending

    def folder(self, files: dict[str, str]) -> str:
        entries = [{"md5": self.store(text.encode()), "relpath": name} for name, text in sorted(files.items())]
        return self.store(json.dumps(entries).encode(), ".dir")

    def run(self, found: int, steps: int = 300, data: str = "pets", xmax: int = 110, **metrics: object) -> str:
        """The working tree's dvc.lock is that of a run which finds so many of the cats, one in each image."""
        numbers = {"AP": found / IMAGES, "AP50": found / IMAGES, "AP_interval": {"low": 0.1, "high": 0.9}, **metrics}
        start = {"source": "open_images", "asked": "auto", "fine_tune_checkpoint_type": "detection"}
        truth = [boxes.image(f"{k:02}.jpg", (10, 10, xmax, 110, 1), size=(300, 200)) for k in range(IMAGES)]
        detected = [boxes.image(f"{k:02}.jpg", *[(*CAT, 1, 0.9)][: k < found], size=(300, 200)) for k in range(IMAGES)]
        scratch = self.root / ".git/scratch"
        tables.write_csv(scratch / "test.csv", truth, {1: "cat"})
        tables.write_csv(scratch / "detections.csv", detected, {1: "cat"}, scores=True)
        labels.write(scratch / "label_map.pbtxt", ["cat"])
        results = {name: (scratch / name).read_text() for name in ("detections.csv", "label_map.pbtxt")}
        test = self.store((scratch / "test.csv").read_bytes())
        outs = {
            "xml2csv": {TEST: test},
            "train_tpu": {MODEL: self.folder({"train.json": json.dumps({"steps": steps, "start": start})})},
            "evaluate": {"results/evaluate": self.folder({**results, "metrics.json": json.dumps(numbers)})},
        }
        stages = {
            name: {
                "outs": [{"path": path, "md5": md5} for path, md5 in made.items()],
                "params": {"params.yaml": {"dataset.dir": f"dataset/{data}"}},
            }
            for name, made in outs.items()
        }
        stages["evaluate"]["deps"] = [{"path": TEST, "md5": test}]
        (self.root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))
        os.utime(self.root / "dvc.lock", (self.now, self.now))
        return outs["train_tpu"][MODEL]

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "-q", "-m", "a run")
        self.now += 3600

    def experiment(self, name: str) -> None:
        """What is in the working tree becomes an experiment on HEAD, and stays there."""
        lock = (self.root / "dvc.lock").read_bytes()
        self.git("add", ".")
        self.git("commit", "-q", "-m", name)
        self.git("update-ref", f"refs/exps/{self.git('rev-parse', 'HEAD~1')[:2]}/{'0' * 38}/{name}", "HEAD")
        self.git("reset", "-q", "--hard", "HEAD~1")
        (self.root / "dvc.lock").write_bytes(lock)
        self.now += 3600


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(significance, "RESAMPLES", 400)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    (tmp_path / "project").mkdir()
    return Lab(tmp_path / "project")


def shown(lab: Lab) -> list[str]:
    done = call(tools.runs.main, lab.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 100
    return done.stdout.splitlines()


def test_commits_experiments_and_the_working_tree(lab: Lab) -> None:
    lab.run(11, steps=100, data="sample")
    lab.commit()
    model = lab.run(12)
    lab.commit()
    lab.run(0, steps=50)
    lab.experiment("worse-one")
    lab.run(24, steps=1000, AP_interval=None)
    lab.experiment("better-one")
    (lab.root / "logs").mkdir()
    (lab.root / "logs/minutes.json").write_text(json.dumps({model: 7.6}))
    first = lab.git("rev-parse", "HEAD~1")[:10]
    assert shown(lab) == [
        "  run         when         data    start        steps     AP  95 %          AP50  min  vs HEAD",
        "* better-one  09-09 04:46  pets    Open Images   1000  1.000  -            1.000    -  better",
        "  worse-one   09-09 03:46  pets    Open Images     50  0.000  0.100-0.900  0.000    -  worse",
        "  HEAD        09-09 02:46  pets    Open Images    300  0.500  0.100-0.900  0.500    8  -",
        f"  {first}  09-09 01:46  sample  Open Images    100  0.458  0.100-0.900  0.458    -  no evidence",
        tools.runs.LEGEND,
        f"Next: make compare A=HEAD B=run; {tools.runs.APPLY}",
    ]


def test_what_was_not_committed_is_the_workspace(lab: Lab) -> None:
    lab.run(12)
    lab.commit()
    assert [line.split()[:2] for line in shown(lab)[1:-2]] == [["*", "HEAD"]]
    lab.run(12, steps=301)
    names = [(line.split()[0], line.split()[-1]) for line in shown(lab)[1:-2]]
    assert [line.split()[1] for line in shown(lab)[1:2]] == ["workspace"] and names[0][1] == "same"


def test_other_test_images_are_not_compared(lab: Lab) -> None:
    lab.run(12)
    lab.commit()
    lab.run(24, xmax=111)
    assert shown(lab)[1].endswith("  other test")


def test_a_run_that_was_stopped_before_it_was_evaluated_has_the_verdict_of_what_it_shows(lab: Lab) -> None:
    """Its dvc.lock has new test images, and the results of the old ones."""
    lab.run(20)
    lab.commit()
    lab.run(20, xmax=90)
    new = json.loads((lab.root / "dvc.lock").read_text())["stages"]["xml2csv"]
    lab.run(20)
    lock = json.loads((lab.root / "dvc.lock").read_text())
    lock["stages"]["xml2csv"] = new
    (lab.root / "dvc.lock").write_text(json.dumps(lock))
    line = next(line for line in shown(lab) if line.startswith("* "))
    assert line.endswith("  same")


def test_detections_of_other_images_are_unknown(lab: Lab) -> None:
    lab.run(20)
    lab.commit()
    lab.run(20)
    lock = json.loads((lab.root / "dvc.lock").read_text())
    empty = lab.store(b"filename,width,height,class,xmin,ymin,xmax,ymax\n")
    lock["stages"]["evaluate"]["deps"] = [{"path": TEST, "md5": empty}]
    (lab.root / "dvc.lock").write_text(json.dumps(lock))
    line = next(line for line in shown(lab) if line.startswith("* "))
    assert line.endswith(("  -", "  other test"))


def test_what_is_not_in_the_cache_is_unknown(lab: Lab) -> None:
    lab.run(12)
    lab.commit()
    lab.run(24)
    lab.experiment("gone")
    for path in (lab.root / ".dvc/cache/files/md5").rglob("*"):
        if path.is_file() and b'"AP": 1.0' in path.read_bytes():
            path.unlink()
    line = shown(lab)[1]
    assert line.split() == ["*", "gone", "09-09", "02:46", "pets", "Open", "Images", "300", *"---", "-", "better"]


@pytest.mark.parametrize("head", [False, True])
def test_without_a_run_there_is_one_line_that_says_what_to_do(lab: Lab, head: bool) -> None:
    if head:
        lab.commit()
        (lab.root / "dvc.lock").write_text("}{")
    done = call(tools.runs.main, lab.root)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: dvc.lock: no run was evaluated, or DVC's cache has none; run: make train (or: make pull)\n"
    )


def test_before_the_first_commit_there_is_nothing_to_beat(lab: Lab) -> None:
    lab.run(12)
    lines = shown(lab)
    assert lines[1].startswith("* workspace  ") and lines[1].endswith("  -")
    assert lines[-1] == tools.runs.LEGEND  # and no command that would fail


def test_where_head_was_not_measured_two_experiments_are_compared(lab: Lab) -> None:
    lab.commit()
    lab.run(12)
    lab.experiment("older")
    lab.run(24, xmax=111)
    lab.experiment("other-test-images")
    assert shown(lab)[-1] == f"Next: {tools.runs.APPLY}"
    lab.run(24)
    lab.experiment("newer")
    assert shown(lab)[-1] == f"Next: make compare A=older B=newer; {tools.runs.APPLY}"


LOCKS = [
    "stages: 3",
    "stages: {evaluate: 3, train_tpu: {outs: 3}, xml2csv: {outs: [3, {path: 4}]}}",
    "stages: {evaluate: {outs: [{path: results/evaluate, md5: ../../../etc/passwd}], params: [[]]}}",
    "[" * 500,
    "\x00",
]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_dvc_lock_that_nobody_can_read_hides_no_other_run(lab: Lab, lock: str) -> None:
    lab.run(12)
    lab.commit()
    (lab.root / "dvc.lock").write_text(lock)
    lab.git("add", ".")
    lab.experiment("broken")
    rows = [line.split() for line in shown(lab)[1:-2]]
    assert [row[0] for row in rows] == ["*", "HEAD"] and rows[0][1] == "broken" and rows[0][-1] == "-"


def test_names_and_numbers_of_others_steer_nothing(lab: Lab) -> None:
    lab.run(12)
    lab.commit()
    lab.run(24, data="p\x1b[2J" + "x" * 80, AP="1", AP50=[1], AP_interval={"low": None, "high": "x" * 200})
    lab.experiment("a" * 60 + "é" * 30)
    lines = shown(lab)
    assert all(line.isprintable() for line in lines)
    assert "…" in lines[1] and lines[1].endswith("  better")


def test_only_the_newest_are_listed_and_head(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST", 3)
    monkeypatch.setattr(tools.runs, "verdict", lambda *_: "same")
    lab.run(12)
    lab.commit()
    for number in range(5):
        lab.run(12, steps=number)
        lab.experiment(f"e{number}")
    names = [line[2:].split()[0] for line in shown(lab)[1:-2]]
    assert names == ["e4", "e3", "e2", "HEAD"]
    lab.run(12, steps=0)  # `dvc exp apply e0`
    assert [line.split()[:2] for line in shown(lab)[1:-2] if line.startswith("* ")] == [["*", "e0"]]


def test_a_verdict_is_computed_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.run(12)
    lab.commit()
    lab.run(24)
    first = shown(lab)
    monkeypatch.setattr(tools.runs, "compared", None)
    assert first[1].endswith("  better") and shown(lab) == first
    (lab.root / notes.VERDICTS).write_text((lab.root / notes.VERDICTS).read_text().replace("better", "\x1b"))
    monkeypatch.setattr(tools.runs, "compared", lambda *_: "worse")
    assert shown(lab)[1].endswith("  worse")


@pytest.mark.parametrize("damaged", ["{", "[1]", "1", "[" * 100_000, '{"a": NaN}'])
def test_damaged_notes_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert notes.read(notes.MINUTES) == {}
    notes.add(notes.MINUTES, "a.dir", 7.5)
    assert notes.read(notes.MINUTES) == {"a.dir": 7.5}
    notes.MINUTES.write_text(damaged)
    notes.add(notes.MINUTES, "b.dir", 1.0)
    assert notes.read(notes.MINUTES)["b.dir"] == 1.0


def test_help(tmp_path: Path) -> None:
    done = child("-m", "tools.runs", "--help", cwd=tmp_path)
    assert done.returncode == 0 and "make runs" in done.stdout
