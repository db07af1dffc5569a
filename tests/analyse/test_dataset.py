"""dataset: what a row means, written out; broken streams; parquet."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow.parquet import ParquetFile

from dnslab.analyse import dataset
from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.lookups import read_stream
from dnslab.errors import RunNotFound, StreamForeign, StreamTruncated, StreamVersion
from dnslab.plan.model import Load, Plan
from dnslab.present.exports import MADE_OF, PARQUET, keep_parquet
from dnslab.store import stream as records
from dnslab.store.stream import frame
from tests import PROJECT
from tests.runs import rows, stream, write_run

PLAN = Plan(variants=("baseline",), rounds=1, loads=(Load(duration_s=1),), limit_ms=4900)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = rows([0.2, 5004.0, 4999.92, 10.0, 0.3, 0.4, 20000.0, 0.0, 0.1, 0.1])
    made["flags"][1] = records.FLAG_HALF_LOST
    made["flags"][8] = records.FLAG_WARMUP
    made["answers"][2] = 1  # A only
    made["outcome"][3:8] = [-3, -2, -5, records.OUTCOME_ABANDONED, records.OUTCOME_NOT_STARTED]
    made["answers"][3:8] = 0
    made["start_ns"][9] += 2_000_000  # 2 ms late
    made["end_ns"][9] += 2_000_000
    return open_run(write_run(tmp_path / "run", PLAN, {("baseline", "glibc", 1): made}))


def test_every_row(run: Run) -> None:
    frame = run.lookups()
    assert frame["outcome"].tolist() == ["answered", "answered", "partial"] + ["failed"] * 5 + ["answered"]
    assert frame["error"].tolist() == [
        "",
        "",
        "",
        "EAI_AGAIN",
        "EAI_NONAME",
        "EAI_NODATA",
        "abandoned",
        "not started",
        "",
    ]
    assert frame["stall"].tolist() == [False, True, True, False, False, False, True, False, False]
    assert frame["over_limit"].tolist() == frame["stall"].tolist()  # 4,999.92 ms is over 4,900
    assert frame["slow"].sum() == 3
    assert frame["half_lost"].tolist() == [False, True] + [False] * 7
    assert frame["service_ms"].iloc[-1] == pytest.approx(0.1)
    assert frame["response_ms"].iloc[-1] == pytest.approx(2.1)
    assert frame["n_a"].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 1]
    assert set(frame["name"]) == {"web.any.cluster.local."}
    assert (frame["variant"].iloc[0], frame["target"].iloc[0], frame["round"].iloc[0]) == ("baseline", "glibc", 1)


def test_dtypes(run: Run) -> None:
    frame = run.lookups()
    for name in ("variant", "target", "libc", "name", "outcome", "error"):
        assert isinstance(frame[name].dtype, pd.CategoricalDtype)
    assert frame["response_ms"].dtype == "float64"
    assert frame["trial"].dtype == "int32"


def test_no_aaaa_asked_is_not_partial(tmp_path: Path) -> None:
    path = write_run(
        tmp_path / "run", PLAN, {("baseline", "glibc", 1): rows([1.0], answers=1)}, start_changes={"asks_aaaa": False}
    )
    assert open_run(path).lookups()["outcome"].tolist() == ["answered"]


def test_a_negative_that_was_expected(tmp_path: Path) -> None:
    made = rows([1.0], answers=0, outcome=-2)
    path = write_run(tmp_path / "run", PLAN, {("baseline", "glibc", 1): made}, start_changes={"expected": [[0, 0]]})
    assert open_run(path).lookups()["outcome"].tolist() == ["negative"]


def test_parquet_gives_the_same_and_is_renewed(run: Run) -> None:
    before = run.lookups()
    path = keep_parquet(run)
    pd.testing.assert_frame_equal(pd.read_parquet(path), before)
    path.write_bytes(b"stale")
    pd.testing.assert_frame_equal(pd.read_parquet(keep_parquet(run)), before)


def test_a_foreign_parquet_changes_nothing(run: Run, tmp_path: Path) -> None:
    """Whatever stands beside the raw bytes, however new it is: they alone are read."""
    before = run.lookups()
    foreign = write_run(tmp_path / "foreign", PLAN, {("baseline", "glibc", 1): rows([7.0] * 9)})
    shutil.copyfile(keep_parquet(open_run(foreign)), run.path / PARQUET)
    for content in (None, b"", b"PAR1", b"\0" * 100):
        if content is not None:
            (run.path / PARQUET).write_bytes(content)
        pd.testing.assert_frame_equal(open_run(run.path).lookups(), before)
        assert open_run(run.path).lookups(["stall"]).columns.tolist() == ["stall"]


def test_a_parquet_tells_what_it_was_made_of(run: Run) -> None:
    kept = pd.read_parquet(keep_parquet(run))
    told = json.loads(ParquetFile(run.path / PARQUET).schema_arrow.metadata[MADE_OF])
    raw = [client.stream for client in run.clients()]
    assert told == {
        str(path.relative_to(run.path)): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in raw
    }
    assert len(kept) == len(run.lookups())


def test_a_broken_stream_is_read_up_to_its_last_whole_block(tmp_path: Path) -> None:
    data = stream(rows([1.0] * 4000), whole=False)
    path = tmp_path / "x.dnsr"
    path.write_bytes(data[:-1])
    whole, problem = read_stream(path)
    assert len(whole) == 2 * 65_520 // 40
    assert "without its trailer" in str(problem)
    path.write_bytes(b"")
    assert len(read_stream(path)[0]) == 0
    path.write_bytes(b"GIF89a, which is long enough to be a frame")
    assert "expected a stream" in str(read_stream(path)[1])


def test_a_probe_that_refused_its_job_hides_no_other_trial(run: Run) -> None:
    client = run.clients()[0]
    n_others = len(run.lookups()) - (run.lookups()["trial"] == client.number).sum()
    client.stream.write_bytes(frame(b"FAIL", 0, b"out of threads"))
    end = client.stream.with_suffix(".end.json")
    end.write_text('{"status": "failed", "error": "the probe refused its job: out of threads", "trailer": null}')
    assert len(open_run(run.path).lookups()) == n_others
    assert "refused its job" in "".join(open_run(run.path).problems)


def test_problems_name_what_is_missing(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"rounds": 2})
    run = open_run(write_run(tmp_path / "run", plan, {("baseline", "glibc", 1): rows([1.0])}))
    assert run.problems == ["trial 2 (baseline, round 2, glibc) is missing"]
    (run.clients()[0].stream.with_name("glibc.end.json")).unlink()
    assert open_run(tmp_path / "run").problems[0] == "trial 1 (baseline, round 1, glibc) was interrupted"
    assert len(open_run(tmp_path / "run").lookups()) == 1


@pytest.mark.parametrize(
    ("damage", "error", "says"),
    [
        (lambda data: data[:-30], StreamTruncated, "ends without its trailer"),
        (lambda data: data[:150] + b"x" + data[151:], StreamForeign, "fails its checksum"),
        (lambda data: b"GIF89a" + data[6:], StreamForeign, "expected a stream that begins"),
        (
            lambda data: frame(b"DNSR", 0, b"\x09\0" + data[18:88]),
            StreamVersion,
            "version 9, but this dnslab reads version 1",
        ),
    ],
)
def test_raw_bytes_that_were_damaged_later(run: Run, damage: Any, error: type[Exception], says: str) -> None:
    raw = run.clients()[0].stream
    raw.write_bytes(damage(raw.read_bytes()))
    with pytest.raises(error, match=says) as caught:
        open_run(run.path).lookups()
    assert "glibc.dnsr" in str(caught.value)
    assert caught.value.status == 4  # type: ignore[attr-defined]


def test_trials_are_kept_as_far_as_memory_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    lookups = {("baseline", "glibc", number): rows([float(number)] * 100) for number in (1, 2, 3)}
    run = open_run(write_run(tmp_path / "run", plan, lookups))
    first = list(run.decoded())
    assert [float(one.service_ms[0]) for one in first] == [1.0, 2.0, 3.0]
    assert all(again is one for again, one in zip(run.decoded(), first, strict=True))
    monkeypatch.setattr(dataset, "KEPT_BYTES", 2 * first[0].n_bytes)
    run = open_run(run.path)
    first, again = list(run.decoded()), list(run.decoded())
    assert [one is other for one, other in zip(first, again, strict=True)] == [True, True, False]
    assert [float(one.service_ms[0]) for one in again] == [1.0, 2.0, 3.0]


def test_a_damaged_trial_is_told_of_each_time(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    lookups = {("baseline", "glibc", number): rows([float(number)] * 100) for number in (1, 2, 3)}
    run = open_run(write_run(tmp_path / "run", plan, lookups))
    run.clients()[1].stream.write_bytes(run.clients()[1].stream.read_bytes()[:-1])
    for _ in range(2):
        coming = run.decoded()
        assert float(next(coming).service_ms[0]) == 1.0
        with pytest.raises(StreamTruncated):
            next(coming)


def test_latest_and_none(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="dnslab run"):
        open_run("latest", tmp_path)
    with pytest.raises(RunNotFound, match=r"no plan\.yaml"):
        open_run(tmp_path)


def test_ground_truth_is_never_opened(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing it changes nothing, and no module of the reading side names it."""
    before = run.lookups()
    for path in run.path.glob("trials/*/*ground-truth*"):
        path.unlink()
    pd.testing.assert_frame_equal(open_run(run.path).lookups(), before)
    package = PROJECT / "dnslab"
    for folder in ("analyse", "explain", "present"):
        files = [path for path in (package / folder).rglob("*.py") if path.name != "share.py"]
        text = "".join(file.read_text(encoding="utf-8") for file in files)
        assert "ground-truth" not in text, folder
        assert "ground_truth" not in text, folder


def test_reads_a_read_only_copy(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    copy.chmod(0o500)
    assert len(open_run(copy).lookups()) == 9
    assert keep_parquet(open_run(copy), tmp_path).exists()
    copy.chmod(0o700)
