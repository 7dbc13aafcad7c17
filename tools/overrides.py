"""What one run changes in params.yaml: STEPS, BATCH, DATASET and WORK_DIR of make, and -S of `dvc exp run`.

DVC hands -S to Hydra, whose grammar wants quotes around a text with other letters than those of names and paths:

    dvc exp run -S "train.config_override='model { ssd { loss { localization_weight: 2 } } }'"

What make was given becomes such a text here, and Hydra's own parser tells `make doctor` what any -S means. So there is
one rule, which is DVC's.
"""

import argparse
import re
from collections.abc import Iterable, Iterator
from typing import Any

from detector.base.errors import UserError

KEYS = {"dataset": "dataset.dir", "steps": "train.steps", "batch": "train.batch_size", "work_dir": "train.work_dir"}
_PLAIN = re.compile(r"[+-]?\d+|[\w.:-]*/[\w.:/-]*", re.ASCII)  # a number, or a path: Hydra wants no quotes
_QUOTE_TWICE = "a text needs quotes in the quotes of the shell: -S \"train.work_dir='~/work'\""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `make train`."""
    for name, key in KEYS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", default="", help=f"{key}, as make has it")


def given(arguments: argparse.Namespace) -> list[str]:
    """What `add_arguments` has read, as of -S; nothing for what is empty."""
    values = {key: str(getattr(arguments, name)) for name, key in KEYS.items()}
    if values["dataset.dir"]:
        values["dataset.dir"] = dataset(values["dataset.dir"])
    return [f"{key}={_written(value)}" for key, value in values.items() if value]


def dataset(name: str) -> str:
    """The folder that DATASET means: pets, dataset/pets and dataset/pets/ are one."""
    return f"dataset/{name.removeprefix('dataset/').rstrip('/')}"


def parsed(overrides: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    """(section, key, value) of each, as DVC reads it.

    Raises:
        UserError: it is not section.key=value, or a text that needs quotes.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser  # late: it takes a third of a second
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for override in overrides:
        name, has_value, _ = override.partition("=")
        section, _, key = name.partition(".")
        if not (section and key and has_value):
            raise UserError("-S", f"{override!r} is not understood", "give section.key=value, say train.steps=1000")
        try:
            yield section, key, parser.parse_override(override).value()
        except HydraException as error:
            raise UserError("-S", f"{override!r} is not understood", _QUOTE_TWICE) from error


def _written(value: str) -> str:
    """A value in Hydra's grammar: as it is, or in quotes; a `${` in it, which would be looked up, gets a backslash."""
    if _PLAIN.fullmatch(value):
        return value
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(re.sub(r"(\\*)\$\{", r"\1\1\\${", value), Quote.single).with_quotes()
