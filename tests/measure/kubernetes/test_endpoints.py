"""endpoints: the addresses behind a Service, from its EndpointSlices, and how they change."""

from __future__ import annotations

from typing import Any

from dnslab.measure.kubernetes.endpoints import _changes, ready_endpoints
from dnslab.plan.arms import Change, Places


def test_ready_endpoints_are_listed_once_with_their_pods() -> None:
    of_pod = {"targetRef": {"kind": "Pod", "name": "coredns-a"}, "nodeName": "node-1"}
    slices: list[dict[str, Any]] = [
        {"endpoints": [{"addresses": ["10.0.0.3"], "conditions": {"ready": True}}, {"addresses": ["10.0.0.2"]}]},
        {"endpoints": [{"addresses": ["10.0.0.9"], "conditions": {"ready": False}}]},
        {"endpoints": [{"addresses": ["10.0.0.2"], **of_pod}]},
        {"endpoints": None},
    ]
    found = ready_endpoints(slices)
    assert list(found.items()) == [("10.0.0.2", "coredns-a on node-1"), ("10.0.0.3", "")]
    assert ready_endpoints([]) == {}
    places = Places((), tuple(found), pods={"10.0.0.2": found["10.0.0.2"]})
    assert places.titled("10.0.0.2") == "10.0.0.2 (coredns-a on node-1)"
    assert places.titled("10.0.0.3") == "10.0.0.3"


def test_a_server_that_is_replaced_leaves_and_comes() -> None:
    assert list(_changes({"10.0.0.2": "a", "10.0.0.3": "b"}, {"10.0.0.3": "b", "10.0.0.4": "c"}, 7)) == [
        Change(7, "10.0.0.2", came=False, pod="a"),
        Change(7, "10.0.0.4", came=True, pod="c"),
    ]
