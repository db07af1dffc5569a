"""The page at three widths, in the states that tests/present/test_page.py leaves to another worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.browser import Browser, screenshots
from tests.present.test_page import HERE, LOOKED_AT, look_at, pages  # noqa: F401

pytestmark = pytest.mark.verify


@pytest.mark.parametrize("name", [name for name in LOOKED_AT if name not in HERE])
def test_nothing_is_wrong_at_three_widths(
    browser: Browser,
    pages: Mapping[str, Path],  # noqa: F811
    tmp_path: Path,
    name: str,
) -> None:
    look_at(browser, pages[name], screenshots(tmp_path), (380, 800, 1400))
