"""The page in a real browser, in every state: at every width, in the dark, on paper, for those who do not see it."""

from __future__ import annotations

import base64
import importlib.resources
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dnslab.present.report import render
from tests.browser import Browser, screenshots
from tests.hostile import HOSTILE, hostile_run
from tests.present import states
from tests.present.test_states import EXPECTED

pytestmark = pytest.mark.verify

#: axe-core by Deque, which finds what a screen reader or a weak eye stumbles over
AXE = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js")
WIDTHS = (380, 600, 800, 1100, 1400, 1600)
#: states whose pages have no part that no other page has; tests/present/test_states.py reads all of them
ALIKE = {"found", "slow", "partial", *(f"diagnosis-{name}" for name in ("likely", "open", "budget", "none-fits"))}
LOOKED_AT = [name for name in EXPECTED if name not in ALIKE]
#: at any width; the rest is looked at beside this file, in tests/present/test_page_widths.py
HERE = ("race", "buffer", "failing", "none", "void", "imported", "delayed", "refused")
#: a phone
PHONE = (380, 800)
#: A4 without its margins, at 96 px an inch
PAPER_PX = 695
#: what reaches past the window's right edge, but for what scrolls in a box of its own
TOO_WIDE = """
const inBox = e => e.closest('.scroll, nav, .vh, .icons') && matchMedia('screen').matches;
return [...document.body.querySelectorAll('*')].filter(e => !inBox(e) && e.getBoundingClientRect().width
  && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80));
"""
#: lines of text that lie on each other, or that a box cuts off
OVERLAPS = """
const boxes = [], walker = document.createTreeWalker(document.querySelector('main, body'), NodeFilter.SHOW_TEXT);
for (let node; (node = walker.nextNode());) {
  const parent = node.parentElement;
  const head = parent.closest('thead');
  const hidden = parent.closest('.vh, .icons, title, style, script, .scroll') || head?.offsetWidth <= 1;
  if (!node.data.trim() || hidden || !parent.checkVisibility()) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  for (const box of range.getClientRects()) if (box.width > 1) boxes.push([box, node.data.trim().slice(0, 30), parent]);
}
const found = [];
boxes.sort((a, b) => a[0].top - b[0].top);
for (let i = 0; i < boxes.length; i++)
  for (let j = i + 1; j < boxes.length && boxes[j][0].top < boxes[i][0].bottom; j++) {
    const [a, b] = [boxes[i][0], boxes[j][0]];
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left), high = Math.min(a.bottom, b.bottom) - b.top;
    if (wide > 1 && high > 4) found.push(`${boxes[i][1]} on ${boxes[j][1]}`);
  }
for (const [box, text, parent] of boxes) {
  const frame = parent.closest('.card, .hero, .helps-box, .code, .stack');
  if (frame && box.right > frame.getBoundingClientRect().right + 1) found.push(`cut: ${text}`);
}
return found.slice(0, 10);
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The page of each state as a file."""
    folder = tmp_path_factory.mktemp("pages")
    files = {}
    for name, text in states.pages(folder).items():
        files[name] = folder / f"{name}.html"
        files[name].write_text(text, encoding="utf-8")
    return files


