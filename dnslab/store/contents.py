"""What the files of a run hold: a model for each file, which checks what is read back.

Keys of a start.json or end.json that the model does not have are not read. An environment.json keeps them. Knows
nothing of folders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from dnslab.errors import RunInvalid
from dnslab.files import JSON_CONTAINERS, JSON_VALUES
from dnslab.plan.model import MAX_NAMES, MAX_TARGETS
from dnslab.plan.problems import in_words
from dnslab.sentences import files as sentences

RUN_VERSION = 1
MAX_COUNTERS = 100_000

Count = Annotated[int, Field(ge=0, le=2**64)]
Addresses = Annotated[int, Field(ge=0, le=2**16)]
Expected = Annotated[list[Addresses], Field(min_length=2, max_length=2)]
Milliseconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
#: nanoseconds since the run began: a hundred years at most
Elapsed = Annotated[int, Field(ge=0, lt=2**62)]


def _numbers(counters: dict[str, Any]) -> dict[str, Any]:
    """Raise ValueError at the first value that is no number or out of range; a list of all could be long."""
    for name, number in counters.items():
        if type(number) not in (int, float) or not -(2**64) <= number <= 2**64:
            raise ValueError(f"{name[:60]!r} should be a number within 2^64, saw {_short(number)}")
    return counters


Counters = Annotated[dict[str, Any], Field(max_length=MAX_COUNTERS), AfterValidator(_numbers)]
#: witnesses that could not be read, by name, and why; the name of a place alone stands for all of it
Missing = Annotated[dict[str, Annotated[str, Field(max_length=1_000)]], Field(max_length=MAX_COUNTERS)]


class _Closed(BaseModel):
    """Keys that the model does not have are left out."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


def _given(value: object) -> object:
    """Read null like a key that is left out."""
    return {} if value is None else value


OrNull = BeforeValidator(_given)


class _Open(BaseModel):
    """Keys that the model does not have are kept, and only shown."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class ClientExtra(_Open):
    """What only some backends know of a client: its image's digest, a debug container, its place, its probe."""

    image: str | None = None
    debug_image: str | None = None
    debug_image_id: str | None = None
    address: str = ""
    zone: str | None = None
    coredns_on_node: bool | None = None
    fresh: bool | None = None
    probe: str = ""


class ClientStart(_Closed):
    """start.json: one client before its load, as ``measure.trial.describe`` gives it, and its counters."""

    trial: Annotated[int, Field(ge=1)]
    round: Annotated[int, Field(ge=1, le=1_000)]
    group: Annotated[int, Field(ge=1, le=2**31)]
    variant: str
    load: Annotated[int, Field(ge=0, le=2**15)]
    target: str
    engine: Literal["libc", "wire"]
    arrangement: Literal["single", "pair-one-socket", "pair-two-sockets"] = "single"
    libc: str
    libc_version: str
    means: str = "file"
    resolv_conf: str
    kernel: str = ""
    node: str | None = None
    extra: Annotated[ClientExtra, OrNull] = ClientExtra()
    names: Annotated[list[str], Field(max_length=MAX_NAMES, fail_fast=True)]
    expected: Annotated[list[Expected], Field(max_length=MAX_NAMES, fail_fast=True)]
    asks_aaaa: bool
    n_candidates: Annotated[int, Field(ge=1, le=1_000)] = 1
    #: of these, those that are asked for until one is found
    n_asked: Annotated[int, Field(ge=1, le=1_000)] | None = None
    attempt_timeout_s: Seconds | None = None
    stall_ms: Milliseconds
    deadline_s: Seconds
    started_realtime_ns: Annotated[int, Field(ge=0, lt=2**63)]
    started_elapsed_ns: Elapsed | None = None
    counters: Counters
    missing: Annotated[Missing, OrNull] = {}

    @property
    def entries_per_name(self) -> int:
        """How many entries of the probe's list a name has: two where A and AAAA are queries of their own."""
        return 1 if self.arrangement == "single" else 2

    @model_validator(mode="after")
    def _one_expectation_a_name(self) -> Self:
        if len(self.names) != len(self.expected):
            raise ValueError(f"{len(self.names):,} names and {len(self.expected):,} in expected do not fit")
        return self


class Clock(_Closed):
    """Offset of the probe's clock from ours, and its largest error."""

    offset_ns: Annotated[int, Field(ge=-(2**64), le=2**64)] = 0
    error_ns: Count = 0


class Trailer(_Closed):
    """The probe's own totals."""

    n_records: Count = 0
    n_abandoned: Count = 0
    n_replaced: Count | None = None
    blocked_ns: Count = 0


class ClientEnd(_Closed):
    """end.json: how the trial ended for one client, and its counters then."""

    status: str
    error: str | None = None
    trailer: Annotated[Trailer, OrNull] = Trailer()
    clock: Annotated[Clock, OrNull] = Clock()
    counters: Annotated[Counters, OrNull] = {}
    missing: Annotated[Missing, OrNull] = {}
    exposed_counted: Count | None = None
    #: the instant from which the times of its lookups count
    began_realtime_ns: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    finished_realtime_ns: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    finished_elapsed_ns: Elapsed | None = None


