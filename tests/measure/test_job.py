"""job: golden bytes both ways, refusals."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, strategies as st

from dnslab.errors import InvalidName, UsageError
from dnslab.measure.probe.job import ARRANGEMENTS, PORTS, Job, ResolverPatch, decode, encode, wire_query

JOB = Job(
    entries=(b"a.test",), workers=3, duration_s=2.0, deadline_s=1.5, hard_deadline_s=9.0, loop="poisson", rate_per_s=0.5
)

#: everything after the checksum, written out by hand from format.h
BODY = (
    "0100 0000 03000000 01000000 01000000 f401000000000000"
    "0000000000000000 0094357700000000 0000000000000000 002f685900000000 001a711802000000 0011102401000000"
    "008d380c01000000"
    "f4010000 00000000 0000000000000000 00000000 00000000 0000 0000 0000 0000 0000 0000 0000 0000"
    "00000000000000000000000000000000 0000 0000 00000000 0600 612e74657374"
)


def test_golden_bytes() -> None:
    body = bytes.fromhex(BODY)
    head = b"DNSJ" + bytes.fromhex("0100 0000 a8000000") + zlib.crc32(body).to_bytes(4, "little")
    assert encode(JOB).hex() == (head + body).hex()
    assert decode(head + body) == JOB


@given(
    st.builds(
        Job,
        entries=st.just((b"a.test", b"b.test")),
        workers=st.integers(1, 1000),
        duration_s=st.integers(0, 10**6).map(lambda ms: ms / 1000),
        deadline_s=st.integers(1, 1000).map(float),
        hard_deadline_s=st.just(30.0),
        loop=st.sampled_from(["closed", "fixed"]),
        mode=st.sampled_from(["fresh", "sticky"]),
        rate_per_s=st.integers(0, 10**6).map(lambda rate: rate / 1000),
        arrangement=st.sampled_from(ARRANGEMENTS),
        ports=st.sampled_from(PORTS),
        port_lane=st.integers(0, 65_535),
        n_port_lanes=st.integers(0, 65_535),
        patch=st.none()
        | st.builds(
            ResolverPatch,
            options=st.sets(st.sampled_from(["use-vc", "single-request", "no-aaaa"])).map(frozenset),
            ndots=st.none() | st.integers(0, 15),
            timeout_s=st.none() | st.integers(1, 30),
            nameserver=st.none() | st.just(("127.0.0.1", 5353)),
        ),
    )
)
def test_read_back(job: Job) -> None:
    assert decode(encode(job)) == job


def test_query_bytes() -> None:
    assert wire_query("a.test.", "AAAA").hex() == "0000010000010000000000000161047465737400001c0001"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"workers": 0}, UsageError),
        ({"entries": ()}, UsageError),
        ({"entries": (b"a..b",)}, InvalidName),
        ({"entries": (b"a" * 64,)}, InvalidName),
        ({"patch": ResolverPatch(frozenset({"debug"}))}, UsageError),
        ({"nameserver": ("localhost", 53)}, UsageError),
    ],
)
def test_refused(change: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        encode(Job(**{**JOB.__dict__, **change}))
