"""A stand-in for an API server that only reads: it serves the objects that it is given, as a cluster in a test.

What runs in pods, or changes anything, is tested on a real one (tests/cluster).
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import yaml

#: a Status, as the API server gives it
Answer = tuple[int, Mapping[str, Any]]


def plural(kind: str) -> str:
    """``"networkpolicies"`` of ``"NetworkPolicy"``: what stands in the path."""
    lower = kind.lower()
    return f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}s"


def selected(item: Mapping[str, Any], selector: str) -> bool:
    """Whether an object has the labels ``a=b,c in (d, e)`` asks for; other forms of selectors are not known here."""
    labels = item["metadata"].get("labels") or {}
    for part in selector.replace(", ", " ").split(",") if selector else ():
        key, is_set, values = part.partition(" in ")
        wanted = values.strip("()").split() if is_set else [part.partition("=")[2]]
        if labels.get(key.strip() if is_set else part.partition("=")[0]) not in wanted:
            return False
    return True


def status(code: int, reason: str, message: str) -> Answer:
    return code, {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message}


class Objects:
    """What the cluster holds."""

    def __init__(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self._objects = objects

    def get(self, path: str, selector: str) -> Answer:
        """One object, or a list of them."""
        words = [word for word in path.split("/") if word]
        if words == ["version"]:
            empty = ("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform")
            return 200, {"major": "1", "minor": "33", "gitVersion": "v1.33.1", **dict.fromkeys(empty, "")}
        words = words[2:] if words[:1] == ["api"] else words[3:]
        namespace = words[1] if words[:1] == ["namespaces"] and len(words) > 2 else None
        resource, *name = words[2:] if namespace else words
        items = [
            item
            for item in self._objects
            if plural(item["kind"]) == resource and namespace in (None, item["metadata"].get("namespace"))
        ]
        if len(name) > 1:
            return status(503, "ServiceUnavailable", "this stand-in has no proxy")
        if name:
            matching = [item for item in items if item["metadata"]["name"] == name[0]]
            return (200, matching[0]) if matching else status(404, "NotFound", f'{resource} "{name[0]}" not found')
        return 200, {
            "kind": "List",
            "apiVersion": "v1",
            "metadata": {},
            "items": [item for item in items if selected(item, selector)],
        }

    def review(self, path: str) -> Answer:
        """Whoever asks may do all."""
        if path.endswith("selfsubjectaccessreviews"):
            return 201, {"kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": True}}
        return status(403, "Forbidden", "this stand-in only reads")


class _Handler(BaseHTTPRequestHandler):
    objects: Objects

    def log_message(self, format: str, *args: Any) -> None: ...

    def _answer(self, answer: Answer) -> None:
        body = json.dumps(answer[1]).encode()
        self.send_response(answer[0])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        url = urlparse(self.path)
        self._answer(self.objects.get(url.path, parse_qs(url.query).get("labelSelector", [""])[0]))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(self.objects.review(urlparse(self.path).path))


@contextlib.contextmanager
def serving(objects: Sequence[Mapping[str, Any]], folder: Path, context: str = "stand-in") -> Iterator[Path]:
    """The path of a kubeconfig in ``folder`` for a cluster of these objects, whose namespace is ``shop``."""
    handler = type("Handler", (_Handler,), {"objects": Objects(objects)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": context,
                    "contexts": [{"name": context, "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                    "users": [{"name": "u", "user": {}}],
                }
            )
        )
        yield kubeconfig
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def client_of(objects: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[Any]:
    """dnslab's client for a cluster of these objects: the official one reads $KUBECONFIG once, when it is imported."""
    import kubernetes

    from dnslab.measure.kubernetes.api.client import Client

    with serving(objects, folder) as kubeconfig:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        yield Client("stand-in", "shop", configuration.host, configuration)
