"""The page of a prediction: what is in it, that names stay names, and that it works in a browser."""

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from detector.data.tables import ImageBoxes
from detector.pictures import draw
from detector.prediction import page
from tests.support import chromium
from tests.support.boxes import image

NAMES = {1: "cat", 2: "dog </script><b>"}
HOSTILE = [
    "</script><script>alert(1)</script>.jpg",
    '"><img src=x onerror=alert(1)>.png',
    "a#b?c%20&d'.jpg",
    "猫 1.jpg",
]
FOUND = [
    image("a/x.jpg", (10, 20, 110, 220, 1, 0.91), (0, 0, 500, 400, 2, 0.55)),
    image("b.png", (1 / 3, 0, 100, 100, 2, 0.712345)),
    image("c.jpg"),
]


def write(folder: Path, results: list[ImageBoxes] = FOUND, threshold: float = 0.5) -> str:
    pictures = {one.filename: f"{one.filename}.jpg" if one.filename == "b.png" else one.filename for one in results}
    page.write(folder / page.NAME, lambda: iter(results), NAMES, pictures, {}, threshold)
    return (folder / page.NAME).read_text(encoding="utf-8")


def data(content: str) -> dict[str, object]:
    return dict(json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', content, re.S)[0]))


def test_the_data_are_compact_and_whole(tmp_path: Path) -> None:
    colours = ["#{:02x}{:02x}{:02x}".format(*draw.colour(number)) for number in NAMES]
    assert data(write(tmp_path)) == {
        "threshold": 0.5,
        "classes": {
            "1": {"name": "cat", "colour": colours[0]},
            "2": {"name": "dog </script><b>", "colour": colours[1]},
        },
        "photos": [
            ["a/x.jpg", "", 500, 400, 1, 10, 20, 100, 200, 0.91, 2, 0, 0, 500, 400, 0.55],
            ["b.png", "b.png.jpg", 500, 400, 2, 0.3, 0, 99.7, 100, 0.7123],
            ["c.jpg", "", 500, 400],
        ],
    }


def test_without_a_script_it_is_a_list_of_the_first_photos(tmp_path: Path) -> None:
    content = write(tmp_path, [*FOUND, *(image(f"{number:03}.jpg") for number in range(page.LISTED))])
    listed = re.findall(r'<li><a href="(.*?)">(.*?)</a>: (.*?)</li>', content)
    assert len(listed) == page.LISTED
    assert [unquote(address) for address, _, _ in listed[:2]] == ["pictures/a/x.jpg", "pictures/b.png.jpg"]
    assert [(name, html.unescape(words)) for _, name, words in listed[:3]] == [
        ("a/x.jpg", "<bdi>cat</bdi> 0.91, <bdi>dog </script><b></bdi> 0.55"),
        ("b.png", "<bdi>dog </script><b></bdi> 0.71"),
        ("c.jpg", "no detection"),
    ]
    assert "<p>3 photos more" in content


def test_the_same_results_give_the_same_bytes_and_no_address_leads_elsewhere(tmp_path: Path) -> None:
    content = write(tmp_path)
    assert write(tmp_path) == content
    assert re.findall(r"https?:[^\"]*", content) == ["http://www.w3.org/2000/svg"]  # a name, which nothing fetches
    assert "url(" not in content and "@" not in re.sub("@media", "", content)


def test_the_policy_allows_this_style_and_this_script_alone(tmp_path: Path) -> None:
    content = write(tmp_path, [image(name) for name in HOSTILE])
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)">', content)
    for tag in ("style", "script"):
        [text] = re.findall(rf"<{tag}>(.*?)</{tag}>", content, re.S)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy


def test_hostile_names_are_data(tmp_path: Path) -> None:
    content = write(tmp_path, [image(name, (0, 0, 9, 9, 2, 0.9)) for name in HOSTILE])
    assert (
        content.count("<script") == content.count("</script") == 2
        and "<b>" not in content
        and "<img src=x" not in content
    )
    assert [row[0] for row in data(content)["photos"]] == HOSTILE  # type: ignore[attr-defined]
    assert [unquote(one) for one in re.findall(r'href="(pictures/.*?)"', content)] == [f"pictures/{n}" for n in HOSTILE]


