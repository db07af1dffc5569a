"""Each fuzzer for a second or two (`make fuzz` is longer), and whether they would find anything."""

from __future__ import annotations

import random
import struct
import time
from collections import Counter
from pathlib import Path

import pytest

from dnslab.errors import UsageError
from tests.fuzz import harness
from tests.fuzz.__main__ import enter, fuzz
from tests.fuzz.harness import Defect, reading

CASES = {"streams": 20, "plans": 400, "json": 80, "bundles": 200, "imports": 300}


#: what a fuzzer that is refused at the door would not come to
REACHED = {
    "streams": "streams decoded", "plans": "plans accepted", "json": "runs read", "bundles": "bundles opened",
    "imports": "imports accepted",
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_found(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = fuzz(name, 1, 0, CASES[name], 0.0)
    assert not result.failures, capsys.readouterr().out
    assert result.counts[REACHED[name]] > CASES[name] / 20


@pytest.mark.lab
@pytest.mark.probe
def test_nothing_is_found_in_the_probe(capfd: pytest.CaptureFixture[str]) -> None:
    status = enter(["--only", "jobs", "--cases", "1", "--seed", "1"])
    told = capfd.readouterr().out
    assert status == 0, told
    assert "glibc engines started" in told
    assert "musl engines started" in told


def _wrong(rng: random.Random, folder: Path, counts: Counter[str]) -> None:
    """Reads a number, a third of which are refused in their own words, and a third not."""
    number = rng.randrange(3)
    (folder / "number").write_text(str(number))
    with reading(counts):
        if number == 0:
            raise UsageError("expected another number")
        if number == 1:
            struct.unpack("<Q", b"")


def _run(tmp_path: Path, case: harness.Case, first: int = 0, n_cases: int = 40) -> tuple[harness.Result, list[str]]:
    told: list[str] = []
    folder, keep = tmp_path / "folder", tmp_path / "kept"
    result = harness.run("numbers", case, folder, 7, keep=keep, first=first, n_cases=n_cases, say=told.append)
    return result, told


def test_a_failure_is_told_once_with_how_to_repeat_it_and_its_input(tmp_path: Path) -> None:
    result, (told,) = _run(tmp_path, _wrong)
    assert (result.n_cases, len(result.failures)) == (40, 1)
    assert result.counts["refused"] > 0
    assert "--only numbers --seed 7 --first" in told
    first = int(told.split("--first ")[1].split()[0])
    assert (tmp_path / f"kept/numbers-7-{first}/number").read_text() == "1"
    again, _ = _run(tmp_path, _wrong, first, 1)
    assert again.failures.keys() == result.failures.keys()


def test_a_reading_that_takes_long_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "READING_MAX_S", 0.01)

    def busy(rng: random.Random, folder: Path, counts: Counter[str]) -> None:
        with reading(counts):
            sum(range(3_000_000))

    result, _ = _run(tmp_path, busy, n_cases=1)
    assert "a reading of" in next(iter(result.failures))


def test_a_case_that_waits_for_ever_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "CASE_MAX_S", 0.1)

    def waits(rng: random.Random, folder: Path, counts: Counter[str]) -> None:
        time.sleep(60)

    result, _ = _run(tmp_path, waits, n_cases=1)
    assert "not done in" in next(iter(result.failures))


def test_memory_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a case takes, not what was there before it."""
    large = b"x" * (400 << 20)
    del large
    harness.forget_peak()
    monkeypatch.setattr(harness, "MEMORY_MAX_BYTES", harness.peak_bytes() + (100 << 20))
    assert not _run(tmp_path, lambda rng, folder, counts: None, n_cases=1)[0].failures
    result, _ = _run(tmp_path, lambda rng, folder, counts: counts.update(n=len(b"x" * (200 << 20))), n_cases=1)
    assert "memory" in next(iter(result.failures))


def test_an_error_without_words_is_a_failure(tmp_path: Path) -> None:
    def silent(rng: random.Random, folder: Path, counts: Counter[str]) -> None:
        with reading(counts):
            raise UsageError("")

    result, _ = _run(tmp_path, silent, n_cases=1)
    assert result.failures
    with pytest.raises(Defect):
        silent(random.Random(1), tmp_path, Counter())
