"""What other tools print, read: formats good and bad, and figures against numbers worked out by hand."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.errors import UsageError
from dnslab.imports.lookups import read_lookups
from dnslab.imports.readers import load, named
from dnslab.imports.summary import ImportedRow, ImportedSummary, summarise_imported
from dnslab.plan.model import Load, Plan
from dnslab.present.exports import export
from dnslab.sentences import imports as sentences
from tests.cli.test_cli import dnslab
from tests.nameserver import nameserver
from tests.runs import rows, write_run

#: a published table: requests, errors, over 5 s, max and avg ms of three runs each of 200 workers and 30 s
PUBLISHED = {
    "baseline": [(186_586, 0, 245, 5_054, 30), (187_714, 0, 304, 5_085, 31), (184_496, 5, 244, 10_023, 30)],
    "single-request-reopen": [(177_600, 0, 0, 167, 32), (179_295, 0, 0, 168, 32), (180_339, 0, 0, 193, 32)],
    "node-local": [(202_710, 0, 394, 5_058, 28), (207_178, 0, 364, 5_058, 27), (203_354, 0, 424, 5_064, 28)],
}

OUTPUT = """\
lookup web.default: i/o timeout
request count\uff1a{n}
error count\uff1a{failed}
request time\uff1amin(1ms) max({most}ms) avg({average}ms) timeout({over}n)
"""


def stress_output(n: int, failed: int, over: int, most: int, average: int) -> str:
    return OUTPUT.format(n=n, failed=failed, over=over, most=most, average=average)


def write(folder: Path, **files: str) -> list[tuple[str | None, Path]]:
    """A file for each variant; what ``load`` takes."""
    for variant, text in files.items():
        (folder / f"{variant}.txt").write_text(text)
    return [(None, folder / f"{variant}.txt") for variant in files]


def row(summary: ImportedSummary, variant: str) -> ImportedRow:
    return next(one for one in summary.rows if one.variant == variant)


@pytest.fixture(params=["stress-client", "counts"])
def published(request: pytest.FixtureRequest, tmp_path: Path) -> ImportedSummary:
    """The published table, read from the client's outputs, and from a table of counts."""
    if request.param == "stress-client":
        texts = {variant: "".join(stress_output(*one) for one in runs) for variant, runs in PUBLISHED.items()}
        files = write(tmp_path, **texts)
    else:
        lines = [
            f"{variant},{n},{failed},{over},{most},{average}"
            for variant, runs in PUBLISHED.items()
            for n, failed, over, most, average in runs
        ]
        files = write(tmp_path, table="\n".join(["variant,n,failed,over_limit,max_ms,avg_ms", *lines]))
    return summarise_imported(load(request.param, files, 5_000))


def test_a_published_table(published: ImportedSummary) -> None:
    """793 of 558,796 and 1,182 of 613,242; p of Welch's test on three and three shares, as published by others."""
    baseline, local = row(published, "baseline"), row(published, "node-local")
    reopen = row(published, "single-request-reopen")
    assert (baseline.n, baseline.over_limit, baseline.failed, baseline.rounds) == (558_796, 793, 5, 3)
    shares = [one.shares["over_limit"] for one in (baseline, local)]
    assert [share and share.estimate for share in shares] == pytest.approx([0.00142, 0.00193], abs=5e-6)
    assert local.effects["over_limit"].p == pytest.approx(0.021, abs=5e-4)
    assert local.effects["over_limit"].low > 0
    assert local.verdicts["over_limit"].word == "higher"
    assert (reopen.n, reopen.over_limit) == (537_234, 0)
    assert reopen.over_limit_upper == pytest.approx(5.6e-6, abs=5e-8)
    assert reopen.verdicts["over_limit"].word == "lower"
    assert (baseline.max_ms, baseline.avg_ms) == pytest.approx((10_023, 30.336), abs=5e-4)
    assert math.isnan(baseline.p99_ms)


def test_what_a_published_table_does_not_show_is_said(published: ImportedSummary) -> None:
    text = " ".join(published.to_text().split())
    assert "0.14 % (0.10 to 0.19)" in text
    assert "none (below 0.0006 %) *" in text
    assert "node-local, ≥ 5000 ms: +0.05 points (+0.01 to +0.09), p = 0.021: higher" in text
    assert str(sentences.NO_CAUSE) in published.notes
    assert "of the DNS servers give the same table without any race" in text
    assert "take all requests as independent" in text
    assert "no quantiles" in text
    assert "not paired" in text
    assert "there 63 % of the time can stay away in 3 rounds by chance. Measure more rounds" in text
    assert "p99" not in published.table.to_text()


