"""Writes what dnslab says of the kept runs now."""

from tests.golden import EXPECTED, everything

EXPECTED.mkdir(exist_ok=True)
for name, text in everything().items():
    (EXPECTED / name).write_text(text, encoding="utf-8")
