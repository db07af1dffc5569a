"""Damage for bytes, texts and plain data. What comes out follows from the generator alone."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

#: text that stands for itself in JSON and YAML; see ``as_text``
_RAW = "raw-text-"
NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 255, 65_535, 65_536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30,
    0.5, -0.0, 1e-308, 1e308, float("nan"), float("inf"), -float("inf"),
)  # fmt: skip
TEXTS = (
    "", " ", "x", "baseline", "glibc", "None", "nan", "1", "-1", "1e999", "\0", "\n", "a\nb", "\x1b[31m", "\x7f",
    "\u202eabc", "\u2028", "\ufeff", "\ud800", "\U0001f600", "é" * 300, "../../x", "/etc/passwd", "$(x)", "`x`",
    "<img src=x>", "$\\foo{$", "a" * 20_000, "%s%n", "{0.__class__}", ".", "..", "a..b", "a" * 64 + ".", "2026-11-28",
)  # fmt: skip


def _deep(rng: random.Random) -> Any:
    value: Any = 0
    for _ in range(rng.choice((3, 50, 200))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


#: what no writer of dnslab makes: numbers of thousands of digits, nesting without end, numbers that JSON has not
_RAW_TEXTS: tuple[Callable[[random.Random], str], ...] = (
    lambda rng: "9" * rng.choice((400, 4_301, 20_000)),
    lambda rng: "-" + "1" * 5_001,
    lambda rng: "[" * rng.choice((900, 5_000, 200_000)),
    lambda rng: "[" * 3_000 + "]" * 3_000,
    lambda rng: '{"a":' * 2_000 + "1" + "}" * 2_000,
    lambda rng: "NaN",
    lambda rng: "-Infinity",
    lambda rng: "1e400",
    lambda rng: "0x10",
    lambda rng: "1_000",
    lambda rng: "12:30:45",
    lambda rng: "",
)


def weird(rng: random.Random) -> Any:
    """Any value that is likely to be of the wrong type, or out of range."""
    kind = rng.randrange(10)
    if kind < 4:
        return rng.choice(NUMBERS)
    if kind < 7:
        return rng.choice(TEXTS)
    if kind < 9:
        return rng.choice((None, True, False, [], {}, [[]], [None], {"": None}, [0] * 1_000, [1, "a", None], {"a": 1}))
    return _deep(rng) if rng.random() < 0.3 else f"{_RAW}{rng.randrange(len(_RAW_TEXTS))}"


def data(rng: random.Random, value: Any) -> Any:
    """``value`` with one place of it changed: another value, type, key, length or order."""
    containers: list[Any] = []
    _collect(value, containers)
    if not containers or rng.random() < 0.01:
        return weird(rng)
    place = rng.choice(containers)
    if isinstance(place, dict):
        key = rng.choice(list(place)) if place else "x"
        action = rng.randrange(8)
        if action == 0:
            place.pop(key, None)
        elif action == 1:
            place[rng.choice(TEXTS)] = place.pop(key, None)
        elif action == 2:
            place[rng.choice(TEXTS)] = weird(rng)
        else:
            place[key] = _changed(rng, place.get(key))
        return value
    action = rng.randrange(8)
    if action == 0 and place:
        place.pop(rng.randrange(len(place)))
    elif action == 1:
        place.append(weird(rng))
    elif action == 2 and place:
        place[:] = place * rng.choice((2, 50))
    elif action == 3:
        rng.shuffle(place)
    elif place:
        index = rng.randrange(len(place))
        place[index] = _changed(rng, place[index])
    return value


def _collect(value: Any, found: list[Any]) -> None:
    if isinstance(value, dict | list):
        found.append(value)
        for part in value.values() if isinstance(value, dict) else value:
            _collect(part, found)


def _changed(rng: random.Random, value: Any) -> Any:
    """Another value, often of the same type."""
    if rng.random() < 0.4:
        return weird(rng)
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return rng.choice((-value, value + 1, value * 1_000_003, value / 7, rng.choice(NUMBERS)))
    if isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        return rng.choice((value[:at] + rng.choice(TEXTS) + value[at:], value[:at], value.upper(), rng.choice(TEXTS)))
    return rng.choice(([value], {"a": value}, weird(rng)))


def as_text(rng: random.Random, value: Any) -> str:
    """JSON, which is YAML too, with ``weird``'s raw texts in their places."""
    budget = [2_000_000]

    def made(found: re.Match[str]) -> str:
        text = _RAW_TEXTS[int(found[1]) % len(_RAW_TEXTS)](rng) if found[1] and budget[0] > 0 else "x"
        budget[0] -= len(text)
        return text

    return re.sub(rf'"{_RAW}(\d{{0,3}})[^"]*"', made, json.dumps(value))


def raw(rng: random.Random, data: bytes) -> bytes:
    """``data`` with a few bytes changed, cut, doubled or put elsewhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        action = rng.randrange(8)
        if action < 2 and changed:
            changed[at % len(changed)] ^= 1 << rng.randrange(8)
        elif action == 2:
            changed[at:at] = rng.randbytes(rng.choice((1, 4, 40)))
        elif action == 3:
            del changed[at : at + rng.choice((1, 4, 40, 1_000))]
        elif action == 4:
            changed[at:at] = changed[at : at + rng.choice((1, 4, 40, 1_000))]
        elif action == 5:
            changed[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80", b"\x01\0\0\0"))
        elif action == 6:
            changed[at : at + 1] = rng.choice(
                (b"\r", b"\n", b"\t", b'"', b"'", b"\xc3", b"\xff\xfe", b"\x85", b":", b"-")
            )
        elif rng.random() < 0.3:
            del changed[at:]
    return bytes(changed)
