"""Whether a node takes a pod of dnslab: by its machine and state, and by the placement that a pod has.

Pure. Placement is judged as the scheduler does (Kubernetes documentation, "Assigning Pods to Nodes", "Taints and
Tolerations"), preferences aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dnslab.measure.kubernetes.api.names import MACHINES


def why_unfit(node: Mapping[str, Any], placement: Mapping[str, Any] | None = None) -> str:
    """Why no pod with ``placement`` (parts of a pod's spec) would run on a node; ``""`` if one would."""
    return _not_ready(node) or _not_placed(node, placement or {})


def _not_ready(node: Mapping[str, Any]) -> str:
    info, spec = node["status"]["nodeInfo"], node.get("spec") or {}
    if info["operatingSystem"] != "linux" or info["architecture"] not in MACHINES:
        probes = " and ".join(f"linux/{architecture}" for architecture in MACHINES)
        return f"it is {info['operatingSystem']}/{info['architecture']}, there are probes for {probes}"
    if spec.get("unschedulable"):
        return "it is cordoned"
    conditions = {condition["type"]: condition for condition in node["status"].get("conditions") or []}
    ready = conditions.get("Ready")
    if ready is None:
        return "it is not ready"
    return "" if ready["status"] == "True" else f"it is not ready ({ready.get('reason')}: {ready.get('message')})"


def _not_placed(node: Mapping[str, Any], placement: Mapping[str, Any]) -> str:
    for taint in (node.get("spec") or {}).get("taints") or []:
        if taint["effect"] in ("NoSchedule", "NoExecute") and not _tolerated(taint, placement.get("tolerations") or ()):
            return f"it has the taint {taint['key']}:{taint['effect']}"
    labels = node["metadata"].get("labels") or {}
    for key, value in (placement.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return f"it has not the label {key}={value} that the workload asks for"
    if not _has_affinity(node["metadata"]["name"], labels, placement.get("affinity") or {}):
        return "it is not one that the workload's node affinity asks for"
    return ""


def _tolerated(taint: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    for toleration in tolerations:
        same_key = toleration.get("key") in (None, "", taint["key"])
        any_value = toleration.get("operator") == "Exists"
        same_value = any_value or (toleration.get("value") or "") == (taint.get("value") or "")
        if same_key and same_value and toleration.get("effect") in (None, "", taint["effect"]):
            return bool(toleration.get("key")) or any_value
    return False


def _has_affinity(name: str, labels: Mapping[str, str], affinity: Mapping[str, Any]) -> bool:
    required = (affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms")
    if not terms:
        return True
    return any(
        all(_matches(labels, expression) for expression in term.get("matchExpressions") or ())
        and all(_matches({"metadata.name": name}, expression) for expression in term.get("matchFields") or ())
        for term in terms
        if term.get("matchExpressions") or term.get("matchFields")  # an empty term matches no node
    )


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector (``matchLabels``, ``matchExpressions``) selects an object with ``labels``."""
    exact = (selector.get("matchLabels") or {}).items() <= labels.items()
    return exact and all(_matches(labels, expression) for expression in selector.get("matchExpressions") or ())


def _matches(labels: Mapping[str, str], expression: Mapping[str, Any]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or [""]
    numbers = [int(text) for text in (value or "", values[0]) if re.fullmatch(r"-?[0-9]{1,18}", text)]
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
        "Gt": len(numbers) == 2 and numbers[0] > numbers[1],
        "Lt": len(numbers) == 2 and numbers[0] < numbers[1],
    }.get(expression["operator"], False)
