"""Run folders for tests, written through the real store in the probe's own format: only the lookups are made up."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnslab.analyse.lookups import RECORD
from dnslab.plan.model import Plan
from dnslab.plan.schedule import TargetInfo, trials
from dnslab.store import stream as records
from dnslab.store.contents import ClientStart, Environment
from dnslab.store.folder import RunFolder
from tests.store.test_stream import HEADER

GLIBC = TargetInfo("glibc", "glibc", "2.36")
MUSL = TargetInfo("musl", "musl", "1.2.3")
#: when a run starts, and how much later each of its groups
STARTED_NS = 1_800_000_000_000_000_000
GROUP_NS = 20_000_000_000


def rows(latencies_ms: Sequence[float], **columns: Any) -> Any:
    """Records with these service times, one every 10 ms, each answered with an A and an AAAA; columns override."""
    made = np.zeros(len(latencies_ms), RECORD)
    made["intended_ns"] = made["start_ns"] = np.arange(len(latencies_ms)) * 10_000_000
    made["end_ns"] = made["start_ns"] + np.round(np.asarray(latencies_ms) * 1e6).astype(np.uint64)
    made["answers"] = 0x10001
    for name, value in columns.items():
        made[name] = value
    return made


def stream(made: Any, whole: bool = True) -> bytes:
    """The probe's bytes for these records."""
    data = made.tobytes()
    frames = [records.frame(b"DNSR", 0, HEADER)]
    for start in range(0, len(data), 65_520):
        frames.append(records.frame(b"RECS", len(frames), data[start : start + 65_520]))
    if whole:
        tail = struct.pack("<QII9Q", len(made), zlib.crc32(data), 0, *[0] * 9)
        frames.append(records.frame(b"TAIL", len(frames), tail))
    return b"".join(frames)


def start(trial: Any, target: TargetInfo, **changes: Any) -> dict[str, Any]:
    """What start.json holds."""
    return {
        **{key: getattr(trial, key) for key in ("round", "group", "variant", "load")},
        "trial": trial.number,
        "target": target.name,
        "libc": target.libc,
        "libc_version": target.libc_version,
        "engine": "libc",
        "arrangement": "single",
        "means": "file",
        "resolv_conf": "nameserver 10.96.0.10\n",
        "names": ["web.any.cluster.local."],
        "expected": [[1, 1]],
        "asks_aaaa": True,
        "stall_ms": 4500.0 if target.libc == "glibc" else 2250.0,
        "deadline_s": 16.0,
        "started_realtime_ns": STARTED_NS + (trial.group - 1) * GROUP_NS,
        "counters": dict.fromkeys((*END_COUNTERS, "client.cpu.periods", "client.cpu.throttled_periods"), 0),
        **changes,
    }


END_COUNTERS = {"server-a.Udp.RcvbufErrors": 0, "machine.cpu.total_ticks": 1000, "machine.cpu.idle_ticks": 900}


def write_run(
    path: Path,
    plan: Plan,
    lookups: Mapping[tuple[Any, ...], Any],
    counters: Mapping[str, int] = {},
    *,
    exposed: int | None = None,
    start_changes: Mapping[str, Any] = {},
    known: Sequence[TargetInfo] = (GLIBC, MUSL),
    counters_of: Callable[[str, str, int], Mapping[str, int]] = lambda variant, target, number: {},
) -> Path:
    """A run of ``plan`` in which (variant, target, round) had these records, or with the load as fourth under that load
    alone; those left out were not measured. Without any, all that are known were to be. ``counters`` are those at the
    end of each client, ``counters_of`` those of one."""
    used = {key[1] for key in lookups}
    targets = [target for target in known if target.name in used or not used]
    environment = {
        "kernel": "Linux 6.1.0",
        "machine": "x86_64",
        "n_cpus": 2,
        "fault": str(plan.fault),
        "targets": [target.__dict__ for target in targets],
        "backend": {"name": "lab", "fresh_clients": True, "n_ports": 64512, "udp_timeout_s": 1},
    }
    folder = RunFolder.create(path, plan, Environment.model_validate(environment))
    for trial in trials(plan, targets):
        for target in targets:
            key = (trial.variant, target.name, trial.round)
            made = lookups.get((*key, trial.load), lookups.get(key))
            if made is None:
                continue
            writer = folder.writer(trial.number, target.name)
            writer.start(ClientStart.model_validate(start(trial, target, **start_changes)))
            file = writer.stream()
            file.append(stream(made))
            file.close()
            end = {
                "status": "complete",
                "error": None,
                "counters": {**END_COUNTERS, **counters, **counters_of(*key)},
                "exposed_counted": exposed,
            }
            writer.end({**end, "trailer": {"n_records": len(made), "blocked_ns": 0}})
    return path
