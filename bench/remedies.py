"""Whether the remedies of causes remove them: ``python -m bench.remedies > docs/remedies.md``.

Each cause is made in a lab by its fault. A first run finds what lookups suffer. A second one measures the remedy that
the catalogue names first beside the old configuration, in the same minutes, and the rule of ``dnslab verify`` says the
answer. What a busy machine made void is measured once more, alone. In a lab the remedy is a configuration of the
client, not a patch of a workload: that is done by tests/measure/kubernetes/test_story.py.
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import bench.held_out  # noqa: F401 - adds its faults
from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import Row
from dnslab.errors import DnslabError, RunInvalid
from dnslab.experiment.verify import LEAST_ROUNDS, suffered_in
from dnslab.explain.catalogue import CAUSES
from dnslab.explain.mending import MENDS
from dnslab.explain.soundness import Examined, examine
from dnslab.explain.validity import voids
from dnslab.explain.verification import Side, Word, compared
from dnslab.measure import runner
from dnslab.plan.model import Load, Plan

NAMES = tuple(f"q{i}.any.cluster.local." for i in range(20))
#: labs at a time: each takes a part of a core
AT_ONCE = 2


@dataclass(frozen=True)
class Case:
    """A cause of the catalogue, the fault that makes it, the names that are asked for, and how often."""

    cause: str
    fault: str
    names: tuple[str, ...] = NAMES
    rate_per_s: float = 60.0

    @property
    def remedy(self) -> str:
        """The configuration that the catalogue names first."""
        return MENDS[self.cause].variants[0]


CASES = (
    Case("conntrack-race", "race:p=0.2"),
    Case("late-answer-clash", "clash-late:p=0.2", rate_per_s=20),
    Case("packet-loss", "loss:p=0.02"),
    Case("conntrack-table-full", "table-full:flows=40"),
    Case("slow-aaaa", "slow-aaaa:ms=200"),
    Case("aaaa-errors", "aaaa-rcode"),
    Case("aaaa-dropped", "aaaa-filter", rate_per_s=4),
    # Four names are tried, each of which takes 15 ms.
    Case("search-list", "slow-answer:ms=15", ("web.any.cluster.local",)),
)
#: what depends on the CPU that is left, or takes much of it, is measured when nothing else is
ALONE = (
    # 50 us: two queries of one client are 20 to 50 us apart.
    Case("burst-policer", "burst-cap:p=0.2,rate=20000"),
    Case("long-rule-set", "rule-length:rules=1300000", rate_per_s=8),
)


def measured(case: Case, variants: tuple[str, ...], folder: Path, limit_ms: float = 4_900.0) -> Examined:
    """A run under the fault, without what cannot be relied on."""
    plan = Plan.of(
        {
            "fault": case.fault,
            "variants": variants,
            "targets": [{"name": "glibc"}],
            "names": case.names,
            "rounds": LEAST_ROUNDS,
            "loads": [Load(rate_per_s=case.rate_per_s, duration_s=6).model_dump()],
            "limit_ms": limit_ms,
            "limits": {"abort_margin": 1.0},
        }
    )
    sound = examine(open_run(runner.run(plan, folder)))
    for void in voids(sound.vetoes):
        raise RunInvalid(f"void: {void.reason}")
    return sound


def rows_of(sound: Examined, variant: str) -> list[Row]:
    return [row for row in sound.summary.measured() if row.variant == variant]


def tried(case: Case) -> tuple[str, str]:
    """What ``verify`` says of the remedy, ``"void"`` or ``"not found"``, and why; told on stderr at once."""
    word: str
    try:
        word, sentence = _tried(case)
    except RunInvalid as error:
        word, sentence = "void", str(error)
    except DnslabError as error:
        word, sentence = "not found", str(error)
    print(f"{case.cause}: {sentence}", file=sys.stderr, flush=True)
    return word, sentence


def tried_all() -> dict[Case, tuple[str, str]]:
    """All cases. What was void beside others, as the machine was too busy, is measured once more alone."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found: dict[Case, tuple[str, str]] = dict(zip(CASES, pool.map(tried, CASES), strict=True))
    again = [case for case, (word, _) in found.items() if word == "void"]
    return found | {case: tried(case) for case in (*again, *ALONE)}


def _tried(case: Case) -> tuple[Word, str]:
    with tempfile.TemporaryDirectory() as folder:
        before = measured(case, ("baseline",), Path(folder) / "before")
        suffered = suffered_in(before, rows_of(before, "baseline"))
        now = measured(case, ("baseline", case.remedy), Path(folder) / "now", suffered.limit_ms)
        remedied, old = (
            Side.of(rows_of(now, variant), suffered.earlier.trouble) for variant in (case.remedy, "baseline")
        )
        return compared(remedied, old, suffered)


def main() -> None:
    """Try all, and print the page."""
    found = tried_all()
    gone = sum(word == "gone" for word, _ in found.values())
    print("# Do the remedies remove the causes?\n")
    print(str(__doc__).split("\n\n")[1].strip().replace("\n", " ").replace("``", "`") + "\n")
    print(f"The answer is “gone” for {gone} of {len(found)}. `python -m bench.remedies` made this page.\n")
    print("| cause | fault | remedy | answer of the rule |\n| --- | --- | --- | --- |")
    for case, (_, sentence) in found.items():
        said = sentence.replace("with the workload as it is now", "with the remedy").replace("its old", "the old")
        print(f"| {CAUSES[case.cause].text.title} | `{case.fault}` | `{case.remedy}` | {said} |")
    sys.exit(gone < len(found))


if __name__ == "__main__":
    main()
