"""tools.doctor as a child process, in projects with real git and DVC and a bucket on loopback."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detector.base import files
from detector.data import labels
from detector.model import pipeline_config
from tests.support import disk, seconds, tiny
from tests.support.gcs_server import Server
from tests.support.service_account import EMAIL, write_key
from tests.support.stage import REPOSITORY

COPIED = (
    "dvc.yaml",
    "params.yaml",
    "model/start",
    "pyproject.toml",
    "requirements",
    ".dvc/config",
    ".dvc/.gitignore",
    ".gitignore",
)
OF_THE_MACHINE = re.compile(
    "TF_CONFIG|(TPU|COLAB|KUBE|CUDA|GIT|GOOGLE)_|STORAGE_EMULATOR|MAKE|MFLAGS|PASSO_FRESH|PYTHON$"
)
START = "model/start/cats"

FEW_PHOTOS = ("note:  too few training photos", "note:  few t", "note:  no test photo shows ")


@dataclasses.dataclass
class Project:
    """A folder as a clone has it; programs that it must not find are replaced by ones that fail."""

    root: Path

    def __post_init__(self) -> None:
        self.program("nvidia-smi", "exit 9")
        self.environment = {name: value for name, value in os.environ.items() if not OF_THE_MACHINE.match(name)}
        path = f"{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment |= {"PATH": path, "HOME": str(self.root.parent), "PYTHONPATH": str(REPOSITORY)}
        home = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_STATE_HOME"), str(self.root.parent))
        self.environment |= {**home, "GIT_CONFIG_NOSYSTEM": "1"}
        self.environment |= {
            "PASSO_GCS_SECONDS": "30",
            "NO_GCE_CHECK": "true",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "DVC_NO_ANALYTICS": "1",
        }

    def fill(self) -> "Project":
        self.root.mkdir(parents=True)
        for name in COPIED:
            source, target = REPOSITORY / name, self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        return self

    def remote(self) -> None:
        """A DVC remote in a bucket, whose answers are verified, as `make bucket` writes it."""
        self.must("dvc", "remote", "add", "--quiet", "--default", "--force", "store", "gs://bucket/dvc")
        self.must("dvc", "remote", "modify", "--quiet", "store", "verify", "true")

    @property
    def programs(self) -> Path:
        return self.root.parent / "programs"

    def program(self, name: str, script: str) -> None:
        self.programs.mkdir(parents=True, exist_ok=True)
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **variables}
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def must(self, *command: str) -> None:
        result = self.run(*command)
        assert result.returncode == 0, result.stderr

    def commit(self) -> None:
        if not (self.root / ".git").exists():
            self.must("git", "init", "--quiet")
            self.must("git", "config", "user.name", "You")
            self.must("git", "config", "user.email", "you@example.com")
        self.must("git", "add", ".")
        self.must("git", "commit", "--quiet", "-m", "start")

    def doctor(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "tools.doctor", *arguments, **variables)

    def findings(self, *arguments: str, **variables: str) -> list[str]:
        """What is not in order; with errors, the exit code is 1."""
        result = self.doctor(*arguments, **variables)
        assert result.stderr == ""
        *lines, last = result.stdout.splitlines()
        reported = [line for line in lines if not line.startswith("ok     ")]
        assert all(line.startswith(("note:  ", "error: ")) for line in reported)
        count = sum(line.startswith("error: ") for line in reported)
        assert last == (f"errors: {count}, notes: {len(reported) - count}" if reported else "in order")
        reported = [line for line in reported if not line.startswith(FEW_PHOTOS)]  # as all datasets here have
        assert result.returncode == (1 if count else 0)
        return reported

    def edit(self, file: str, before: str, after: str) -> None:
        text = (self.root / file).read_text()
        assert before in text
        (self.root / file).write_text(text.replace(before, after, 1))

    def params(self, **changes: str) -> None:
        tiny.params(self.root, **changes)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh clone, committed, with a remote that is a folder: nothing is wrong with it."""
    project = Project(tmp_path / "project").fill()
    (project.root / ".dvc" / "config").write_text(
        "[core]\n    analytics = false\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
    )
    project.commit()
    return project


def private_bucket(gcs: Server) -> None:
    """As `make bucket` leaves it."""
    gcs.create(
        "bucket",
        iamConfiguration={"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"},
        softDeletePolicy={"retentionDurationSeconds": "604800"},
        lifecycle={"rule": [{"action": {"type": "Delete"}, "condition": {"age": 30, "matchesPrefix": ["work/"]}}]},
    )


def model_to_start_from(project: Project, classes: int, model: str = "ssd_mobilenet_v2_320x320") -> None:
    """What `make continue` copies: a model's configuration, and of its checkpoint the table of contents."""
    folder = project.root / START
    folder.mkdir()
    (folder / "ckpt-1.index").write_bytes(b"\0\12\1_model/_feature_extractor/layer/.ATTRIBUTES/VARIABLE_VALUE")
    config = pipeline_config.render(tiny.config(model, num_classes=classes))
    (folder / "pipeline.config").write_text(config)


