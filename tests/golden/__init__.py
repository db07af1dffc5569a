"""Kept runs and what dnslab says of them, byte for byte: lab, local, cluster and void, and data of other tools.

The runs were measured once and stay as they are. `python -m tests.golden` writes what dnslab says of them now: look at
the difference before it is committed.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from click.testing import CliRunner

import dnslab
from dnslab.cli import cli
from dnslab.style import STYLE

HERE = Path(__file__).parent
RUNS, EXPECTED = HERE / "runs", HERE / "expected"
MEASURED = ("lab", "local", "cluster", "void")

PICTURE = re.compile(r"(?<=base64,)[A-Za-z0-9+/=]+")
#: what the C library's exp() and log() give in the last digits differs between processors
DIGITS = re.compile(r"-?\d+\.\d{10,}(?:e[-+]?\d+)?")


def everything() -> dict[str, str]:
    """Every text that dnslab makes of the kept runs, by the name of its file."""
    texts: dict[str, str] = {}
    for run in MEASURED:
        texts |= {f"{run}.{name}": text for name, text in said_of(run).items()}
    texts["lab-and-void.compare.txt"] = said("compare", "lab", "void")
    with tempfile.TemporaryDirectory() as folder:  # a run is not compared with itself
        again = shutil.copytree(RUNS / "lab", Path(folder) / "lab")
        texts["lab-and-lab.compare.md"] = said("compare", "lab", str(again), "--format", "markdown")
    columns = ("--columns", "latency_ms=service_ms,outcome=outcome,variant=variant,round=round,time_s=intended_s")
    for form in ("table", "json", "csv"):
        ending = {"table": "txt"}.get(form, form)
        texts[f"lookups.{ending}"] = said("import", "csv", *columns, "--format", form, "imported/lookups.csv")
        texts[f"counts.{ending}"] = said("import", "counts", "-l", "5000", "--format", form, "imported/counts.csv")
    return {name: rounded(text) for name, text in texts.items()}


def said_of(run: str) -> dict[str, str]:
    """What the commands, the tables and the frames of one run hold."""
    return {
        "summary.json": said("summary", run, "--format", "json"),
        "summary.csv": said("summary", run, "--format", "csv"),
        "summary.txt": said("summary", run),
        "gate.txt": said("gate", run),
        "page.html": shown(RUNS / run),
        "figures.html": drawn(RUNS / run),
        "frames.txt": hashed(RUNS / run),
    }


def said(command: str, *arguments: str) -> str:
    """What a command prints, and its exit status."""
    argv = [str(RUNS / word) if (RUNS / word).exists() else word for word in arguments]
    done = CliRunner().invoke(cli, [command, *argv], standalone_mode=False)
    if done.exception:
        return f"{done.output}{type(done.exception).__name__}: {done.exception}\n"
    return f"{done.output}status {done.return_value or 0}\n".replace(f"{RUNS}/", "")


def shown(path: Path) -> str:
    """The page but its style and its plots."""
    run = dnslab.open_run(path)
    return re.sub(r'<style>.*?</style>|<svg class="plot".*?</svg>', "", dnslab.page(run), flags=re.S)


def drawn(path: Path) -> str:
    """The words and numbers of each figure, without its picture."""
    run = dnslab.open_run(path)
    summary = dnslab.summarise(run)
    figures: list[Any] = [
        dnslab.ecdf(dnslab.sketches(run), summary),
        dnslab.stalls_over_time(dnslab.stalls_per_second(run), summary),
        dnslab.follow(run),
        dnslab.headlines([run, run]),
        dnslab.sweep(summary),
        dnslab.side_by_side([run, run]),
    ]
    return "".join(f"{PICTURE.sub('', figure._repr_html_())}\n" for figure in figures).replace(STYLE, "")


def hashed(path: Path) -> str:
    """Name, shape and hash of each frame."""
    run = dnslab.open_run(path)
    summary = dnslab.summarise(run)
    frames: dict[str, Callable[[], pd.DataFrame]] = {
        "lookups": run.lookups,
        "trials": run.trials,
        "sketches": lambda: dnslab.sketches(run),
        "stalls_per_second": lambda: dnslab.stalls_per_second(run),
        "run_slices": lambda: dnslab.run_slices(run),
        "costs": lambda: dnslab.costs(run, summary),
        "by_target": summary.by_target,
    }
    return "".join(f"{name} {_hash(frame())}\n" for name, frame in frames.items())


def _hash(frame: pd.DataFrame) -> str:
    text = frame.to_csv(index=False, float_format="%.10g")
    return f"{frame.shape} {hashlib.sha256(text.encode()).hexdigest()}"


def rounded(text: str) -> str:
    return DIGITS.sub(lambda match: f"{float(match[0]):.12g}", text)
