"""Export the best weights so far of a training that runs: `make predict MODEL=running` calls this.

    python -m tools.running_model FOLDER                    of the training on this machine, else in train.work_dir
    python -m tools.running_model --bucket=my-pets FOLDER   of the training that saves its work in gs://my-pets/work

-> FOLDER/{model.onnx,label_map.pbtxt,model.json}

What was exported is kept in .work/running until there are better weights. The training is not disturbed: its files are
read, its lock is not taken, and the export, which takes half a minute, leaves it the processor and the accelerator.
"""

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from detector.base import errors, files, params, paths
from detector.base.errors import UserError
from detector.checkpointing import mirror
from detector.data import labels, score_threshold
from detector.training.params import TrainParams
from tools.trainings import best, bucket, elsewhere, local
from tools.trainings.best import Best

KEPT = Path(mirror.LOCAL, "running")
NICENESS = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.running_model", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="to be made, for the exported model")
    parser.add_argument("--bucket", default="", help="a bucket, or gs://bucket/folder: the training's train.work_dir")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary)
        found = fetched(arguments.bucket, copy)
        kept = KEPT / f"{found.key}-{found.step:08}-{best.checked(copy / best.CHECKPOINT)[:8]}"
        errors.say(
            f"{found.where}: the best weights so far are those of step {found.step}, AP {found.ap:.3f} in validation; "
            f"it has come to step {found.newest}"
        )
        with one_at_a_time():
            if not kept.is_dir():
                errors.say("exporting them, once: half a minute")
                export(found, copy, kept)
            shutil.copytree(kept, arguments.folder)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Holds the lock of `KEPT`: an export removes all that is older there, such as what another one has begun."""
    files.make_folder(KEPT)
    with (KEPT / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            errors.say("another prediction is exporting; waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a network folder without locks
            pass
        yield


def fetched(given: str, folder: Path) -> Best:
    """The best weights so far, copied into `folder` with what their export needs.

    given: a bucket; empty for this machine first, and then for the bucket of params.yaml, if it names one.

    Raises:
        UserError: no training runs there, or it has not validated yet.
    """
    root = params.load("train", TrainParams).work_dir
    here = Path(mirror.local_root(root))
    if not given and (training := local.running(here)):
        return local.fetch(training, folder)
    if given or root.startswith(mirror.SCHEME):
        return elsewhere.fetch(bucket.address(given) if given else mirror.checked(root), folder)
    remedy = "start one: make train; for the last model, leave out MODEL"
    raise UserError(str(here), "no training is running", remedy)


def export(found: Best, source: Path, target: Path) -> None:
    """Write model.onnx, the label map and what predictions need to know into `target`, in the place of older ones."""
    os.nice(NICENESS)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # TensorFlow would take all of the memory that the training computes in
    from detector.export import onnx_model
    from detector.model import checkpoints, od_api, pipeline_config

    config = pipeline_config.read(source / best.CONFIG)
    model = od_api.build_model(config)
    checkpoints.restore(model, source / best.CHECKPOINT / checkpoints.NAME, "full")
    limits = config.model.ssd.post_processing.batch_non_max_suppression
    record = {score_threshold.KEY: found.score_threshold, "max_detections": limits.max_total_detections}
    with files.whole_folder(target) as folder:
        onnx_model.export(model, config, folder, ["onnx"], list)
        labels.copy(source / paths.LABEL_MAP, folder / paths.LABEL_MAP)
        files.write_text(folder / paths.MODEL_RECORD, json.dumps(record, indent=2) + "\n")
    for older in sorted(target.parent.iterdir()):
        if older.is_dir() and older != target:
            files.remove_folder(older)


if __name__ == "__main__":
    errors.run(main)
