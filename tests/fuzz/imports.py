"""Outputs of other tools, damaged: read, summarised and printed in each form."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

from dnslab.imports.readers import load
from dnslab.imports.summary import summarise_imported
from tests.fuzz import mutate
from tests.fuzz.harness import reading

STRESS = """\
lookup web.default: i/o timeout
request count\uff1a{n}
error count\uff1a{failed}
request time\uff1amin(1ms) max({most}ms) avg(30ms) timeout({over}n)
"""

DNSPERF = """\
DNS Performance Testing Tool
Version 2.10.0

[Status] Command line: dnsperf -v -s 127.0.0.1 -d queries -l 1
[Status] Sending queries (to 127.0.0.1:53)
> NOERROR a.test A 0.000312
> NXDOMAIN b.test AAAA 0.000401
> T c.test A
> I d.test A
[Status] Testing complete (time limit)

Statistics:

  Queries sent:         4
  Queries completed:    2 (50.00%)
  Queries lost:         1 (25.00%)
  Queries interrupted:  1 (25.00%)

  Response codes:       NOERROR 1 (50.00%), NXDOMAIN 1 (50.00%)
  Average packet size:  request 24, response 40
  Run time (s):         1.000000
  Queries per second:   2.000000

  Average Latency (s):  0.000356 (min 0.000312, max 0.000401)
  Latency StdDev (s):   0.000063
"""

CSV = "took,what,who,nr,at\n" + "".join(
    f"{1.5 * i % 40},{('ok', 'timeout', 'NXDOMAIN')[i % 3]},{('baseline', 'other')[i % 2]},{i // 6},{i}\n"
    for i in range(30)
)
COUNTS = "variant,n,over_limit,failed,min_ms,avg_ms,max_ms\n" + "".join(
    f"{variant},{1000 + i},{i},{i},1,30,5003\n" for variant in ("baseline", "use-vc") for i in (1, 2, 3)
)
COLUMNS = {"latency_ms": "took", "outcome": "what", "variant": "who", "round": "nr", "time_s": "at"}
CELLS = (
    "", "-1", "nan", "inf", "1e400", "1e-320", "9" * 400, "0x10", "1,5", '"', '"a\nb"', "=1+1", "\u202e", "\0", "1_0",
    "\u0661", "true", "None", " 1 ", "+1", "1e3", "-0", "a" * 5_000, "\x1b[31m", "\ufeff",
    "9007199254740993", "4294967296",
)  # fmt: skip


def _stress(rng: random.Random) -> str:
    return "".join(
        STRESS.format(
            n=rng.choice((1, 1_000)),
            failed=rng.choice((0, 1, 5)),
            most=rng.choice((20, 5_003)),
            over=rng.choice((0, 3)),
        )
        for _ in range(rng.choice((1, 3)))
    )


def _cells(rng: random.Random, text: str) -> str:
    """The same table with a cell or column changed."""
    table = [line.split(",") for line in text.splitlines()]
    for _ in range(rng.choice((0, 1, 1, 3))):
        row = table[rng.randrange(len(table))]
        at = rng.randrange(len(row) + 1)
        row[at : at + 1] = rng.choice(([], [rng.choice(CELLS)], [rng.choice(CELLS)], [rng.choice(CELLS)] * 2))
        row += [""] * (not row)
    return rng.choice(("\n", "\n", "\r\n", "\r")).join(rng.choice((",", ",", ",", ";"))[:1].join(row) for row in table)


def case(rng: random.Random, folder: Path, counts: Counter[str]) -> None:
    kind = rng.choice(("stress-client", "dnsperf", "csv", "csv", "counts"))
    text = {"stress-client": _stress(rng), "dnsperf": DNSPERF * rng.choice((1, 2)), "csv": CSV, "counts": COUNTS}[kind]
    if kind in ("csv", "counts"):
        text = _cells(rng, text)
    paths = []
    for number in range(rng.choice((1, 1, 2))):
        data = text.encode("utf-8")
        data = mutate.raw(rng, data) if rng.random() < 0.7 else data
        paths.append(folder / f"{number}.txt")
        paths[-1].write_bytes(data)
    chosen = {key: COLUMNS[key] for key in COLUMNS if key == "latency_ms" or rng.random() < 0.6}
    limit = rng.choice((4_900.0, 20.0, 5_000.0, 1e-9, 1e12)) if rng.random() < 0.3 else 4_900.0
    with reading(counts, "imports"):
        found = summarise_imported(
            load(
                kind,
                [(None, path) for path in paths],
                limit,
                chosen if kind == "csv" else None,
                rng.choice((None, "s", "ns")) if kind == "csv" else None,
            )
        )
        counts["imports accepted"] += 1
        found.to_text(rng.choice((None, 20, 80)))
        json.dumps(found.to_dict(), allow_nan=False)
        found.to_frame().to_csv(index=False)
        found._repr_html_()
