"""A page in a real browser: headless, offline, with what it wrote to the console."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

LISTENER = """<!DOCTYPE html><title>x</title><script>addEventListener("message", (event) => {
const made = document.createElement("pre"); made.textContent = event.data; document.body.append(made); });</script>"""
FRAME = '<body style="margin:0"><iframe width="{}" height="800" style="border:0" srcdoc="{}"></iframe>'
POLICY = r'<meta http-equiv="Content-Security-Policy"[^>]*>'

needed = pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")


def opened(path: Path, *options: str) -> str:
    """The page as it is in the end; a message on the console is an error."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000", *options, "--dump-dom"]
    done = subprocess.run([*command, f"file://{path}"], capture_output=True, text=True, timeout=120, check=True)
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line and "chrome://" not in line] == []
    return done.stdout


def probed(folder: Path, content: str, script: str, width: int, *options: str) -> Any:
    """What a script in a page posts to its parent, as JSON; the page is as wide as a frame of so many pixels."""
    page = re.sub(POLICY, "", content).replace("</body>", f"<script>{script}</script></body>")
    (folder / "frame.html").write_text(LISTENER + FRAME.format(width, html.escape(page)), encoding="utf-8")
    done = opened(folder / "frame.html", f"--window-size={max(width, 500)},900", *options)
    return json.loads(html.unescape(re.findall(r"<pre>(.*?)</pre>", done, re.DOTALL)[0]))
