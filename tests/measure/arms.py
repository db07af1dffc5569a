"""Raw queries through a client of the lab, in the arms of ``fault.ARMS``, and what came of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnslab.measure.lab.backend import LabBackend, LabTarget
from dnslab.measure.lab.fault import ARMS, CLUSTER_IP
from dnslab.measure.probe.job import Job, wire_query
from dnslab.measure.protocol import Client
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.model import Load
from dnslab.plan.variants import find
from dnslab.store import stream as records
from tests.measure.test_probe import talk_over

NAMES = tuple(f"q{i}.any.cluster.local." for i in range(50))
TYPES: Mapping[str, tuple[str, ...]] = {"aaaa": ("AAAA",), "pair-one-socket": ("A", "AAAA")} | {
    "pair-two-sockets": ("A", "AAAA")
}


@dataclass(frozen=True)
class Seen:
    """Queries of one arm: milliseconds until the answer, its rcode (negative: none), its flags, lateness in ms."""

    ms: Any
    outcome: Any
    flags: Any
    late_ms: Any
    truth: Any

    def __str__(self) -> str:
        answered = self.ms[self.outcome >= 0]
        return (
            f"{len(self.ms)} queries, {int((self.outcome < 0).sum())} unanswered, "
            f"{int((self.outcome > 0).sum())} errors, p50 {np.median(answered) if len(answered) else -1:.2f} ms, "
            f"longest {answered.max() if len(answered) else -1:.1f} ms, latest {self.late_ms.max():.1f} ms"
        )


def job(arm: str, names: Sequence[str], rate_per_s: float, duration_s: float, deadline_s: float) -> Job:
    pairs = arm.startswith("pair")
    return Job(
        entries=tuple(wire_query(name, rdtype) for name in names for rdtype in TYPES.get(arm, ("A",))),
        workers=16,
        duration_s=duration_s,
        deadline_s=deadline_s,
        hard_deadline_s=60.0,
        engine="wire",
        loop="fixed",
        mode="sticky" if arm == "standing" else "fresh",
        rate_per_s=rate_per_s,
        arrangement=arm if pairs else "single",
        transport="tcp" if arm == "tcp" else "udp",
        nameserver=(CLUSTER_IP, 53),
    )


def measured(
    lab: LabBackend,
    names: Sequence[str] = NAMES,
    rate_per_s: float = 60.0,
    duration_s: float = 2.0,
    deadline_s: float = 2.5,
) -> dict[str, Seen]:
    """All arms at the same time, each in a client of its own."""

    def measure(arm: str) -> Seen:
        with contextlib.closing(lab.open(Client(arm, "glibc", find("baseline"), Load(), ()))) as target:
            rows, _, _ = talk_over(target.start, job(arm, names, rate_per_s, duration_s, deadline_s))
            truth = target.ground_truth()
        late_ms = (rows["start_ns"].astype(float) - rows["intended_ns"]) / 1e6
        ms = (rows["end_ns"] - rows["start_ns"]) / 1e6
        return Seen(ms, rows["outcome"], rows["flags"], late_ms, truth)

    with ThreadPoolExecutor(len(ARMS)) as pool:
        return dict(zip(ARMS, pool.map(measure, ARMS), strict=True))


def holds(outcome: str, seen: Seen, delay_ms: float) -> bool:
    """Whether ``seen`` is what ``outcome`` of ``fault`` means."""
    answered = seen.outcome >= 0
    lost, all_came = ~answered, bool(answered.all())
    ms = seen.ms[answered]
    plain = all_came and not (seen.outcome > 0).any()
    outcomes: dict[str, Callable[[], Any]] = {
        "clean": lambda: plain and not (ms >= 500).any() and not (seen.flags & records.FLAG_TRUNCATED).any(),
        "lost": lambda: lost.sum() >= 3 and not lost.all(),
        "silent": lost.all,
        "slow": lambda: plain and (ms >= delay_ms).all(),
        "some slow": lambda: plain and (ms >= delay_ms / 2).sum() >= 3 and (ms < delay_ms / 2).any(),
        "late": lambda: lost.mean() < 0.12 and (ms >= 150).sum() >= 3,
        "held up": lambda: plain and (ms >= 20).sum() >= 3,
        "sent late": lambda: plain and (seen.late_ms >= 20).sum() >= 3,
        "errors": lambda: all_came and (seen.outcome > 0).sum() >= 3,
        "truncated": lambda: all_came and (seen.flags & records.FLAG_TRUNCATED).all(),
        "costly": lambda: plain and np.median(ms) >= 0.5 and not (ms >= 500).any(),
        "varies": lambda: True,
    }
    return bool(outcomes[outcome]())


@contextlib.contextmanager
def one_client(text: str) -> Iterator[LabTarget]:
    """A client of a lab with the faults of ``text``."""
    client = Client("x", "glibc", find("baseline"), Load(), ())
    with contextlib.closing(LabBackend(FaultPlan.parse(text))) as lab, contextlib.closing(lab.open(client)) as target:
        yield target
