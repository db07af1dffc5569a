"""``python -m tests.explain.record RUN...``: write what signs are read from, of these runs, to ``recorded.json``.

The name of a run's folder is that of its fault. The fault itself is in no part of what is recorded. A file
``arms-FAULT.json`` beside the runs holds rows of raw queries.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

from dnslab.analyse.dataset import open_run
from dnslab.analyse.observed import Numbers, observe
from dnslab.analyse.summary import summarise
from dnslab.explain.answers import leading_baseline

RECORDED = Path(__file__).parent / "recorded.json"
#: counters that some sign is read from, as patterns
_USED = re.compile(
    r"client[.](Udp[.](InCsumErrors|NoPorts|RcvbufErrors)|cpu[.](throttled_)?periods|Tcp[.](ActiveOpens|RetransSegs))"
    r"|server-.[.]Udp[.](RcvbufErrors|InDatagrams)|node[.]conntrack[.](insert_failed|drop|early_drop|count)"
    r"|node[.](udp[.]53[.]drops.*|Udp[.]RcvbufErrors)"
)
_USED_OF = {
    "baseline": _USED,
    "use-vc": re.compile("client[.]Tcp[.]RetransSegs"),
    "node-local": re.compile("node[.](udp[.]53[.]drops.*|Udp[.]RcvbufErrors)"),
}
_NONE = re.compile("$")


def recorded(path: Path) -> dict[str, Any]:
    """The numbers of a run, without what no sign is read from."""
    run = open_run(path)
    summary = summarise(run)
    baseline = leading_baseline(summary)
    assert baseline
    data = observe(run, summary, baseline).to_dict()
    data["unread"] = {key: why for key, why in data["unread"].items() if _USED.fullmatch(key)}
    data["numbers"] = {variant: _short(numbers) for variant, numbers in data["numbers"].items()}
    rounded: dict[str, Any] = json.loads(json.dumps(data), parse_float=lambda text: float(f"{float(text):.4g}"))
    return rounded


def _short(numbers: dict[str, Any]) -> dict[str, Any]:
    """What signs are read from: of other variants than baseline, only single counters, and no times and names."""
    variant = numbers["variant"]
    used = _USED_OF.get(variant, _NONE)
    numbers["rises"] = {key: n for key, n in numbers["rises"].items() if used.fullmatch(key)}
    if variant != "baseline":
        numbers = {name: value for name, value in numbers.items() if name not in ("names", "bad", "held_when")}
    usual = {field.name: field.default for field in dataclasses.fields(Numbers)}
    return {name: value for name, value in numbers.items() if value != usual[name] and value != {}}


def main() -> None:
    """Record the runs that are named."""
    found = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    for name in sys.argv[1:]:
        path = Path(name)
        arms = path.with_name(f"arms-{path.name}.json")
        found[path.name] = {
            "observed": recorded(path),
            "arms": json.loads(arms.read_text()) if arms.exists() else None,
        }
    lines = [f"{json.dumps(name)}: {json.dumps(one, separators=(',', ':'))}" for name, one in sorted(found.items())]
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
