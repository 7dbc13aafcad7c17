"""Holds the rooms of detector/ to what each may import, and the packages to their one direction."""

import ast
from pathlib import Path

import pytest

from tests.support.stage import REPOSITORY
from tests.test_dvc_yaml import PACKAGES, imported_names, module_files

# What a room may import of detector/, beside itself: rooms, or single modules of them.
ALLOWED = {
    "base": {},
    "scene": {"base"},
    "data": {"base"},
    "storage": {"base"},
    "pictures": {"base", "data"},
    "annotations": {"base", "data", "pictures"},
    "board": {"base", "data", "pictures"},
    "model": {"base", "data"},
    "weights": {"base", "data/records", "pictures/images", "model", "storage"},
    "checkpointing": {"base", "storage"},
    "multihost": {"base", "checkpointing"},
    "evaluation": {"base", "data", "pictures"},
    "prediction": {"base", "data", "pictures", "storage"},
    "export": {
        *("annotations/left_out", "base", "data", "model", "pictures", "prediction"),
        *("evaluation/metrics", "evaluation/significance"),
    },
    "training": {
        *("base", "board", "checkpointing", "data", "model", "multihost"),
        *("evaluation/curves", "evaluation/metrics"),
    },
}
# What the server may import: its environment has no TensorFlow, and no more packages than these need.
SERVER = ("tools/serving/", "tools/serve.py", "tools/demo.py")
OF_THE_SERVER = {"base", "data", "pictures", "prediction"}
# They print on their own: the one function; what runs before it can be imported; past a progress line; measurements.
PRINT_BY_THEMSELVES = (
    "detector/base/errors.py",
    *("tools/install.py", "tools/notebooks/terminal.py"),
    *("detector/checkpointing/uploader.py", "detector/training/progress.py"),
    "tools/lab/",
)
IMPORTS = (ast.Import, ast.ImportFrom)
MODULES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).glob("**/*.py"))


def test_every_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in (REPOSITORY / "detector").glob("*/__init__.py")}
    assert rooms == set(ALLOWED)
    assert [path.name for path in (REPOSITORY / "detector").glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_what_its_room_may(path: Path) -> None:
    own = path.relative_to(REPOSITORY).with_suffix("").parts
    names = imported_names(path)
    imported = {file for name in names for file in module_files(REPOSITORY, name)}
    parts = [file.relative_to(REPOSITORY).with_suffix("").parts for file in imported]
    if own[0] == "detector":
        room = own[1] if len(own) > 2 else "base"
        allowed = {room, *ALLOWED[room]}
        rooms = [part for part in parts if part[0] == "detector"]
        assert [part for part in rooms if not allowed & {part[1], "/".join(part[1:])}] == []
        assert not {part[0] for part in parts} - {"detector"}
    assert not [part for part in parts if part[0] == "stages"], "stages never import each other, and nobody a stage"
    if own[0] == "stages":
        assert not [part for part in parts if part[0] == "tools"]
    if own != ("stages", "sample"):  # the doctor checks its params
        assert not [part for part in parts if part[:2] == ("detector", "scene") != own[:2] and part[2] != "params"]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_the_server_is_a_room_of_its_own(path: Path) -> None:
    is_server = path.relative_to(REPOSITORY).as_posix().startswith(SERVER)
    parts = [name.split(".") for name in imported_names(path)]
    if is_server:
        assert {part[1] for part in parts if part[0] == "detector" and len(part) > 1} <= OF_THE_SERVER
        assert {part[1] for part in parts if part[0] == "tools" and len(part) > 1} <= {"serving", "cloud"}
    else:
        assert not [part for part in parts if part[:2] == ["tools", "serving"]]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_object_detection_is_behind_one_door(path: Path) -> None:
    """Its protos apart, which need no TensorFlow."""
    if path != REPOSITORY / "detector/model/od_api.py":
        api = {name for name in imported_names(path) if name.split(".")[0] == "object_detection"}
        assert {n for n in api if n != "object_detection" and not n.startswith("object_detection.protos")} == set()


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=str)
def test_a_room_says_what_belongs_in_it_and_nothing_else(path: Path) -> None:
    """These files are no deps of their own, so they must hold no code."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert [type(node) for node in body] == [ast.Expr]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_what_is_printed_goes_through_the_one_function_that_escapes_it(path: Path) -> None:
    """`errors.say`: class names, file names and the names in buckets are made by others."""
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    if not path.relative_to(REPOSITORY).as_posix().startswith(PRINT_BY_THEMSELVES):
        assert not {"print", "sys.stdout.write", "sys.stderr.write"} & set(calls)


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem != "tensorflow_env"], ids=str)
def test_tensorflow_comes_with_its_settings(path: Path) -> None:
    """From tensorflow_env alone; what imports it by itself, too, is imported late, where that has come before."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    first = {ast.unparse(node).split()[1].split(".")[0] for node in tree.body if isinstance(node, IMPORTS)}
    assert not {"tensorflow", "tf_keras", "tf2onnx"} & first