def test_one_round_has_bounds_of_independence_and_no_difference(tmp_path: Path) -> None:
    """Wilson of 20 in 1,000: 1.3 to 3.1 %."""
    files = write(tmp_path, first=stress_output(1_000, 0, 20, 5_001, 9), second=stress_output(1_000, 0, 30, 5_002, 9))
    found = summarise_imported(load("stress-client", files, 4_900))
    assert found.base == "first"
    assert "2.0 % (1.3 to 3.1) *" in found.table.to_text()
    assert found.comparisons[0] == ("second, ≥ 4900 ms: +1 points; too few rounds for an interval (each side needs 3)")


GOOD = stress_output(100, 1, 2, 5_000, 60)
BAD_STRESS = [
    ("", "has no output of that kind, or is empty"),
    ("hello\n", "has no output of that kind"),
    (GOOD.replace("error count\uff1a1", "error count\uff1amany"), "line 3: expected a complete line `error count"),
    (GOOD.replace("error count\uff1a1\n", ""), "line 3: expected a complete line `error count: ...`"),
    (GOOD + GOOD[: GOOD.index("error")], "ends before the line `error count`"),
    (GOOD.replace("5000ms", "5000us"), "line 4: expected a complete line `request time: ...`"),
    (GOOD.replace("timeout(2n)", "timeout(200n)"), "line 4: 1 failed and 200 over the limit of 100 do not add up"),
    (GOOD.replace("max(5000ms)", "max(70ms)"), "line 4: 2 over the limit, the slowest 70 ms: the limit was not 4900"),
    (GOOD.replace("timeout(2n)", "timeout(0n)"), "line 4: 0 over the limit, the slowest 5000 ms"),
]


