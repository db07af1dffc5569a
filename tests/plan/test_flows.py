"""Flows: expected values counted by hand, and the model held to a drawing of random ports."""

from __future__ import annotations

import random

import pytest

from dnslab.plan import flows
from dnslab.plan.resolvconf import ResolverOptions
from dnslab.plan.variants import find


@pytest.mark.parametrize(
    ("variant", "n_candidates", "n_sockets"),
    [
        ("baseline", 1, 1),
        ("baseline", 4, 4),
        ("single-request", 4, 4),
        ("single-request-reopen", 1, 2),
        ("single-request-reopen", 4, 8),
        ("no-aaaa", 1, 1),
        ("use-vc", 4, 0),
        ("node-local", 4, 0),
        ("node-local+single-request-reopen", 4, 0),
    ],
)
def test_sockets_of_a_lookup(variant: str, n_candidates: int, n_sockets: int) -> None:
    options = find(variant).applied_to(ResolverOptions(nameservers=("10.96.0.10",)))
    assert flows.sockets_per_lookup(options, n_candidates) == n_sockets


def test_a_cache_is_known_by_its_address() -> None:
    cache = ResolverOptions(nameservers=("fd00::a",))
    assert (flows.sends_pairs(cache), flows.sends_pairs(cache, {"fd00::a"})) == (True, False)
    assert (flows.sockets_per_lookup(cache, 2), flows.sockets_per_lookup(cache, 2, {"fd00::a"})) == (2, 0)


def test_another_nameserver_is_asked_from_the_same_ports() -> None:
    assert flows.sockets_per_lookup(ResolverOptions(nameservers=("10.0.0.9",))) == 1
    # A cloud's own resolver is link-local too, and no cache on the node.
    assert flows.sockets_per_lookup(ResolverOptions(nameservers=("169.254.169.253",))) == 1


def test_a_rate_fits_all_that_share_an_address() -> None:
    baseline, reopen = 2, 4
    both = flows.fitting_rate_per_s([baseline, reopen], "side-by-side", flows.N_PORTS)
    assert both == pytest.approx(48.27 / 6, abs=0.01)
    assert flows.fitting_rate_per_s([baseline, reopen], "in-turn", flows.N_PORTS) == pytest.approx(both * 6 / 4)
    assert flows.fitting_rate_per_s([0, 0], "side-by-side", flows.N_PORTS) == float("inf")


def test_variants_side_by_side_add_up_and_the_busiest_load_counts() -> None:
    rates = [[10.0, 20.0], [0.0, 25.0]]
    assert flows.shared_sockets_per_s(rates, "side-by-side") == 30.0
    assert flows.shared_sockets_per_s(rates, "in-turn") == 25.0


def test_the_share_of_new_flows_is_that_of_random_ports() -> None:
    """Each socket draws a port; its flow is new where that port was not used within the life of an entry."""
    n_ports, life_s, per_s, n_sockets = 1000, 10, 20, 200_000
    generator = random.Random(1)
    used_s = [float("-inf")] * n_ports
    n_new = 0
    for number in range(n_sockets):
        now_s, port = number / per_s, generator.randrange(n_ports)
        n_new += now_s - used_s[port] > life_s
        used_s[port] = now_s
    assert flows.new_flow_share(per_s, life_s, n_ports) == pytest.approx(n_new / n_sockets, rel=0.01)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.999])
def test_the_highest_rate_keeps_its_share(share: float) -> None:
    per_s = flows.max_sockets_per_s(share, 30, 28_232)
    assert flows.new_flow_share(per_s, 30, 28_232) == pytest.approx(share)


@pytest.mark.parametrize("n_lanes", [1, 2, 6])
@pytest.mark.parametrize("load_s", [1.5, 10.5, 600.0])
def test_ports_of_engine_wire_go_round_in_their_period(load_s: float, n_lanes: int) -> None:
    per_s = flows.wire_rate_per_s(load_s, n_lanes)
    assert per_s * n_lanes * flows.PORT_PERIOD_S <= 0.85 * flows.N_PORTS
    most = per_s * load_s + flows.BURST * (per_s * load_s) ** 0.5
    assert most <= 28_232 / 190 / n_lanes * load_s + 1e-6


def test_an_address_of_ones_own_has_all_ports_for_one_trial() -> None:
    per_s = flows.fresh_wire_rate_per_s(10.0)
    assert 10 * per_s + 6 * (10 * per_s) ** 0.5 == pytest.approx(28_232)
    assert flows.fresh_wire_rate_per_s(3600.0) == pytest.approx(flows.fresh_wire_rate_per_s(180.0))


def test_no_socket_opens_no_flow() -> None:
    assert flows.new_flow_share(0.0, flows.UDP_TIMEOUT_S, flows.N_PORTS) == 1.0
