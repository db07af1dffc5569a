"""The API server: which cluster, with which rights. Every refusal becomes one line.

The only module that configures the official client. Knows nothing of pods, variants or probes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import kubernetes
import urllib3
import yaml
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException

from dnslab.errors import NotAble, UsageError

#: to connect, and to wait for an answer: an API server that cannot be reached is named within 10 s
TIMEOUT_S = (4.0, 30.0)
#: an API server that is restarted answers again within some seconds
PERSIST_S = 20.0
PREFLIGHT_TIMEOUT_S = (4.0, 5.0)
IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Client:
    """One cluster, one namespace. ``context`` is ``"in-cluster"`` inside a pod.

    ``configuration`` is shared; API objects are not: an exec needs an ``ApiClient`` of its own, for the official
    client swaps its request method while it connects.
    """

    context: str
    namespace: str
    server: str
    configuration: Any

    def api(self) -> Any:
        """A new ``ApiClient``."""
        return kubernetes.client.ApiClient(self.configuration)

    def core(self) -> Any:
        """A new ``CoreV1Api``."""
        return kubernetes.client.CoreV1Api(self.api())

    def apps(self) -> Any:
        """A new ``AppsV1Api``."""
        return kubernetes.client.AppsV1Api(self.api())

    def described(self) -> dict[str, str]:
        """Which cluster and namespace, for environment.json."""
        return {"context": self.context, "namespace": self.namespace, "server": _without_password(self.server)}

    def __str__(self) -> str:
        return f"context {self.context}, namespace {self.namespace}, {self.server}"


def connect(context: str | None = None, namespace: str | None = None) -> Client:
    """The cluster of ``context`` (default: the kubeconfig's current one, or the pod's own), once it has answered.

    Parameters
    ----------
    context
        Of the kubeconfig ($KUBECONFIG, ~/.kube/config).
    namespace
        Default: the context's, or the pod's own; ``default`` where neither names one.

    Raises
    ------
    NotAble
        No kubeconfig, no answer within 10 s, or credentials that are refused.
    UsageError
        No such context.
    """
    configuration = kubernetes.client.Configuration()
    name, own_namespace = _load(configuration, context)
    configuration.retries = False
    server = _without_password(configuration.host)
    client = Client(name, namespace or own_namespace, server, configuration)
    with answered("reach the API server"):
        kubernetes.client.AuthorizationV1Api(client.api()).create_self_subject_access_review(
            {"spec": {"resourceAttributes": {"namespace": client.namespace, "verb": "get", "resource": "pods"}}},
            _request_timeout=PREFLIGHT_TIMEOUT_S,
        )
    return client


def _without_password(url: str) -> str:
    return re.sub("//[^/]*@", "//", url)


def _load(configuration: Any, context: str | None) -> tuple[str, str]:
    """Fill ``configuration``, and return the context's name and namespace."""
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
    if context is None and in_cluster and not Path("~/.kube/config").expanduser().exists():
        try:
            kubernetes.config.load_incluster_config(client_configuration=configuration)
        except ConfigException as error:
            raise NotAble(f"no credentials in this pod: {error}") from error
        return "in-cluster", IN_CLUSTER_NAMESPACE.read_text(encoding="ascii").strip()
    path = os.environ.get("KUBECONFIG") or "~/.kube/config"
    try:
        contexts, current = kubernetes.config.list_kube_config_contexts()
        names = [known["name"] for known in contexts]
        if context is not None and context not in names:
            raise UsageError(f"no context {context!r} in {path}: there are {', '.join(names)}")
        with _errors_logged() as errors:
            kubernetes.config.load_kube_config(context=context, client_configuration=configuration)
    except (ConfigException, OSError, ValueError, yaml.YAMLError, TypeError, KeyError) as error:
        is_kubeconfig = isinstance(error, (ConfigException, OSError))  # the others are of a file that is none at all
        problem = " ".join(str(error).split()) if is_kubeconfig else "this is not one"
        raise NotAble(f"no usable kubeconfig ({path}): {problem}; set KUBECONFIG or give --context") from error
    # The official client goes on without credentials then, and every call is refused as if rights were missing.
    if errors:
        missing = re.fullmatch(r"\[Errno 2\] No such file or directory: '(.+)'", errors[0])
        problem = f"its credential plugin {missing[1]!r} is not installed" if missing else " ".join(errors[0].split())
        raise NotAble(f"no credentials from the kubeconfig ({path}): {problem}")
    chosen = next(known for known in contexts if known["name"] == (context or current["name"]))
    return chosen["name"], chosen["context"].get("namespace") or "default"


@contextlib.contextmanager
def _errors_logged() -> Iterator[list[str]]:
    """Context in which errors that are logged are collected, and not printed."""
    messages: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    before, root.handlers = root.handlers, [handler]
    try:
        yield messages
    finally:
        root.handlers = before


class NoAnswer(NotAble):
    """The API server did not answer. A later try may succeed."""


class Refused(NotAble):
    """The API server refused. ``code`` is HTTP's (0: none came), ``reason`` its v1.Status's (``AlreadyExists``)."""

    def __init__(self, message: str, code: int, reason: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


def persistently(call: Callable[[], Answer], for_s: float = PERSIST_S) -> Answer:
    """The result of ``call``, which is repeated while the API server does not answer.

    Only for calls that may be made twice.
    """
    deadline_s = time.monotonic() + for_s
    while True:
        try:
            return call()
        except NoAnswer:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(0.5)


@contextlib.contextmanager
def answered(action: str) -> Iterator[None]:
    """Turn every failure of a call to the API server into one line that begins ``cannot <action>``.

    Raises
    ------
    Refused
        It answered with an error.
    NoAnswer
        It, or the way to it, did not answer.
    NotAble
        Its answer is not what Kubernetes defines.
    """
    try:
        yield
    except ApiException as error:
        status = _status(error)
        words = _words(error, str(status.get("message") or ""))
        raise Refused(f"cannot {action}: {words}", error.status or 0, str(status.get("reason") or "")) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise NoAnswer(f"cannot {action}: {_unreachable(error)}") from error
    except ValueError as error:  # no JSON, or (pydantic, in the official client) an object without what it must have
        problem = " ".join(str(error).split())[:200]
        raise NotAble(f"cannot {action}: the API server's answer is not what Kubernetes defines ({problem})") from error


def _status(error: ApiException) -> Mapping[str, Any]:
    """The v1.Status in a refusal's body; empty where it has none."""
    # A refused WebSocket has its body at the end of its reason.
    body = error.body or str(error.reason).rpartition(" -+-+- ")[2]
    with contextlib.suppress(ValueError, TypeError):
        status = json.loads(body)
        if isinstance(status, dict):
            return status
    return {}


def _words(error: ApiException, message: str) -> str:
    """The API server's own words for a refusal, in one line."""
    if error.status == 401:
        return f"the credentials are refused, expired perhaps ({message or 'Unauthorized'})"
    return " ".join((message or f"{error.status or ''} {error.reason}").split())


def _unreachable(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return f"no answer from the API server ({' '.join(str(reason).split())[:200]})"
