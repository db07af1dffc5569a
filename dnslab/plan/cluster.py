"""What a plan says about a cluster: in which pods to measure, and where they run. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from dnslab.errors import Problem
from dnslab.plan.fields import Address, Image, Label, Line, Nodes, Workload
from dnslab.plan.problems import Model, raise_any
from dnslab.sentences import plan_errors as said

DEFAULT_IMAGE = "debian:stable-slim"


class ClusterPlan(Model):
    """Where in a cluster to measure: in own pods (default), or in existing ones.

    ``images`` are what own pods run, ``like`` (``deploy/NAME``) takes image, placement and resources of a workload;
    ``nodes`` is ``all``, a number or a node's name, each with ``pods_per_node`` targets. ``existing`` is ``pod/NAME``,
    ``deploy/NAME`` or a label selector; ``container`` is by name. ``edit_resolv_conf`` edits an existing pod's file for
    each trial and restores it; without it variants reach glibc inside the probe alone. ``debug_image`` is that of an
    ephemeral container, through which a pod without a shell is measured. ``node_local`` is where the cluster's
    node-local cache listens, if elsewhere than usual; a run finds it by itself.
    """

    context: Line | None = None
    namespace: Label | None = None
    images: tuple[Image, ...] = ()
    like: Workload | None = None
    nodes: Nodes = "1"
    pods_per_node: Annotated[int, Field(ge=1, le=200)] = 1
    existing: Line | None = None
    container: Label | None = None
    edit_resolv_conf: bool = False
    debug_image: Image | None = None
    node_counters: bool = False
    node_local: Address | None = None

    @model_validator(mode="after")
    def _one_kind_of_target(self) -> Self:
        raise_any(self._problems())
        return self

    def _problems(self) -> Iterator[Problem]:
        if self.existing and (self.images or self.like):
            yield Problem(("existing",), said.EXISTING_HAVE_IMAGES())
        if self.like and self.images:
            yield Problem(("like",), said.LIKE_HAS_IMAGE())
        if self.container and not (self.existing or self.like):
            yield Problem(("container",), said.CONTAINER_OF())
        for key, flag in (("edit_resolv_conf", "--edit-resolv-conf"), ("debug_image", "--ephemeral-container")):
            if not self.existing and getattr(self, key):
                yield Problem((key,), said.EXISTING_ONLY(key=key, flag=flag))
