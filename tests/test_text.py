"""text: what cannot be seen is written as an escape, all other text stays as it is."""

from __future__ import annotations

import ast
import csv
import io
import sys
import unicodedata
from pathlib import Path

import pytest

import dnslab
from dnslab.text import as_csv_cell, as_html, as_markdown, echo, echo_text, visible, visible_lines
from tests.hostile import HOSTILE, unseen

PACKAGE = Path(dnslab.__file__).parent


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("\x9b31m", r"\x9b31m"),
        ("bell\x07 del\x7f", r"bell\x07 del\x7f"),
        ("two\nlines\r\n\tand a tab", r"two\nlines\r\n\tand a tab"),
        ("\u202edlo", r"\u202edlo"),
        ("\u2066\u200e\u200f\u061c", r"\u2066\u200e\u200f\u061c"),
        ("a\u200b\u200d\ufeff\u00adb", r"a\u200b\u200d\ufeff\xadb"),
        ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
        ("\U000e0041\U000e0100", r"\U000e0041\U000e0100"),
        ("\u3164\uffa0", r"\u3164\uffa0"),
        ("\udce9", r"\udce9"),
    ],
)
def test_what_cannot_be_seen_is_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    ["Größe, naïve, ≥ 1 s", "名前解決", "коллизия", "مرحبا", "שלום", "नमस्ते", "🐧 no\u00a0break", r"C:\new \x1b", ""],
)
def test_honest_text_stays(text: str) -> None:
    assert visible(text) == visible_lines(text) == text


def test_every_character_that_controls_is_an_escape() -> None:
    controls = [chr(i) for i in range(sys.maxunicode + 1) if unicodedata.category(chr(i)) in ("Cc", "Cs", "Zl", "Zp")]
    directions = [chr(i) for i in range(sys.maxunicode + 1) if unicodedata.bidirectional(chr(i)) in BIDIRECTIONAL]
    assert len(controls) > 2_000
    assert len(directions) == 9
    for one in (*controls, *directions):
        assert visible(one).startswith("\\")
        assert visible(one).isascii()


BIDIRECTIONAL = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")


def test_markup_of_a_page_is_text() -> None:
    shown = as_html(HOSTILE)
    assert "<" not in shown
    assert '"' not in shown
    assert "'" not in shown
    assert not unseen(shown)
    assert "\n" not in shown


def test_markdown_is_text() -> None:
    assert as_markdown("a|b <img src=x> [x](http://x) `c` $x$ &lt; <= 1 %") == (
        r"a\|b \<img src=x> \[x\](http://x) \`c\` \$x\$ \&lt; <= 1 %"
    )
    assert as_markdown("a\\|b") == r"a\\\|b"
    assert "\n" not in as_markdown(HOSTILE)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_is_a_formula(start: str) -> None:
    for text in (f"{start}cmd|'/C calc'!A0", f"a;{start}1+1"):
        written = io.StringIO()
        csv.writer(written).writerow([as_csv_cell(text)])
        for delimiter in ",;":
            for row in csv.reader(io.StringIO(written.getvalue()), delimiter=delimiter):
                assert not any(cell.strip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0b")) for cell in row)


def test_other_cells_are_as_they_are() -> None:
    for text in ("use-vc", "-11", "web.any.cluster.local.", "node-local+use-vc", "a;b", ""):
        assert as_csv_cell(text) == text


def test_lines_are_made_by_dnslab_alone(capsys: pytest.CaptureFixture[str]) -> None:
    echo(f"variant {HOSTILE}")
    echo_text("one\ntwo \x1b[31m\n")
    echo("an error", err=True)
    said = capsys.readouterr()
    assert said.out.count("\n") == 3
    assert said.out.endswith("one\ntwo \\x1b[31m\n")
    assert not unseen(said.out)
    assert said.err == "an error\n"


def test_a_terminal_without_utf_8_shows_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    echo("≥ 1 s in Größe \udce9")
    assert written.getvalue() == b">= 1 s in Gr\\xf6\\xdfe \\udce9\n"


def test_text_is_shown_by_no_other_way() -> None:
    """No module prints, or makes text of a page, past these functions."""
    others = {"print", "click.echo", "click.secho", "html.escape", "sys.stdout.write", "sys.stderr.write"}
    others |= {"traceback.print_exc"}
    for path in PACKAGE.rglob("*.py"):
        if path.name != "text.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
            assert not called & others, path
