"""Who answers: what is said where it cannot be measured. On a cluster see test_cluster_variety.py."""

from __future__ import annotations

from typing import Any

import pytest

from dnslab.errors import ProbeFailed
from dnslab.measure.kubernetes.cluster_dns import FoundDns
from dnslab.measure.kubernetes.who_answers import who_answers
from dnslab.plan.resolvconf import ResolverOptions


def no_probe(job: bytes) -> Any:
    raise ProbeFailed("the probe does not start")


@pytest.mark.parametrize(
    ("nameservers", "line"),
    [
        ((), "who answers: not measured, as resolv.conf names no server"),
        (("10.0.0.10",), "who answers: not measured: the probe does not start"),
        (("fe80::1%eth0",), "who answers: not measured: the probe does not start"),
    ],
)
def test_what_is_not_measured_is_said(nameservers: tuple[str, ...], line: str) -> None:
    options = ResolverOptions(nameservers=nameservers)
    who = who_answers(None, {"pod": no_probe}, options, FoundDns(), [])  # type: ignore[arg-type]
    assert (who.redirected, who.elsewhere, who.lines) == ((), None, (line,))
