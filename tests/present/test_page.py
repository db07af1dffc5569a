"""The report in a real browser: at every width, in the dark, on paper, for those who do not see it."""

from __future__ import annotations

import base64
import importlib.resources
from pathlib import Path

import pytest

from dnslab.experiment.compare import SAMPLE
from dnslab.plan.model import FaultPlan, Load, Plan
from dnslab.plan.schedule import TargetInfo
from dnslab.present.report import render
from tests.browser import Browser, screenshots
from tests.hostile import HOSTILE, hostile_run
from tests.runs import rows, write_run

pytestmark = [pytest.mark.verify, pytest.mark.notebook]

#: axe-core by Deque, which finds what a screen reader or a weak eye stumbles over
AXE = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js")
#: width and height of a phone, a tablet and a desktop, and whether the page is to be dark
VIEWS = [(390, 844, False), (390, 844, True), (768, 1024, False), (1280, 900, False), (1280, 900, True)]
#: A4 without its margins, at 96 px an inch
PAPER_PX = 703
#: what reaches past the window's right edge, but for what scrolls in a box of its own
TOO_WIDE = """
const inBox = e => e.closest('.scroll') && matchMedia('screen').matches;
return [...document.body.querySelectorAll('*')]
  .filter(e => !inBox(e) && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80));
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sample's report, and that of a run with all that makes a page wide: long names, big numbers, reasons."""
    folder = tmp_path_factory.mktemp("pages")
    node = TargetInfo("web-7c9f6d5b8-xk2vq@ip-10-120-33-214.eu-central-1.compute.internal", "glibc", "2.36")
    alpine = TargetInfo("batch-worker-5f6d7c8b9-abcde@ip-10-120-33-215.eu-central-1.compute.internal", "musl", "1.2.3")
    variants = ("baseline", "use-vc", "node-local+single-request-reopen", "timeout-1")
    plan = Plan(variants=variants, rounds=3, loads=(Load(duration_s=1),), fault=FaultPlan.parse("race:p=0.05"))
    bad = rows([0.5] * 90_000 + [5004.0] * 500)
    lookups = {("baseline", target.name, n): bad for target in (node, alpine) for n in (1, 2, 3)}
    lookups |= {(name, node.name, n): rows([0.61] * 90_000) for name in variants[1:] for n in (1, 2, 3)}
    lookups |= {("timeout-1", alpine.name, n): rows([0.61] * 90_000) for n in (1, 2, 3)}
    wide = write_run(folder / "wide", plan, lookups, known=(node, alpine))
    return {"sample": render(SAMPLE, folder / "sample.html"), "wide": render(wide, folder / "wide.html")}


def look(browser: Browser, page: Path, width: int, height: int, dark: bool) -> list[str]:
    """What is wrong with a page in this window."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.devtools("Emulation.setEmulatedMedia", media="screen", features=[scheme])
    browser.open(page.as_uri(), width, height)
    inner, scroll = browser.run("return [innerWidth, document.documentElement.scrollWidth]")
    assert inner == width
    said = [f"{scroll} px wide"] if scroll > inner else []
    said += [f"too wide: {one}" for one in browser.run(TOO_WIDE)]
    said += [f"console: {message}" for message in browser.console()]
    said += [f"request: {url[:80]}" for url in browser.requests() if not url.startswith(("file:", "data:"))]
    browser.run(AXE.read_text(encoding="utf-8"))
    for found in browser.run("return axe.run()")["violations"]:
        said += [f"axe: {found['id']}: {node['html'][:120]}" for node in found["nodes"]]
    return said


@pytest.mark.parametrize("name", ["sample", "wide"])
def test_nothing_is_wrong_at_any_width(browser: Browser, pages: dict[str, Path], tmp_path: Path, name: str) -> None:
    for width, height, dark in VIEWS:
        assert look(browser, pages[name], width, height, dark) == []
        browser.screenshot(screenshots(tmp_path) / f"{name}-{width}{'-dark' if dark else ''}.png")


def test_a_page_full_of_hostile_text_is_silent(browser: Browser, tmp_path: Path) -> None:
    """No script runs, nothing is asked for, and a line that a name would forge is not there."""
    page = render(hostile_run(tmp_path / f"run {HOSTILE}"), tmp_path / "page.html")
    for dark in (False, True):
        assert look(browser, page, 390, 844, dark) == []
        browser.screenshot(screenshots(tmp_path) / f"hostile-390{'-dark' if dark else ''}.png")
    lines = browser.run("return document.body.innerText").splitlines()
    assert not [line for line in lines if line.strip() == "Is it happening? No"]


def test_the_same_look_finds_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<!DOCTYPE html><html lang='en'><title>bad</title><main><h1>bad</h1>"
        "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA='><img alt='x' src='http://127.0.0.1:9/x.png'>"
        "<p style='color: #999; background: #fff'>pale</p><p style='width: 2000px'>wide</p>"
        "<div style='overflow-x: auto; width: 9rem'><p style='width: 99rem'>not by keyboard</p></div>"
    )
    found = "\n".join(look(browser, page, 390, 844, False))
    for expected in ("px wide", "too wide: <p", "console: ", "request: http://127.0.0.1:9/x.png"):
        assert expected in found
    for rule in ("image-alt", "color-contrast"):
        assert f"axe: {rule}: " in found


def test_dark_is_dark_and_paper_is_light(browser: Browser, pages: dict[str, Path]) -> None:
    def ground() -> str:
        return str(browser.run("return getComputedStyle(document.body).backgroundColor"))

    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    browser.devtools("Emulation.setEmulatedMedia", media="screen", features=[scheme])
    browser.open(pages["sample"].as_uri())
    assert ground() == "rgb(0, 0, 0)"
    browser.devtools("Emulation.setEmulatedMedia", media="print", features=[scheme])
    assert ground() == "rgb(255, 255, 255)"


@pytest.mark.parametrize("name", ["sample", "wide"])
def test_the_four_answers_are_on_a_phones_first_screen(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name].as_uri(), 390, 844)
    ends = browser.run(
        "return [...document.querySelectorAll('.answers div')]"
        ".map(e => [e.querySelector('dt').innerText, e.getBoundingClientRect().bottom])"
    )
    asked = [question for question, bottom in ends if bottom <= 844]
    assert asked[:4] == ["Is it happening?", "How sure?", "What helps?", "What does it cost?"]


@pytest.mark.parametrize("name", ["sample", "wide"])
def test_paper_cuts_nothing_off(browser: Browser, pages: dict[str, Path], tmp_path: Path, name: str) -> None:
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    browser.open(pages[name].as_uri(), PAPER_PX, 1000)
    assert browser.run(TOO_WIDE) == []
    # A figure that is not higher than a page is not split: figures may not break.
    heights = browser.run("return [...document.querySelectorAll('figure')].map(e => e.getBoundingClientRect().height)")
    assert len(heights) == 8
    assert max(heights) < 900
    printed = browser.devtools("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
    (screenshots(tmp_path) / f"{name}.pdf").write_bytes(base64.b64decode(printed["data"]))