class Target(BaseModel):
    """A target of the run, with the fields of ``plan.schedule.TargetInfo``."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    name: Annotated[str, Field(min_length=1, max_length=255)]
    libc: str
    libc_version: str = ""
    means: Literal["file", "_res"] = "file"
    workload: Annotated[str, Field(max_length=255)] = ""
    no_cache: Annotated[str, Field(max_length=1_000)] = ""


class Place(_Open):
    """Where a target of a cluster is."""

    target: str
    node: str | None = None
    image: str | None = None
    probe: str | None = None


class NodeCache(_Open):
    """What is known of a node-local cache."""

    owns_cluster_ip: bool | None = None
    evidence: Annotated[list[str], Field(strict=False)] = []
    addresses: Annotated[list[str], Field(strict=False)] | None = None
    unknown: Annotated[list[str], Field(strict=False)] | None = None


class WhoAnswers(_Open):
    """Who answered the targets' DNS when the run began, as it was measured."""

    redirected: Annotated[list[str], Field(strict=False)] = []
    elsewhere: bool | None = None
    lines: Annotated[list[str], Field(strict=False)] = []


class Node(_Open):
    """A node of the cluster."""

    kernel: object = None


class DnsPod(_Open):
    """A pod of the cluster's DNS."""

    node: str | None = None
    version: object = None
    image: object = None
    limits: object = None


class Deployment(_Open):
    """A deployment of the cluster's DNS."""

    replicas: object = None


class Dns(_Open):
    """The cluster's DNS."""

    pods: list[DnsPod] | None = None
    deployments: list[Deployment] | None = None
    corefile: object = None


class Surroundings(_Open):
    """The cluster that was measured in."""

    server_version: object = None
    kube_proxy_mode: object = None
    nodes: list[Node] | None = None
    dns: Annotated[Dns, OrNull] = Dns()


class BackendFacts(_Open):
    """How the backend describes itself. Values that are only shown may be of any type."""

    name: str = ""
    fresh_clients: bool = True
    n_ports: Annotated[int, Field(ge=0, le=2**16)] | None = None
    udp_timeout_s: Seconds | None = None
    places: list[Place] | None = None
    node_cache: Annotated[NodeCache, OrNull] = NodeCache()
    who_answers: Annotated[WhoAnswers, OrNull] = WhoAnswers()
    surroundings: Annotated[Surroundings, OrNull] = Surroundings()
    context: object = None
    server: object = None
    nameserver: object = None
    unbound: object = None
    fault_summary: object = "none"
    rootless: bool | None = None
    denied: list[str] = []
    not_copied: list[str] = []
    resolv_conf: str = ""


class Environment(_Open):
    """environment.json: what the run was measured on. Values that are only shown may be of any type."""

    dnslab: object = None
    started: object = None
    kernel: object = None
    machine: object = None
    n_cpus: object = None
    cpu: object = None
    python: object = None
    targets: Annotated[list[Target], Field(max_length=MAX_TARGETS)]
    backend: Annotated[BackendFacts, OrNull] = BackendFacts()
    fault: object = None
    health_before: object = None
    #: indexes of the plan's names whose answers before the run were not all the same
    differing: list[Annotated[int, Field(ge=0)]] = []


Model = TypeVar("Model", bound=BaseModel)
_OBJECT = TypeAdapter(dict[str, Any])


def read_object(data: bytes, path: Path) -> dict[str, Any]:
    """The content of a JSON file; RunInvalid if it is not JSON, or deeper or larger than dnslab writes it."""
    _check_size(data, path)
    try:
        return _OBJECT.validate_json(data)
    except ValidationError as error:
        raise RunInvalid(_message(error, path)) from None


def read_model(model: type[Model], data: bytes, path: Path) -> Model:
    """The content of a JSON file as ``model``; RunInvalid with file and key if a key is missing or mistyped."""
    content = read_object(data, path)  # once: each error of a text that is read as a model would hold all of it
    return _validated(model, content, path)


def _validated(model: type[Model], content: dict[str, Any], path: Path) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise RunInvalid(_message(error, path)) from None


def read_environment(data: bytes, path: Path) -> Environment:
    """The content of an environment.json; RunInvalid if it has another version, or a key is missing or mistyped."""
    content = read_object(data, path)
    version = content.get("version", RUN_VERSION)
    if version != RUN_VERSION:
        raise RunInvalid(sentences.NEWER_FORMAT(path=str(path), version=_short(version), known=f"{RUN_VERSION}"))
    return _validated(Environment, content, path)


def _check_size(data: bytes, path: Path) -> None:
    # Brackets and commas inside texts count, too: there are few of these.
    if data.count(b"[") + data.count(b"{") > JSON_CONTAINERS or data.count(b",") > JSON_VALUES:
        values, containers = f"{JSON_VALUES:,}", f"{JSON_CONTAINERS:,}"
        raise RunInvalid(sentences.TOO_MANY_VALUES(path=str(path), values=values, containers=containers))


def _message(error: ValidationError, path: Path) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return sentences.NOT_JSON(path=str(path), why=str(first["ctx"]["error"]))
    if not first["loc"] and first["type"] != "value_error":
        return sentences.NOT_AN_OBJECT(path=str(path), saw=_short(first["input"]))
    key = ".".join(str(part)[:60] for part in first["loc"])
    if first["type"] == "missing":
        return sentences.KEY_MISSING(path=str(path), key=repr(key))
    reason = str(first["ctx"]["error"]) if first["type"] == "value_error" else in_words(first)
    return f"{path}: {key}{': ' if key else ''}{reason}"


def _short(value: object) -> str:
    written = json.dumps(value, default=str) if isinstance(value, (str, int, float, bool, type(None))) else ""
    written = written or f"a {type(value).__name__}"
    return written if len(written) <= 60 else f"{written[:60]}..."
