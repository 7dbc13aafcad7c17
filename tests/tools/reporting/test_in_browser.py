"""The report in a real browser, offline: the script is allowed, and moves all that the threshold moves."""

import shutil
import subprocess
from pathlib import Path

import pytest

from detector.base import paths
from tests.support import chromium, run_results
from tests.support.stage import REPOSITORY
from tools import report

SHUT = """
const shut = () => new Promise((done) => {  // once the page has put the focus back
  $("dialog").addEventListener("close", done, { once: true });
  $("dialog").close();
});
"""
PROBE = """
const said = [], text = (id) => $(id).textContent;
const state = () => said.push([
  text("sentence"), text("status"), all("[data-count]").map((one) => one.textContent).join(" "),
  all(".shot:not([hidden]) .found").map((one) => one.textContent).join("; "),
  all(".matrix td b").map((one) => one.textContent).join(" "),
  all("tr[data-class='0'] td").map((one) => one.textContent.trim()).join(" | "),
]);
const set = (id, value) => { $(id).value = value; $(id).dispatchEvent(new Event("input")); };
const key = (name) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
const steps = [
  state,
  () => { set("threshold", "25"); state(); },
  () => { document.querySelector(".kind.class").click(); said.push([text("status"), $("kind").value]); },
  () => { set("class", "1"); said.push(text("status")); },
  () => { document.querySelector(".kind.class").click(); said.push(text("status")); },
  () => { set("class", ""); $("reset").click(); said.push(text("at")); },
  () => {
    document.querySelector(".shot button").focus();
    key("ArrowRight");
    said.push(document.activeElement.getAttribute("aria-label"));
    document.activeElement.click();
    said.push(text("title"), text("list"));
    key("ArrowLeft");
    said.push(text("title"), text("list"), $("canvas").querySelectorAll("text").length);
    return shut();
  },
  () => {
    said.push(document.activeElement.getAttribute("aria-label"));
    document.querySelector(".sortable th:nth-child(7) button").click();
    const head = document.querySelector(".sortable th:nth-child(7)");
    said.push(head.getAttribute("aria-sort"), all("tr[data-class]").map((one) => one.dataset.class).join(""));
    head.firstChild.click();
    said.push(head.getAttribute("aria-sort"), all("tr[data-class]").map((one) => one.dataset.class).join(""));
  },
  () => {
    const svg = document.querySelector("#over-threshold svg");
    svg.focus();
    for (let k = 0; k < 3; k++) key("ArrowRight");
    said.push([...svg.closest("figure").querySelectorAll(".key")].map((one) => one.textContent.trim()).join(", "));
    said.push(document.documentElement.scrollWidth <= innerWidth);
  },
];
const next = () => {
  if (!steps.length) parent.postMessage(JSON.stringify(said), "*");
  else Promise.resolve(steps.shift()()).then(() => setTimeout(next, 50));
};
setTimeout(next, 50);
"""
EMPTY = "c.jpg,60,40,,,,,,"
FAR = """
const said = [];
const steps = [
  () => {
    $("threshold").value = "25";
    $("threshold").dispatchEvent(new Event("input"));
    dispatchEvent(new Event("beforeprint"));
    const last = all(".shot")[59];
    said.push(last.querySelectorAll("rect.right").length, last.querySelector(".found").textContent);
    document.querySelector(".shot button").click();
    for (let k = 0; k < 59; k++) document.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    return shut();
  },
  () => said.push(document.activeElement.getAttribute("aria-label"), $("more").parentElement.hidden),
];
const next = () => {
  if (!steps.length) parent.postMessage(JSON.stringify(said), "*");
  else Promise.resolve(steps.shift()()).then(() => setTimeout(next, 50));
};
setTimeout(next, 50);
"""
AT_50 = [
    "Finds 1 of 3 objects; 2 of 3 boxes are wrong, at 0.50",
    "4 of 4 photos",
    "1 2 3 1 1 1 0 0 0 1",
    "right: 1, wrong class: 1; missed: 1; nothing there: 1; no box",
    "1 0 1 1 0 0 0 1",
    "50 % 9 % to 91 % | 50 % 9 % to 91 % | 0.50 | 0.661 | 0.951 | 2 | 1",
]
AT_25 = [
    "Finds 2 of 3 objects; 2 of 4 boxes are wrong, at 0.25",
    "4 of 4 photos",
    "2 2 4 2 0 1 0 0 0 1",
    "right: 1, wrong class: 1; right: 1; nothing there: 1; no box",
    "2 0 0 1 0 0 0 1",
    "100 % 34 % to 100 % | 67 % 21 % to 94 % | 0.80 | 0.661 | 0.951 | 2 | 1",
]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    run_results.train_results()
    run_results.evaluate_results()
    run_results.detections()
    run_results.write("dataset/data/train.csv", f"{run_results.COLUMNS},is_crowd\nx.jpg,60,40,cat,0,0,20,40,0\n")
    report.main()
    return paths.REPORT.read_text(encoding="utf-8")