def test_a_fresh_clone_is_in_order_and_so_is_a_dataset_that_exists(project: Project) -> None:
    assert project.findings() == []
    lines = project.doctor().stdout.splitlines()
    assert f"ok     python {'.'.join(map(str, sys.version_info[:3]))}" in lines
    assert "ok     dataset/sample: not drawn yet, make train does it" in lines
    tiny.dataset(project.root, train=20)
    project.params()
    project.commit()
    lines = project.doctor().stdout.splitlines()
    assert "ok     dataset/tiny: label map has cat, dog" in lines
    assert "ok     dataset/tiny: read 24 of 24 XML files, 20 boxes in train/" in lines
    assert [line for line in lines if not line.startswith("ok ")] == [
        "note:  too few training photos to learn from: cat 10, dog 10; take 50 or more of each class",
        "note:  few test photos, and how far off their AP50 may be (95 %): cat 2 (+-0.41), dog 2 (+-0.41); "
        "20 photos give +-0.20, 100 +-0.10",
        "errors: 0, notes: 2",
    ]


MANY = [  # level, what, command
    ("error", "params.yaml: predict.score_threshold: 2 is not allowed", "dvc exp run -S predict.score_threshold="),
    ("error", "is not >=3.99", "make install PYTHON="),
    ("error", "train.accelerator: gpu, but TensorFlow's cpu build is installed", "make install TF=gpu"),
    ("note", "1 NVIDIA GPU, TensorFlow's cpu build does not use it", "make install TF=gpu"),
    ("error", "missing: no-such-package==1.0", "rm -f .venv/installed && make install"),
    ("note", "dvc 3", "rm -f .venv/installed && make install"),
    ("note", "your name is not set", "git config user.name 'You' && git config user.email you@example.com"),
    ("note", "a shallow clone", "git fetch --unshallow"),
    ("note", "git does not track dvc.lock", "git add dvc.lock && git commit"),
    (
        "error",
        "dataset/tiny/train/image01.xml: class dgo (1 file) is not in the label map",
        "sed -i 's|<name>dgo</name>|<name>dog</name>|' ",
    ),
    ("note", "1 fault in XML files, first dataset/tiny/train/image02.xml: broken XML", "dvc repro xml2csv"),
    ("note", "no box in dataset/tiny/train is a bird", "$EDITOR dataset/tiny/label_map.pbtxt"),
    ("error", "num_classes is 2, dataset/tiny/label_map.pbtxt has 3", "-S train.fine_tune_checkpoint_type=detection"),
    ("note", "a rate for 50000 steps, in a training of 90", "-S train.config_override=''"),
    ("note", "train.eval_every 100 of 90 steps", "dvc exp run -S train.eval_every=18"),
    ("error", "train.batch_size: 16 cannot be shared equally by 3 hosts with 1 x cpu", "make train BATCH=18"),
    ("note", "train.batch_size: 16 is more than the 10 images", "make train BATCH=8"),
    ("error", "train.work_dir dvc.yaml/work: ", "mv "),
    ("note", "remote store is not committed: ", "git add .dvc/config && git commit"),
    ("note", "remote store has no verify = true", "dvc remote modify store verify true"),
    (
        "error",
        "gs://bucket: roles/storage.objectViewer is given to allUsers",
        "gcloud storage buckets remove-iam-policy",
    ),
]


def spoiled(origin: Project) -> Project:
    """A shallow clone with the faults of `MANY`, but for those of the bucket and of the environment."""
    folder = tiny.dataset(origin.root)
    cosine = "train_config { optimizer { adam_optimizer { learning_rate { cosine_decay_learning_rate { %s } } } } }"
    changes = {"predict.score_threshold": "2", "train.accelerator": "gpu", "train.steps": "90"}
    changes |= {"train.fine_tune_checkpoint_type": "full", "train.work_dir": "dvc.yaml/work"}
    changes |= {"pretrained.source": START, "pretrained.start": START}
    origin.params(**changes, **{"train.config_override": f"'{cosine % 'total_steps: 50000'}'"})
    names = enumerate(("cat", "dog", "bird"), 1)
    (folder / "label_map.pbtxt").write_text("".join(f"item {{ id: {n} name: '{name}' }}\n" for n, name in names))
    wrong = folder / "train" / "image01.xml"
    wrong.write_text(wrong.read_text().replace("dog", "dgo"))
    (folder / "train" / "image02.xml").write_text("<annotation>")
    origin.edit("pyproject.toml", ">=3.11,<3.14", ">=3.99")
    for lock in (origin.root / "requirements").iterdir():
        lock.write_text("no-such-package==1.0\n" + re.sub("(?m)^dvc==[^ ]*", "dvc==0.1", lock.read_text()))
    origin.commit()
    origin.must("git", "commit", "--quiet", "--allow-empty", "-m", "another")
    project = Project(origin.root.parent / "clone")
    origin.must("git", "clone", "--quiet", "--depth", "1", f"file://{origin.root}", str(project.root))
    model_to_start_from(project, classes=2)
    (project.root / "dvc.lock").write_text("schema: '2.0'\n")
    project.program("nvidia-smi", "echo 'GPU 0: Tesla T4 (UUID: GPU-1)'")
    return project


