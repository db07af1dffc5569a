"""What dnslab says of five kept runs is what it said before, byte for byte."""

from __future__ import annotations

from tests.golden import EXPECTED, everything


def test_kept_runs_say_what_they_said() -> None:
    now = everything()
    kept = {path.name: path.read_text(encoding="utf-8") for path in EXPECTED.iterdir()}
    assert sorted(now) == sorted(kept)
    changed = [name for name, text in now.items() if text != kept[name]]
    assert not changed, "see the difference: `python -m tests.golden`, then `git diff tests/golden/expected`"
