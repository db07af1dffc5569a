"""Refusals of the API server: what they mean is decided by code and reason, whatever their words are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")

from kubernetes.client.exceptions import ApiException

from dnslab.errors import NotAble, UsageError
from dnslab.measure.kubernetes.api import objects
from dnslab.measure.kubernetes.api.client import Client, Refused, answered
from dnslab.measure.kubernetes.pods.lifecycle import Pods
from dnslab.measure.kubernetes.pods.manifest import PodSpec
from dnslab.measure.kubernetes.selection import find_containers, read_pod
from tests.apiserver import client_of

#: what RBAC answers where a binding names a role that is gone
NO_ROLE = 'pods "a" is forbidden: User "u" cannot get pods: RBAC: role.rbac.authorization.k8s.io "r" not found'


def refusal(code: int, reason: str, message: str) -> ApiException:
    error = ApiException(status=code, reason=reason)
    error.body = json.dumps({"kind": "Status", "code": code, "reason": reason, "message": message})
    return error


@pytest.fixture
def client() -> Client:
    """For calls whose answer a test gives."""
    return Client("stand-in", "shop", "http://127.0.0.1", None)


def refuses(monkeypatch: pytest.MonkeyPatch, error: ApiException) -> None:
    """Every call to the API server is refused with ``error``."""

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                raise error

            return call

    monkeypatch.setattr(Client, "core", lambda self: Refusing())


def test_a_refusal_has_code_and_reason() -> None:
    with pytest.raises(Refused, match=r"^cannot look: no more pods$") as caught, answered("look"):
        raise refusal(403, "Forbidden", "no more\npods")
    assert (caught.value.code, caught.value.reason, caught.value.status) == (403, "Forbidden", 3)


@pytest.mark.parametrize("body", [None, "", "no JSON", "[1]", "null"])
def test_a_refusal_without_a_status_has_its_code(body: str | None) -> None:
    error = ApiException(status=502, reason="Bad Gateway")
    error.body = body
    with pytest.raises(Refused, match="502 Bad Gateway") as caught, answered("look"):
        raise error
    assert (caught.value.code, caught.value.reason) == (502, "")


def test_what_is_not_there_is_none_and_may_be_removed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(monkeypatch, refusal(404, "NotFound", 'pods "a" gone'))
    assert objects.read(client, "Pod", "a", "shop") is None
    objects.delete_at_once(client, "Pod", "a")
    with pytest.raises(UsageError, match="no pod 'a' in namespace shop of context stand-in"):
        read_pod(client, "a")


def test_a_denial_that_says_not_found_stays_a_denial(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(monkeypatch, refusal(403, "Forbidden", NO_ROLE))
    with pytest.raises(NotAble, match="forbidden"):
        read_pod(client, "a")
    with pytest.raises(NotAble, match="forbidden"):
        objects.delete_at_once(client, "Pod", "a")


def test_a_pod_that_was_made_by_a_lost_call_is_no_error(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(monkeypatch, refusal(409, "AlreadyExists", 'pods "a" already exists'))
    Pods(client, "0badf00d").create("a", PodSpec(image="x"))


def test_a_conflict_over_a_quota_is_an_error(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(monkeypatch, refusal(409, "Conflict", 'the quota "few" already exists in a newer version'))
    with pytest.raises(Refused, match="cannot make pod a"):
        Pods(client, "0badf00d").create("a", PodSpec(image="x"))


def pod(name: str, phase: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "labels": {"app": "web"}}
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "app"}, {"name": "side"}]},
        "status": {"phase": phase, **more},
    }


def test_running_pods_are_found_by_name_workload_and_label(tmp_path: Path) -> None:
    waiting = {"name": "app", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    workload = {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
    }
    made = [pod("b", "Running"), pod("a", "Running"), pod("done", "Succeeded"), workload]
    made.append(pod("stuck", "Pending", containerStatuses=[waiting]))
    with client_of(made, tmp_path) as client:
        for reference in ("deploy/web", "app=web", "-l app=web"):
            chosen = find_containers(client, reference, None)
            assert [(chosen_pod["metadata"]["name"], container) for chosen_pod, container in chosen] == [
                ("a", "app"),
                ("b", "app"),
            ]
        assert find_containers(client, "pod/b", "side")[0][1] == "side"
        for reference, container, error, says in [
            ("pod/none", None, UsageError, "no pod 'none' in namespace shop"),
            ("deploy/none", None, UsageError, "no deploy/none in namespace shop"),
            ("app=other", None, UsageError, "no running pod matches in namespace shop$"),
            ("sets/web", None, UsageError, "expected pod/NAME, deploy/NAME or a label selector"),
            ("pod/b", "c", UsageError, "pod b has no container 'c': there are app, side"),
            ("pod/done", None, NotAble, "pod done has completed .phase Succeeded.: choose one that runs"),
            ("pod/stuck", None, NotAble, "pod stuck does not run .phase Pending; ErrImagePull: no such image."),
        ]:
            with pytest.raises(error, match=says):
                find_containers(client, reference, container)