def test_many_faults_together_each_with_its_command(tmp_path: Path, gcs: Server) -> None:
    project = spoiled(Project(tmp_path / "origin").fill())
    private_bucket(gcs)
    gcs.policy("bucket")["bindings"].append({"role": "roles/storage.objectViewer", "members": ["allUsers"]})
    project.must("dvc", "remote", "add", "--quiet", "--default", "store", "gs://bucket/dvc")
    hosts = '"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"'
    cluster = f'{{"cluster": {{"worker": [{hosts}]}}, "task": {{"type": "worker", "index": 0}}}}'
    before = seconds.of_children()
    reported = project.findings(**gcs.environment(), TF_CONFIG=cluster)
    # Of the processor, which other tests share: the network may add five seconds, and all is to be over in ten.
    assert seconds.of_children() - before < 5
    for level, what, command in MANY:
        lines = [line for line in reported if line.startswith(f"{level}: ") and what in line.partition("; ")[0]]
        assert len(lines) == 1 and command in lines[0], (what, reported)
    assert len(reported) == len(MANY), reported


def test_tensorflow_is_not_imported_and_the_fast_part_imports_little(project: Project, gcs: Server) -> None:
    gcs.create("bucket")
    project.must("dvc", "remote", "add", "--quiet", "--default", "--force", "store", "gs://bucket/dvc")
    tiny.dataset(project.root)
    project.params()

    def imported(*arguments: str) -> set[str]:
        command = [sys.executable, "-X", "importtime", "-m", "tools.doctor", *arguments]
        result = project.run(*command, **gcs.environment())
        return set(re.findall(r"(?m)^import time:.*\| +([\w.]+)$", result.stderr))

    assert "google.cloud.storage" in imported()
    assert not imported() & {"tensorflow", "keras", "tf_keras", "object_detection.builders"}
    assert not imported("--fast") & {"tensorflow", "google.cloud.storage", "dvc", "numpy", "pandas", "PIL", "lxml"}


def not_a_repository(project: Project) -> None:
    shutil.rmtree(project.root / ".git")


