"""Keeps dvc.yaml true: DVC follows no imports and trusts what is written there.

A module missing in deps: a change of code is not noticed. One too many: a change of drawing retrains the model.
"""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from detector.base import paths

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("detector", "stages", "tools")
STAGES = {"sample", "xml2csv", "csv2record", "pretrained", "train_tpu", "evaluate", "export", "parity", "predict"}
EXACT = ("train_tpu", "evaluate")  # they take minutes: what they do not import must not make them run again
WITHOUT_TENSORFLOW = ("sample", "xml2csv", "csv2record", "predict")  # importing it takes longer than their work
NO_OUTPUT = "detector/board"  # it writes logs/, which is none: what is drawn there must not train again
TEMPLATES = ("${dataset.dir}", "${pretrained.start}")  # paths that are the user's to choose
OUTPUTS = {name: value for name, value in vars(paths).items() if isinstance(value, Path)}


def module_files(root: Path, name: str) -> list[Path]:
    """The file of a first-party module; none for a package (its `__init__.py` is empty) and for a library."""
    path = root / (name.replace(".", "/") + ".py")
    return [path] if name.split(".")[0] in PACKAGES and path.is_file() else []


def imported_names(path: Path) -> set[str]:
    """Every module that a file imports, late imports inside functions too; `from a import b` gives `a` and `a.b`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import in line {node.lineno}; write from detector import ..."
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def closure(root: Path, start: Path) -> set[Path]:
    """A file and every first-party file that it imports, directly or through others; without NO_OUTPUT."""
    found, todo = set(), [start]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            files = [file for name in imported_names(path) for file in module_files(root, name)]
            todo += [file for file in files if file.parent != root / NO_OUTPUT]
    return found


def read_params(path: Path) -> set[str]:
    """What a file reads of params.yaml: `section.key` where only that is taken of it, else `section`."""
    read = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    fields = {c.name: [ast.unparse(f.target) for f in c.body if isinstance(f, ast.AnnAssign)] for c in classes(tree)}
    for function in [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))]:
        holders = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
        for call in walk_own(function):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "params.load":
                section, cls = call.args[0], ast.unparse(call.args[1])
                assert isinstance(section, ast.Constant), f"{path}: line {call.lineno}: name the section literally"
                # A part of a section that is passed on whole: the keys of its class.
                whole = {f"{section.value}.{field}" for field in fields[cls]} if call.keywords else {section.value}
                for value in loaded_values(call, holders):
                    holder = holders[value]
                    read |= {f"{section.value}.{holder.attr}"} if isinstance(holder, ast.Attribute) else whole
    return read


def classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.ClassDef)]


def walk_own(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function (or module) without those of the functions in it."""
    yield function
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef):
            yield from walk_own(child)


def loaded_values(call: ast.Call, holders: dict[ast.AST, ast.AST]) -> list[ast.AST]:
    """Where the result of a call is used: the uses of the name that it is given, or the call itself."""
    holder = holders[call]
    if not isinstance(holder, ast.Assign):
        return [call]
    names = {ast.unparse(target) for target in holder.targets}
    return [n for n in holders if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in names]


def used_outputs(path: Path) -> set[str]:
    """The names of detector.base.paths that a file uses; `paths.csv`, `paths.record` stand for DATA."""
    names = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "paths"
    }
    return names | ({"DATA"} if names & {"csv", "record"} else set())


def load_yaml(name: str) -> Any:
    return YAML(typ="safe", pure=True).load((REPOSITORY / name).read_text(encoding="utf-8"))


