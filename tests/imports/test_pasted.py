"""What people paste: parts of an output, logs of containers, other tools' tables. Each is read right, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnslab.errors import UsageError
from dnslab.imports.readers import load
from dnslab.imports.summary import summarise_imported
from tests.imports.test_readers import COUNTS_ONLY, DNSPERF, stress_output, write

STATISTICS = COUNTS_ONLY[COUNTS_ONLY.index("Statistics:") :]
STRESS = stress_output(1_000, 5, 20, 5_001, 9)
TIME = "2026-05-02T13:00:00.123456789Z"


def logged(text: str, before: str) -> str:
    return "".join(f"{before}{line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    "text", [STATISTICS, STATISTICS[STATISTICS.index("  Queries sent") :], f"\n\n$ cat x\n{STATISTICS}"]
)
@pytest.mark.parametrize("times", [1, 2])
def test_a_part_of_dnsperfs_output_is_enough(text: str, times: int, tmp_path: Path) -> None:
    rounds = load("dnsperf", write(tmp_path, x=text * times), 1_000).rounds
    assert [(each.n, each.failed) for each in rounds] == [(5, 2)] * times


def test_queries_without_their_banner_are_read(tmp_path: Path) -> None:
    (found,) = load("dnsperf", write(tmp_path, x=DNSPERF[DNSPERF.index("> ") :]), 1_000).rounds
    assert (found.n, found.over_limit) == (5, 2)


@pytest.mark.parametrize(
    "before",
    [
        f"{TIME} ",
        "2026-05-02T15:00:00+02:00 ",
        "[pod/dnsperf-abc12/main] ",
        f"[pod/dnsperf-abc12/main] {TIME} ",
        f"{TIME} stdout F ",
    ],
)
def test_logs_of_containers_are_read(before: str, tmp_path: Path) -> None:
    for text in (DNSPERF, COUNTS_ONLY):
        (found,) = load("dnsperf", write(tmp_path, x=logged(text, before)), 1_000).rounds
        assert (found.n, found.failed) == (5, 2)
    (stress,) = load("stress-client", write(tmp_path, x=logged(STRESS, before)), 5_000).rounds
    assert (stress.n, stress.failed, stress.over_limit) == (1_000, 5, 20)


def test_lines_of_several_containers_may_be_mixed(tmp_path: Path) -> None:
    other = stress_output(2_000, 0, 40, 5_001, 9)
    pairs = zip(logged(STRESS, "[pod/a/x] ").splitlines(), logged(other, "[pod/b/x] ").splitlines(), strict=True)
    mixed = "".join(f"{first}\n{second}\n" for first, second in pairs)
    assert [each.n for each in load("stress-client", write(tmp_path, x=mixed), 5_000).rounds] == [1_000, 2_000]


def test_lines_that_a_page_joined_are_read(tmp_path: Path) -> None:
    (found,) = load("stress-client", write(tmp_path, x=" ".join(STRESS.splitlines()[1:])), 5_000).rounds
    assert (found.n, found.failed, found.over_limit) == (1_000, 5, 20)


@pytest.mark.parametrize("code", ["NOTAUTH", "rcode11", "BADVERS", "23"])
def test_a_response_code_of_any_name_is_a_failure(code: str, tmp_path: Path) -> None:
    for text in (DNSPERF, COUNTS_ONLY):
        (found,) = load("dnsperf", write(tmp_path, x=text.replace("SERVFAIL", code)), 1_000).rounds
        assert (found.n, found.failed) == (5, 2)
    csv = f"ms,code\n1,NOERROR\n2,{code}\n"
    if not code.startswith(("rcode", "2")):
        (found,) = load("csv", write(tmp_path, x=csv), columns={"latency_ms": "ms", "outcome": "code"}).rounds
        assert (found.n, found.failed) == (2, 1)


def test_a_row_with_an_unknown_outcome_is_left_out_and_counted(tmp_path: Path) -> None:
    columns = {"latency_ms": "ms", "outcome": "code"}
    text = "ms,code\n1,ok\n2,fine\n3,failed\n4,fine\n"
    imported = load("csv", write(tmp_path, x=text), columns=columns)
    assert [(each.n, each.failed) for each in imported.rounds] == [(2, 1)]
    assert "Rows left out: 2 of outcome 'fine'." in imported.notes
    with pytest.raises(UsageError, match="has no row of a lookup: outcome 'fine'"):
        load("csv", write(tmp_path, x="ms,code\n1,fine\n"), columns=columns)


K6 = """\
metric_name,timestamp,metric_value,check,error,group
http_reqs,1595325560,1.000000,,,
http_req_duration,1595325560,221.899000,,,
dns_resolutions,1595325560,1.000000,,,
dns_resolution_duration,1595325560,2.500000,,,
dns_resolution_duration,1595325561,5003.000000,,,
iteration_duration,1595325561,5300.000000,,,
"""


def test_rows_of_other_metrics_of_k6_are_not_lookups(tmp_path: Path) -> None:
    columns = {"latency_ms": "metric_value"}
    imported = load("csv", write(tmp_path, x=K6), columns=columns)
    (found,) = imported.rounds
    assert (found.n, found.over_limit, found.min_ms) == (2, 1, 2.5)
    assert "Rows left out: 1 of k6's metric 'http_reqs'." in imported.notes
    others = "".join(line for line in K6.splitlines(keepends=True) if not line.startswith("dns_resolution_d"))
    with pytest.raises(UsageError, match="has no row of a lookup: k6's metric 'http_reqs'"):
        load("csv", write(tmp_path, x=others), columns=columns)


HISTOGRAM = "From (ns), To (ns), Count\n0,1000000,11000\n1000000,2000000,8000\n4999000000,5001000000,240\n"
TOTALS = {
    "totalRequests": 20_000,
    "totalSuccessResponses": 19_730,
    "totalNegativeResponses": 26,
    "queriesPerSecond": 281.3,
    "latencyStats": {"minMs": 0, "meanMs": 31, "maxMs": 5_003},
}


def test_the_histogram_of_dnspyre(tmp_path: Path) -> None:
    files = write(tmp_path, x=HISTOGRAM)
    (found,) = load("dnspyre", files).rounds
    assert (found.n, found.failed, found.over_limit, found.min_ms, found.max_ms) == (19_240, 0, 240, 0, 5_001)
    (split,) = load("dnspyre", files, 5_000).rounds
    assert split.over_limit is None
    summarise_imported(load("dnspyre", files)).to_text()
    with pytest.raises(UsageError, match="import it as dnspyre"):
        load("csv", files, columns={"latency_ms": " To (ns)"}, unit="ns")


def test_the_totals_of_dnspyre(tmp_path: Path) -> None:
    (found,) = load("dnspyre", write(tmp_path, x=json.dumps(TOTALS))).rounds
    assert (found.n, found.failed, found.over_limit, found.max_ms, found.per_s) == (20_000, 244, None, 5_003, 281.3)
    (quick,) = load("dnspyre", write(tmp_path, x=json.dumps({**TOTALS, "totalRequests": 19_756})), 6_000).rounds
    assert (quick.failed, quick.over_limit) == (0, 0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: expected the columns From"),
        ("a,b,c\n1,2,3\n", "line 1: expected the columns From"),
        (HISTOGRAM.replace("8000", "many"), "line 3: expected two bounds in ns and a count"),
        (HISTOGRAM.replace("1000000,2000000", "2000000,1000000"), "line 3: expected two bounds"),
        ("From (ns), To (ns), Count\n0,1,0\n", "no query in any bucket"),
        ("{", "expected the JSON of dnspyre"),
        ("[" * 100_000, "expected the columns"),
        ('{"a":' * 100_000, "expected the JSON of dnspyre"),
        (json.dumps({**TOTALS, "totalRequests": True}), "totalRequests should be a number"),
        (json.dumps({**TOTALS, "totalRequests": 5}), "do not add up"),
        (json.dumps({"totalRequests": 5}), "no 'totalSuccessResponses'"),
        (json.dumps({**TOTALS, "latencyStats": []}), "expected the JSON of dnspyre"),
    ],
)
def test_what_is_not_dnspyres(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load("dnspyre", write(tmp_path, x=text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
