"""The page of `make inspect`, through its public door; read back by an HTML parser, and opened in a real browser."""

import base64
import io
import re
import shutil
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from PIL import Image

from detector.annotations import splitting
from tests.support import stage
from tests.support.stage import REPOSITORY, child
from tools import inspect_dataset
from tools.inspect_dataset import PAGE

HOSTILE = '</script><img src=http://evil.example/x onerror=alert(1)> "é" & 😀'
Boxes = Sequence[tuple[str, tuple[float, float, float, float]]]


class Page(HTMLParser):
    """What a browser would see: the text, the tags, and their attributes."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.content, self.tags, self.texts, self.style = content, set[str](), list[str](), False
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.style = tag == "style"
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.style = False

    def handle_data(self, data: str) -> None:
        self.texts += [] if self.style else [data]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str, name: str) -> list[str]:
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]

    def finding(self, slug: str) -> "Page":
        """The card of a finding; nothing where it is missing."""
        card = re.search(rf'<article [^>]*id="{slug}">.*?</article>', self.content, flags=re.DOTALL)
        return Page(card[0] if card else "")


class Dataset:
    """A dataset made of plain pictures, each in a colour of its own so that no two are alike."""

    def __init__(self, root: Path, classes: Sequence[str] = ("cat", "dog")) -> None:
        self.root, self.count = root, 0
        for split in ("train", "test"):
            (root / split).mkdir(parents=True)
        items = (f"item {{ id: {n} name: '{name}' }}\n" for n, name in enumerate(classes, start=1))
        (root / "label_map.pbtxt").write_text("".join(items))

    def add(self, place: str, boxes: Boxes, size: tuple[int, int] = (200, 100), orientation: int = 1) -> Path:
        """A photo with its XML: place is `train/cat.1.jpg`."""
        path = self.root / place
        self.count += 1
        exif = Image.Exif()
        exif[0x0112] = orientation
        colour = (self.count * 37 % 256, self.count * 91 % 256, self.count * 5 % 256)
        Image.new("RGB", size, colour).save(path, exif=exif)
        path.with_suffix(".xml").write_text(xml(path.name, size, boxes))
        return path

    def fill(self, *classes: str, each: int = 3) -> None:
        """Sound photos of these classes in both splits."""
        for name in classes:
            for number in range(each):
                self.add(f"train/a{number}-{self.count}.jpg", [(name, (20, 20, 120, 80))])
                self.add(f"test/b{number}-{self.count}.jpg", [(name, (20, 20, 120, 80))])


def xml(filename: str, size: tuple[int, int], boxes: Boxes) -> str:
    corners = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>{escape(name)}</name><bndbox>"
        + "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(corners, box, strict=True))
        + "</bndbox></object>"
        for name, box in boxes
    )
    frame = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation><filename>{escape(filename)}</filename>{frame}{objects}</annotation>"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pets(project: Path) -> Dataset:
    return Dataset(project / "dataset/pets")


def make(name: str = "pets") -> Page:
    done = stage.call(inspect_dataset.main, Path.cwd(), f"--dataset={name}")
    assert done.returncode == 0, done.stderr
    return Page(PAGE.read_text(encoding="utf-8"))


def test_counts_and_verdict(pets: Dataset) -> None:
    pets.fill("cat", each=3)
    pets.fill("dog", each=2)
    pets.add("test/none.jpg", [])
    page = make()
    assert "11 photos, 10 boxes, 2 classes: nothing stops a training" in page.text
    assert "6 photos with 5 boxes in test." in page.text
    assert "1 photo without a box: used as showing no object." in page.text
    assert re.search(r"All \d photos \d boxes \d photos? \d box(es)? 6 photos 5 boxes 10", page.text)
    assert "JPEG 11" in page.text and "all 200 × 100 pixels" in page.text and "no photo is turned by EXIF" in page.text


def test_a_photo_that_was_kept_from_validation_is_counted_once(pets: Dataset) -> None:
    names = [f"a{number}.jpg" for number in range(6)]
    rare = min(names, key=splitting.fraction)  # chance gives it to val first
    for name in names:
        pets.add(f"train/{name}", [("dog" if name == rare else "cat", (20, 20, 120, 80))])
    pets.add("test/b.jpg", [("cat", (20, 20, 120, 80))])
    text = make().text
    assert "1 × not for validation: the last photos of a class" in text


def test_each_photo_is_embedded_once_however_often_it_is_shown(pets: Dataset) -> None:
    pets.fill("cat")
    pets.add("train/both.jpg", [("cat", (20, 20, 120, 80)), ("dog", (20, 20, 120, 80))], size=(1000, 500))
    page = make()
    sources = page.all("image", "href")
    assert len(sources) == len(set(sources)) == 7
    uses = page.all("use", "href")
    assert {f"#{one}" for one in page.all("image", "id")} == set(uses) and len(uses) > len(sources)
    sizes = {Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).size for source in sources}
    assert sizes == {(200, 100), (320, 160)}


def test_boxes_to_check(pets: Dataset) -> None:
    box = (20, 20, 120, 80)
    for number in range(20):
        pets.add(f"train/cat.{number}.jpg", [("cat", box)])
        pets.add(f"test/dog.{number}.jpg", [("dog", box)])
    pets.add("train/cat.90.jpg", [("dog", box)])
    pets.add("train/cat.91.jpg", [])
    pets.add("train/both.jpg", [("cat", box), ("dog", (21, 20, 120, 80))])
    pets.add("train/twice.jpg", [("dog", box), ("dog", (21, 20, 120, 80))])
    pets.add("train/thin.jpg", [("dog", (0, 10, 200, 20))])
    pets.add("train/speck.jpg", [("dog", box), ("dog", (150, 50, 158, 54))])
    pets.add("train/whole.jpg", [("dog", (0, 0, 200, 99))])
    page = make()
    shown = {slug: page.finding(slug).text for slug in ("two-classes", "twice", "misnamed", "unlike", "tiny")}
    assert shown["two-classes"].startswith("1 photo with two classes at the same place")
    assert "train/both.jpg cat or dog" in shown["two-classes"]
    assert "train/twice.jpg dog" in shown["twice"] and "both.jpg" not in shown["twice"]
    assert "2 photos whose file name says another class" in shown["misnamed"]
    assert (
        "cat.90.jpg labelled dog, not cat" in shown["misnamed"] and "cat.91.jpg no box, so no cat" in shown["misnamed"]
    )
    assert "1 box in 1 photo with a shape unlike" in shown["unlike"] and "dog, 200 × 10 px" in shown["unlike"]
    assert "1 box in 1 photo under 16 pixels" in shown["tiny"]  # 8 x 4 of 200 x 100 is 12 x 12 of 300 x 300
    assert "train/speck.jpg dog, 8 × 4 px" in shown["tiny"]
    assert "whole.jpg" in page.finding("whole-photo").text
    first = re.findall(r'<li><a href="#([a-z-]+)">', page.content)
    assert [slug for slug in first if slug in shown] == ["two-classes", "misnamed", "twice", "unlike", "tiny"][
        : len(first)
    ]


def test_a_small_box_is_shown_from_nearer(pets: Dataset) -> None:
    pets.fill("cat", "dog")
    pets.add("train/speck.jpg", [("dog", (1000, 500, 1030, 520))], size=(2000, 1000))
    card = make().finding("tiny")
    x, y, width, height = map(int, card.all("svg", "viewbox")[0].split())
    assert (width, height) == (240, 180)  # six times 30 high, as 4 : 3
    assert x <= 1000 and x + width >= 1030 and y <= 500 and y + height >= 520


def test_names_mean_nothing_where_they_do_not_agree(pets: Dataset) -> None:
    for number in range(20):
        pets.add(f"train/cat.{number}.jpg", [("cat" if number % 2 else "dog", (20, 20, 120, 80))])
    pets.fill("cat", "dog")
    assert make().finding("misnamed").text == ""


def test_what_is_wrong_is_grouped_and_its_box_is_drawn(pets: Dataset) -> None:
    pets.fill("cat", "dog")
    for number in range(10):
        pets.add(f"train/x{number}.jpg", [("dog", (20, 20, 120, 80)), ("cat", (500 + number, 10, 560, 60))])
    (pets.root / "train/broken.jpg").write_bytes(b"no picture")
    page = make()
    card = next(page.finding(f"problem-{n}") for n in range(1, 9) if "10 ×" in page.finding(f"problem-{n}").text)
    assert "object 2 (cat)" in card.text and "2 more" in card.text
    assert card.text.count("train/x") == 10 and len(card.all("use", "href")) == 8
    assert "no picture: it cannot be read" in page.text and "broken.jpg" in page.text


def test_a_kind_is_named_by_whole_words(pets: Dataset) -> None:
    """What each file has in its stead is at its photo."""
    pets.fill("cat", "dog")
    for number in range(3):
        pets.add(f"train/x{number}.jpg", [("cat", (20, 20, 120, 80))])
        label = pets.root / f"train/x{number}.xml"
        label.write_text(label.read_text().replace(f"x{number}.jpg", f"IMG_{number}.jpg"))
    page = make()
    assert "Repaired: 3 × another <filename>. " in page.text and "another <filename>: IMG_2.jpg" in page.text
    assert "<filename>: …" not in page.text and ":." not in page.text


def test_copies_stand_side_by_side(pets: Dataset) -> None:
    pets.fill("cat", "dog")
    shutil.copy(pets.add("train/one.jpg", [("cat", (20, 20, 120, 80))]), pets.root / "train/two.jpg")
    (pets.root / "train/two.xml").write_text(xml("two.jpg", (200, 100), [("cat", (20, 20, 120, 80))]))
    cards = re.findall(r'id="(copies-[a-z-]+)"', make().content)
    assert len(cards) == 1
    text = make().finding(cards[0]).text
    assert "1 photo more than once" in text and "one.jpg" in text and "two.jpg" in text


def test_a_class_without_photos_is_reported(project: Path) -> None:
    pets = Dataset(project / "dataset/pets", ("cat", "dog"))
    pets.fill("cat")
    page = make()
    card = page.finding("scarce").text
    assert "No test photo shows dog, so this is not measured" in card and "No validation photo shows dog" in card
    assert "#scarce" in page.all("a", "href")


def test_photos_that_exif_turns(pets: Dataset) -> None:
    pets.fill("cat", "dog")
    pets.add("train/seen.jpg", [("cat", (20, 20, 80, 120))], size=(200, 100), orientation=6)
    (pets.root / "train/seen.xml").write_text(xml("seen.jpg", (100, 200), [("cat", (20, 20, 80, 120))]))
    page = make()
    assert "1 photo is turned or mirrored by EXIF; boxes are on the photo as seen in 1" in page.text
    assert "0 0 100 200" in page.all("svg", "viewbox")


def test_the_share_with_an_anchor(pets: Dataset) -> None:
    pets.fill("cat", "dog", each=2)  # 150 x 180 of 300 x 300: an anchor fits
    for number in range(8):
        pets.add(f"train/flat{number}.jpg", [("dog", (0, 10, 200, 16))])  # 300 x 18
    page = make()
    assert "8 boxes in 8 photos that no anchor fits" in page.text
    assert "50 % have an anchor that fits (dog 33 %)" in page.text


def test_hostile_names(project: Path) -> None:
    """Of photos and classes that are left out, for none of the others has such a name."""
    pets = Dataset(project / "dataset/pets", (allowed := '"é" & 😀 {{ 7 * 7 }}', "dog"))
    pets.fill(allowed, "dog")
    pets.add("train/odd.jpg", [(HOSTILE, (20, 20, 120, 80)), ("<b>\x9b31m", (20, 20, 120, 80))])
    pets.add("train/<img src=x onerror=alert(1)>.jpg", [("dog", (20, 20, 120, 80))])
    page = make()
    assert allowed in page.text and HOSTILE in page.text and "<img src=x onerror=alert(1)>" in page.text
    assert not {"script", "img", "iframe", "object", "base", "b\x9b31m"} & page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    links = [value for _, name, value in page.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert links and all(value.startswith(("data:", "#")) for value in links)
    assert "url(" not in page.content and "@import" not in page.content
    assert any("default-src 'none'" in value for value in page.all("meta", "content"))
    assert "\x9b" not in child("-m", "tools.inspect_dataset", "--dataset=pets", cwd=project).stdout


def test_the_same_dataset_gives_the_same_bytes(pets: Dataset, project: Path) -> None:
    pets.fill("cat", "dog", each=12)
    assert make().content == make().content
    assert str(project) not in make().content


def test_empty_splits_and_a_broken_label_map_are_shown(pets: Dataset) -> None:
    assert "0 photos, 0 boxes, 2 classes: 2 errors would stop a training" in make().text
    pets.fill("cat")
    (pets.root / "label_map.pbtxt").write_text("item {")
    page = make()
    assert "would stop a training" in page.text and "label_map.pbtxt" in page.text and "cat" in page.text


def test_no_dataset_is_one_line(project: Path) -> None:
    done = child("-m", "tools.inspect_dataset", "--dataset=none", cwd=project)
    assert done.returncode == 2 and done.stderr == (
        "error: dataset/none: not found; run: make dataset SRC=... NAME=none\n"
    )
    assert "run: dvc repro sample" in child("-m", "tools.inspect_dataset", cwd=project).stderr


def test_no_tensorflow_is_started(pets: Dataset) -> None:
    pets.fill("cat", "dog", each=1)
    code = (
        "import sys; sys.argv[1:] = ['--dataset=pets']; from tools import inspect_dataset; inspect_dataset.main(); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert child("-c", code).returncode == 0


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser(width: int, pets: Dataset, tmp_path: Path) -> None:
    """Offline: no console message, and the page is as wide as the window."""
    pets.fill("cat", "dog")
    pets.add(f"train/{'long-name-' * 12}.jpg", [("cat", (1, 1, 9, 9))])
    make()
    probe = "<script>document.title = document.documentElement.scrollWidth</script>"
    content = PAGE.read_text(encoding="utf-8")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', content)
    assert policy
    probed = tmp_path / "probed.html"
    probed.write_text(content.replace(policy[0], "").replace("</body>", f"{probe}</body>"), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--window-size={width},2000", "--dump-dom"]
    for path in (PAGE.resolve(), probed):
        done = subprocess.run([*command, f"file://{path}"], capture_output=True, text=True, timeout=120, check=True)
        said = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "chrome://" not in line]
        assert said == []
    assert re.search(r"<title>(\d+)</title>", done.stdout), "the probe ran"
    assert int(re.findall(r"<title>(\d+)</title>", done.stdout)[0]) <= max(width, 500)  # its narrowest window is 500