def keys(entries: Any) -> list[str]:
    """Paths of a list in dvc.yaml, whose entries may be `path` or `path: {options}`."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries or []]


@functools.cache
def stages() -> dict[str, Any]:
    return dict(load_yaml("dvc.yaml").get("stages", {}))


def stage_file(name: str) -> Path:
    return REPOSITORY / "stages" / f"{name}.py"


def stage_closure(name: str) -> set[Path]:
    return closure(REPOSITORY, stage_file(name))


def outs(name: str) -> list[str]:
    return [path for kind in ("outs", "metrics", "plots") for path in keys(stages()[name].get(kind))]


def test_the_stages_are_the_modules() -> None:
    assert set(stages()) == STAGES
    assert {path.stem for path in (REPOSITORY / "stages").glob("*.py")} - {"__init__"} == STAGES


@pytest.mark.parametrize("name", sorted(STAGES))
def test_cmd_is_the_module(name: str) -> None:
    assert stages()[name]["cmd"] == f"python -m stages.{name}"


def code_deps(name: str) -> dict[str, set[Path]]:
    """The deps of a stage that are code, modules or whole rooms, each with its files; a room's docstring is none."""
    declared = [dep for dep in keys(stages()[name]["deps"]) if dep.split("/")[0] in PACKAGES]
    found = {dep: [REPOSITORY / dep] if dep.endswith(".py") else (REPOSITORY / dep).glob("**/*.py") for dep in declared}
    return {dep: {path for path in paths_ if path.name != "__init__.py"} for dep, paths_ in found.items()}


@pytest.mark.parametrize("name", sorted(STAGES))
def test_code_deps_cover_the_transitive_imports(name: str) -> None:
    declared, imported = code_deps(name), stage_closure(name)
    covered = set[Path]().union(*declared.values())
    assert sorted(imported - covered) == []
    assert [dep for dep, files in declared.items() if not files & imported] == []
    assert sum(map(len, declared.values())) == len(covered), "a file stands there beside its room"
    if name in EXACT:
        assert sorted(covered - imported) == []


def stage_params(name: str) -> set[str]:
    return {key for path in stage_closure(name) for key in read_params(path)}


@pytest.mark.parametrize("name", sorted(STAGES))
def test_params_are_those_that_are_read(name: str) -> None:
    """A whole section, or exactly the keys that are read of it."""
    declared, read = set(keys(stages()[name].get("params"))), stage_params(name)
    whole = {key for key in declared if "." not in key}
    assert whole <= {key.split(".")[0] for key in read}
    assert declared - whole == {key for key in read if key.split(".")[0] not in whole}


def test_every_section_of_params_is_read_by_a_stage() -> None:
    assert {key.split(".")[0] for name in STAGES for key in stage_params(name)} == set(load_yaml("params.yaml"))


@pytest.mark.parametrize("name", sorted(STAGES))
def test_outs_are_those_of_paths_that_the_stage_uses(name: str) -> None:
    own = {paths_name for path in stage_closure(name) for paths_name in used_outputs(path)}
    for out in outs(name):
        holders = {key for key, folder in OUTPUTS.items() if Path(out).is_relative_to(folder)}
        assert holders & own, f"{out}: stages/{name}.py and what it imports use {sorted(own)} of detector.base.paths"


def test_no_out_is_kept_from_one_run_to_the_next() -> None:
    """A stage that reads its own out, or what is made of it, cannot be repeated; DVC's `persist` would allow it."""
    options = [entry for name in STAGES for entry in stages()[name]["outs"] if not isinstance(entry, str)]
    assert not [entry for entry in options if "persist" in next(iter(entry.values()))]


def test_a_clone_has_what_params_starts_from() -> None:
    assert (REPOSITORY / load_yaml("params.yaml")["pretrained"]["start"]).is_dir()


def test_every_artefact_of_paths_is_an_output() -> None:
    written = [Path(out) for name in STAGES for out in outs(name)]
    missing = [f for f in OUTPUTS.values() if f != paths.REPORT and not any(out.is_relative_to(f) for out in written)]
    assert missing == []
    data = {paths.csv(split) for split in paths.SPLITS} | {paths.record(split) for split in paths.SPLITS}
    assert data <= set(written) or paths.DATA in written


