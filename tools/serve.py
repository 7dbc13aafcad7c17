"""The exported detector over HTTP: a photo is posted, its detections come back as JSON.

    make serve [PORT=8000 HOST=127.0.0.1 MODEL=folder THRESHOLD=0.3]
    .venv-serve/bin/python -m tools.serve [--port N] [--host ADDRESS] [--name NAME] [--model FOLDER] [--threshold SCORE]
                                          [--workers N] [--rate N]

    curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' http://127.0.0.1:8000/v1/detect

In:  the exported model in model/export, which has to be what dvc.lock names, or in --model, whatever it is;
     params.yaml: predict
Out: nothing is written; a line for each request on the terminal

It listens on this machine alone. For any other address, and with --name, PASSO_TOKEN has to hold a token of 16 letters
or more, which clients send as Authorization: Bearer TOKEN; for TLS, a proxy stands before it. docs/serve.md has the
contract, the limits, and what it defends against.
"""

import argparse
import ipaddress
import os
from collections.abc import Sequence

from detector.base import errors
from detector.base.errors import UserError
from tools.serving.limits import Limits

LEAST_TOKEN = 16  # letters


def main() -> None:
    """Check, load, answer."""
    arguments = parse_arguments()
    token = os.environ.pop("PASSO_TOKEN", "")
    check_token(arguments.host, token, arguments.names)
    try:
        from tools.serving import running  # late: --help needs no packages
    except ModuleNotFoundError as error:
        raise UserError(str(error.name), "is not installed here", "run: make serve") from None
    limits = limits_of(arguments.rate)
    options = {name: value for name, value in vars(arguments).items() if name != "rate"}
    running.run(running.Options(**options, token=token, limits=limits))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0: any that is free")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; default: %(default)s")
    parser.add_argument(
        "--name", action="append", default=[], dest="names", help="a host name that clients may use; may be repeated"
    )
    parser.add_argument("--model", default="", help="another model: an exported folder; default: model/export")
    parser.add_argument("--threshold", default="", help="the lowest score; default: predict.score_threshold")
    parser.add_argument("--workers", type=int, default=0, help="processes; default: one a core")
    parser.add_argument(
        "--rate", type=float, help=f"requests a second from one address; default: {Limits.rate}; 0: any"
    )
    return parser.parse_args()


def limits_of(rate: float | None) -> Limits:
    """With this rate; at least one request at once, or a rate below a half would refuse all."""
    return Limits() if rate is None else Limits(rate=rate, burst=max(1, 2 * rate))


def check_token(host: str, token: str, names: Sequence[str] = ()) -> None:
    """Raises: UserError: other machines could ask, here or through a proxy, and there is no token, or a short one."""
    remedy = "make one: export PASSO_TOKEN=$(openssl rand -hex 32)"
    if token and (len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise UserError(
            "PASSO_TOKEN", f"is no token of {LEAST_TOKEN} letters or more, in ASCII and without spaces", remedy
        )
    if not token and (names or not is_loopback(host)):
        raise UserError(next(iter(names), host), "other machines could ask, and PASSO_TOKEN holds no token", remedy)


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    errors.run(main)
