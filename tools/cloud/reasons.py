"""Why something failed, in one line: DVC and its file systems raise whatever their libraries raise."""

import re

ADDRESS = re.compile(r"\S*https?://\S*")
MOST_CHARACTERS = 200


def reason(error: BaseException) -> str:
    """The innermost cause, in one short line and without addresses."""
    while isinstance(deeper := _deeper(error), Exception):
        error = deeper
    text = " ".join(ADDRESS.sub("", str(error)).split()).strip(":") or type(error).__name__
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."


def _deeper(error: BaseException) -> object:
    """What an error wraps: DVC, api_core, requests and urllib3 each store it in another place."""
    first = error.args[0] if error.args else None
    places = (getattr(error, "cause", None), getattr(error, "reason", None), first, error.__cause__)
    return next((place for place in places if isinstance(place, Exception)), None)
