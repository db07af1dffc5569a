"""witness_frame: what rose, what began anew and what was not read are three things."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dnslab.analyse.dataset import open_run
from dnslab.analyse.witnesses import COLUMNS, NO_END, NOT_READ, changes, witness_frame
from dnslab.plan.model import Load, Plan
from dnslab.store.witnesses import NO_SOCKET, at
from tests.runs import rows, write_run

SOCKET = "node.udp.53.drops@169.254.20.10"
INODES = "node.udp.53.inodes@169.254.20.10"


def frame(
    path: Path,
    before: Mapping[str, int],
    after: Mapping[str, int] | None,
    missing: Mapping[str, str] = {},
    missing_after: Mapping[str, str] = {},
) -> pd.DataFrame:
    """Of a run of one trial. Without ``after`` it has no end."""
    plan = Plan(variants=("baseline",), rounds=1, loads=(Load(duration_s=1),))
    changed = {"counters": dict(before), "missing": dict(missing)}
    write_run(path, plan, {("baseline", "glibc", 1): rows([0.5])}, start_changes=changed)
    (end,) = path.glob("trials/*/*.end.json")
    if after is None:
        end.unlink()
    else:
        content: dict[str, Any] = json.loads(end.read_text())
        end.write_text(json.dumps({**content, "counters": dict(after), "missing": dict(missing_after)}))
    found = witness_frame(open_run(path))
    assert list(found) == list(COLUMNS)
    return found


def row_of(found: pd.DataFrame, place: str, witness: str, socket: str = "") -> Any:
    """The one row of a witness."""
    rows_of = found[(found["place"] == place) & (found["witness"] == witness) & (found["socket"] == socket)]
    assert len(rows_of) == 1
    return rows_of.iloc[0]


def test_a_rise_is_counted(tmp_path: Path) -> None:
    name = "client.TcpExt.TCPSynRetrans"
    row = row_of(frame(tmp_path / "run", {name: 3}, {name: 10}), "client", "TcpExt.TCPSynRetrans")
    assert (row.before, row.after, row.change, row.state, row.reason) == (3, 10, 7, "counted", "")
    assert (row.trial, row["round"], row.load, row.variant, row.target) == (1, 1, 0, "baseline", "glibc")
    assert row.unit == "segments"


def test_a_fall_is_a_restart_and_never_negative(tmp_path: Path) -> None:
    found = frame(tmp_path / "run", {"node.Udp.RcvbufErrors": 9}, {"node.Udp.RcvbufErrors": 2})
    row = row_of(found, "node", "Udp.RcvbufErrors")
    assert (row.before, row.after, row.state) == (9, 2, "restarted")
    assert math.isnan(row.change)
    assert not (found["change"] < 0).any()


def test_a_new_socket_is_a_restart_although_it_dropped_more(tmp_path: Path) -> None:
    found = frame(tmp_path / "run", {SOCKET: 9, INODES: 100}, {SOCKET: 12, INODES: 200})
    assert row_of(found, "node", "udp.53.drops", "169.254.20.10").state == "restarted"
    found = frame(tmp_path / "same", {SOCKET: 9, INODES: 100}, {SOCKET: 12, INODES: 100})
    assert row_of(found, "node", "udp.53.drops", "169.254.20.10").change == 3


def test_each_socket_has_a_row_and_one_that_came_or_went_is_a_restart(tmp_path: Path) -> None:
    other, inodes = "node.udp.53.drops@10.96.0.10", "node.udp.53.inodes@10.96.0.10"
    found = frame(tmp_path / "run", {SOCKET: 9, INODES: 1}, {SOCKET: 9, INODES: 1, other: 5, inodes: 2})
    assert row_of(found, "node", "udp.53.drops", "169.254.20.10").state == "counted"
    assert row_of(found, "node", "udp.53.drops", "10.96.0.10").state == "restarted"
    none = {"node.udp.53.drops": NO_SOCKET}
    found = frame(tmp_path / "none", {}, {SOCKET: 9, INODES: 1}, none)
    assert row_of(found, "node", "udp.53.drops", "169.254.20.10").state == "restarted"
    row = row_of(frame(tmp_path / "never", {}, {}, none, none), "node", "udp.53.drops")
    assert (row.state, row.reason) == ("missing", NO_SOCKET)


def test_what_was_read_once_is_missing_and_says_why(tmp_path: Path) -> None:
    found = frame(tmp_path / "run", {SOCKET: 9, INODES: 1}, {}, {}, {"node.udp.53.drops": "no right to read it"})
    row = row_of(found, "node", "udp.53.drops", "169.254.20.10")
    assert (row.before, row.state, row.reason) == (9, "missing", "no right to read it")
    assert math.isnan(row.after)
    assert math.isnan(row.change)


def test_a_place_that_is_missing_has_every_witness_missing(tmp_path: Path) -> None:
    where = {"coredns": "no process there"}
    found = frame(tmp_path / "run", {}, {}, where, where)
    found = found[found["place"] == "coredns"]
    assert set(found["witness"]) == set(at("coredns"))
    assert set(found["state"]) == {"missing"}
    assert set(found["reason"]) == {"no process there"}


def test_conntrack_is_a_share_of_its_most(tmp_path: Path) -> None:
    name, most = "node.conntrack.count", "node.conntrack.max"
    row = row_of(frame(tmp_path / "run", {name: 250, most: 1000}, {name: 50, most: 1000}), "node", "conntrack.count")
    assert (row.before, row.after, row.state, row.unit) == (0.25, 0.05, "counted", "share of max")
    assert math.isclose(row.change, -0.2)
    row = row_of(frame(tmp_path / "zero", {name: 1, most: 0}, {name: 1, most: 0}), "node", "conntrack.count")
    assert row.state == "missing"


def test_a_run_of_an_older_version_has_all_missing(tmp_path: Path) -> None:
    found = frame(tmp_path / "run", {"client.Udp.RcvbufErrors": 0}, {"client.Udp.RcvbufErrors": 4})
    assert row_of(found, "client", "Udp.RcvbufErrors").change == 4
    row = row_of(found, "client", "udp.drops")
    assert (row.state, row.reason) == ("missing", NOT_READ)


def test_a_trial_without_end_has_all_missing(tmp_path: Path) -> None:
    found = frame(tmp_path / "run", {"client.Udp.RcvbufErrors": 7}, None)
    assert set(found["state"]) == {"missing"}
    row = row_of(found, "client", "Udp.RcvbufErrors")
    assert (row.before, row.reason) == (7, NO_END)


def test_names_that_are_no_witness_have_no_row(tmp_path: Path) -> None:
    strange = {"coredns.pod-1.requests": 1, "x.Udp.InErrors": 2, "client.nonsense": 3, "client": 4, "@": 5, "": 6}
    found = frame(tmp_path / "run", strange, strange)
    assert set(found["place"]) <= {"client", "machine", "coredns"}
    assert not (found["state"] == "counted").any()


def test_changes_have_a_column_for_each_witness(tmp_path: Path) -> None:
    numbers = {SOCKET: 9, INODES: 1, "client.Udp.NoPorts": 2}
    frame(tmp_path / "run", numbers, {**numbers, SOCKET: 90, "client.Udp.NoPorts": 1})
    wide = changes(witness_frame(open_run(tmp_path / "run")))
    assert wide.index.to_list() == [(1, "glibc")]
    assert wide[SOCKET].to_list() == [81]
    assert wide["client.Udp.NoPorts"].isna().all()  # it fell
    assert wide["machine.softnet.drops"].isna().all()