def not_dvcs(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc")


def without_pyproject(project: Project) -> None:
    (project.root / "pyproject.toml").unlink()


def with_a_broken_label_map(project: Project) -> None:
    (tiny.dataset(project.root) / "label_map.pbtxt").write_text("item { id: -2 name: 'cat' }")
    project.params()


def tracked_by_dvc(project: Project) -> None:
    (project.root / "dataset").mkdir()
    (project.root / "dataset" / "tiny.dvc").touch()
    project.params()


def of_another_kind(project: Project) -> None:
    model_to_start_from(project, classes=2, model="ssd_mobilenet_v2_fpnlite_320x320")


def of_other_classes(project: Project) -> None:
    model_to_start_from(project, classes=2)
    labels.write(project.root / START / "label_map.pbtxt", ["bird", "fish"])
    labels.write(project.root / "dataset/sample/label_map.pbtxt", ["cat", "dog"])


def damaged(project: Project) -> None:
    (project.root / START).mkdir()
    (project.root / START / "ckpt-1.index").write_bytes(b"\0" * 100)


def without_start(project: Project) -> None:
    shutil.rmtree(project.root / "model/start")


def start_tracked_by_dvc(project: Project) -> None:
    (project.root / f"{START}.dvc").write_text("outs:\n")


COSINE = "train_config { optimizer { adam_optimizer { learning_rate { cosine_decay_learning_rate { %s } } } } }"
WARMUP = f"train.config_override='{COSINE % 'warmup_steps: 501'}'"
PEAK = f"train.config_override='{COSINE % 'learning_rate_base: 0.00001'}'"
TYPE = "train.fine_tune_checkpoint_type"
FPNLITE = "train.model=ssd_mobilenet_v2_fpnlite_320x320"
FROM_START = [f"pretrained.source={START}", f"pretrained.start={START}"]
ARCHIVE = "pretrained.source=https://a.example/b c.tar.gz"


@pytest.mark.parametrize(
    ("spoil", "values", "start"),
    [
        (not_a_repository, [], "not a git repository (a downloaded zip?); run: git init && git add . && git commit"),
        (not_dvcs, [], ".dvc: not found, so this is not a pipeline; run: dvc init"),
        (without_pyproject, [], "pyproject.toml: cannot be read: No such file or directory; check it: ls -ld"),
        (
            with_a_broken_label_map,
            [],
            "dataset/tiny/label_map.pbtxt: line 1: cat: the id is -2; give every item its own id: 1, 2, ...: $EDITOR ",
        ),
        (tracked_by_dvc, [], "dataset/tiny: tracked by DVC, but not here; run: make pull"),
        (None, ["dataset.dir=dataset/pets"], "dataset/pets (dataset.dir): not found; run: make dataset SRC="),
        (None, ["train.keep=abc"], "params.yaml: train.keep: 'abc' is not allowed; give a whole number from 1 to 1000"),
        (None, ["train.stepz=5"], "params.yaml: train.stepz: unknown key (its value is 5); did you mean steps?: "),
        (None, ["trian.steps=5"], "params.yaml: trian: unknown section; there are sample, dataset, pretrained"),
        (None, ["train.config_override='modle {}'"], "params.yaml: train.config_override: 1:1 : "),
        (None, [WARMUP], "train.config_override: warmup_steps 501 is more than total_steps 300; leave it out, or dvc"),
        (None, [PEAK], "train.config_override: warmup_learning_rate 0.0001 is over the peak, 1e-05; leave it out, or"),
        (
            None,
            ["train.accelerator=tpu"],
            "params.yaml: train.accelerator: tpu, but TensorFlow's cpu build is installed; run: make install TF=tpu",
        ),
        (None, ["train.work_dir=dvc.yaml"], "train.work_dir dvc.yaml: "),
        (
            None,
            [f"{TYPE}=full"],
            f"params.yaml: {TYPE}: full needs a detector of your classes, and auto is not one",
        ),
        (None, ["pretrained.source=last"], "params.yaml: pretrained.source: last changes with every training, so "),
        (None, [f"pretrained.source={START}"], "params.yaml: pretrained.start: model/start/none is not model/start/ca"),
        (
            None,
            FROM_START[1:],
            "pretrained.start: model/start/cats: not found; run: dvc exp run -S pretrained.start=mod",
        ),
        (None, [f"{TYPE}=none", "pretrained.source=gone"], "pretrained.source: gone: not found; run: dvc exp run -S"),
        (without_start, [], "pretrained.start: model/start/none: not found; run: git checkout model/start/none"),
        (start_tracked_by_dvc, FROM_START, f"{START}: tracked by DVC, but not here; run: make pull"),
        (
            None,
            ["pretrained.source=package"],
            f"params.yaml: {TYPE}: detection needs a detector, but package (pretrained.source) is a classification",
        ),
        (
            of_another_kind,
            [*FROM_START, f"{TYPE}=full"],
            "model/start/cats/pipeline.config: ssd_mobilenet_v2_fpn_keras, which is not that of train.model ssd_mobi",
        ),
        (
            of_other_classes,
            [*FROM_START, f"{TYPE}=full"],
            "model/start/cats/label_map.pbtxt: bird, fish, but dataset/sample/label_map.pbtxt has cat, dog, and full ",
        ),
        (damaged, FROM_START, "model/start/cats/ckpt-1.index: neither a backbone nor a detector; run: dvc exp run"),
        (
            None,
            ["pretrained.source='~/no'"],
            "pretrained.source: ~/no: not found; run: dvc exp run -S pretrained.source=",
        ),
        (None, [ARCHIVE], "pretrained.sha256: an archive from the web needs its 64 digits; run: curl -L 'https://a."),
        (
            None,
            ["pretrained.source=open_images", f"{TYPE}=detection", FPNLITE],
            "params.yaml: pretrained.source: open_images is an ssd_mobilenet_v2_320x320, not a ssd_mobilenet_v2_fpn",
        ),
    ],
)
def test_what_would_end_a_training_is_reported_by_the_fast_part(
    project: Project, spoil: Callable[[Project], None] | None, values: list[str], start: str
) -> None:
    if spoil:
        spoil(project)
    result = project.doctor("--fast", *(word for value in values for word in ("-S", value)))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {start}")
    assert result.stderr.count("\n") == 1


def test_which_weights_auto_takes(project: Project) -> None:
    def line(*values: str) -> str:
        result = project.doctor(*(word for value in values for word in ("-S", value)), XDG_CACHE_HOME=str(project.root))
        (found,) = [line for line in result.stdout.splitlines() if "weights: " in line]
        return found

    assert re.fullmatch(
        r"ok     weights: Open Images' detector, to be fetched by https.*; else ImageNet's weights", line()
    )
    assert line(f"{TYPE}=none") == "ok     weights: random"
    folder = project.root / "model/pretrained"
    folder.mkdir()
    (folder / "source.json").write_text('{"source": "package", "asked": "auto"}')
    assert line() == (
        "note:  weights: ImageNet's weights, with train.fine_tune_checkpoint_type classification, "
        "train.frozen_blocks 0, train.backbone_learning_rate 1: Open Images' detector could not be fetched; "
        "run: source .venv/bin/activate; dvc repro --force --single-item pretrained"
    )


def test_a_cluster_that_cannot_be_understood(project: Project) -> None:
    result = project.doctor("--fast", TF_CONFIG='{"cluster": {"worker": "here"}}')
    assert result.stderr.startswith("error: TF_CONFIG: cluster: not a list of host:port for each job; it must be like ")
    assert result.stderr.count("\n") == 1


def test_all_faults_of_a_section_are_reported_and_none_twice(project: Project) -> None:
    project.edit("params.yaml", "  steps: 300", "  steps: 0\n  stepz: 5\n  stepy: 6")
    project.edit("params.yaml", "accelerator: auto", "accelerator: cuda")
    project.edit("params.yaml", "keep: 2", "kept: 2")
    lines = project.doctor("--fast").stderr.splitlines()
    assert [line.removeprefix("error: params.yaml: train.").partition("; ")[0] for line in lines] == [
        "stepz: unknown key (its value is 5)",
        "stepy: unknown key (its value is 6)",
        "kept: unknown key (its value is 2)",
        "steps: 0 is not allowed",
        "accelerator: 'cuda' is not allowed",
        "keep: missing",
    ]
    assert lines[3].endswith(
        "give a whole number from 1 to 10000000, in params.yaml or by: dvc exp run -S train.steps=..."
    )
    (project.root / "params.yaml").write_text("train: [")
    (line,) = project.doctor("--fast").stderr.splitlines()
    assert line.startswith("error: params.yaml: not valid YAML: ")


def test_values_of_one_run_are_those_that_are_checked(project: Project) -> None:
    project.edit("params.yaml", "steps: 300", "steps: 0")
    result = project.doctor("--fast", "-S", "train.steps=5")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert "steps: 0" in (project.root / "params.yaml").read_text()
    for value in ("train.steps", "steps=5", "=5", ".=5"):
        result = project.doctor("-S", value)
        assert (result.returncode, result.stdout) == (2, "")
        assert (
            result.stderr == f"error: -S: '{value}' is not understood; give section.key=value, say train.steps=1000\n"
        )
    assert project.doctor("--slow").returncode == 2


def test_a_value_that_dvc_cannot_read_is_refused_with_the_quotes_that_it_needs(project: Project) -> None:
    """It passed, and the training that came after it ended in DVC's LexerNoViableAltException."""
    for value in (
        "train.work_dir=~/work",
        "train.config_override=model { }",
        "train.config_override=a(b",
        "train.seed==",
    ):
        result = project.doctor("--fast", "-S", value)
        assert (result.returncode, result.stdout) == (2, "")
        remedy = "a text needs quotes in the quotes of the shell: -S \"train.work_dir='~/work'\""
        assert result.stderr == f"error: -S: {value!r} is not understood; {remedy}\n"
    assert project.doctor("--fast", "-S", "train.work_dir='~/work'").returncode == 0
    home = project.root.parent
    assert (
        f"work_dir: {home}/work (2) = {{mine}} is writable" in project.doctor("--work-dir=~/work (2) = {mine}").stdout
    )
    (line,) = project.doctor("--fast", "--steps=5; x").stderr.splitlines()
    assert line.startswith("error: params.yaml: train.steps: '5; x' is not allowed; give a whole number from 1 to ")


def test_a_command_that_fixes_a_run_keeps_its_dataset_steps_and_batch(project: Project) -> None:
    kept = "-S dataset.dir=dataset/sample -S train.steps=90 -S train.batch_size=4"
    line = project.doctor("--fast", *kept.split(), "-S", "train.seed=1", "-S", "train.keep=x").stderr
    assert line.endswith(f"in params.yaml or by: dvc exp run {kept} -S train.keep=...\n")
    line = project.doctor("--fast", *kept.replace("90", "x").split()).stderr
    assert "or by: dvc exp run -S dataset.dir=dataset/sample -S train.batch_size=4 -S train.steps=...\n" in line


def test_an_experiment_needs_a_commit_and_a_name_and_repro_neither(project: Project) -> None:
    shutil.rmtree(project.root / ".git")
    project.must("git", "init", "--quiet")
    assert project.doctor("--fast").returncode == 0
    result = project.doctor("--fast", "-S", "train.steps=5")
    assert result.stderr.splitlines() == [
        "error: git: no commit, and an experiment starts from one; run: git add . && git commit -m start",
        "error: git: your name is not set, and an experiment is a commit; "
        "run: git config user.name 'You' && git config user.email you@example.com",
    ]
    assert result.returncode == 1
    reported = project.findings()
    assert [line.partition(";")[0] for line in reported[:2]] == [
        "note:  git: no commit, and an experiment starts from one",
        "note:  git: your name is not set, and an experiment is a commit",
    ]


def package(project: Project, name: str) -> dict[str, str]:
    """The variables with which Python finds a package of that name."""
    folder = project.root.parent / "packages"
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    return {"PYTHONPATH": f"{REPOSITORY}:{folder}"}


def test_a_batch_is_shared_by_the_gpus_that_may_be_used(project: Project) -> None:
    cuda = package(project, "nvidia/cudnn")
    project.program("nvidia-smi", 'for n in 0 1 2; do echo "GPU $n: Tesla T4 (UUID: GPU-$n)"; done')
    result = project.doctor("--fast", **cuda)
    assert (
        result.stderr
        == "error: params.yaml: train.batch_size: 16 cannot be shared equally by 3 x gpu; run: make train BATCH=18\n"
    )
    assert project.doctor("--fast", CUDA_VISIBLE_DEVICES="0,2", **cuda).returncode == 0
    assert project.doctor("--fast", "-S", "train.accelerator=cpu", **cuda).returncode == 0
    result = project.doctor("--fast", "-S", "train.accelerator=gpu", CUDA_VISIBLE_DEVICES="-1", **cuda)
    assert result.stderr == (
        "error: params.yaml: train.accelerator: gpu, but none is found; run: dvc exp run -S train.accelerator=auto\n"
    )


def test_a_tpu_and_its_tensorflow_belong_together(project: Project) -> None:
    attached = {"TPU_ACCELERATOR_TYPE": "v5litepod-1"}
    assert "note:  a TPU is attached, TensorFlow's cpu build does not use it; run: make install TF=tpu" in (
        project.findings(**attached)
    )
    libtpu = package(project, "libtpu")
    assert "note:  TensorFlow's TPU build is installed, but no TPU is found; run: make install TF=auto" in (
        project.findings(**libtpu)
    )
    assert "ok     accelerator: tpu, TensorFlow's tpu build" in project.doctor(**libtpu, **attached).stdout.splitlines()


def test_a_tpu_node_is_refused_before_anything_runs(project: Project) -> None:
    result = project.doctor("--fast", COLAB_TPU_ADDR="10.0.0.2:8470")
    assert result.returncode == 1
    assert result.stderr.startswith("error: COLAB_TPU_ADDR: this is a TPU node, which reads gs:// only; ")
    assert project.doctor("--fast", "-S", "train.accelerator=cpu", COLAB_TPU_ADDR="10.0.0.2:8470").returncode == 0


def test_a_work_directory_that_is_not_an_address(project: Project) -> None:
    result = project.doctor("--fast", "-S", "train.work_dir=gs://gs://my-pets/work")
    assert result.stderr == (
        "error: params.yaml: train.work_dir: gs://gs://my-pets/work is not an address; give gs://bucket/work\n"
    )


def test_a_disk_that_is_too_small(project: Project) -> None:
    place = Path("/dev/shm")
    if not place.is_dir() or shutil.disk_usage(place).free > 60e9:
        pytest.skip("no small disk here")
    result = project.doctor("--fast", "-S", "train.keep=1000", "-S", f"train.work_dir={place}/passo")
    assert re.fullmatch(
        r"error: disk: \d+\.\d GB free, about 60\.1 GB needed for 1001 checkpoints in /dev/shm/passo; "
        r"run: dvc exp run -S train\.keep=1\n",
        result.stderr,
    )


def test_a_read_only_file_system_is_no_matter_of_permissions(project: Project) -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    places = [Path(place) for _, place, _, options, *_ in mounts if "ro" in options.split(",") and Path(place).is_dir()]
    if not places:
        pytest.skip("nothing is mounted read-only here")
    result = project.doctor("--fast", f"--work-dir={places[0]}")
    assert result.stderr.splitlines()[-1] == (
        f"error: train.work_dir {places[0]}: {places[0]} is on a read-only file system; "
        "run: dvc exp run -S train.work_dir=FOLDER"
    )


def test_the_commands_for_unknown_classes_fix_them(project: Project) -> None:
    folder = tiny.dataset(project.root)
    for number, name in ((1, "dgo"), (3, "dog'; touch pwned\n")):
        xml = folder / "train" / f"image{number:02}.xml"
        xml.write_text(xml.read_text().replace("dog", name))
    project.params(**{"train.batch_size": "8"})
    project.commit()
    for line in project.findings():
        project.must("sh", "-c", line.partition("run: ")[2].removesuffix(", or rename it in the XML"))
    assert not (project.root / "pwned").exists()
    assert project.findings() == []
    assert "<name>dog</name>" in (folder / "train" / "image01.xml").read_text()


def test_a_bucket_that_is_gone_costs_seconds(project: Project, gcs: Server) -> None:
    project.remote()
    project.commit()
    began = time.monotonic()
    (line,) = project.findings(**gcs.environment())
    assert line.startswith("error: gs://bucket: ") and "make bucket" in line
    with_bucket = time.monotonic() - began  # mostly imports, which take long where the machine is busy
    gcs.stop()
    began = time.monotonic()
    (line,) = project.findings(**gcs.environment(), PASSO_GCS_SECONDS="3")
    assert line.startswith("error: gs://bucket: no answer")
    assert time.monotonic() - began < 2 * with_bucket + 20  # three more would do; dvc itself takes 34 more


def test_a_remote_in_use_is_in_order(project: Project, gcs: Server) -> None:
    private_bucket(gcs)
    project.remote()
    project.params(**{"train.work_dir": "gs://bucket/work", "dataset.dir": "dataset/sample"})
    project.commit()
    assert project.findings(**gcs.environment()) == []
    lines = project.doctor(**gcs.environment()).stdout.splitlines()
    assert "ok     remote store: gs://bucket/dvc, committed" in lines
    assert lines.count("ok     gs://bucket: reachable, writable, not public") == 1
    assert "ok     credentials: none, because STORAGE_EMULATOR_HOST is set" in lines
    assert gcs.read("bucket") == {}


def test_an_account_that_may_only_use_the_objects_can_train(project: Project, gcs: Server) -> None:
    private_bucket(gcs)
    project.remote()
    project.commit()
    gcs.deny("bucket", "storage.buckets.get", "storage.buckets.getIamPolicy")
    (line,) = project.findings(**gcs.environment())
    assert line == (
        "note:  gs://bucket: reachable and writable, but this account may not see its settings and policy: it may "
        "be public; its owner can check: make bucket-check BUCKET=bucket"
    )
    gcs.deny("bucket", "storage.objects.create")
    lines = project.findings(**gcs.environment())
    assert [line.partition(":")[0] for line in lines] == ["error"] * 3
    assert "your account may not: storage.objects.create" in lines[-1]


def test_the_remote_is_judged_with_its_key_and_the_work_directory_with_the_login(project: Project, gcs: Server) -> None:
    private_bucket(gcs)
    project.remote()
    project.params(**{"train.work_dir": "gs://bucket/work", "dataset.dir": "dataset/sample"})
    project.commit()
    key = project.root.parent / "key.json"
    write_key(key, f"{gcs.url}/token")
    project.must("dvc", "remote", "modify", "--quiet", "--local", "store", "credentialpath", str(key))
    lines = project.doctor(**gcs.environment()).stdout.splitlines()
    assert "ok     gs://bucket (credentialpath): reachable, writable, not public" in lines
    assert "ok     gs://bucket: reachable, writable, not public" in lines
    gcs.fault(path="/token", status=401, times=99)
    (line,) = project.findings(**gcs.environment())
    assert line.startswith("error: gs://bucket (credentialpath): the credentials are not accepted: ")


def test_an_unreadable_key_is_reported_and_never_shown(project: Project) -> None:
    project.must("dvc", "remote", "add", "--quiet", "--default", "--force", "store", "gs://bucket/dvc")
    project.commit()
    secret = project.root.parent / "key.json"
    secret.write_text('{"type": "service_account", "private_key": "hunter2"}')
    for variables, line in (
        ({}, "error: credentials: none found; run: gcloud auth application-default login"),
        (
            {"GOOGLE_APPLICATION_CREDENTIALS": str(secret)},
            f"error: credentials: {secret} (GOOGLE_APPLICATION_CREDENTIALS) is not a credentials file that can be "
            "read; run: unset GOOGLE_APPLICATION_CREDENTIALS && gcloud auth application-default login",
        ),
    ):
        result = project.doctor(STORAGE_EMULATOR_HOST="", **variables)
        assert line in result.stdout.splitlines()
        assert "hunter2" not in result.stdout + result.stderr


def test_an_account_is_named_and_its_key_is_not(project: Project) -> None:
    project.must("dvc", "remote", "add", "--quiet", "--default", "--force", "store", "gs://bucket/dvc")
    file = project.root.parent / "key.json"
    write_key(file, "http://127.0.0.1:9/token")
    result = project.doctor(GOOGLE_APPLICATION_CREDENTIALS=str(file), PASSO_GCS_SECONDS="6")
    assert f"ok     credentials: {EMAIL}, {file}" in result.stdout.splitlines()
    assert "PRIVATE" not in result.stdout + result.stderr


def test_a_key_file_belongs_in_the_local_configuration(project: Project) -> None:
    project.must("dvc", "remote", "add", "--quiet", "--default", "--force", "store", "gs://bucket/dvc")
    project.must("dvc", "remote", "modify", "--quiet", "store", "credentialpath", "no.json")
    project.commit()
    (line,) = project.findings()
    assert line.startswith("error: .dvc/config: remote.store.credentialpath: it comes with the repository, and is ")
    assert project.doctor("--fast").stderr.splitlines() == [line], "make train does not begin"
    project.must("dvc", "remote", "modify", "--unset", "store", "credentialpath")
    project.must("dvc", "remote", "modify", "--local", "store", "credentialpath", "no.json")
    project.commit()
    assert (
        f"error: credentials: {project.root}/no.json (credentialpath) is not a credentials file that can be read; "
        "run: dvc remote modify --local --unset store credentialpath && gcloud auth application-default login"
    ) in project.doctor().stdout.splitlines()


def test_a_merge_with_conflicts_is_found_before_dvc_meets_it(project: Project) -> None:
    lock = project.root / "dvc.lock"
    lock.write_text("schema: '2.0'\n<<<<<<< HEAD\nstages: {}\n=======\nstages: {a: {}}\n>>>>>>> theirs\n")
    project.commit()
    (line,) = project.findings()
    assert line == (
        "error: dvc.lock: git's conflict markers; run: git checkout --ours dvc.lock (or --theirs: the other side's "
        "results), then git add dvc.lock && dvc checkout"
    )
    assert project.doctor("--fast").stderr.splitlines() == [line]


def test_a_work_directory_in_a_bucket_that_others_chose(project: Project, gcs: Server) -> None:
    project.params(**{"train.work_dir": "gs://theirs/work", "dataset.dir": "dataset/sample"})
    project.commit()
    (line,) = project.doctor("--fast").stderr.splitlines()
    assert line == (
        "error: train.work_dir: gs://theirs/work is in a bucket that you have not used before; if it is yours, "
        "run: make train WORK_DIR=gs://theirs/work"
    )
    assert project.doctor("--fast", "-S", "train.work_dir=gs://theirs/work").stderr == ""
    assert project.doctor("--fast").stderr == "", "it is in params.yaml from then on"
    assert project.doctor("--fast", "-Strain.work_dir='gs://other/work'").stderr == "", "in Hydra's quotes, too"


def test_a_remote_that_is_only_in_the_local_configuration_is_reported(project: Project) -> None:
    (project.root / ".dvc" / "config").write_text("[core]\n    remote = other\n")
    result = project.findings()
    assert result == [
        "error: .dvc/config: core.remote is other, which is not a remote; run: dvc remote default --unset",
    ]
    (project.root / ".dvc" / "config.local").write_text("['remote \"other\"']\n    url = /nowhere/../../x\n")
    (line,) = project.findings()
    assert (
        line.startswith("note:  .dvc/config: remote other is not committed: ")
        and "run: dvc remote add -f -d other " in line
    )
    (project.root / ".dvc" / "config").write_text("[core\n")
    (line,) = project.findings()
    assert line.startswith("error: .dvc/config: ") and line.endswith(
        "; fix it, or restore it: git checkout .dvc/config"
    )


def test_make_train_begins_with_it(project: Project) -> None:
    (project.root / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(REPOSITORY / "Makefile", project.root)
    started = "> dvc repro evaluate parity predict\n"
    python = project.root / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    project.edit("params.yaml", "accelerator: auto", "accelerator: gpu")
    (line,) = [line for line in project.doctor().stdout.splitlines() if line.startswith("error: ")]
    result = project.run("make", "--no-print-directory", "train", "PYTHON=true")
    assert result.returncode == 2
    assert result.stderr.splitlines()[0] == line
    assert started not in result.stdout
    result = project.run("make", "--no-print-directory", "doctor", "PYTHON=true")
    assert line in result.stdout.splitlines()
    assert result.returncode == 2
    project.edit("params.yaml", "accelerator: gpu", "accelerator: auto")
    assert started in project.run("make", "--no-print-directory", "train", "PYTHON=true").stdout


def test_a_folder_of_dvc_that_can_only_be_read(project: Project) -> None:
    with disk.read_only(project.root / ".dvc"):
        result = project.doctor("--fast")
    assert result.returncode == 1
    assert result.stderr == "error: .dvc: DVC cannot write there; check it: ls -ld .dvc; findmnt --target .dvc\n"


def test_a_disk_of_the_cache_that_is_too_small(project: Project) -> None:
    with disk.small(project.root.parent / "cache", "2m") as cache:
        project.must("dvc", "cache", "dir", "--quiet", "--local", str(cache))
        result = project.doctor("--fast")
    assert result.returncode == 1
    needed = r"error: disk: 0\.0 GB free, about 0\.2 GB needed for DVC's cache in .*/cache; free some: dvc gc --work"
    assert re.match(needed, result.stderr) and result.stderr.count("\n") == 1


def test_a_disk_without_file_locks(project: Project) -> None:
    code = (
        "import errno, fcntl, os, runpy, sys\n"
        "def flock(*_): raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))\n"
        "fcntl.flock = flock\n"
        "sys.argv = ['doctor', '--fast']\n"
        "runpy.run_module('tools.doctor', run_name='__main__')\n"
    )
    result = project.run(sys.executable, "-c", code)
    what = ".dvc: this disk has no file locks, as network folders may: No locks available"
    remedy = "run: dvc config --local core.hardlink_lock true"
    assert (result.returncode, result.stderr) == (1, f"error: {what}; {remedy}\n")
    project.must("sh", "-c", remedy.removeprefix("run: "))
    assert project.run(sys.executable, "-c", code).returncode == 0


def test_an_output_that_a_kill_has_hidden(project: Project) -> None:
    old = project.root / "model" / f"{files.TEMPORARY}abc" / files.OLD / "train"
    files.write_text(old / "best/ckpt-1.index", "trained")
    result = project.doctor("--fast")
    assert result.returncode == 1
    what = "error: model/train: missing, since a kill came while it was replaced; the last one is "
    assert result.stderr.startswith(f"{what}{old.relative_to(project.root)}; run: mv ")
    project.must("sh", "-c", result.stderr.partition("run: ")[2].partition(" (or")[0])
    assert (project.root / "model/train/best/ckpt-1.index").read_text() == "trained"
    assert project.doctor("--fast").returncode == 0


def test_what_only_the_working_tree_has(project: Project) -> None:
    tiny.dataset(project.root)
    project.params(**{"train.batch_size": "8"})
    project.must("dvc", "add", "--quiet", "dataset/tiny")
    project.commit()
    assert project.findings() == []
    shutil.rmtree(project.root / ".dvc/cache/files")
    (line,) = project.findings()
    assert line.startswith("note:  dataset/tiny: not in DVC's cache, and dvc repro, exp run or checkout may remove it")
    project.must("sh", "-c", line.rpartition(", or ")[2])
    assert project.findings() == []


def test_an_empty_list_of_locks(project: Project) -> None:
    (project.root / ".dvc/tmp").mkdir(exist_ok=True)
    (project.root / ".dvc/tmp/rwlock").touch()
    assert "note:  .dvc/tmp/rwlock: empty, and dvc refuses that" in project.doctor().stdout
