"""The Makefile through `make` itself, in a copy whose `.venv/bin/python` writes down how it was called."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parent.parent
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z][a-z-]*):", MAKEFILE, flags=re.MULTILINE)
LAST = ["evaluate", "parity", "predict"]
SWITCHES = ("ADD", "FRESH", "RELABEL", "REMOTE", "XML", "YOLO")
# One word each; every one would do harm, or fall apart, where it is not quoted.
HOSTILE = [
    "a b; touch pwned",
    "$(touch pwned)",
    "$(shell touch pwned)",
    "`touch pwned`",
    "it's; touch pwned '",
    'say "touch" | touch pwned',
    "$HOME ${PATH} $$",
    "-rf #*? \\",
    "a\ntouch pwned",
    "prédio & ção",
]


class Copy:
    """A folder with the Makefile; packages count as installed (PYTHON=true), programs of .venv/bin record."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls = root, root / "calls"
        shutil.copy(REPOSITORY / "Makefile", root)
        record = r'printf "%s\0" "${0##*/}" "$@" >> calls; printf "\n\0" >> calls'
        for name, folder in (("python", ".venv"), ("dvc", ".venv"), ("python", ".venv-serve")):
            (root / folder / "bin").mkdir(parents=True, exist_ok=True)
            self.program(name, record, folder)

    def program(self, name: str, script: str, folder: str = ".venv") -> None:
        path = self.root / folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def make(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        unset = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "PYTHON", "TF")
        environment = {key: value for key, value in os.environ.items() if key not in unset} | {"PYTHON": "true"}
        command = ["make", "--no-print-directory", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=environment | variables, capture_output=True, text=True, check=False
        )

    def recorded(self) -> list[list[str]]:
        """The commands that were run, as lists of words."""
        words = self.calls.read_text().split("\n\0") if self.calls.exists() else []
        return [line.split("\0")[:-1] for line in words if line]

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.fixture
def repository(copy: Copy) -> Copy:
    copy.git("init", "--quiet")
    copy.git("add", "Makefile")
    copy.git("commit", "--quiet", "-m", "start")
    return copy


def test_help_is_the_default_and_lists_every_target(copy: Copy) -> None:
    lines = copy.make().stdout.splitlines()
    listed = [line.split() for line in lines if line.startswith("make ")]
    assert [words[:2] for words in listed] == [["make", target] for target in TARGETS]
    assert all(len(words) > 2 for words in listed) and max(map(len, lines)) <= 80
    assert lines[:2] == ["Train", "make train             Train, measure, export: [DATASET=pets STEPS=500 BATCH=16"]
    assert TARGETS.index("test") > max(TARGETS.index(name) for name in ("predict", "install", "help", "push"))
    assert copy.make("help").stdout.splitlines() == lines
    assert copy.recorded() == []


def test_the_command_set_is_complete() -> None:
    for_users = "help install train continue dataset inspect trace convert predict compare report summary status doctor"
    for_users += " prelabel label-errors openvino tensorboard serve demo runs"
    for_buckets = "bucket bucket-check push pull push-records check-data"
    for_developers = "test test-long test-slow test-kill test-kill-bucket test-kill-predict test-attacks test-faults"
    for_developers += " test-fuzz bench-train bench-predict check format lock clean"
    assert sorted(TARGETS) == sorted(f"{for_users} {for_buckets} {for_developers}".split())


def test_every_target_is_phony() -> None:
    assert sorted(re.findall(r"^\.PHONY: (\S+)$", MAKEFILE, flags=re.MULTILINE)) == sorted(
        [*TARGETS, "_experiment", "_repository"]
    )


