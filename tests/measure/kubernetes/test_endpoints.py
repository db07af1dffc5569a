"""endpoints: the addresses behind a Service, from its EndpointSlices."""

from __future__ import annotations

from typing import Any

from dnslab.measure.kubernetes.endpoints import ready_addresses


def test_ready_addresses_are_listed_once() -> None:
    slices: list[dict[str, Any]] = [
        {"endpoints": [{"addresses": ["10.0.0.3"], "conditions": {"ready": True}}, {"addresses": ["10.0.0.2"]}]},
        {"endpoints": [{"addresses": ["10.0.0.9"], "conditions": {"ready": False}}, {"addresses": ["10.0.0.2"]}]},
        {"endpoints": None},
    ]
    assert ready_addresses(slices) == ["10.0.0.2", "10.0.0.3"]
    assert ready_addresses([]) == []
