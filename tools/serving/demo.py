"""The page of `make demo`: photos, video and camera, boxes, times and the model card, in English and Portuguese.

One file without anything from elsewhere: its script and its style are allowed by their hashes, and it may ask this
server alone. It sends what it shows to /v1/detect, a frame of a video or a camera at a time; so every limit of the
server holds for it, and nothing that was sent is kept or sent back. The token in it is what other sites lack.

Not gradio: 6.31 (52 packages, 258 MB) answers any Host, decodes photos in the server's own process, keeps uploads in
files and sends them back, and its page has scripts that no hash allows. DVC's tomlkit shuts it out of .venv besides.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.pictures import draw

_HERE = Path(__file__)


def page(facts: Mapping[str, Any]) -> tuple[str, str]:
    """The page and its Content-Security-Policy.

    Args:
        facts: of the model: `names`, class id -> name; and what the script shows.
    """
    style, script = (_HERE.with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".css", ".js"))
    classes = {
        number: {"name": name, "colour": "#{:02x}{:02x}{:02x}".format(*draw.colour(number))}
        for number, name in sorted(facts["names"].items())
    }
    data = json.dumps({**facts, "classes": classes}).replace("<", "\\u003c")  # it cannot end its element
    marks = {"style": style, "script": script, "data": data}
    text = _HERE.with_suffix(".html").read_text(encoding="utf-8")
    return re.sub(f"@({'|'.join(marks)})@", lambda found: marks[found[1]], text), policy(style, script)


def policy(style: str, script: str) -> str:
    """What the page may load: itself, what the reader has chosen, and answers of this server."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    rules = "style-src 'sha256-{}'; script-src 'sha256-{}'".format(*hashes)
    own = "connect-src 'self'; img-src blob: data:; media-src blob:"
    return f"default-src 'none'; {rules}; {own}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