def test_train_reproduces_the_pipeline_or_runs_an_experiment(repository: Copy) -> None:
    before = ["python", "-m", "tools.doctor", "--fast"]
    after = [["python", "-m", "tools.report"], ["python", "-m", "tools.summary"]]
    assert repository.make("train").returncode == 0
    assert repository.recorded() == [before, ["python", "-m", "tools.pipeline", "repro", *LAST], *after]

    repository.calls.unlink()
    identity = {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com"}
    assert repository.make("train", "STEPS=5000", "BATCH=256", "DATASET=my pets", **identity).returncode == 0
    overrides = ["--steps=5000", "--batch=256", "--dataset=my pets"]
    run = ["python", "-m", "tools.pipeline", "exp", "run", *overrides, *LAST]
    assert repository.recorded() == [[*before, *overrides], run, *after]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "PHOTOS=1"], "PHOTOS is the default now, for photos and drawings alike: leave it out."),
        (["train", "PHOTOS=yes"], "PHOTOS is the default now"),
        (["doctor", "PHOTOS="], "PHOTOS is the default now"),
        (
            ["predict", "PHOTOS=holiday"],
            "PHOTOS: no such variable; did you mean IMAGES? make predict takes BUCKET IMAGES ",
        ),
        (["prelabel", "fotos=a"], "fotos: no such variable; did you mean IMAGES? make prelabel takes IMAGES "),
        (["dataset", "PHOTOS=a"], "PHOTOS: no such variable; make dataset takes ADD NAME "),
        (["predict", "IMAGE=x"], "IMAGE: is for make trace; did you mean IMAGES? make predict takes BUCKET IMAGES "),
        (["trace", "IMAGES=x"], "IMAGES: is for make predict prelabel; did you mean IMAGE? make trace takes IMAGE "),
        (["trace", "PHOTO=x"], "PHOTO: no such variable; did you mean IMAGE? make trace takes IMAGE "),
        (["train", "STEP=5"], "STEP: no such variable; did you mean STEPS? make train takes BATCH DATASET "),
        (["train", "steps=5", "STEPS=5"], "steps: no such variable; did you mean STEPS? "),
        (["train", "THRESHOLD=0.3"], "THRESHOLD: is for make predict serve demo prelabel; make train takes BATCH "),
        (["summary", "STEPS=5"], "STEPS: is for make train doctor; make summary takes PYTHON TF INSTALLER."),
        (["STEPS=5"], "STEPS: is for make train doctor; make help takes PYTHON TF INSTALLER."),
        (["train", "x;touch>pwned;=1"], "x;touch>pwned;: no such variable; make train takes "),
        (["train", "x'`touch>pwned`=1"], "x'`touch>pwned`: no such variable; make train takes "),
        (["train", "FRESH=yes"], "FRESH is 1, to train from scratch, or 0."),
        (["train", "NAME=pets"], "NAME is what make dataset takes: for make train it is DATASET."),
        (["predict", "IMAGES=a.jpg", "b.jpg"], "b.jpg: no such command, make alone lists them; values with spaces"),
        (["dataset", "SRC=my", "photos", "NAME=pets"], "photos: no such command"),
    ],
)
def test_a_variable_that_would_be_ignored_is_refused(repository: Copy, arguments: list[str], words: str) -> None:
    done = repository.make(*arguments, PYTHON=sys.executable)
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert repository.recorded() == []
    assert not (repository.root / "pwned").exists()


@pytest.mark.parametrize("target", TARGETS)
def test_a_command_uses_all_that_its_help_names(repository: Copy, target: str) -> None:
    """Any other variable is refused, so that it need not name one more."""
    line = re.findall(rf"^{target}:.*## (.*)$", MAKEFILE, re.MULTILINE)[0]
    names = {*re.findall(r"([A-Z]\w*)=", line)}
    given = {name: f"{name}={1 if name in SWITCHES else 'of-' + name}" for name in names}

    def shown(*left_out: str) -> str:
        done = repository.make("-n", target, *(given[name] for name in names if name not in left_out), "PYTHON=true")
        assert done.returncode == 0, done.stderr
        return done.stdout

    whole = shown()
    assert {name for name in names if shown(name) == whole} - {"PYTHON"} == set()


def test_several_commands_take_what_one_of_them_takes(repository: Copy) -> None:
    assert repository.make("-n", "dataset", "train", "SRC=a", "NAME=pets", "DATASET=pets").returncode == 0
    assert "make dataset train takes " in repository.make("dataset", "train", "IMAGES=a").stderr


def test_variables_of_the_shell_and_of_another_make_are_not_judged(repository: Copy) -> None:
    assert repository.make("report", PHOTOS="1", STPES="5", FRESH="yes").returncode == 0
    (repository.root / "above.mk").write_text("all:\n\t@$(MAKE) report\n")
    assert repository.make("-f", "above.mk", "VERSION=1").returncode == 0


