"""All signs of a run: each is seen, not seen, unclear or not measured.

A sign that could not be read is "not measured" with the reason, never "no". Knows no cause, and no fault that was
injected. Signs are read in ``loss_signs``, ``delay_signs``, ``counter_signs`` and, of raw queries, ``arm_signs`` and
``flow_signs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dnslab.analyse.observed import Numbers, Observed
from dnslab.explain import arm_signs, counter_signs, delay_signs, loss_signs
from dnslab.explain.loss_signs import Reader, missing
from dnslab.explain.sign import Sign, State

if TYPE_CHECKING:
    import pandas as pd

READERS: Mapping[str, Reader] = {**loss_signs.READERS, **delay_signs.READERS, **counter_signs.READERS}
NAMES: tuple[str, ...] = (*READERS, *arm_signs.NAMES)
#: signs that need no lookup through the C library
WITHOUT_LOOKUPS = frozenset({"kernel-resolves"})
#: what kernels count beside raw queries as beside lookups
BESIDE_ARMS = (
    "bad-checksums",
    "checksums-explain",
    "client-buffer",
    "server-buffer",
    "cache-buffer",
    "insert-failed",
    "table-full",
    "throttled",
)
#: signs of delays, by what shows the same of raw queries
_BETTER = {
    "delay-short": "raw-short",
    "delays-together": "raw-late-together",
    "delay-constant": "raw-late-constant",
}
_LOST_OVER_UDP = tuple(f"raw-{arm}-lost" for arm in ("a", "aaaa", "pair", "two-sockets"))
_LATE_OVER_UDP = tuple(f"raw-{arm}-late" for arm in ("a", "aaaa", "pair", "two-sockets", "standing"))
#: signs that describe a trouble more closely, or what it happens on: by themselves they are none
DESCRIBING = frozenset(
    {
        *("at-step", "half-lost", "sequential-half-lost", "stalls-again", "always", "always-only-a", "window"),
        *(
            "from-start",
            "one-name",
            "one-target",
            "delay-short",
            "delay-second",
            "delay-constant",
            "delays-together",
            "delay-of-aaaa",
        ),
        *("fails-fast", "only-a", "only-aaaa"),
        *(
            "delay-twice",
            "kernel-resolves",
            "sent-late",
            "wrong-address",
            "checksums-explain",
            "wrong-address-explains",
        ),
        *(
            "raw-a-always",
            "raw-tcp-always",
            "raw-errors-grow",
            "raw-flows-slow",
            "raw-held-up",
            "raw-some-held",
            "raw-short",
            "raw-late-together",
            "raw-late-constant",
            "raw-tcp-resent",
            "raw-tcp-short",
            "raw-all-late",
            "raw-aaaa-alone-late",
            "raw-kept-spared",
            "raw-pair-first",
            "raw-window",
            "raw-from-start",
            "raw-lost-grows",
            "raw-refused-quick",
        ),
    }
)


def read(observed: Observed | None, arms: pd.DataFrame | None = None) -> dict[str, Sign]:
    """All signs, by name.

    Parameters
    ----------
    observed
        The numbers of a run; None where nothing is known. One without ``numbers`` tells the kernel alone.
    arms
        Raw queries, a row for each ``arm``, ``place`` and ``round``, with ``n`` and the counts ``lost``, ``late``,
        ``errors``, ``truncated`` and ``late_sent``; None where none were sent.
    """
    asked = observed.asked if observed else None
    found = {}
    for name, reader in READERS.items():
        if observed and name in WITHOUT_LOOKUPS:
            state, claim = reader(observed, asked or Numbers(variant=observed.subject, n=0))
        elif observed is None or asked is None or not asked.n:
            state, claim = missing(observed.subject if observed else "baseline")
        else:
            state, claim = reader(observed, asked)
        found[name] = Sign(name, state, claim)
    found.update(_counted(found, arm_signs.counted_beside(arms)))
    raw = arm_signs.read(arms)
    singles_lost = raw["raw-a-lost"].yes or raw["raw-aaaa-lost"].yes
    if asked and arms is not None and found["stalls"].no and singles_lost and arm_signs.so_few_by_chance(asked, arms):
        found["stalls"] = replace(found["stalls"], state=State.UNCLEAR)
    return {**found, **raw, **_seen_better(found, raw)}


def _counted(found: Mapping[str, Sign], numbers: Numbers | None) -> dict[str, Sign]:
    """What kernels counted beside raw queries, where lookups of the C library do not show it."""
    if numbers is None:
        return {}
    beside = {name: Sign(name, *READERS[name](Observed(), numbers)) for name in BESIDE_ARMS if not found[name].yes}
    return {name: sign for name, sign in beside.items() if sign.yes or found[name].state is State.NOT_MEASURED}


def _seen_better(found: Mapping[str, Sign], raw: Mapping[str, Sign]) -> dict[str, Sign]:
    """Signs that raw queries show better: of delays, as a busy client delays them less than processes of its C library;
    of a time in which all was lost, as only kept sockets tell whether new ones alone were; and of stalls, where no
    lookups were made."""
    better = {}
    if raw["raw-held-up"].no and found["delay-some"].yes:
        better["delay-some"] = replace(found["delay-some"], state=State.UNCLEAR)
    late = next((raw[name] for name in (*_LATE_OVER_UDP, "raw-some-held") if raw[name].yes), None)
    if late and found["delay-some"].state in (State.UNCLEAR, State.NOT_MEASURED):
        better["delay-some"] = replace(late, name="delay-some")
    if raw["raw-late-constant"].yes and found["delay-some"].state is State.UNCLEAR:
        # A busy machine makes no delays that are all as long.
        better["delay-some"] = replace(found["delay-some"], state=State.YES)
    lost = next((raw[name] for name in _LOST_OVER_UDP if raw[name].yes), None)
    if lost and found["stalls"].state is State.UNCLEAR:  # lookups that lose queries do stall
        better["stalls"] = replace(found["stalls"], state=State.YES)
    elif raw["raw-a-lost"].yes and found["stalls"].state is State.NOT_MEASURED:
        better["stalls"] = replace(raw["raw-a-lost"], name="stalls")
    if raw["raw-window"].yes:
        better["window"] = replace(raw["raw-window"], name="window")
        if not found["window"].yes or raw["raw-from-start"].state is not State.UNCLEAR:
            better["from-start"] = replace(raw["raw-from-start"], name="from-start")
    elif raw["raw-kept-spared"].yes and found["window"].state is not State.NOT_MEASURED:
        better["window"] = replace(raw["raw-kept-spared"], name="window", state=State.NO)
    for name, by in _BETTER.items():
        if raw[by].yes or raw[by].no:
            better[name] = replace(raw[by], name=name)
    if raw["raw-paused"].yes:  # whatever else delays answers
        found_late = {"delay-some": State.YES, "delays-together": State.YES, "delay-short": State.NO}
        better |= {name: replace(raw["raw-paused"], name=name, state=state) for name, state in found_late.items()}
    return better


def troubles(signs: Mapping[str, Sign]) -> list[Sign]:
    """Signs of trouble that were seen: what a cause has to explain."""
    return [sign for name, sign in signs.items() if sign.state is State.YES and name not in DESCRIBING]
