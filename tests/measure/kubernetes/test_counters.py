"""counters: metrics of CoreDNS as they are, to numbers."""

from __future__ import annotations

import pytest

pytest.importorskip("kubernetes")

from hypothesis import given, strategies as st

from dnslab.measure.kubernetes import counters

PROMETHEUS = r"""# HELP n_total Counted {here}.
# TYPE n_total counter
n_total{proto="udp",zone="."} 3
n_total{proto="udp",zone="a} 9 \"b\\."} 1.5e+01 1395066363000
n_total{proto="tcp",zone="."} 2
n_total_more{proto="udp"} 99
plain 4
odd NaN
seconds_bucket{le="+Inf"} 7
limit +Inf
n_total{proto="udp"} 1x
"""


def test_prometheus() -> None:
    families = {"n_total": "proto", "plain": "", "odd": "", "limit": "", "seconds_bucket": "le", "absent": ""}
    assert counters.prometheus(PROMETHEUS, families) == {
        "n_total": {"udp": 18.0, "tcp": 2.0},
        "plain": {"": 4.0},
        "seconds_bucket": {"+Inf": 7.0},
    }
    assert counters.prometheus(PROMETHEUS, {"n_total": "", "plain": "proto"}) == {
        "n_total": {"": 20.0},
        "plain": {"": 4},
    }
    zones = counters.prometheus(PROMETHEUS, {"n_total": "zone"})["n_total"]
    assert list(zones.values()) == [5.0, 15.0]


NEW = """\
coredns_build_info{goversion="go1.26.8",revision="",version="1.14.7"} 1
coredns_dns_requests_total{family="1",proto="tcp",server="dns://:53",type="A",zone="."} 6
coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="A",zone="."} 70
coredns_dns_requests_total{family="2",proto="udp",server="dns://:53",type="AAAA",zone="."} 30
coredns_dns_requests_total{family="1",proto="tls",server="tls://:853",type="A",zone="."} 1
coredns_dns_responses_total{plugin="",rcode="SERVFAIL",server="dns://:53",zone="."} 2
coredns_dns_responses_total{plugin="errors",rcode="SERVFAIL",server="dns://:53",zone="."} 3
coredns_dns_responses_total{plugin="errors",rcode="NXDOMAIN",server="dns://:53",zone="."} 40
coredns_dns_responses_total{plugin="errors",rcode="NOERROR",server="dns://:53",zone="."} 62
coredns_dns_request_duration_seconds_bucket{server="dns://:53",zone=".",le="0.512"} 90
coredns_dns_request_duration_seconds_bucket{server="dns://:53",zone=".",le="1.024"} 100
coredns_dns_request_duration_seconds_bucket{server="dns://:53",zone=".",le="2.048"} 103
coredns_dns_request_duration_seconds_bucket{server="dns://:53",zone=".",le="+Inf"} 107
coredns_dns_request_duration_seconds_sum{server="dns://:53",zone="."} 12.3456
coredns_dns_request_duration_seconds_count{server="dns://:53",zone="."} 107
coredns_cache_hits_total{server="dns://:53",type="denial",zones="."} 10
coredns_cache_hits_total{server="dns://:53",type="success",zones="."} 80
coredns_cache_requests_total{server="dns://:53",zones="."} 107
coredns_proxy_request_duration_seconds_sum{proxy_name="forward",rcode="NOERROR",to="192.0.2.1:53"} 0.5
coredns_proxy_request_duration_seconds_count{proxy_name="forward",rcode="NOERROR",to="192.0.2.1:53"} 9
coredns_proxy_request_duration_seconds_count{proxy_name="forward",rcode="SERVFAIL",to="192.0.2.2:53"} 8
coredns_forward_healthcheck_broken_total 4
coredns_forward_max_concurrent_rejects_total 5
coredns_panics_total 1
process_cpu_seconds_total 23.07
process_start_time_seconds 1.79558812275e+09
"""


def test_coredns() -> None:
    assert counters.coredns(NEW) == {
        "requests": 107,
        "requests_udp": 100,
        "requests_tcp": 6,
        "responses_noerror": 62,
        "responses_nxdomain": 40,
        "responses_servfail": 5,
        "responses_refused": 0,
        "requests_ms": 12346,
        "requests_over_1s": 7,
        "cache_hits": 90,
        "cache_misses": 17,
        "forward_requests": 17,
        "forward_ms": 500,
        "forward_rejected": 5,
        "forward_unhealthy": 4,
        "panics": 1,
        "cpu_ms": 23070,
        "started_s": 1795588122,
    }
    assert counters.coredns_version(NEW) == "1.14.7"
    assert counters.coredns("go_goroutines 41\n") == counters.coredns("") == {}
    assert counters.coredns_version("go_goroutines 41\n") is None


def test_coredns_before_1_7_has_other_names() -> None:
    text = """\
coredns_dns_request_count_total{family="1",proto="udp",server="dns://:53",zone="."} 516107
coredns_dns_request_type_count_total{server="dns://:53",type="A",zone="."} 500000
coredns_dns_response_rcode_count_total{rcode="NXDOMAIN",server="dns://:53",zone="."} 300000
coredns_cache_hits_total{server="dns://:53",type="denial"} 10
coredns_cache_misses_total{server="dns://:53"} 20
coredns_forward_request_count_total{to="192.0.2.1:53"} 7
coredns_forward_request_duration_seconds_sum{to="192.0.2.1:53"} 0.25
coredns_forward_request_duration_seconds_count{to="192.0.2.1:53"} 7
coredns_forward_max_concurrent_reject_count_total 3
coredns_forward_healthcheck_broken_count_total 2
coredns_panic_count_total 1
"""
    numbers = counters.coredns(text)
    assert {name: number for name, number in numbers.items() if number} == {
        "requests": 516107,
        "requests_udp": 516107,
        "responses_nxdomain": 300000,
        "cache_hits": 10,
        "cache_misses": 20,
        "forward_requests": 7,
        "forward_ms": 250,
        "forward_rejected": 3,
        "forward_unhealthy": 2,
        "panics": 1,
    }
    assert set(numbers) == set(counters.coredns(NEW))


@given(st.lists(st.tuples(st.integers(0, len(NEW) - 1), st.characters()), max_size=20))
def test_a_damaged_text_loses_its_damaged_lines_only(changes: list[tuple[int, str]]) -> None:
    damaged = list(NEW)
    for at, character in changes:
        damaged[at] = character
    assert set(counters.coredns("".join(damaged))) in (set(), set(counters.coredns(NEW)))
    assert counters.coredns("\n".join(["}{", *NEW.splitlines(), '{"'])) == counters.coredns(NEW)