def test_the_last_stages_need_all_others_but_the_sample() -> None:
    """So that a training on other data draws no sample."""
    stages = YAML(typ="safe").load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    needed = {dep for stage in stages.values() for dep in stage["deps"]}
    last = [name for name, stage in stages.items() if not needed & {*stage["outs"]}]
    assert sorted({*last} - {"sample"}) == sorted(re.findall(r"^LAST := (.*)$", MAKEFILE, re.MULTILINE)[0].split())


def test_doctor_looks_at_the_values_that_train_would_take(repository: Copy) -> None:
    repository.make("doctor", "STEPS=5000", "DATASET=my pets", "WORK_DIR=~/work (2)")
    overrides = ["--steps=5000", "--dataset=my pets", "--work-dir=~/work (2)"]
    assert repository.recorded() == [["python", "-m", "tools.doctor", *overrides]]


def test_pythons_import_variables_count_for_nothing(copy: Copy) -> None:
    """Another project's packages, or a Python that does not look in the working directory, would end every command."""
    copy.program("python", "env | grep ^PYTHON >> calls")
    names = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONPLATLIBDIR")
    assert copy.make("report", **dict.fromkeys(names, "1"), PYTHONUNBUFFERED="1").returncode == 0
    exported = {line.partition("=")[0] for line in copy.calls.read_text().splitlines()}
    assert not exported & {*names} and "PYTHONUNBUFFERED" in exported


def test_programs_are_called_by_name_for_the_make_of_macos(copy: Copy) -> None:
    """Make 3.81 looks for the program of a plain recipe line on the PATH that it was started with, not on ours."""
    lines = [re.sub('"[^"]*"', "", line) for line in re.findall(r"^\t(.*)$", MAKEFILE, flags=re.MULTILINE)]
    assert not [line for line in lines if re.search(r"(^@?|[;&|] *)(python|dvc|ruff|mypy)\b", line)]
    (copy.root / "outer").mkdir()
    for name in ("python", "dvc"):
        (copy.root / "outer" / name).symlink_to("/bin/false")
    assert copy.make("report", PATH=f"{copy.root}/outer:{os.environ['PATH']}").returncode == 0
    assert copy.recorded() == [["python", "-m", "tools.report"]]


