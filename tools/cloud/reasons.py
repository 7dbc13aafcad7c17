"""Why something failed, in one line: DVC and its file systems raise whatever their libraries raise."""

import re

from detector.base.errors import innermost

ADDRESS = re.compile(r"\S*https?://\S*")
MOST_CHARACTERS = 200


def reason(error: BaseException) -> str:
    """The innermost cause, in one short line and without addresses."""
    cause = innermost(error)
    text = " ".join(ADDRESS.sub("", str(cause)).split()).strip(":") or type(cause).__name__
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."
