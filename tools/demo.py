"""A page to play with the exported detector: photos, a video or the camera, in English and Portuguese.

    make demo [PORT=7860 MODEL=folder THRESHOLD=0.3]
    .venv-serve/bin/python -m tools.demo [--port N] [--model FOLDER] [--threshold SCORE]

In:  the exported model, as for make serve
Out: nothing is written

It is the server of make serve with a page, for this machine alone. The page works offline, and needs nothing from
elsewhere: no CDN, no analytics, no link to share.
"""

import argparse
import secrets

from detector.base import errors
from detector.base.errors import UserError
from tools.serving.limits import Limits


def main() -> None:
    """Load, answer."""
    arguments = parse_arguments()
    try:
        from tools.serving import running  # late: --help needs no packages
    except ModuleNotFoundError as error:
        raise UserError(str(error.name), "is not installed here", "run: make demo") from None
    token = secrets.token_urlsafe()  # in the page: what no other site knows
    running.run(
        running.Options(**vars(arguments), host="127.0.0.1", token=token, limits=Limits(), page=True),
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s; 0: any that is free")
    parser.add_argument("--model", default="", help="another model: an exported folder; default: model/export")
    parser.add_argument("--threshold", default="", help="the lowest score at first; default: predict.score_threshold")
    parser.add_argument("--workers", type=int, default=0, help="processes; default: one a core")
    return parser.parse_args()


if __name__ == "__main__":
    errors.run(main)
