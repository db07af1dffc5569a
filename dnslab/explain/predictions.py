"""Mechanisms: what can be shown by experiment, and which signs each predicts.

A mechanism says how lookups suffer, a cause (``explain.catalogue``) why. Several causes may share a mechanism. Every
sign of trouble that a mechanism names neither as ``must`` nor as ``may`` speaks against it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from dnslab.explain.arm_signs import ARMS
from dnslab.sentences import mechanisms as said
from dnslab.sentences.mechanisms import MechanismText


@dataclass(frozen=True)
class Predictions:
    """Names of signs that have to be seen, that may be seen, and that cannot be seen.

    A ``must`` with ``!`` before it is a sign that has to be looked for and not seen; one of ``never`` need not be
    looked for.

    A sign of ``unlikely`` speaks against, but does not rule out. Without those of ``only_by``, all else makes it
    possible at most, and where one was looked for and not seen, it is ruled out. Those of ``decided_by`` tell it from
    what is much like it: where they were looked for and are unclear, all else makes it possible at most. Those of
    ``beside`` show it beside a second mechanism that makes all else that it needs.
    """

    must: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    unlikely: tuple[str, ...] = ()
    only_by: tuple[str, ...] = ()
    decided_by: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def __add__(self, other: Predictions) -> Predictions:
        """Both; what one of them excludes is not excused by the other."""
        never = (*self.never, *other.never)
        return Predictions(
            tuple(dict.fromkeys((*self.must, *other.must))),
            tuple(name for name in dict.fromkeys((*self.may, *other.may)) if name not in never),
            tuple(dict.fromkeys(never)),
            (*self.unlikely, *other.unlikely),
            (*self.only_by, *other.only_by),
            (*self.decided_by, *other.decided_by),
            (*self.beside, *other.beside),
        )

    @property
    def made(self) -> tuple[str, ...]:
        """Signs that it makes, or may make; of those that have to be looked for and not seen, or are excluded, none."""
        return tuple(name for name in (*self.must, *self.may) if not name.startswith("!") and name not in self.never)

    def without(self, hidden: Collection[str]) -> Predictions:
        """The same, but that signs that are ``hidden`` need not be seen."""
        must = tuple(name for name in self.must if name not in hidden)
        return replace(self, must=must, may=(*self.may, *(name for name in self.must if name in hidden)))


@dataclass(frozen=True)
class Mechanism:
    """What happens to lookups, under a stable name.

    ``direct`` is one that lookups through the C library show by themselves; others need raw queries to be shown.
    """

    name: str
    text: MechanismText
    predicts: Predictions
    direct: bool = True


def _raw(what: str, *arms: str) -> tuple[str, ...]:
    return tuple(f"raw-{arm}-{what}" for arm in arms or ARMS)


_UDP = ("a", "aaaa", "pair", "two-sockets", "standing", "a-second")
#: what no lookup over UDP and TCP is spared
_ALL_STALL = ("sequential-stalls", "no-aaaa-stalls", "tcp-stalls", "cache-stalls", "cache-fails", "errors", "always")
_ALL_LOST = (*_ALL_STALL, "tcp-sent-again", "tcp-hangs", "raw-tcp-resent", *_raw("lost"), *_raw("late"))
_UDP_STALLS = ("stalls", "sequential-stalls", "no-aaaa-stalls")
#: of what hits few sockets, or bursts, some arms have more than others
_UNEVEN = ("raw-pairs-more", "raw-standing-more", "raw-pair-second")
#: where queries are lost one by one, one of two is lost more often than both
_ONE_OF_TWO = ("half-lost", "sequential-half-lost")
#: answers that come when the lookup has ended find no socket
_NOT_TAKEN = ("wrong-address", "wrong-address-explains")
_LATE = ("delay-some", "delay-of-tcp", "raw-held-up", "raw-some-held", "raw-tcp-slow", "raw-tcp-short", *_raw("late"))


_LOSSES = (
    Mechanism(
        "pair-second-lost",
        said.PAIR,
        Predictions(
            must=("!sequential-stalls", "stalls", "half-lost", "raw-pair-lost"),
            may=(
                *("cache-stalls", "insert-failed", "raw-two-sockets-lost", "raw-pair-more", "raw-pairs-more"),
                "raw-pair-second",
            ),
            never=(
                *("sequential-stalls", "no-aaaa-stalls", "tcp-stalls", "raw-a-lost", "raw-aaaa-lost"),
                "raw-pair-first",
            ),
            beside=("raw-pairs-more", "raw-pair-second", "raw-two-sockets-lost"),
        ),
    ),
    Mechanism(
        "packets-lost",
        said.LOSS,
        Predictions(
            must=(
                *_UDP_STALLS,
                "tcp-sent-again",
                "raw-tcp-late",
                *_raw("lost", "a", "aaaa", "pair", "two-sockets", "standing"),
            ),
            may=(*_ALL_LOST, *_ONE_OF_TWO, "delay-some", "delay-of-tcp", "raw-tcp-slow"),
            never=("window", "one-name", "delay-all", "raw-a-late", "raw-aaaa-late", "raw-some-held", "raw-tcp-short"),
        ),
        direct=False,
    ),
    Mechanism(
        "all-lost-for-a-time",
        said.OUTAGE,
        Predictions(
            ("!from-start", "stalls", "window"),
            (*_ALL_LOST, *_LATE, *_NOT_TAKEN, "raw-kept-same"),
            ("from-start", "one-name"),
        ),
    ),
    Mechanism(
        "all-lost-at-first",
        said.AT_FIRST,
        Predictions(("stalls", "window", "from-start"), (*_ALL_LOST, *_LATE, "raw-kept-same"), ("one-name",)),
        direct=False,
    ),
    Mechanism(
        "lost-over-a-rate",
        said.OVER_RATE,
        Predictions(
            must=(
                *("!tcp-stalls", "!tcp-sent-again", "stalls", "sequential-stalls"),
                *_raw("lost", "pair", "two-sockets"),
            ),
            may=(
                # A limit that drops in a fixed order may always meet the same of sockets that take turns.
                *("no-aaaa-stalls", "cache-stalls", "errors", "stalls-again", *_UNEVEN, "raw-kept-same"),
                *_ONE_OF_TWO,
                *_raw("lost", "a", "aaaa", "standing", "a-second"),
            ),
            # Of two that are sent together, a limit takes the second rather than the first.
            never=(
                *("tcp-stalls", "tcp-sent-again", "one-name", "always"),
                *("raw-tcp-resent", "raw-kept-spared", "raw-pair-first"),
            ),
            # Lookups suffer from it as from any loss that spares TCP: it takes two rates to tell.
            only_by=("raw-lost-grows",),
            beside=("raw-pairs-more",),
        ),
        direct=False,
    ),
    Mechanism(
        "new-flows-lost",
        said.NEW_FLOWS,
        Predictions(
            must=("!cache-stalls", "raw-kept-spared", *_UDP_STALLS, *_raw("lost", "a", "aaaa")),
            may=(
                *("tcp-stalls", "tcp-sent-again", "delay-of-tcp", "errors", "insert-failed", "table-full"),
                *_raw("lost", "pair", "two-sockets", "a-second", "tcp"),
                *("raw-tcp-late", "raw-pairs-more", "raw-pair-first", "raw-whole-flows", "delays-together"),
            ),
            never=("raw-standing-lost", "cache-stalls", "one-name", "window", "raw-tcp-short"),
            decided_by=("raw-kept-spared", "insert-failed", "table-full"),
            beside=("insert-failed", "table-full", "raw-whole-flows"),
        ),
        direct=False,
    ),
    Mechanism(
        "some-ports-lost",
        said.PORTS,
        Predictions(
            must=(
                "!tcp-stalls",
                "!raw-tcp-lost",
                "!raw-tcp-late",
                "raw-kept-same",
                *_UDP_STALLS,
                "stalls-again",
                *_raw("lost", "a", "aaaa"),
            ),
            may=("errors", "raw-whole-flows", *_UNEVEN, *_raw("lost", *_UDP)),
            never=(
                *("tcp-stalls", "tcp-sent-again", "tcp-hangs", "cache-stalls", "one-name", "always", "window"),
                *("raw-lost-grows", "wrong-address", "raw-kept-spared"),
            ),
            decided_by=("raw-kept-same",),
        ),
        direct=False,
    ),
    Mechanism(
        "kept-flows-lost",
        said.KEPT_FLOWS,
        Predictions(
            (
                "!raw-a-lost",
                "raw-standing-lost",
            ),
            ("raw-standing-late", "raw-standing-more"),
            ("stalls", "raw-a-lost", "raw-aaaa-lost"),
            beside=("raw-standing-more",),
        ),
    ),
    Mechanism(
        "aaaa-lost",
        said.AAAA_LOST,
        Predictions(
            must=("!no-aaaa-stalls", "stalls", "sequential-stalls", "sequential-half-lost", "raw-aaaa-lost"),
            may=(
                # Of a pair, AAAA is sent second.
                *("tcp-stalls", "cache-stalls", "cache-fails", "errors", "raw-pairs-more", "raw-pair-second"),
                *_raw("lost", "pair", "two-sockets"),
            ),
            never=("no-aaaa-stalls", "raw-a-lost"),
        ),
        direct=False,
    ),
)


_ANSWERS = (
    Mechanism(
        "large-answers-lost",
        said.LARGE,
        Predictions(
            must=("!tcp-stalls", *_UDP_STALLS, "one-name"),
            may=("errors", "stalls-again", "cache-stalls", "cache-fails", "raw-kept-same", *_raw("lost", *_UDP)),
            never=("tcp-stalls", "tcp-sent-again"),
        ),
        direct=False,
    ),
    Mechanism(
        "udp-silent",
        said.UDP_SILENT,
        Predictions(
            must=("!tcp-stalls", *_UDP_STALLS, "always", "raw-a-always", *_raw("lost", "a", "aaaa", "standing")),
            may=("stalls-again", "errors", "cache-stalls", "raw-kept-same", *_raw("lost", *_UDP)),
            never=("tcp-stalls", "one-name", "window"),
        ),
        direct=False,
    ),
    Mechanism(
        "bad-checksums",
        said.CHECKSUMS,
        Predictions(
            must=("stalls", "bad-checksums", "checksums-explain"),
            may=("sequential-stalls", "no-aaaa-stalls", "cache-stalls", "errors", *_ONE_OF_TWO, *_raw("lost", *_UDP)),
            never=("tcp-stalls", "one-name"),
        ),
    ),
    Mechanism(
        "answers-from-elsewhere",
        said.OTHER_ADDRESS,
        Predictions(
            must=("!sequential-stalls", "stalls", "half-lost", "wrong-address", "raw-pair-lost"),
            may=(
                "wrong-address-explains",
                "delay-all",
                "errors",
                "cache-stalls",
                *_LATE,
                "raw-standing-lost",
                "raw-pair-more",
                *_UNEVEN,
            ),
            never=("sequential-stalls", "no-aaaa-stalls", "tcp-after-udp", "raw-two-sockets-lost", "raw-pair-first"),
        ),
        direct=False,
    ),
    Mechanism(
        "answers-not-taken",
        said.NOT_TAKEN,
        Predictions(
            must=(*_UDP_STALLS, *_raw("lost", "a", "aaaa", "pair", "two-sockets", "standing")),
            may=(*_ALL_LOST, *_ONE_OF_TWO, "stalls-again", "raw-kept-same", "raw-whole-flows", *_UNEVEN),
            never=("window", "one-name", "raw-lost-grows", "bad-checksums"),
            only_by=("wrong-address", "wrong-address-explains"),
        ),
    ),
    Mechanism(
        "buffer-full",
        said.OVERFLOW,
        Predictions(
            may=(
                "sequential-stalls",
                "no-aaaa-stalls",
                "cache-stalls",
                "cache-fails",
                "errors",
                *_LATE,
                "cache-buffer",
                "server-buffer",
                "client-buffer",
                "stalls",
                *_ONE_OF_TWO,
                "raw-paused",
                # Both queries from one socket meet one server, and its full buffer.
                "raw-whole-flows",
                "raw-pair-more",
                *_UNEVEN,
                *_raw("lost", *_UDP),
            ),
            never=("tcp-stalls", "tcp-sent-again", "one-name", "window"),
        ),
        direct=False,
    ),
    Mechanism(
        "one-server-silent",
        said.ONE_SERVER,
        Predictions(
            must=(*_UDP_STALLS, "tcp-stalls", "stalls-again", "raw-one-place"),
            may=(*_ALL_LOST, "raw-standing-more", "raw-kept-same", "raw-whole-flows", "delay-some", "delay-of-tcp"),
            never=("one-name", "window", "always", "raw-tcp-always"),
        ),
        direct=False,
    ),
    Mechanism(
        "one-name-silent",
        said.ONE_NAME,
        Predictions(
            must=(*_UDP_STALLS, "tcp-stalls", "one-name"),
            may=(*_ALL_LOST, "stalls-again", "raw-kept-same"),
            never=("window",),
        ),
    ),
    Mechanism(
        "tcp-silent",
        said.TCP_SILENT,
        Predictions(
            ("!stalls", "!raw-a-lost", "tcp-hangs", "raw-tcp-lost", "raw-tcp-always"),
            ("cache-fails", "tcp-stalls"),
            ("stalls", "delay-all", "raw-a-lost"),
        ),
    ),
    Mechanism(
        "cache-fails",
        said.CACHE_FAILS,
        Predictions(("cache-fails", "!errors", "!stalls"), ("cache-stalls",), ("delay-all", "tcp-hangs")),
        direct=False,
    ),
    Mechanism(
        "errors",
        said.ERRORS,
        Predictions(
            ("!stalls", "errors", "raw-a-errors"),
            ("cache-fails", *_raw("errors")),
            ("stalls", "always-only-a", "delay-all", "delay-some"),
            ("raw-errors-grow", "raw-refused-quick"),
        ),
    ),
    Mechanism(
        "aaaa-errors",
        said.AAAA_ERRORS,
        Predictions(
            must=("!only-aaaa", "errors", "only-a", "raw-aaaa-errors"),
            may=("cache-fails", *_raw("errors", "pair", "two-sockets")),
            never=("only-aaaa", "fails-fast", "stalls", "raw-a-errors"),
        ),
    ),
    Mechanism(
        "errors-when-busy",
        said.BUSY_ERRORS,
        Predictions(
            ("errors", "delay-constant", "raw-a-errors", "raw-refused-quick"),
            ("cache-fails", "cache-stalls", "delay-all", *_LATE, *_raw("errors")),
            ("stalls", "delay-of-aaaa"),
        ),
        direct=False,
    ),
    Mechanism(
        "truncated",
        said.TRUNCATED,
        Predictions(
            ("tcp-after-udp", "raw-any-truncated"),
            (*_raw("truncated"), "delay-some", *_NOT_TAKEN),
            ("stalls", "tcp-hangs"),
        ),
    ),
)


_DELAYS = (
    Mechanism(
        "all-late",
        said.ALL_LATE,
        Predictions(
            ("delay-all", "raw-all-late", *_raw("late", "a", "aaaa", "tcp")),
            (
                *(name for name in _LATE if name != "raw-tcp-slow"),
                *("delay-twice", "tcp-sent-again", "cache-fails", "cache-stalls"),
            ),
            ("delay-of-aaaa", "errors", "stalls"),
        ),
    ),
    Mechanism(
        "aaaa-late",
        said.AAAA_LATE,
        Predictions(
            ("delay-all", "delay-of-aaaa", "raw-aaaa-late", "raw-aaaa-alone-late"),
            (*_LATE, "tcp-sent-again", "cache-fails", "cache-stalls"),
            ("delay-twice", "errors", "stalls", "raw-a-late"),
        ),
    ),
    Mechanism(
        "some-late",
        said.SOME_LATE,
        Predictions(
            ("delay-some", "delay-constant"),
            (*_LATE, "stalls", "tcp-stalls", "sequential-stalls", "no-aaaa-stalls", "cache-fails", "cache-stalls"),
            ("delays-together", "one-name", "raw-aaaa-alone-late"),
            beside=("raw-some-held",),
        ),
        direct=False,
    ),
    Mechanism(
        "pauses",
        said.PAUSES,
        Predictions(
            ("!delay-short", "delay-some", "delays-together"),
            (*_LATE, "tcp-sent-again", "cache-fails", "cache-stalls", "raw-paused"),
            ("delay-short", "delay-constant", "throttled", "stalls"),
            beside=("raw-paused", "raw-some-held"),
        ),
        direct=False,
    ),
    Mechanism(
        "held-up",
        said.HELD_UP,
        Predictions(
            ("!throttled", "!delay-constant", "delay-some", "delay-short"),
            (*_LATE, *_raw("sent-late")),
            ("throttled", "stalls", "delay-constant", "raw-flows-slow"),
            beside=("raw-some-held",),
        ),
        direct=False,
    ),
    Mechanism(
        "client-held-up",
        said.CLIENT_HELD_UP,
        Predictions(
            ("sent-late", "raw-a-sent-late"),
            (
                *("throttled", "delay-some", "delay-of-tcp", "delay-all", "delay-short", "raw-tcp-slow"),
                "raw-tcp-short",
                *_raw("late"),
                *_raw("sent-late"),
            ),
            ("stalls", "raw-some-held"),
        ),
    ),
    Mechanism(
        "tcp-late",
        said.TCP_LATE,
        Predictions(
            ("!delay-some", "delay-of-tcp", "raw-tcp-late"),
            (
                *("tcp-stalls", "cache-stalls", "cache-fails"),
                *("raw-tcp-lost", "raw-tcp-resent", "raw-tcp-slow", "raw-tcp-short"),
            ),
            ("delay-some", "stalls", "raw-a-late"),
            beside=("raw-tcp-lost", "raw-tcp-slow", "raw-tcp-short"),
        ),
    ),
    Mechanism(
        "new-flows-slow",
        said.FLOW_COST,
        Predictions(
            ("new-flows-slow", "raw-flows-slow"),
            (*_LATE, "delay-all", *_raw("sent-late")),
            ("stalls", "delay-constant"),
        ),
        direct=False,
    ),
    Mechanism("answered-elsewhere", said.ELSEWHERE, Predictions(("servers-idle",), (*_LATE, "delay-all"), ("stalls",))),
)


MECHANISMS: Mapping[str, Mechanism] = {one.name: one for one in (*_LOSSES, *_ANSWERS, *_DELAYS)}

#: what two mechanisms make together, and neither makes by itself
TOGETHER: Mapping[frozenset[str], tuple[str, ...]] = {
    frozenset({"truncated", "tcp-silent"}): (*_ALL_STALL, "stalls", "stalls-again"),
}
#: what one witness shows: not both are told by it
ONE_WITNESS = frozenset({"answers-from-elsewhere", "answers-not-taken"})
#: losses that hit each query alike: they hide that another loses one of two, that what is asked again is lost again,
#: and that kept sockets are spared
_ALIKE = ("packets-lost", "bad-checksums", "lost-over-a-rate", "all-lost-for-a-time", "all-lost-at-first")
_OF_PAIRS = ("pair-second-lost", "answers-from-elsewhere")
_BESIDE_PAIRS = ("checksums-explain", "sequential-stalls", "no-aaaa-stalls")
_HIDES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_ALIKE, ("half-lost", "stalls-again", "raw-kept-spared")),
    **dict.fromkeys(("one-server-silent", "some-ports-lost", "new-flows-lost", "kept-flows-lost"), ("half-lost",)),
}
#: what cannot be seen of any other mechanism where this one is, too
HIDDEN: Mapping[str, tuple[str, ...]] = {
    **{one.name: ("checksums-explain", *_HIDES.get(one.name, ())) for one in (*_LOSSES, *_ANSWERS)},
    # Where baseline stalls for another reason, too, what hits all configurations alike hits the others less often.
    **dict.fromkeys(_OF_PAIRS, _BESIDE_PAIRS),
    "tcp-silent": ("tcp-sent-again", "raw-tcp-late"),
    # Errors come at once.
    "aaaa-errors": ("checksums-explain", "raw-aaaa-late"),
    # Where answers over UDP are late, too, those over TCP are hardly later.
    **dict.fromkeys(("some-late", "pauses", "held-up"), ("delay-of-tcp",)),
    "all-late": ("delay-of-tcp", "raw-aaaa-alone-late"),
    "answers-from-elsewhere": (*_BESIDE_PAIRS, "delay-of-tcp"),
}
