"""The JSON of a run: values of any type and none in environment.json, start.json, end.json, read as `summary` does."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dnslab.analyse import costs, sweeps, timeline
from dnslab.analyse.dataset import Run, open_run
from dnslab.analyse.summary import Summary
from dnslab.explain import closeup, gates, overview
from dnslab.explain.compare import compare
from dnslab.explain.findings import Findings, findings_of
from dnslab.explain.soundness import examine
from dnslab.plan.model import Plan
from dnslab.present import exports, page, share
from dnslab.present.terminal import print_summary
from tests.fuzz import mutate, streams
from tests.fuzz.harness import reading
from tests.runs import rows, write_run


@functools.cache
def files() -> dict[str, bytes]:
    """A small run as it was written: relative path and bytes of each file."""
    plan = Plan(variants=("baseline", "single-request"), rounds=3)
    generator = np.random.default_rng(1)
    lookups = {
        (variant, "glibc", round_): rows(
            [5_003.0 if generator.random() < 0.2 else 9 * generator.random() for _ in range(20)],
            flags=generator.integers(0, 16, 20),
        )
        for variant in plan.variants
        for round_ in range(1, plan.rounds + 1)
    }
    with tempfile.TemporaryDirectory() as scratch:
        path = write_run(Path(scratch) / "run", plan, lookups, exposed=3)
        (path / "plan.yaml").write_text("variants: [baseline, single-request]\nrounds: 3\n")  # reads quicker
        return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def _changed(rng: random.Random, data: bytes) -> bytes:
    value = json.loads(data)
    for _ in range(rng.choice((1, 1, 2))):
        value = mutate.data(rng, value)
    made = mutate.as_text(rng, value).encode("utf-8", "surrogatepass")
    return mutate.raw(rng, made) if rng.random() < 0.1 else made


def _stream(rng: random.Random) -> bytes:
    """Records that no probe writes, in a stream that is whole, or not."""
    made = streams.with_totals(streams.frames(rng))
    return streams.joined(made) if rng.random() < 0.8 else streams.damaged(rng, made)


Reader = Callable[[Run, Summary, Findings, Path], object]

#: what else is made of a run, one of them a case
READERS: tuple[Reader, ...] = (
    lambda run, summary, found, scratch: json.dumps(
        {**summary.to_dict(), "findings": found.to_dict()}, allow_nan=False
    ),
    lambda run, summary, found, scratch: summary.to_frame().to_csv(index=False),
    lambda run, summary, found, scratch: print_summary(summary, found),
    lambda run, summary, found, scratch: (run.problems, run.trials(), run._repr_html_()),
    lambda run, summary, found, scratch: len(run.lookups()),
    lambda run, summary, found, scratch: gates.decide(summary, found.vetoes, gates.DEFAULT, "baseline").to_text(80),
    lambda run, summary, found, scratch: compare(run, run).to_text(80),
    lambda run, summary, found, scratch: compare(run, run).to_markdown(),
    lambda run, summary, found, scratch: (timeline.run_slices(run), page.page(run)),
    lambda run, summary, found, scratch: costs.costs(run, summary),
    lambda run, summary, found, scratch: closeup.follow(run),
    lambda run, summary, found, scratch: (overview.headlines([run]).to_text(80), sweeps.swept(summary)),
    lambda run, summary, found, scratch: exports.export(run, scratch / "out.csv"),
    lambda run, summary, found, scratch: share.redacted(run.path, scratch / "redacted"),
)


def case(rng: random.Random, folder: Path, counts: Counter[str]) -> None:
    changed = dict(files())
    for name in _chosen(rng):
        changed[name] = _stream(rng) if name.endswith(".dnsr") else _changed(rng, changed[name])
        counts["streams changed" if name.endswith(".dnsr") else "JSON changed"] += 1
    _write(folder, changed)
    with (
        tempfile.TemporaryDirectory(dir=folder.parent) as scratch,
        contextlib.redirect_stdout(io.StringIO()),
        reading(counts, "runs"),
    ):
        run = open_run(folder)
        part = examine(run)
        found = findings_of(part)
        rng.choice(READERS)(part.run, part.summary, found, Path(scratch))
        counts["runs read"] += 1


def _chosen(rng: random.Random) -> list[str]:
    """Files to change: some of one kind, or the environment alone."""
    if rng.random() < 0.3:
        return ["environment.json"]
    ending = rng.choice((".json", ".json", ".dnsr"))
    return rng.sample([name for name in files() if name.endswith(ending)], rng.choice((1, 1, 3)))


def _write(folder: Path, changed: dict[str, bytes]) -> None:
    for name, data in changed.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