@pytest.mark.parametrize(
    ("size", "small"),
    [((480, 320), (480, 320)), ((481, 320), (241, 160)), ((4000, 3000), (445, 334)), ((20000, 20), (477, 1))],
)
def test_a_thumbnail_is_smaller_by_a_whole_factor(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    (tmp_path / "x.jpg").write_bytes(page.thumbnail(Image.new("RGB", size, (200, 30, 40))))
    with Image.open(tmp_path / "x.jpg") as opened:
        assert (opened.format, opened.size) == ("JPEG", small)


# In a browser.

PROBE = """
const said = [], $ = (id) => document.getElementById(id);
const cards = (what) => [...document.querySelectorAll(`.card ${what}`)];
const names = () => cards(".name").slice(0, 3).map((one) => one.textContent).join(" ");
const state = () => said.push([$("status").textContent, names(), cards("rect.box").length]);
const set = (id, value) => { $(id).value = value; $(id).dispatchEvent(new Event("input")); };
const key = (name) => document.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
const steps = [
  () => set("class", "2"),
  () => set("score", "0.6"),
  () => set("class", "none"),
  () => set("class", "all"),
  () => set("search", "A/"),
  () => { set("search", ""); set("sort", "low"); },
  () => {
    key("/");
    said.push(document.activeElement.id);
    document.activeElement.blur();
    key("ArrowRight");
    said.push(document.activeElement.className);
  },
  () => {
    document.querySelector(".card").click();
    key("ArrowRight");
    said.push($("title").textContent, $("found").querySelector("span:has(bdi)").textContent);
    $("dialog").close();
  },
];
const next = () => {
  state();
  if (!steps.length) {
    parent.postMessage(JSON.stringify([...said, document.documentElement.scrollWidth <= innerWidth]), "*");
    return;
  }
  steps.shift()();
  setTimeout(next, 50);
};
setTimeout(next, 50);
"""


@chromium.needed
@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser(tmp_path: Path, width: int) -> None:
    """Offline, at the width of a phone and of a screen: no message, and the tools do what they say."""
    results = [*FOUND, *(image(name, (10, 10, 90, 90, 1, 0.58)) for name in HOSTILE)]
    for one in results:
        for folder in (page.PICTURES, page.THUMBNAILS):
            for name in {one.filename, f"{one.filename}.jpg"}:
                file = tmp_path / folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(page.thumbnail(Image.new("RGB", (50, 40))))
    content = write(tmp_path, results)
    whole = chromium.opened(tmp_path / page.NAME)
    assert whole.count('class="card"') == 7 and "7 photos of 7, 7 detections" in whole
    said = chromium.probed(tmp_path, content, PROBE, width)
    first = "a/x.jpg b.png c.jpg"
    assert said == [
        ["7 photos of 7, 7 detections", first, 7],
        ["2 photos of 7, 2 detections", "a/x.jpg b.png", 2],
        ["1 photo of 7, 1 detection", "b.png", 1],
        ["5 photos of 7, 0 detections", " ".join(["c.jpg", *HOSTILE[:2]]), 0],
        ["7 photos of 7, 2 detections", first, 2],
        ["1 photo of 7, 1 detection", "a/x.jpg", 1],
        ["7 photos of 7, 2 detections", "b.png a/x.jpg c.jpg", 2],
        "search",
        "card",
        ["7 photos of 7, 2 detections", "b.png a/x.jpg c.jpg", 2],
        "\u2068a/x.jpg\u2069 (2 of 7, 500×400)",
        "cat 0.91",
        ["7 photos of 7, 2 detections", "b.png a/x.jpg c.jpg", 2],
        True,
    ]
