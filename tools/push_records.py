"""Copy the TFRecords and their label map to a bucket, for another trainer.

    make push-records BUCKET=my-bucket      dataset/data/*.record and the label map -> gs://my-bucket/records/
    python -m tools.push_records --bucket=my-bucket

Only records that csv2record has made of the dataset in params.yaml are pushed, as dvc.lock tells. An object in the
bucket is replaced only if nobody else has replaced it meanwhile, and is verified by its crc32c.
"""

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from detector.base import errors, params, paths
from detector.base.errors import UserError
from detector.data import labels
from detector.data.params import DatasetParams
from detector.storage import gs
from tools.cloud import bucket_settings, cache

FOLDER = "records"  # in the bucket
REMAKE = "run: dvc repro csv2record"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.push_records", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--bucket", default="", help="the records go to gs://BUCKET/records/")
    bucket = bucket_settings.bucket_name(parser.parse_args().bucket)
    dataset = params.load("dataset", DatasetParams)
    sources = [*map(paths.record, paths.SPLITS), Path(dataset.dir) / paths.LABEL_MAP]
    for path in sources:
        if not path.is_file():
            raise UserError(str(path), "not found", REMAKE)
    check_made(sources, dataset.dir)
    with tempfile.TemporaryDirectory() as folder:
        label_map = Path(folder) / paths.LABEL_MAP
        labels.copy(sources.pop(), label_map)  # its ids are those of the records, whatever the user's file says
        for path in (*sources, label_map):
            errors.say(gs.upload(path, bucket, f"{FOLDER}/{path.name}"))


def check_made(sources: Iterable[Path], folder: str) -> None:
    """Refuse files that differ from those of csv2record's last run, or a run of another dataset than `folder`.

    The class ids in the records mean nothing with the label map of another dataset, and nothing else would detect it.
    """
    try:
        locked = YAML(typ="safe", pure=True).load(Path("dvc.lock").read_text(encoding="utf-8"))["stages"]["csv2record"]
        made_from = locked["params"][params.PARAMS_FILE]["dataset.dir"]
        known = {Path(entry["path"]): entry["md5"] for entry in (*locked["deps"], *locked["outs"]) if "md5" in entry}
    except (OSError, ValueError, YAMLError, KeyError, TypeError):
        raise UserError("dvc.lock", f"does not say what {paths.DATA} was made from", REMAKE) from None
    if made_from != folder:
        raise UserError(str(paths.DATA), f"was made from {made_from}, and dataset.dir is {folder}", REMAKE)
    for path in sources:
        if known.get(path) != cache.md5(path):
            raise UserError(str(path), "has changed since csv2record ran", REMAKE)


if __name__ == "__main__":
    errors.run(main)