@chromium.needed
@pytest.mark.parametrize("width", [390, 1280])
def test_everything_moves_with_the_threshold(page: str, tmp_path: Path, width: int) -> None:
    if width > 1000:
        chromium.opened(tmp_path / report.PORTUGUESE)  # its policy lets the script run, and nothing is said
    assert chromium.probed(tmp_path, page, SHUT + PROBE, width) == [
        AT_50,
        AT_25,
        ["1 of 4 photos", "class"],
        "1 of 4 photos",  # it takes a dog for a cat
        "2 of 4 photos",  # and one has a dog where none is
        "0.50",
        "Enlarge b.jpg",
        "\u2068b.jpg\u2069 (2/4, 60×40)",  # a name from right to left leaves the line around it as it is
        "\u2068cat\u2069 missed",
        "\u2068a.jpg\u2069 (1/4, 60×40)",
        "\u2068cat\u2069 0.90 right, \u2068cat\u2069 0.80 wrong class, \u2068dog\u2069 labelled",
        3,
        "Enlarge a.jpg",
        "descending",
        "01",
        "ascending",
        "10",
        "precision 0.500, recall 0.667, F1 0.571, threshold 0.03",
        True,
    ]


@pytest.mark.long
@chromium.needed
def test_photos_that_are_not_on_the_page_yet(page: str, tmp_path: Path) -> None:
    """They are printed as the threshold has them, and the focus goes to them from the large picture."""
    names = [f"{k:02d}.jpg" for k in range(60)]
    found = [f"{name},60,40,cat,0,0,20,20,0.3" for name in names]
    run_results.detections(
        [f"{name},60,40,cat,0,0,20,20,0" for name in names], [*found, *run_results.DETECTED[-1:], EMPTY]
    )
    for name in names:
        run_results.picture(f"dataset/pets/test/{name}")
    report.main()
    told = chromium.probed(tmp_path, paths.REPORT.read_text(encoding="utf-8"), SHUT + FAR, 1280)
    assert told == [1, "right: 1", "Enlarge 59.jpg", True]


AXE = """
axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => {
  const serious = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const said = serious.map((one) => [one.id, one.nodes.map((node) => node.html).slice(0, 3)]);
  parent.postMessage(JSON.stringify(said), "*");
});
"""


@chromium.needed
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(page: str, tmp_path: Path, width: int, scheme: str) -> None:
    """axe-core comes from npm's registry for this test alone; it is MPL-2.0 and no part of Passo."""
    subprocess.run(["npm", "pack", "--silent", "axe-core@4"], cwd=tmp_path, check=True, timeout=120)
    [archive] = tmp_path.glob("axe-core-*.tgz")
    shutil.unpack_archive(archive, tmp_path, filter="data")
    axe = (tmp_path / "package/axe.min.js").read_text(encoding="utf-8").replace("</script", "<\\/script")
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    assert chromium.probed(tmp_path, page, f"{axe}\n{AXE}", width, *dark) == []