def test_continue_takes_a_name_and_needs_a_repository(
    repository: Copy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert repository.make("continue", "NAME=my cats").returncode == 0
    assert repository.make("continue", NAME="exported by the shell").returncode == 0
    command = ["python", "-m", "tools.continue_training"]
    assert repository.recorded() == [[*command, "--name=my cats"], command]
    plain = Copy(tmp_path_factory.mktemp("plain"))
    assert plain.make("continue").stderr.startswith("error: not a git repository")
    assert plain.recorded() == []


def test_inspect_takes_a_dataset(copy: Copy) -> None:
    copy.make("inspect", "DATASET=my pets")
    copy.make("inspect", DATASET="of the shell's")
    command = ["python", "-m", "tools.inspect_dataset"]
    assert copy.recorded() == [[*command, "--dataset=my pets"], command]


def test_fresh_reaches_the_stage_through_dvc(repository: Copy) -> None:
    assert (
        "\nPASSO_FRESH=1 .venv/bin/python -m tools.pipeline repro evaluate parity predict\n"
        in repository.make("-n", "train", "FRESH=1").stdout
    )
    assert (
        "\nPASSO_FRESH=1 .venv/bin/python -m tools.pipeline exp run --steps='5' evaluate parity predict\n"
        in repository.make("-n", "train", "FRESH=1", "STEPS=5").stdout
    )
    assert "PASSO_FRESH" not in repository.make("-n", "train", "FRESH=0", FRESH="1").stdout
    assert "PASSO_FRESH" not in repository.make("-n", "train", FRESH="1").stdout


def test_dry_run_shows_the_commands_and_runs_none(repository: Copy) -> None:
    shown = repository.make("-n", "train").stdout
    python = ".venv/bin/python -m"
    run = f"\n{python} tools.pipeline repro evaluate parity predict\n{python} tools.report\n{python} tools.summary\n"
    assert run in shown
    assert "tools/install.py --tf='auto' --with='auto'" in shown
    assert (
        f"\n{python} tools.pipeline exp run --steps='5000' evaluate parity predict\n"
        in repository.make("-n", "train", "STEPS=5000").stdout
    )
    assert repository.recorded() == []


def test_a_variable_of_the_shell_steers_no_training(repository: Copy) -> None:
    """WSL, for one, exports NAME."""
    repository.make("train", STEPS="1", NAME="desktop", DATASET="other")
    assert repository.recorded()[1] == ["python", "-m", "tools.pipeline", "repro", *LAST]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_one_word(value: str, copy: Copy) -> None:
    copy.make("predict", f"IMAGES={value}", f"OUTPUT={value}")
    word = value.replace("\n", " ")
    before = ["python", "-m", "tools.cloud.lineage", "model/export"]
    assert copy.recorded() == [before, ["python", "-m", "stages.predict", f"--output={word}", "--", word]]
    copy.calls.unlink()
    copy.make("dataset", f"SRC={value}", f"NAME={value}", f"SHA256={value}")
    assert [call[:3] for call in copy.recorded()] == [["python", "-m", "tools.dataset"]]
    assert all(word in argument for argument in copy.recorded()[0][3:])
    copy.make("-n", "predict", f"IMAGES={value}")
    assert not (copy.root / "pwned").exists()


@pytest.mark.parametrize("value", HOSTILE)
def test_serve_and_demo_take_any_value_as_one_word(value: str, copy: Copy) -> None:
    copy.make("serve", f"PORT={value}", f"HOST={value}", f"MODEL={value}", f"THRESHOLD={value}")
    copy.make("demo", f"PORT={value}", f"MODEL={value}", f"THRESHOLD={value}", HOST="of the shell's")
    word = value.replace("\n", " ")
    options = [f"--port={word}", f"--host={word}", f"--model={word}", f"--threshold={word}"]
    demo = ["python", "-m", "tools.demo", *(option for option in options if not option.startswith("--host"))]
    assert copy.recorded() == [["python", "-m", "tools.serve", *options], demo]
    assert not (copy.root / "pwned").exists()


def test_the_server_has_an_environment_of_its_own(copy: Copy) -> None:
    for target in ("serve", "demo"):
        shown = copy.make("-n", target).stdout
        assert "tools/install.py --for=serve --with='auto'" in shown and "--tf=" not in shown
        assert f"\n.venv-serve/bin/python -m tools.{target} " in shown
        refused = (
            "error: model/export: no model yet; run: make train (or make pull, for a model that was trained before)\n"
        )
        assert copy.make(target).stderr.startswith(refused)  # and nothing is installed for it
    for target in ("train", "install", "check"):
        assert "serve" not in copy.make("-n", target).stdout


@pytest.mark.parametrize("value", HOSTILE)
def test_prelabel_takes_any_name_as_one_word(value: str, copy: Copy) -> None:
    copy.make("prelabel", f"IMAGES={value}", f"OUTPUT={value}", f"THRESHOLD={value}")
    word = value.replace("\n", " ")
    command = ["python", "-m", "tools.prelabel", f"--output={word}", f"--threshold={word}", "--", word]
    assert copy.recorded() == [command]
    assert copy.make("prelabel").stderr.startswith("error: IMAGES is empty; run: make prelabel IMAGES=folder\n")
    assert copy.recorded() == [command]
    assert not (copy.root / "pwned").exists()


def test_a_dataset_is_added_to_where_that_is_said(copy: Copy) -> None:
    command = ["python", "-m", "tools.dataset", "--src=more", "--name=pets"]
    for words, options in (("ADD=0", []), ("ADD=1", ["--add"]), ("ADD=1 RELABEL=1", ["--add", "--relabel"])):
        copy.make("dataset", "SRC=more", "NAME=pets", *words.split(), RELABEL="1")
        assert copy.recorded()[-1] == command + options
    assert "ADD is 1 or 0" in copy.make("dataset", "SRC=more", "NAME=pets", "ADD=yes").stderr
    assert "RELABEL is 1 or 0" in copy.make("dataset", "SRC=more", "NAME=pets", "ADD=1", "RELABEL=").stderr
    assert "XML is 1 or 0" in copy.make("predict", "IMAGES=a", "XML=yes").stderr


@pytest.mark.parametrize("value", HOSTILE)
def test_compare_takes_any_name_as_one_word(value: str, repository: Copy) -> None:
    word = value.replace("\n", " ")
    repository.make("compare", f"A={value}", f"B={value}")
    repository.make("compare", f"A={value}", B="of the shell's")
    call = ["python", "-m", "tools.compare", "--"]
    assert repository.recorded() == [[*call, word, word], [*call, word]]
    assert not (repository.root / "pwned").exists()


def test_compare_without_a_says_what_to_give(repository: Copy) -> None:
    done = repository.make("compare", A="exported by the shell")
    assert done.returncode == 2
    assert done.stderr.startswith("error: A is empty; run: make compare A=HEAD (or an experiment; ")
    assert repository.recorded() == []


def test_predict_passes_on_which_forms_are_wanted(copy: Copy) -> None:
    for given, options in (({"XML": "1", "YOLO": "1"}, ["--xml", "--yolo"]), ({"XML": "0", "YOLO": "0"}, [])):
        copy.make("predict", "IMAGES=a", *(f"{name}={value}" for name, value in given.items()))
        assert copy.recorded()[-1] == ["python", "-m", "stages.predict", *options, "--", "a"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_running_training_is_watched_and_used_from_any_bucket(value: str, copy: Copy) -> None:
    copy.make("tensorboard", BUCKET="of the shell's")
    copy.make("tensorboard", f"BUCKET={value}")
    copy.make("predict", "IMAGES=a", "MODEL=running", f"BUCKET={value}")
    bucket = f"--bucket={value}".replace("\n", " ")
    board, predict = ["python", "-m", "tools.tensorboard"], ["python", "-m", "stages.predict", "--model=running"]
    assert copy.recorded() == [board, [*board, bucket], [*predict, bucket, "--", "a"]]
    assert not (copy.root / "pwned").exists()


def test_predict_without_images_says_what_to_give(copy: Copy) -> None:
    done = copy.make("predict")
    assert done.returncode == 2
    assert done.stderr.startswith("error: IMAGES is empty; run: make predict IMAGES=folder\n")
    assert copy.recorded() == []


def test_no_git_repository_is_said_before_anything_starts(copy: Copy) -> None:
    done = copy.make("train", PYTHON="false")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: not a git repository (a downloaded zip?), and DVC needs one; run: git init &&"
    )
    assert copy.recorded() == []


def test_an_experiment_needs_a_commit_and_a_name(copy: Copy) -> None:
    nobody = {"HOME": str(copy.root), "XDG_CONFIG_HOME": str(copy.root), "GIT_CONFIG_NOSYSTEM": "1"}
    copy.git("init", "--quiet")
    assert "has no commit" in copy.make("train", "STEPS=1", **nobody).stderr
    copy.git("add", "Makefile")
    copy.git("commit", "--quiet", "-m", "start")
    done = copy.make("train", "STEPS=1", **nobody)
    assert done.returncode == 2
    assert "git config user.name 'You' && git config user.email you@example.com" in done.stderr
    assert copy.recorded() == []
    assert copy.make("train", **nobody).returncode == 0  # dvc repro needs neither
    assert copy.recorded()[1] == ["python", "-m", "tools.pipeline", "repro", *LAST]


def test_a_failed_set_up_stops_everything(repository: Copy) -> None:
    for target in ("train", "test", "check", "report"):
        assert repository.make(target, PYTHON="false").returncode == 2
    assert repository.recorded() == []


def test_clean_removes_caches_and_nothing_else(copy: Copy) -> None:
    keep = [
        "dataset/pets/train/1.jpg",
        "model/train/checkpoint",
        "results/report.html",
        "predictions/1.jpg",
        "stages/a.py",
    ]
    drop = [".pytest_cache/x", ".mypy_cache/x", "stages/__pycache__/a.pyc", "detector/sub/__pycache__/b.pyc"]
    for name in (*keep, *drop, "tools/a", "tests/a"):
        (copy.root / name).parent.mkdir(parents=True, exist_ok=True)
        (copy.root / name).write_text("x")
    assert copy.make("clean").returncode == 0
    assert [name for name in keep if not (copy.root / name).exists()] == []
    assert [name for name in drop if (copy.root / name).exists()] == []
    assert (copy.root / ".venv" / "bin" / "python").exists()


def test_ci_runs_check_and_test() -> None:
    assert re.findall(r"^make (\S+)$", (REPOSITORY / ".ci" / "run").read_text(), flags=re.MULTILINE) == [
        "check",
        "test",
        "test-long",
    ]
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK)