def look(browser: Browser, page: Path, width: int, height: int, dark: bool) -> list[str]:
    """What is wrong with a page in this window."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.devtools("Emulation.setEmulatedMedia", media="screen", features=[scheme])
    browser.open(page.as_uri(), width, height)
    inner, scroll = browser.run("return [innerWidth, document.documentElement.scrollWidth]")
    assert inner == width
    said = [f"{scroll} px wide"] if scroll > inner else []
    said += [f"too wide: {one}" for one in browser.run(TOO_WIDE)]
    said += [f"overlap: {one}" for one in browser.run(OVERLAPS)]
    said += [f"console: {message}" for message in browser.console()]
    said += [f"request: {url[:80]}" for url in browser.requests() if not url.startswith(("file:", "data:"))]
    return [*said, *axe(browser)]


def axe(browser: Browser) -> list[str]:
    """What axe finds, with all that is folded unfolded."""
    browser.run("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    browser.run(AXE.read_text(encoding="utf-8"))
    found = browser.run("return axe.run()")["violations"]
    return [f"axe: {one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"]]


def look_at(browser: Browser, page: Path, pictures: Path, widths: Sequence[int] = WIDTHS) -> None:
    for width in widths:
        assert look(browser, page, width, 900, False) == [], width
        if width in (380, 800, 1400):
            browser.picture(pictures / f"{page.stem}-{width}.png")
    assert look(browser, page, 1400, 900, True) == []
    browser.picture(pictures / f"{page.stem}-1400-dark.png")


@pytest.mark.parametrize("name", HERE)
def test_nothing_is_wrong_at_any_width(browser: Browser, pages: Mapping[str, Path], tmp_path: Path, name: str) -> None:
    look_at(browser, pages[name], screenshots(tmp_path))


def test_a_page_full_of_hostile_text_is_silent(browser: Browser, tmp_path: Path) -> None:
    """No script runs, nothing is asked for, and a line that a name would forge is not there."""
    page = render(hostile_run(tmp_path / f"run {HOSTILE}"), tmp_path / "page.html")
    for dark in (False, True):
        assert look(browser, page, 390, 844, dark) == []
    lines = browser.run("return document.body.innerText").splitlines()
    assert not [line for line in lines if line.strip() == "Is it happening? No"]


def test_the_same_look_finds_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<!DOCTYPE html><html lang='en'><title>bad</title><main><h1>bad</h1>"
        "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA='><img alt='x' src='http://127.0.0.1:9/x.png'>"
        "<p style='color: #999; background: #fff'>pale</p><p style='width: 2000px'>wide</p>"
        "<p>one line of text<span style='position: relative; left: -4rem'>on another</span></p>"
        "<div style='overflow-x: auto; width: 9rem'><p style='width: 99rem'>not by keyboard</p></div>"
    )
    found = "\n".join(look(browser, page, 390, 844, False))
    for expected in ("px wide", "too wide: <p", "overlap: ", "console: ", "request: http://127.0.0.1:9/x.png"):
        assert expected in found
    for rule in ("image-alt", "color-contrast"):
        assert f"axe: {rule}: " in found


def test_dark_is_dark_and_paper_is_light(browser: Browser, pages: Mapping[str, Path]) -> None:
    def ground() -> str:
        return str(browser.run("return getComputedStyle(document.querySelector('.hero')).backgroundColor"))

    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    browser.devtools("Emulation.setEmulatedMedia", media="screen", features=[scheme])
    browser.open(pages["sample"].as_uri())
    assert ground() == "rgb(22, 29, 37)"
    browser.devtools("Emulation.setEmulatedMedia", media="print", features=[scheme])
    assert ground() == "rgb(255, 255, 255)"


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in ("imported", "compared", "refused")])
def test_a_phones_first_screens_say_what_counts(browser: Browser, pages: Mapping[str, Path], name: str) -> None:
    """The first: is it happening, is the fault emulated, and the way on. The first two: the short answers."""
    browser.devtools("Emulation.setEmulatedMedia", media="screen", features=[])
    browser.open(pages[name].as_uri(), *PHONE)
    bottoms = "return [...document.querySelectorAll('{}')].map(e => e.getBoundingClientRect().bottom)"
    first = browser.run(bottoms.format("h1, .lead, .cta a, .fault"))
    assert len(first) >= 3
    assert max(first) <= PHONE[1]
    answers = browser.run(bottoms.format(".glance .a"))
    assert max(answers) <= 2 * PHONE[1]


#: short names of targets beside a mark that a line break cuts in two
CUT = """
const lines = e => { const range = document.createRange(); range.selectNodeContents(e);
  return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size; };
return [...document.querySelectorAll('.strip .n small')].map(e => [e.textContent, lines(e)])
  .filter(([text, n]) => text.length < 20 && n > 1).map(([text]) => text);
"""


@pytest.mark.parametrize("width", [380, 390])
def test_a_short_name_beside_a_mark_is_whole(browser: Browser, pages: Mapping[str, Path], width: int) -> None:
    for name in ("failing", "slow", "buffer"):
        browser.open(pages[name].as_uri(), width, 844)
        assert browser.run(CUT) == [], name


@pytest.mark.parametrize("name", LOOKED_AT)
def test_paper_cuts_nothing_off(browser: Browser, pages: Mapping[str, Path], tmp_path: Path, name: str) -> None:
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    browser.open(pages[name].as_uri(), PAPER_PX, 1000)
    assert browser.run(TOO_WIDE) == []
    assert browser.run(OVERLAPS) == []
    # What is not higher than a page is not split: pictures may not break.
    heights = browser.run("return [...document.querySelectorAll('.hero, .panel, .tlr')].map(e => e.offsetHeight)")
    assert max(heights) < 900
    browser.picture(screenshots(tmp_path) / f"{name}-a4.png")
    printed = browser.devtools("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
    (screenshots(tmp_path) / f"{name}.pdf").write_bytes(base64.b64decode(printed["data"]))
