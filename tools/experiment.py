"""`dvc exp run`, without a line for each output that does not exist yet.

    python -m tools.experiment --steps=1000 evaluate predict        (make train STEPS=1000)

DVC first restores the outputs that dvc.lock names, and warns of each one that it does not name: a page of them in the
first experiment of a clone, which is about to make them. All else is DVC's own command, with DVC's own arguments.
"""

import argparse
import logging
import shlex
import sys

from detector.base import errors
from tools import overrides

EXPECTED = "No file hash info found for"
LOGGERS = ("dvc_data.index.checkout", "dvc_data.hashfile.checkout")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.experiment", add_help=False, allow_abbrev=False)
    overrides.add_arguments(parser)
    arguments, others = parser.parse_known_args()
    options = [word for override in overrides.given(arguments) for word in ("-S", override)]
    command = ["exp", "run", *options, *others]
    errors.say(f"> dvc {errors.without_secrets(shlex.join(command))}")
    from dvc.cli import main as dvc  # late: it takes half a second

    for name in LOGGERS:
        logging.getLogger(name).addFilter(is_news)
    sys.exit(dvc(command))


def is_news(record: logging.LogRecord) -> bool:
    """Whether a record of DVC's says something."""
    return not str(record.msg).startswith(EXPECTED)


if __name__ == "__main__":
    main()
