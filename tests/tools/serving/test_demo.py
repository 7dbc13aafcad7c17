"""`make demo`: the page over HTTP, and in a browser that can reach nothing else."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import browser, films, serving
from tests.support.serving import Served
from tests.tools.serving.test_pool import photo
from tests.tools.serving.test_server import project
from tools.serving import demo

FACTS = {"names": {1: "cat", 2: "dog </script><b>"}, "token": "secret", "card": "<script>alert(1)</script>"}


def test_the_policy_allows_this_style_and_this_script_alone() -> None:
    content, policy = demo.page(FACTS)
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", content, re.S)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy and "http" not in policy
    assert re.findall(r"https?:[^\"]*", content) == ["http://www.w3.org/2000/svg"]  # a name, which nothing fetches


def test_names_and_the_card_are_data() -> None:
    content, _ = demo.page(FACTS)
    assert content.count("<script") == content.count("</script") == 2 and "<b>" not in content
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', content, re.S)[0])
    assert (data["classes"]["2"]["name"], data["card"]) == (FACTS["names"][2], FACTS["card"])


def test_both_languages_have_the_same_words() -> None:
    words = Path(demo.__file__).with_suffix(".js").read_text().partition("const WORDS")[2].partition("\n};")[0]
    english, portuguese = (re.findall(r"(\w+): [\"\[]", part) for part in words.split('"pt-BR": {'))
    assert english == portuguese and len(english) > 15
    places = [sorted(re.findall(r"{(\w+)}", part)) for part in words.split('"pt-BR": {')]
    assert places[0] == places[1]


def test_portuguese_has_words_for_what_the_server_may_answer_to_a_photo() -> None:
    text = Path(demo.__file__).with_suffix(".js").read_text()
    (words,) = re.findall(r'const REFUSED = .*?"pt-BR": {(.*?)}', text, re.S)
    of_other_requests = {403, 415, 421, 431, 501}  # no answer to what the page sends
    assert {*map(int, re.findall(r'(\d+): "', words))} - {0} == set(api_statuses()) - of_other_requests


def api_statuses() -> list[int]:
    """The keys of ERRORS: its module needs the server's packages."""
    text = Path(demo.__file__).with_name("api.py").read_text()
    return [int(one) for one in re.findall(r"(?m)^    (\d{3}): \(", text)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = project(tmp_path_factory.mktemp("demo"))
    (root / "model/export/README.md").write_text("---\nlicense: other\n---\n\n# Detector of red, white\n")
    with serving.served(root, "--model=model/export", command="tools.demo") as one:
        yield one


@serving.needed
def test_the_page_comes_with_its_policy_and_other_sites_lack_its_token(server: Served) -> None:
    answer = server.ask("GET", "/")
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].endswith("form-action 'none'; frame-ancestors 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    token = json.loads(re.findall(rb'id="data">(.*?)</script>', answer.body, re.S)[0])["token"]
    assert server.detect(photo()).status == 401
    assert server.detect(photo(), Authorization=f"Bearer {token}").status == 200
    assert server.detect(photo(), Authorization=f"Bearer {token}", Origin="http://evil.example").status == 403
    assert server.ask("GET", "/", Host="evil.example").status == 421


@serving.needed
@browser.needed
@pytest.mark.long
def test_in_a_browser(server: Served, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.port}/"
    (tmp_path / "red and white.png").write_bytes(photo())
    (tmp_path / "broken.jpg").write_bytes(photo()[:100])
    with browser.opened(url, *browser.CAMERA) as page:
        assert page.evaluate("document.documentElement.lang") == "en"
        page.choose("#photos", tmp_path / "red and white.png", tmp_path / "broken.jpg")
        page.wait("document.getElementById('status').textContent === '2 of 2 photos'")
        captions = page.evaluate("[...document.querySelectorAll('#gallery figcaption')].map((one) => one.textContent)")
        assert captions[0].startswith("\u2068red and white.png\u2069 · \u2068red\u2069 1.00, \u2068white\u2069 1.00: ")
        captions = [re.sub("[\u2068\u2069]", "", one) for one in captions]
        assert captions[1].startswith("broken.jpg: photo: does not decode to its end")
        assert re.fullmatch(
            r"red and white\.png · red 1\.00, white 1\.00: \d+ ms to detect, \d+ ms in all", captions[0]
        )
        boxes = "[...document.querySelectorAll('#gallery .box')].map((one) => one.getAttribute('x'))"
        assert page.evaluate(boxes) == ["40", "10"]  # the best one last, on top
        page.evaluate("document.querySelector('#classes input[value=\"1\"]').click()")
        assert page.evaluate(boxes) == ["40"]
        page.evaluate("document.querySelector('[data-language=\"pt-BR\"]').click()")
        assert page.evaluate("document.getElementById('status').textContent") == "2 de 2 fotos"
        assert "white\u2069 1,00: " in page.evaluate("document.querySelectorAll('#gallery figcaption')[0].textContent")
        assert page.evaluate("document.getElementById('text').textContent") == "# Detector of red, white"
        page.evaluate("document.getElementById('camera').click()")
        caption = "document.querySelector('#live figcaption').textContent"
        page.wait(f"/quadros por segundo$/.test({caption})")
        page.evaluate("document.getElementById('camera').click()")
        assert page.evaluate("document.getElementById('live').hidden")
        page.evaluate("document.querySelector('#classes input[value=\"1\"]').click()")
        page.choose("#video", films.make(tmp_path / "film.mp4", 30))
        page.wait(rf"/^\u2068film.mp4\u2069 · \u2068red\u2069 \d,\d\d: .* quadros por segundo$/.test({caption})")
        for width in (390, 1280):
            page.size(width)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        dropped = 'document.dispatchEvent(new DragEvent("drop", {dataTransfer: data, cancelable: true}))'
        notes = 'const data = new DataTransfer(); data.items.add(new File(["x"], "notes.txt", {type: "text/plain"}))'
        page.evaluate(f"{{{notes}; {dropped}}}")
        page.wait("document.getElementById('status').textContent === '1 de 1 fotos'")
        words = page.evaluate("document.querySelector('#gallery figcaption').textContent")
        assert words == "\u2068notes.txt\u2069: não é uma foto que possa ser lida, ou é grande demais; salve como JPEG"
        assert len(page.said) == 2 and all("a status of 422" in line for line in page.said)  # of what is no photo
        assert not [one for one in page.asked if not one.startswith((url, "blob:", "data:"))]
    log = server.log()
    assert "red and white" not in log and "Traceback" not in log


@serving.needed
@browser.needed
@pytest.mark.long
def test_a_photo_of_a_newer_phone_is_scaled_down(server: Served, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    large = Image.open(BytesIO(photo())).resize((6400, 3200), Image.Resampling.NEAREST)
    large.save(tmp_path / "large.jpg", quality=90, exif=exif)
    with browser.opened(f"http://127.0.0.1:{server.port}/") as page:
        page.choose("#photos", tmp_path / "large.jpg")
        page.wait("document.getElementById('status').textContent === '1 of 1 photos'")
        assert page.evaluate("document.querySelector('#gallery svg').getAttribute('viewBox')") == "0 0 2048 4096"
        names = "['x', 'y', 'width', 'height'].map((name) => Number(one.getAttribute(name)))"
        boxes = page.evaluate(f"[...document.querySelectorAll('#gallery .box')].map((one) => {names})")
        scale = 4096 / 80  # of (10, 5, 30, 25) and (40, 10, 60, 30), which a quarter turn puts elsewhere
        expected = [[10 * scale, 40 * scale, 20 * scale, 20 * scale], [15 * scale, 10 * scale, 20 * scale, 20 * scale]]
        assert np.allclose(sorted(boxes), expected, atol=scale / 2)


@browser.needed
@pytest.mark.long
def test_names_that_run_to_the_left_and_a_server_that_has_gone(tmp_path: Path) -> None:
    """The page as a file: there is no server to ask."""
    names = {1: "\u0642\u0637\u0629", 2: "a\u202eb\u2069", **{number: f"class {number}" for number in range(3, 13)}}
    shown = {**FACTS, "names": names, "record": {}, "threshold": 0.5, "limits": {"pixels": 20, "bytes": 20}}
    (tmp_path / "page.html").write_text(demo.page(shown)[0], encoding="utf-8")
    (tmp_path / "red.png").write_bytes(photo())
    with browser.opened((tmp_path / "page.html").as_uri()) as page:
        about = page.evaluate("document.querySelector('[data-word=about]').textContent")
        assert about.startswith("Finds \u2068\u0642\u0637\u0629\u2069, \u2068ab\u2069, \u2068class 3\u2069, ")
        assert "\u2068class 10\u2069 and 2 more. Photos" in about
        ticked = "document.querySelectorAll('#classes input:checked').length"
        page.evaluate("document.getElementById('all').focus()")
        for expected in (0, 12, 0):
            page.press(" ", 32)
            assert page.evaluate(ticked) == expected
        page.evaluate("document.querySelector('[data-language=\"pt-BR\"]').click()")
        assert page.evaluate("document.getElementById('all').textContent") == "Todas / nenhuma"
        page.choose("#photos", tmp_path / "red.png")
        caption = "document.querySelector('#gallery figcaption').textContent"
        page.wait(f"{caption} === '\u2068red.png\u2069: o servidor não responde'")