@pytest.mark.parametrize(("text", "says"), BAD_STRESS)
def test_broken_stress_client_output(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load("stress-client", write(tmp_path, baseline=text), 4_900)
    assert says in str(caught.value)
    assert "baseline.txt" in str(caught.value)


BAD_COUNTS = [
    ("variant,n\nbaseline,3\n", "line 1: expected columns variant,n,over_limit"),
    ("variant,n,over_limit,colour\nbaseline,3,0,red\n", "line 1: expected columns"),
    ("variant,n,over_limit\nbaseline,3,0\n\nbaseline,many,0\n", "line 4: n should be a number, is 'many'"),
    ("variant,n,over_limit\nbaseline,3.5,0\n", "line 2: n, failed and over_limit should be whole"),
    ("variant,n,over_limit\nbaseline,3,4\n", "line 2: 0 failed and 4 over the limit of 3"),
    ("variant,n,over_limit\nbaseline,3\nbaseline,3,4,5\n", "line 3: expected 3 cells, saw 4"),
    ("variant,n,over_limit\nbaseline,3,1,1\n", "line 2: expected 3 cells, saw 4"),
    ("variant,n,over_limit\n", "a header and no rows"),
    ("", "is empty"),
]


@pytest.mark.parametrize(("text", "says"), BAD_COUNTS)
def test_broken_tables_of_counts(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"table\.txt") as caught:
        load("counts", write(tmp_path, table=text), 4_900)
    assert says in str(caught.value)


#: as dnsperf 2.10.0 prints it, shortened; its times made up
DNSPERF = """\
DNS Performance Testing Tool
Version 2.10.0

[Status] Command line: dnsperf -s 127.0.0.1 -d names -v -l 9
[Status] Sending queries (to 127.0.0.1:53)
> NOERROR web.default A 0.000400
> NXDOMAIN web.default AAAA 0.000200
> SERVFAIL web.default A 0.000100
> NOERROR web.default A 2.000000
> T web.default AAAA
> I web.default A
[Status] Testing complete (time limit)

Statistics:

  Queries sent:         6
  Queries completed:    4 (66.67%)
  Queries lost:         1 (16.67%)
  Queries interrupted:  1 (16.67%)

  Response codes:       NOERROR 2 (50.00%), SERVFAIL 1 (25.00%), NXDOMAIN 1 (25.00%)
  Average packet size:  request 36, response 50
  Run time (s):         9.000000
  Queries per second:   0.444444

  Average Latency (s):  0.500175 (min 0.000100, max 2.000000)
  Latency StdDev (s):   0.999883

Connection Statistics:

  Average Latency (s):  7.000000 (min 7.000000, max 7.000000)
"""
COUNTS_ONLY = "".join(line for line in DNSPERF.splitlines(keepends=True) if not line.startswith("> "))


def test_dnsperf_by_hand(tmp_path: Path) -> None:
    """Five queries that ended: 0.2 and 0.4 ms and 2 s answered, SERVFAIL and a timeout failed, slower than any."""
    found = load("dnsperf", write(tmp_path, baseline=DNSPERF + DNSPERF), 1_000)
    first, second = found.rounds
    assert (first.n, first.failed, first.over_limit, first.n_timed, first.per_s) == (5, 2, 2, 4, 0.444444)
    assert (first.min_ms, first.max_ms, first.avg_ms) == pytest.approx((0.1, 2_000, 500.175))
    assert first.latencies_ms is not None
    assert sorted(first.latencies_ms) == pytest.approx([0.2, 0.4, 2_000, math.inf, math.inf])
    assert (second.round, second.n) == (2, 5)
    summary = summarise_imported(found)
    assert (summary.rows[0].p50_ms, summary.rows[0].p99_ms) == (2_000, math.inf)
    notes = " ".join(summary.notes)
    assert "2 queries timed out" in notes
    assert "2 queries had no answer yet when dnsperf was interrupted" in notes
    assert "2 answers said NXDOMAIN" in notes
    assert "not lookups of an application" in notes


def test_dnsperf_without_its_queries_has_counts_only(tmp_path: Path) -> None:
    """Over a limit under its maximum is not known; over one above it are those that were lost."""
    files = write(tmp_path, baseline=COUNTS_ONLY)
    (unknown,) = load("dnsperf", files, 1_000).rounds
    (known,) = load("dnsperf", files, 4_900).rounds
    assert (unknown.n, unknown.failed, unknown.over_limit, unknown.latencies_ms) == (5, 2, None, None)
    assert known.over_limit == 1
    assert (known.min_ms, known.avg_ms, known.max_ms) == pytest.approx((0.1, 500.175, 2_000))
    summary = summarise_imported(load("dnsperf", files, 1_000))
    assert summary.rows[0].shares["over_limit"] is None
    assert "no quantiles" in " ".join(summary.notes)
    json.dumps(summary.to_dict(), allow_nan=False)


BAD_DNSPERF = [
    ("", "has no output of that kind, or is empty"),
    (DNSPERF.replace("0.000200", "quick"), "line 7: expected `> RCODE name type seconds`"),
    (DNSPERF.replace("> NXDOMAIN web.default AAAA 0.000200", "> NXDOM"), "line 7: expected `> RCODE"),
    (DNSPERF.replace("> T web.default AAAA\n", ""), "lines show 4 answers, 0 timeouts, 1 interrupted"),
    (DNSPERF[: DNSPERF.index("Statistics")], "line 13: dnsperf's statistics are missing: is the file cut short?"),
    (COUNTS_ONLY[: COUNTS_ONLY.index("  Average Lat")], "statistics are incomplete"),
    (
        COUNTS_ONLY.replace("completed:    4", "completed:    0").replace("lost:         1", "lost:         0"),
        "nothing to count",
    ),
]


@pytest.mark.parametrize(("text", "says"), BAD_DNSPERF)
def test_broken_dnsperf_output(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"baseline\.txt") as caught:
        load("dnsperf", write(tmp_path, baseline=text))
    assert says in str(caught.value)


@pytest.mark.skipif(not shutil.which("dnsperf"), reason="dnsperf is missing: `apt-get install dnsperf`")
def test_dnsperf_itself(tmp_path: Path) -> None:
    """Every twentieth query of 60 is not answered; another dnsperf is interrupted with two out."""
    (tmp_path / "names").write_text("web.any.cluster.local A\nweb.any.cluster.local AAAA\nnowhere.test A\n")
    counted = iter(range(10**9))
    with nameserver(lambda *query: next(counted) % 20 != 0) as server:
        dnsperf = ["dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", str(tmp_path / "names"), "-t", "1"]
        texts = [
            subprocess.run([*dnsperf, "-n", "20", *verbose], capture_output=True, text=True, check=True).stdout
            for verbose in (["-v"], [])
        ]
    each, counts = load("dnsperf", write(tmp_path, each=texts[0], counts=texts[1])).rounds
    for found in (each, counts):
        assert (found.n, found.failed, found.over_limit, found.n_timed) == (60, 3, 3, 57)
        assert 0 < found.min_ms <= found.avg_ms <= found.max_ms < 1_000
    assert each.latencies_ms is not None
    assert int(np.isinf(each.latencies_ms).sum()) == 3
    told = float(texts[0].split("Average Latency (s):")[1].split()[0]) * 1e3
    assert each.avg_ms == pytest.approx(told, abs=1e-3)

    answered = 3
    with nameserver(lambda *query: next(first) < answered) as server:
        first = iter(range(10**9))
        argv = ["dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", str(tmp_path / "names")]
        started = subprocess.Popen([*argv, "-v", "-n", "9", "-q", "2", "-t", "60"], stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while len(server.queries) < answered + 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        started.send_signal(signal.SIGINT)
        text, _ = started.communicate()
    imported = load("dnsperf", write(tmp_path, interrupted=text))
    assert [(one.n, one.failed) for one in imported.rounds] == [(answered, 0)]
    assert any(note.startswith("2 queries had no answer yet when dnsperf was interrupted") for note in imported.notes)


def own_run(path: Path) -> Path:
    """Three rounds of two variants at one rate: 40 lookups each, of which some take 5 s."""
    plan = Plan(variants=("baseline", "single-request"), loads=(Load(rate_per_s=10, duration_s=4),), rounds=3)
    lookups = {}
    for number, n_slow in enumerate((4, 6, 5), 1):
        lookups["baseline", "glibc", number] = rows([5_005.0] * n_slow + [0.5 + number] * (40 - n_slow))
        lookups["single-request", "glibc", number] = rows([5_005.0] + [1.0 + number] * 39)
    return write_run(path, plan, lookups)


MAPPED = {"latency_ms": "service_ms", "outcome": "outcome", "variant": "variant", "round": "round"}


def test_an_exported_run_comes_back_with_its_figures(tmp_path: Path) -> None:
    """Shares, their intervals and the difference paired by round are those of the run's own summary."""
    run = open_run(own_run(tmp_path / "run"))
    assert export(run, tmp_path / "lookups.csv") == 240
    found = summarise_imported(load("csv", [(None, tmp_path / "lookups.csv")], 1_000, MAPPED))
    assert found.imported.paired
    for own in summarise(run).measured():
        theirs = row(found, own.variant)
        assert (theirs.rounds, theirs.n, theirs.over_limit) == (3, 120, own.slow)
        assert theirs.shares["over_limit"] == own.intervals["slow_share"]
        assert (theirs.p50_ms, theirs.p99_ms) == (own.p50_ms, own.p99_ms)
        if own.effects:
            assert theirs.effects["over_limit"] == own.effects["slow_share"]
            assert theirs.verdicts["over_limit"] == own.verdicts["slow_share"]
    assert any(note.startswith("Rounds are paired") for note in found.notes)


def test_export_keeps_every_column_and_overwrites_nothing(tmp_path: Path) -> None:
    run = open_run(own_run(tmp_path / "run"))
    assert export(run, tmp_path / "all.parquet", "parquet") == 240
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "all.parquet"), run.lookups())
    export(run, tmp_path / "all.csv")
    read = pd.read_csv(tmp_path / "all.csv")
    assert list(read) == list(run.lookups())
    assert read["response_ms"].sum() == pytest.approx(run.lookups()["response_ms"].sum())
    before = (tmp_path / "all.csv").read_bytes()
    with pytest.raises(UsageError, match="already exists"):
        export(run, tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_bytes() == before
    with pytest.raises(UsageError, match="is not a folder"):
        export(run, tmp_path / "nowhere" / "all.csv")


CSV = "took,result,when\n0.0004,ok,10\n0.0002,NXDOMAIN,11\n\n,timeout,12\n2.5,ok,14\n"
COLUMNS = {"latency_ms": "took", "outcome": "result", "time_s": "when"}


def test_csv_by_hand(tmp_path: Path) -> None:
    """Seconds; four rows in four seconds, one of them failed without a latency."""
    (found,) = load("csv", write(tmp_path, baseline=CSV), 1_000, COLUMNS, "s").rounds
    assert (found.n, found.failed, found.over_limit, found.n_timed, found.per_s) == (4, 1, 2, 3, 1.0)
    assert found.latencies_ms is not None
    assert list(found.latencies_ms) == pytest.approx([0.4, 0.2, math.inf, 2_500])
    assert found.avg_ms == pytest.approx(2_500.6 / 3)


def test_csv_files_of_one_variant_are_its_rounds_and_not_paired(tmp_path: Path) -> None:
    first, second = (write(tmp_path, **{name: CSV})[0][1] for name in ("first", "second"))
    found = load("csv", [("baseline", first), ("baseline", second), ("use-vc", first)], 1_000, COLUMNS, "s")
    assert [(one.variant, one.round) for one in found.rounds] == [("baseline", 1), ("baseline", 2), ("use-vc", 1)]
    assert not found.paired


def test_csv_rounds_that_variants_do_not_share_are_not_paired(tmp_path: Path) -> None:
    text = "v,r,ms\na,1,1\na,2,1\nb,1,1\n"
    columns = {"latency_ms": "ms", "variant": "v", "round": "r"}
    assert not load("csv", write(tmp_path, x=text), columns=columns).paired
    whole = write(tmp_path, x=text + "b,2,1\n")
    assert load("csv", whole, columns=columns).paired
    twice = load("csv", whole * 2, columns=columns)
    assert [one.round for one in twice.rounds if one.variant == "b"] == [1, 2, 3, 4]
    assert not twice.paired


@pytest.mark.parametrize(("unit", "text"), [("s", "0.25"), ("ms", "250"), ("us", "250000"), ("ns", "250000000")])
def test_csv_units(unit: str, text: str, tmp_path: Path) -> None:
    (found,) = read_lookups(write(tmp_path, x=f"t\n{text}\n"), {"latency_ms": "t"}, 1_000, unit).rounds
    assert found.max_ms == pytest.approx(250)


BAD_CSV = [
    ("", COLUMNS, "s", "is empty"),
    ("took,result,when\n", COLUMNS, "s", "a header and no rows"),
    (CSV, {**COLUMNS, "outcome": "rcode"}, "s", "line 1: no column 'rcode', there are took, result, when"),
    (CSV, {"outcome": "result"}, "s", "--columns: expected latency_ms=COLUMN"),
    (CSV, {**COLUMNS, "colour": "took"}, "s", "--columns: expected latency_ms=COLUMN and any of outcome, variant"),
    (CSV.replace("2.5,ok", "quick,ok"), COLUMNS, "s", "line 6: took should be a number, is 'quick'"),
    (CSV.replace("2.5,ok", "-2.5,ok"), COLUMNS, "s", "line 6: took should be a number, is '-2.5'"),
    (CSV.replace("2.5,ok", ",ok"), COLUMNS, "s", "line 6: took should be a number, is ''"),
    (CSV, COLUMNS, "minutes", "--unit: should be one of s, ms, us, ns, is 'minutes'"),
    (CSV, COLUMNS, "ms", "a median of 0.0004 ms and a maximum of 2.5 ms is not what lookups take"),
    ("took\n250000\n5004000000\n", {"latency_ms": "took"}, "us", "a maximum of 5.004e+06 ms is not what"),
]


@pytest.mark.parametrize(("text", "columns", "unit", "says"), BAD_CSV)
def test_broken_csv(text: str, columns: dict[str, str], unit: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load("csv", write(tmp_path, x=text), 1_000, columns, unit)
    assert says in str(caught.value)


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    files = write(tmp_path, x=GOOD)
    with pytest.raises(UsageError, match="which limit: give it with -l"):
        load("stress-client", files)
    with pytest.raises(UsageError, match="should be over 0, is -1"):
        load("stress-client", files, -1)
    with pytest.raises(UsageError, match="--columns and --unit are for csv"):
        load("dnsperf", files, unit="ms")
    with pytest.raises(UsageError, match="unknown kind 'ping'"):
        load("ping", files)
    with pytest.raises(UsageError, match="no such file"):
        load("dnsperf", [(None, tmp_path / "nowhere")])
    with pytest.raises(UsageError, match="a column gives the variant"):
        load("csv", [("a", files[0][1])], columns={"latency_ms": "x", "variant": "v"})
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for kind in ("dnsperf", "counts"):
        with pytest.raises(UsageError, match="not UTF-8 text"):
            load(kind, [(None, tmp_path / "bytes")], 1_000)


def test_a_file_may_be_named_after_a_variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b").touch()
    assert named("use-vc=x.txt") == ("use-vc", Path("x.txt"))
    assert named("x.txt") == (None, Path("x.txt"))
    assert named("a=b") == (None, Path("a=b"))


def test_on_the_command_line(tmp_path: Path) -> None:
    for number, text in enumerate((GOOD, GOOD), 1):
        (tmp_path / f"{number}.log").write_text(text)
    files = ["baseline=1.log", "use-vc=2.log"]
    told = dnslab("import", "stress-client", "-l", "4900", *files, cwd=tmp_path)
    assert told.returncode == 0, told
    assert "What this data cannot show" in told.stdout
    as_json = dnslab("import", "stress-client", "-l", "4900", *files, "--format", "json", cwd=tmp_path)
    assert [one["variant"] for one in json.loads(as_json.stdout)["rows"]] == ["baseline", "use-vc"]
    refused = dnslab("import", "csv", "1.log", "--columns", "took", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "error: --columns: expected KEY=COLUMN, saw 'took'\n"
    own_run(tmp_path / "run")
    exported = dnslab("export", "run", "--out", "x.csv", cwd=tmp_path)
    assert exported.stdout == "export: 240 lookups in x.csv\n", exported
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 241
