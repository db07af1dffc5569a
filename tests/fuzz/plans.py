"""Plans: any text where a plan is expected, read, expanded, described and written again."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from dnslab.plan import planfile, schedule
from dnslab.store.folder import RunFolder
from tests.fuzz import mutate
from tests.fuzz.harness import Defect, reading

TARGETS = [schedule.TargetInfo("glibc", "glibc", "2.36"), schedule.TargetInfo("musl", "musl", "1.2.3")]

SEEDS: tuple[dict[str, Any], ...] = (
    {"version": 1, "variants": ["baseline", "use-vc"], "names": ["kubernetes.default"], "rounds": 3, "seed": 1},
    {
        "version": 1,
        "name": "demo",
        "backend": "lab",
        "fault": "race:p=0.05",
        "targets": ["glibc", {"name": "musl", "variants": ["baseline"]}],
        "variants": ["baseline", "node-local+single-request-reopen", "mine"],
        "custom_variants": {
            "mine": {"options": ["ndots:1", "edns0"], "nameservers": ["10.0.0.1"], "search": ["a.test"], "summary": "s"}
        },
        "loads": [{"loop": "poisson", "rate_per_s": 200, "duration_s": 5, "warmup_s": 0.5}, {"loop": "closed"}],
        "names": ["web.default", "example.org."],
        "rounds": 9,
        "schedule": "in-turn",
        "limit_ms": 4900.0,
        "deadline_s": 20.5,
        "limits": {"abort_margin": 0.5},
    },
    {
        "backend": "kubernetes",
        "cluster": {"images": ["debian:stable-slim"], "nodes": "all", "pods_per_node": 2, "context": "c"},
        "nameserver": "10.96.0.10",
        "loads": [{"engine": "wire", "transport": "tcp", "arrangement": "pair-two-sockets", "mode": "sticky"}],
        "limits": {"max_rate_per_s": 100, "max_workers": 10, "max_lookups": 1000, "allow_external": True},
    },
)  # fmt: skip

_ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "cp1252", "utf-7")


def text(rng: random.Random) -> bytes:
    """The bytes of a plan with something wrong: in its data, its YAML, its bytes or its encoding."""
    value = json.loads(json.dumps(rng.choice(SEEDS)))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 5))):
        value = mutate.data(rng, value)
    written = mutate.as_text(rng, value)
    if rng.random() < 0.4 and "\\ud8" not in json.dumps(value):
        written = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=rng.random() < 0.5)
        written = rng.choice((_same, _same, _doubled, _with_anchors, _with_tag))(rng, written)
    if rng.random() < 0.03:
        data = written.encode(rng.choice(_ENCODINGS), "replace")
    else:
        data = written.encode("utf-8", rng.choice(("replace", "surrogatepass")))
    return mutate.raw(rng, data) if rng.random() < 0.3 else data


def _same(rng: random.Random, written: str) -> str:
    return written


def _doubled(rng: random.Random, written: str) -> str:
    lines = written.splitlines()
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
    return "\n".join(lines)


def _with_anchors(rng: random.Random, written: str) -> str:
    """Aliases of aliases: little text, much data."""
    levels = rng.choice((2, 8, 30))
    bomb = "".join(f"x{i}: &x{i} [{f'*x{i - 1}, ' * 9 if i else '1'}]\n" for i in range(levels))
    return bomb + written + (f"names: *x{levels - 1}\n" if rng.random() < 0.5 else "")


def _with_tag(rng: random.Random, written: str) -> str:
    tag = rng.choice(
        (
            "!!python/object/apply:os.system [x]",
            "!!binary aGk=",
            "!!set {a, b}",
            "!!omap [a: 1]",
            "!x 1",
            "2026-11-28",
            "0o17",
            "!!float 1",
            "<<: {a: 1}",
            "? [a]\n: 1",
            "--- 1\n--- 2",
            "%YAML 9.9",
        )
    )
    return written + rng.choice(("names: ", "seed: ", "", "rounds: ")) + tag + "\n"


def case(rng: random.Random, folder: Path, counts: Counter[str]) -> None:
    (folder / "plan.yaml").write_bytes(text(rng))
    with reading(counts, "plans"):
        plan = RunFolder(folder).plan
        counts["plans accepted"] += 1
        described = schedule.forecast(plan, TARGETS)
        assert described.trials == tuple(schedule.trials(plan, TARGETS))
        again = plan.to_yaml()
        if planfile.load(again) != plan:
            (folder / "again.yaml").write_text(again, encoding="utf-8", errors="surrogateescape")
            raise Defect("a plan that is not read back as it was written")
        again.encode()
