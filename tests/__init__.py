"""Tests, in folders of the names that the package's have."""

from pathlib import Path

PROJECT = Path(__file__).parent.parent
PROBE = PROJECT / "dnslab" / "measure" / "probe"
