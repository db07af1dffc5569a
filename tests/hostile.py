"""Text that would do harm wherever it were taken for more than text, and runs that are full of it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from dnslab.analyse.dataset import Run, open_run
from dnslab.plan.model import CustomVariant, Load, Plan
from tests.runs import rows, write_run

#: a line of its own, a way out of quotes, a shell's command twice, a terminal's command, a reversed line, a script, a
#: formula that mathtext does not know; without a slash, so that a file can be called so
HOSTILE = (
    "\nIs it happening? No\r'\"; $(touch X) `touch X` \x1b[31m\x9b31m\x07 \u202eton"
    " <img src=x onerror=alert(1)> [red] $\\foo{$ \u200b\U000e0041"
)
#: keys of a run's files whose text is compared with, or read as a number, a libc or a configuration
_KEPT = {
    "version", "variant", "target", "name", "libc", "means", "engine", "arrangement", "loop", "status", "fault",
}  # fmt: skip


def with_hostile_text(value: Any, key: str = "") -> Any:
    """Plain data in which every text that may be anything ends in ``HOSTILE``."""
    if isinstance(value, Mapping):
        return {name: with_hostile_text(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [with_hostile_text(one, key) for one in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) and key not in _KEPT else value


def tame_run(path: Path) -> Path:
    """A run in which baseline stalls, a variant of the plan's own does not, and one trial is missing."""
    plan = Plan(
        variants=("baseline", "corp"),
        custom_variants={"corp": CustomVariant(options=("use-vc",), summary="as the network team asked for")},
        rounds=3,
        loads=(Load(duration_s=1),),
    )
    lookups: dict[tuple[Any, ...], Any] = {}
    for number in (1, 2, 3):
        lookups["baseline", "glibc", number] = rows([0.5] * 95 + [5004.0] * 5)
        lookups["corp", "glibc", number] = rows([1.0] * 100)
        lookups["baseline", "musl", number] = rows([0.4] * 97 + [2504.0] * 3)
    write_run(path, plan, lookups)
    # As its hostile twin has it: what a cache answers no race can hit.
    environment = json.loads((path / "environment.json").read_text())
    environment["backend"]["node_cache"] = {"owns_cluster_ip": True, "state": "detected"}
    (path / "environment.json").chmod(0o644)
    (path / "environment.json").write_text(json.dumps(environment))
    return path


def hostile_run(path: Path, whole: bool = True) -> Path:
    """The same run with ``HOSTILE`` in every text of its files but those that its plan has to know.

    Without ``whole`` its last trial failed, so that its error stands where a conclusion would.
    """
    tame_run(path)
    for file in path.rglob("*.json"):
        data = with_hostile_text(json.loads(file.read_text()))
        if file.name == "environment.json":
            data["backend"] |= {"unbound": HOSTILE, "fault_summary": HOSTILE, "node_cache": {"evidence": [HOSTILE]}}
            data["backend"]["node_cache"] |= {"owns_cluster_ip": True, "state": "detected"}
            data |= {"cpu": HOSTILE, "started": HOSTILE, "dnslab": HOSTILE}
        file.write_text(json.dumps(data))
    if not whole:
        last = sorted(path.glob("trials/*/*.end.json"))[-1]
        last.write_text(json.dumps(json.loads(last.read_text()) | {"status": "failed", "error": HOSTILE}))
    return path


def opened_with_hostile_names(path: Path) -> Run:
    """A run of which even what its plan has to know is hostile: it gets past all that looks at files and plans."""
    run = open_run(tame_run(path))
    old, new = "corp", f"=corp{HOSTILE}"
    plan = run.plan
    custom = {new: plan.custom_variants[old]}
    run.plan = plan.model_copy(update={"variants": ("baseline", new), "custom_variants": custom})
    run.targets = [replace(target, name=f"-{target.name}{HOSTILE}") for target in run.targets]
    run._clients = [
        replace(
            client,
            target=f"-{client.target}{HOSTILE}",
            start=client.start.model_copy(
                update={
                    "target": f"-{client.target}{HOSTILE}",
                    "variant": new if client.start.variant == old else client.start.variant,
                }
            ),
        )
        for client in run.clients()
    ]
    return run


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def acting(page: str) -> list[tuple[str, dict[str, str | None]]]:
    """Elements of a page that would run something, or ask for something from elsewhere."""
    parser = _Elements()
    parser.feed(page)
    return [
        (tag, attributes)
        for tag, attributes in parser.found
        if tag in ("script", "iframe", "object", "embed", "link", "form")
        or any(name.startswith("on") for name in attributes)
        or not (attributes.get("src") or "data:").startswith("data:")
        or not (attributes.get("href") or "#").startswith("#")
    ]


def unseen(text: str) -> set[str]:
    """Characters of ``text``, but for line ends, that a reader does not see or that command a terminal."""
    return {one for one in text if one != "\n" and unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
