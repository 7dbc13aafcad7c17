"""Measure the trained detector on the test split.

    python -m stages.evaluate

    model/train, dataset/data/test.{csv,record}, <dataset.dir>/{label_map.pbtxt,test/}
    -> results/evaluate/metrics.json           COCO's numbers, in all and per class; losses; counts; 95 % intervals
       results/evaluate/headline.json          of these AP, AP50 and AP's interval: what `dvc exp show` has
       results/evaluate/detections.csv         filename,width,height,class,xmin,ymin,xmax,ymax,score: all detections
       results/evaluate/label_map.pbtxt        its classes
       results/evaluate/precision_recall.csv   class,recall,precision,score: COCO's 101 recalls, 0 where never reached
       results/evaluate/confusion.csv          actual,predicted: a row per object, and per detection of nothing
       results/evaluate/{precision_recall,confusion_matrix}.png
       results/evaluate/pictures/name.jpg      left detections, right groundtruth, of the worst images
       results/evaluate/pictures.json          [{rank, file, filename, missed, false, wrong_class}, ...], worst first

AP counts every score. Confusion and pictures count the detections with a score of at least evaluate.score_threshold;
each is matched to the object of greatest IoU if that is at least evaluate.iou_threshold, the IoU of the curves too.
Crowds (is_crowd in the CSV) are no objects, and what is detected in them is no error: curves.py in detector/evaluation.

The intervals of AP and AP50 tell what other test images of the same kind might have given (significance.py in
detector/evaluation); `make compare A=...` tests whether two runs differ by more than chance.
"""

from collections.abc import Mapping
from pathlib import Path

from detector.base import bars, errors, files, params, paths
from detector.base.errors import UserError
from detector.data import labels, score_threshold, tables
from detector.data.params import DatasetParams
from detector.data.tables import ImageBoxes
from detector.evaluation import results
from detector.evaluation.params import EvaluateParams
from detector.evaluation.results import Evaluation
from detector.pictures import draw


def main() -> None:
    settings = params.load("evaluate", EvaluateParams)
    dataset = Path(params.load("dataset", DatasetParams).dir)
    label_map = read_label_map(dataset)
    groundtruth = read_groundtruth(label_map)

    with bars.waiting("loading the model"):
        from detector.model import inference  # late: the errors above need not wait for TensorFlow

        measure = inference.of(paths.TRAIN, paths.record("test"), groundtruth)
    losses, detections = measure("evaluating")
    names = labels.by_id(label_map)
    threshold = score_threshold.of(settings.score_threshold, paths.TRAIN / "train.json")
    evaluation = Evaluation(groundtruth, detections, losses, names, threshold, settings.iou_threshold)
    write(evaluation, paths.images(dataset, "test"), settings.pictures)
    errors.say(*results.summary(evaluation).split("\n"))
    if ids := draw.shown_as_ids(names):
        errors.say(f"shown as ids in the pictures, whose font lacks their letters: {errors.few(ids)}")
    drawn = errors.counted(min(settings.pictures, len(groundtruth)), "picture")
    errors.say(f"{drawn} of the worst: {paths.EVALUATE / results.PICTURES}")


def read_label_map(dataset: Path) -> dict[str, int]:
    """The dataset's label map, which must be the one that the model was trained with."""
    trained, current = paths.TRAIN / paths.LABEL_MAP, dataset / paths.LABEL_MAP
    if not trained.exists():
        raise UserError(str(paths.TRAIN), "holds no trained model", "run: make train (or: make pull)")
    label_map = labels.read(current)
    if label_map != labels.read(trained):
        raise UserError(str(trained), f"the model was trained with another label map than {current}", "run: dvc repro")
    return label_map


def read_groundtruth(label_map: Mapping[str, int]) -> list[ImageBoxes]:
    """The boxes of the test split; at least one, because without objects there is nothing to measure."""
    groundtruth = tables.read_csv(paths.csv("test"), label_map)
    if not any(len(image.objects.boxes) for image in groundtruth):
        reason = f"no objects in the test split ({errors.counted(len(groundtruth), 'image')})"
        raise UserError(str(paths.csv("test")), reason, "put annotated images into the dataset's test/")
    return groundtruth


def write(evaluation: Evaluation, image_dir: Path, pictures: int) -> None:
    """Write all of results/evaluate, atomically."""
    with files.whole_folder(paths.EVALUATE) as folder:
        results.write_results(evaluation, folder)
        results.write_pictures(evaluation, folder, image_dir, pictures)


if __name__ == "__main__":
    errors.run(main, __doc__)
