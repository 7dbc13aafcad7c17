"""What `pretrained.source` may be, by its name alone; the stage and `make doctor` both ask here."""

from pathlib import Path

import pytest

from detector.base.errors import UserError
from detector.weights.params import OPEN_IMAGES_MODEL, PretrainedParams, check

CATS, NONE = "model/start/cats", "model/start/none"
ALLOWED = [
    ("package", NONE, "classification"),
    ("package", CATS, "none"),  # DVC tracks more than is used: no harm
    ("open_images", NONE, "detection"),
    (CATS, CATS, "full"),
    (f"./{CATS}/ckpt-1.index", CATS, "detection"),
    (CATS, f"{CATS}/", "full"),
    ("gs://bucket/model/start/cats", NONE, "full"),
    ("https://a.example/b.tar.gz", NONE, "full"),
    ("~/model/train/ckpt-1", NONE, "full"),
    ("model/trained", NONE, "full"),
]
REFUSED = [
    ("last", NONE, "classification", "pretrained.source: last changes with every training"),
    ("model/train", NONE, "detection", "pretrained.source: model/train changes with every training"),
    ("model/train/best/ckpt-1", NONE, "full", "pretrained.source: model/train/best/ckpt-1 changes"),
    ("package", NONE, "full", "train.fine_tune_checkpoint_type: full needs a detector of your classes, and package"),
    ("open_images", CATS, "full", "train.fine_tune_checkpoint_type: full needs a detector of your classes, and open"),
    (CATS, NONE, "full", f"pretrained.start: {NONE} is not {CATS} (pretrained.source), so DVC would not track that"),
    (CATS, f"{CATS}s", "full", f"pretrained.start: {CATS}s is not {CATS}"),
    (f"./{CATS}/ckpt-1", NONE, "detection", f"pretrained.start: {NONE} is not ./{CATS}/ckpt-1"),
]


@pytest.mark.parametrize(("source", "start", "kind"), ALLOWED)
def test_what_is_allowed(source: str, start: str, kind: str) -> None:
    check(PretrainedParams(source, start, ""), OPEN_IMAGES_MODEL, kind)


@pytest.mark.parametrize(("source", "start", "kind", "error"), REFUSED)
def test_what_is_refused(source: str, start: str, kind: str, error: str) -> None:
    with pytest.raises(UserError) as caught:
        check(PretrainedParams(source, start, ""), OPEN_IMAGES_MODEL, kind)
    line = caught.value.line()
    assert line.startswith(f"params.yaml: {error}")
    assert line.endswith("set both to the same folder" if "pretrained.start" in error else "run: make continue")


def test_absolute_paths_are_the_same_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for source in (tmp_path / "model/train/best/ckpt-1", tmp_path / CATS):
        with pytest.raises(UserError):
            check(PretrainedParams(str(source), NONE, ""), OPEN_IMAGES_MODEL, "full")
    check(PretrainedParams(str(tmp_path / CATS), CATS, ""), OPEN_IMAGES_MODEL, "full")


def test_open_images_is_one_model() -> None:
    for kind, is_allowed in (("classification", True), ("none", True), ("detection", False)):
        arguments = PretrainedParams("open_images", NONE, ""), "ssd_mobilenet_v2_fpnlite_320x320", kind
        if is_allowed:
            check(*arguments)
        else:
            with pytest.raises(UserError, match=f"open_images is an {OPEN_IMAGES_MODEL}, not a ssd_mobilenet_v2_fpn"):
                check(*arguments)
