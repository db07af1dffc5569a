"""What a sentinel saw while it waited for trouble. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnslab.plan.sentinel import FALSE_ALARMS
from dnslab.sentences import ladder as said
from dnslab.text import counted, duration, rounded

if TYPE_CHECKING:
    import pandas as pd

_KINDS = {"failed": said.FAILED, "late": said.CAME_LATE}


@dataclass(frozen=True)
class Waited:
    """A wait of ``seconds``, of which ``wait_s`` was the longest that was asked for.

    ``n`` queries were sent from ``n_targets``, of which ``lost`` were not answered within 1 s, ``errors`` got an error
    code, and ``late`` an answer after 150 ms or more. Where the sentinel fired, ``n_bad`` queries of ``target`` were
    bad within ``window_s``, and ``kind`` says how: ``failed`` or ``late``. ``problem`` says why a wait was not whole.
    """

    seconds: float
    wait_s: float
    n: int
    lost: int
    errors: int
    late: int
    n_targets: int
    problem: str = ""
    target: str = ""
    kind: str = ""
    n_bad: int = 0
    window_s: float = 0.0

    @classmethod
    def of(cls, arms: pd.DataFrame, wait_s: float, seconds: float, problem: str = "") -> Waited:
        """Of the sentinel's queries (``analyse.arms.arm_frame``)."""
        n, lost, errors, late = (int(arms[column].sum()) for column in ("n", "lost", "errors", "late"))
        return cls(seconds, wait_s, n, lost, errors, late, int(arms["target"].nunique()), problem)

    @property
    def fired(self) -> bool:
        """Whether something bad was seen."""
        return bool(self.target)

    @property
    def line(self) -> str:
        """When it fired, and for what."""
        return said.FIRED(
            time=duration(self.seconds),
            queries=counted(self.n_bad, "query", "queries"),
            target=self.target,
            window=duration(self.window_s),
            bad=str(_KINDS.get(self.kind, said.FAILED)),
            share=f"{rounded(100 * FALSE_ALARMS, 1)} %",
        )
