"""variants: what each makes of a pod's resolv.conf, and the applicability table by (variant, libc, means)."""

from __future__ import annotations

import pytest

from dnslab.errors import UnknownVariant
from dnslab.plan.flows import sends_pairs
from dnslab.plan.resolvconf import parse, render
from dnslab.plan.variants import BUILT_IN, USUAL, find, not_applicable

BASELINE = parse("nameserver 10.96.0.10\nsearch svc.cluster.local\noptions ndots:5\n")

RENDERED = {
    "baseline": "options ndots:5",
    "use-vc": "options ndots:5 use-vc",
    "single-request": "options ndots:5 single-request",
    "single-request-reopen": "options ndots:5 single-request-reopen",
    "no-aaaa": "options ndots:5 no-aaaa",
    "node-local": "options ndots:5",
    "node-local+single-request-reopen": "options ndots:5 single-request-reopen",
    "cluster-dns-direct": "options ndots:5",
    "ndots-1": "options ndots:1",
    "root-first": "options ndots:5",
    "absolute": "options ndots:5",
    "timeout-1": "options ndots:5 timeout:1 attempts:3",
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_a_variant_makes_of_the_file(name: str) -> None:
    nameserver = "169.254.20.10" if name.startswith("node-local") else "10.96.0.10"
    root = ". " if name == "root-first" else ""
    expected = f"nameserver {nameserver}\nsearch {root}svc.cluster.local\n{RENDERED[name]}\n"
    assert render(BUILT_IN[name].applied_to(BASELINE)) == expected


def test_which_can_meet_the_race() -> None:
    """A and AAAA together on one tracked UDP socket."""
    assert {name for name, variant in BUILT_IN.items() if sends_pairs(variant.applied_to(BASELINE))} == {
        "baseline",
        "cluster-dns-direct",
        "ndots-1",
        "root-first",
        "absolute",
        "timeout-1",
    }


#: variants honoured, by (libc, version, means); written out from the manuals, not from the code
HONOURED = {
    ("glibc", "2.36", "file"): set(RENDERED),
    ("glibc", "2.36-9+deb12u14", "_res"): set(RENDERED) - {"root-first"},
    ("glibc", "2.31", "file"): set(RENDERED) - {"no-aaaa"},
    ("glibc", "2.9", "file"): set(RENDERED) - {"no-aaaa", "use-vc", "single-request"},
    ("musl", "1.2.3", "file"): set(RENDERED)
    - {name for name in RENDERED if "single-request" in name}
    - {"use-vc", "no-aaaa", "root-first"},
    ("musl", "1.2.3", "_res"): {"baseline", "absolute"},
}


@pytest.mark.parametrize("target", HONOURED)
@pytest.mark.parametrize("name", BUILT_IN)
def test_applicability(name: str, target: tuple[str, str, str]) -> None:
    libc, version, means = target
    reason = not_applicable(BUILT_IN[name], libc, version, means)  # type: ignore[arg-type]
    assert (reason is None) == (name in HONOURED[target]), reason


def test_the_reason_says_why() -> None:
    assert not_applicable(BUILT_IN["single-request"], "musl") == "musl ignores single-request"
    assert not_applicable(BUILT_IN["no-aaaa"], "glibc", "2.31") == "no-aaaa needs glibc 2.36, but the target has 2.31"


def test_unknown_variant_names_the_nearest() -> None:
    with pytest.raises(UnknownVariant, match="did you mean 'single-request-reopen'"):
        find("single-request-repoen")


def test_absolute_asks_for_the_name_baseline_resolved_to() -> None:
    absolute = BUILT_IN["absolute"]
    assert absolute.name_asked("a.b", BASELINE, "a.b.c.test.") == "a.b.c.test."
    assert absolute.name_asked("a.b", BASELINE) == "a.b.svc.cluster.local."
    assert BUILT_IN["baseline"].name_asked("a.b", BASELINE, "a.b.c.test.") == "a.b"


def test_usual_ones_exist() -> None:
    assert [find(name).name for name in USUAL] == list(USUAL)