@pytest.mark.parametrize("name", sorted(STAGES))
def test_no_out_lies_where_a_user_puts_data(name: str) -> None:
    """DVC deletes outputs before a stage runs: only dataset/sample and dataset/data are the pipeline's own."""
    for out in outs(name):
        assert "${" not in out
        if out.startswith("dataset"):
            assert any(Path(out).is_relative_to(folder) for folder in (paths.SAMPLE, paths.DATA))
        assert Path(out) != Path("dataset")


def test_data_deps_exist_or_are_made() -> None:
    """A dep that is no code is the dataset or another stage's out: a mistyped path would never be made."""
    made = [Path(out) for name in STAGES for out in outs(name)]
    for name in STAGES:
        for dep in (Path(dep) for dep in keys(stages()[name]["deps"]) if not dep.endswith(".py")):
            known = str(dep).startswith(TEMPLATES) or (REPOSITORY / dep).exists()
            assert known or any(dep.is_relative_to(out) or out.is_relative_to(dep) for out in made), f"{name}: {dep}"


def test_dvc_does_not_see_compiled_modules() -> None:
    """Python writes them into the rooms that stages depend on."""
    assert "__pycache__/" in (REPOSITORY / ".dvcignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_data_stages_do_without_tensorflow(name: str) -> None:
    tensorflow = {"tensorflow", "tf_keras", "keras"}
    importers = [p.name for p in stage_closure(name) if tensorflow & {n.split(".")[0] for n in imported_names(p)}]
    assert importers == []
    code = f"import sys, stages.{name}; print(sorted({tensorflow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_walkers_see_what_they_should(tmp_path: Path) -> None:
    """On made-up files, so that the tests above can fail."""
    files = {
        "stages/cook.py": "import os\nfrom detector import oven, params\n",
        "detector/__init__.py": "",
        "detector/oven.py": "from detector.fire import LIGHT\nimport numpy.linalg\n",
        "detector/fire.py": "def burn():\n    import detector.wood, tensorflow\n",
        "detector/wood.py": "from detector import oven  # a circle\nX = paths.TRAIN / paths.csv('train')\n",
        "detector/params.py": "",
        "detector/unused.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = closure(tmp_path, tmp_path / "stages/cook.py")
    assert {path.stem for path in found} == {"cook", "oven", "fire", "wood", "params"}
    assert "tensorflow" in imported_names(tmp_path / "detector/fire.py")
    assert used_outputs(tmp_path / "detector/wood.py") == {"TRAIN", "csv", "DATA"}
    (tmp_path / "detector/wood.py").write_text("from . import oven\n")
    with pytest.raises(AssertionError, match=re.escape("relative import in line 1")):
        closure(tmp_path, tmp_path / "stages/cook.py")


def test_the_walker_of_params_sees_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cook.py"
    cases = {
        "def f():\n    c = params.load('cook', C)\n    g(c.heat, c.time)\n": {"cook.heat", "cook.time"},
        "def f():\n    c = params.load('cook', C)\n    g(c.heat, c)\n": {"cook.heat", "cook"},
        "def f():\n    g(params.load('cook', C).heat)\ndef g(c):\n    c.other\n": {"cook.heat"},
        "def f():\n    g(params.load('cook', C))\n": {"cook"},
        "class C:\n    heat: int\n    time: int\ndef f():\n    return params.load('cook', C, partial=True)\n": {
            "cook.heat",
            "cook.time",
        },
        "def f():\n    def g():\n        return params.load('cook', C).heat\n": {"cook.heat"},
        "def f():\n    c = params.load('cook', C)\n    def g():\n        return c.heat\n": {"cook.heat"},
        "c = params.load('cook', C)\nx = c.heat\n": {"cook.heat"},
    }
    for text, expected in cases.items():
        path.write_text(text)
        assert read_params(path) == expected, text
    path.write_text("params.load(name, C)\n")
    with pytest.raises(AssertionError, match="name the section literally"):
        read_params(path)
