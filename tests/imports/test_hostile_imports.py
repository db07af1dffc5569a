"""Imports of files from anyone: bounded, one line for what is refused, no step that grows with the square."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnslab.errors import UsageError
from dnslab.imports import readers as imports
from dnslab.imports.summary import summarise_imported

LATENCY = {"latency_ms": "ms"}
LATENCY_AND_VARIANT = {**LATENCY, "variant": "v"}
LATENCY_AND_ROUND = {**LATENCY, "round": "r"}


def tables() -> Iterator[tuple[str, dict[str, str], bytes, str]]:
    rounds = b"ms,r\n" + b"".join(b"%d,%d\n" % (1 + i % 7, i) for i in range(300_000))
    yield "300,000 rounds", LATENCY_AND_ROUND, rounds, "at most 1,000 variants and 50,000 rounds"
    variants = b"ms,v\n" + b"".join(b"%d,v%d\n" % (1 + i % 7, i % 10_000) for i in range(30_000))
    yield "10,000 variants", LATENCY_AND_VARIANT, variants, "at most 1,000 variants"
    columns = b"ms" + b"".join(b",c%d" % i for i in range(2_000_000)) + b"\n1" + b",1" * 2_000_000
    yield "2 million columns", LATENCY, columns, "line 1: expected a line of at most 65,536 bytes"
    few = b"ms" + b"".join(b",c%d" % i for i in range(2_000)) + b"\n1" + b",1" * 2_000
    yield "2,000 columns", LATENCY, few, "line 1: expected at most 1,000 columns, saw 2,001"
    field = b'ms,v\n1,"' + b"x" * 5_000_000 + b'"\n'
    yield "a field of 5 MB", LATENCY_AND_VARIANT, field, "line 2: expected a line of at most 65,536 bytes"
    folded = b'ms,v\n1,a\n1,"' + b"x\n" * 2_500_000 + b'"\n'
    yield "a field over many lines", LATENCY_AND_VARIANT, folded, "line 3: a cell in quotes should end in its line"
    long = b"ms\n" + b"1" * 60_000 + b"\n"
    yield "a long number", LATENCY, long, "line 2: ms should be a number, is '1{80}'$"
    yield "binary", LATENCY, bytes(range(256)), "not UTF-8 text|line 1: no column"
    yield "Latin-1", LATENCY_AND_VARIANT, "ms,v\n1,ä\n".encode("latin-1"), "not UTF-8 text"
    yield "UTF-16", LATENCY, "ms\n1\n".encode("utf-16"), "not UTF-8 text"
    yield "NUL", LATENCY, b"ms\n\0\n", "line 2: ms should be a number|header and no rows"


@pytest.mark.parametrize(("columns", "data", "says"), [one[1:] for one in tables()], ids=[one[0] for one in tables()])
def test_a_csv_that_nobody_measured_is_refused(tmp_path: Path, columns: dict[str, str], data: bytes, says: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    began = time.process_time()
    with pytest.raises(UsageError, match=says) as refused:
        imports.load("csv", [(None, path)], columns=columns)
    assert time.process_time() - began < 2
    assert len(str(refused.value)) < 500


def test_twice_the_rounds_take_twice_as_long(tmp_path: Path) -> None:
    """50,000 rounds took 25 times as long as 10,000, and more, where each round looked through all rows."""
    took_s = []
    for n in (5_000, 50_000):
        path = tmp_path / f"{n}.csv"
        path.write_text("ms,r\n" + "".join(f"{1 + i % 7},{i % n}\n" for i in range(2 * n)))
        began = time.process_time()
        found = summarise_imported(imports.load("csv", [(None, path)], columns=LATENCY_AND_ROUND))
        took_s.append(time.process_time() - began)
        assert found.rows[0].rounds == n
    assert took_s[1] < 30 * took_s[0]


@pytest.mark.parametrize("kind", ["stress-client", "dnsperf", "counts"])
@pytest.mark.parametrize(
    "data",
    [
        b"request count: " + b"1" * 5_001 + b"\n",
        b"request count: 1\nerror count: 1\nrequest time: min(" + b"1" * 5_001 + b"ms) max(1ms) avg(1ms) timeout(1n)\n",
        b"DNS Performance Testing Tool\n  Queries completed: " + b"1" * 5_001 + b"\n  Queries lost: 1\n",
        b"DNS Performance Testing Tool\nQueries completed: 1\nQueries lost: 1\nQueries per second: 1.2.3\n",
        b"DNS Performance Testing Tool\nQueries completed: 1\nQueries lost: 0\nResponse codes: NOERROR 1\n"
        b"Average Latency (s): none\n",
        b"DNS Performance Testing Tool\n> NOERROR x A " + b"1" * 400 + b".5\n",
        b"> \n>\n> T\nDNS Performance Testing Tool\n> T\n>  \n",
        b"variant,n,over_limit\nx," + b"1" * 5_001 + b",1\n",
        b"variant,n,over_limit\nx,1e308,1e308\n",
        b"variant,n,over_limit\nx,inf,nan\n",
        b"x" * 5_000_000,
        bytes(range(256)) * 10,
        "request count: 1\n".encode("utf-16"),
        b"",
    ],
    ids=lambda data: repr(data[:30]) if isinstance(data, bytes) else data,
)
def test_an_output_that_no_tool_writes_is_refused(tmp_path: Path, kind: str, data: bytes) -> None:
    path = tmp_path / "output.txt"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"output\.txt"):
        imports.load(kind, [(None, path)], limit_ms=5_000)


@pytest.mark.parametrize("limit_ms", [0.0, -1.0, float("inf"), float("nan")])
def test_a_limit_is_a_time(tmp_path: Path, limit_ms: float) -> None:
    with pytest.raises(UsageError, match="-l: should be over 0"):
        imports.load("counts", [(None, tmp_path / "x")], limit_ms=limit_ms)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_what_has_no_end_is_refused() -> None:
    with pytest.raises(UsageError, match="/dev/zero line 1: expected a line"):
        imports.load("csv", [(None, Path("/dev/zero"))], columns=LATENCY)


def test_a_pipe_may_be_read(tmp_path: Path) -> None:
    """As a shell's ``<(...)`` is one."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("ms\n" + "1\n" * 10,))
    writer.start()
    try:
        found = imports.load("csv", [(None, path)], columns=LATENCY)
    finally:
        writer.join()
    assert [one.n for one in found.rounds] == [10]


def test_lines_are_numbered_over_blocks(tmp_path: Path) -> None:
    """A file is read a MiB at a time."""
    path = tmp_path / "table.csv"
    path.write_text("ms,v\n" + "1.000,some text\n" * 200_000 + "\n" + "2\n" + "quick,x\n")
    with pytest.raises(UsageError, match="line 200004: ms should be a number, is 'quick'"):
        imports.load("csv", [(None, path)], columns=LATENCY)
    path.write_text("ms,v\n" + "1.000,some text\n" * 200_000 + "1,2,3\n")
    with pytest.raises(UsageError, match="line 200002: expected 2 cells, saw 3"):
        imports.load("csv", [(None, path)], columns=LATENCY)


def test_a_row_with_more_cells_than_the_header_is_refused_whatever_columns_are_read(tmp_path: Path) -> None:
    path = tmp_path / "baseline.csv"
    path.write_text("took,what,nr,at\n0.0,ok,baseline,0,0\n1.5,timeout,other,0\n1\n")
    with pytest.raises(UsageError, match="line 2: expected 4 cells, saw 5"):
        imports.load("csv", [(None, path)], columns={"latency_ms": "took", "outcome": "what"})
