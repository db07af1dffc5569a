"""records: golden bytes both ways, and nothing but StreamError for whatever else comes."""

from __future__ import annotations

import re
import struct
import zlib

import pytest
from hypothesis import given, settings, strategies as st

from dnslab.errors import ProbeFailed, StreamError, StreamForeign, StreamTruncated, StreamVersion
from dnslab.measure.probe import job
from dnslab.store import stream as records
from tests import PROBE

FORMAT = (PROBE / "format.h").read_text(encoding="utf-8")

#: written out by hand from format.h
HEADER = bytes.fromhex(
    "0100 2800 efbeadde 0010000000000000 0100000000000000 0200000000000000 0100 0000 02000000"
) + b"2.36".ljust(16, b"\0") + b"x86_64".ljust(16, b"\0")  # fmt: skip
RECORD = bytes.fromhex("0100000000000000 0200000000000000 0300000000000000 07000000 fdff 0500 09000000 02000100")


def stream(n_blocks: int = 3, per_block: int = 4) -> bytes:
    crc = 0
    parts = [records.frame(b"DNSR", 0, HEADER)]
    for i in range(n_blocks):
        block = RECORD * per_block
        crc = zlib.crc32(block, crc)
        parts.append(records.frame(b"RECS", i + 1, block))
    tail = struct.pack("<QII9Q", n_blocks * per_block, crc, 0, *range(9))
    return b"".join([*parts, records.frame(b"TAIL", n_blocks + 1, tail)])


def exhaust(decoder: records.StreamDecoder, data: bytes) -> records.Trailer:
    for _ in decoder.feed(data):
        pass
    return decoder.close()


def test_golden_header() -> None:
    decoder = records.StreamDecoder()
    assert list(decoder.feed(records.frame(b"DNSR", 0, HEADER))) == [
        records.Header(1, 40, 0xDEADBEEF, 4096, 1, 2, "glibc", "libc", 2, "2.36", "x86_64")
    ]


def test_golden_frame() -> None:
    # CRC-32 of "123456789" is the check value of every catalogue.
    golden = "52454353" + "07000000" + "09000000" + "2639f4cb" + "313233343536373839"
    assert records.frame(b"RECS", 7, b"123456789").hex() == golden


def test_golden_record() -> None:
    fmt = "<" + "".join({"<u8": "Q", "<u4": "I", "<i2": "h", "<u2": "H"}[kind] for _, kind in records.RECORD_FIELDS)
    assert struct.calcsize(fmt) == records.RECORD_SIZE
    assert dict(zip((n for n, _ in records.RECORD_FIELDS), struct.unpack(fmt, RECORD), strict=True)) == {
        "intended_ns": 1,
        "start_ns": 2,
        "end_ns": 3,
        "worker": 7,
        "outcome": -3,
        "name": 5,
        "flags": 9,
        "answers": 0x10002,
    }


def test_golden_commands() -> None:
    assert records.command("GO", 258).hex() == "474f2020000000000201000000000000"


def test_a_whole_stream() -> None:
    decoder = records.StreamDecoder()
    kinds = [type(message).__name__ for message in decoder.feed(stream())]
    assert kinds == ["Header", "Records", "Records", "Records", "Trailer"]
    assert decoder.close().n_records == 12


@given(st.lists(st.integers(1, 200), max_size=30))
def test_any_slicing_gives_the_same(cuts: list[int]) -> None:
    decoder, data, position, n = records.StreamDecoder(), stream(), 0, 0
    for cut in [*cuts, len(data)]:
        n += sum(1 for _ in decoder.feed(data[position : position + cut]))
        position += cut
    assert n == 5
    assert decoder.close().n_records == 12


def test_cut_short_anywhere_keeps_whole_blocks_and_says_so() -> None:
    data = stream()
    ends = [16 + 72 + i * (16 + 160) for i in range(4)]
    for cut in range(len(data)):
        decoder = records.StreamDecoder()
        for _ in decoder.feed(data[:cut]):
            pass
        assert decoder.n_records == 4 * max(0, sum(end <= cut for end in ends) - 1)
        with pytest.raises(StreamTruncated):
            decoder.close()


@given(st.integers(0, len(stream()) * 8 - 1))
def test_no_flipped_bit_goes_unnoticed(bit: int) -> None:
    data = bytearray(stream())
    data[bit // 8] ^= 1 << bit % 8
    decoder = records.StreamDecoder()
    with pytest.raises((StreamError, ProbeFailed)):
        exhaust(decoder, bytes(data))


@settings(max_examples=1000)
@given(st.binary(max_size=300), st.booleans())
def test_other_bytes_only_ever_raise_our_errors(data: bytes, framed: bool) -> None:
    decoder = records.StreamDecoder()
    whole = records.frame(b"DNSR", 0, HEADER) + records.frame(data[:4].ljust(4), 1, data[4:]) if framed else data
    try:
        for _ in decoder.feed(whole):
            pass
        decoder.close()
    except (StreamError, ProbeFailed):
        pass
    else:
        raise AssertionError("no such bytes are a whole stream")


def test_foreign_newer_refused_and_doubled() -> None:
    for data, error in (
        (b"PNG\r and so on, long enough", StreamForeign),
        (records.frame(b"DNSR", 0, b"\x02\0" + HEADER[2:]), StreamVersion),
        (records.frame(b"FAIL", 0, b"no workers"), ProbeFailed),
        (stream() + records.frame(b"RECS", 5, b""), StreamForeign),
        (records.frame(b"DNSR", 0, HEADER) + records.frame(b"RECS", 2, RECORD), StreamForeign),
    ):
        with pytest.raises(error):
            list(records.StreamDecoder().feed(data))


def test_a_missing_record_is_noticed() -> None:
    tail = struct.pack("<QII9Q", 2, 0, 0, *range(9))
    data = records.frame(b"DNSR", 0, HEADER) + records.frame(b"RECS", 1, RECORD) + records.frame(b"TAIL", 2, tail)
    with pytest.raises(StreamForeign, match="counts 2 records, but 1 came"):
        list(records.StreamDecoder().feed(data))


def test_constants_agree_with_the_c_side() -> None:
    defined = {m[1]: int(m[2].strip("()u"), 0) for m in re.finditer(r"#define (\w+) (\(?-?\d+u?\)?)(?=\s)", FORMAT)}
    for module in (records, job):
        for name, value in vars(module).items():
            if name.startswith(("OUTCOME_", "FLAG_", "PATCH_", "FORMAT_")):
                assert defined[name] == value, name
    for prefix, values in (
        ("LOOP", job.LOOPS),
        ("MODE", job.MODES),
        ("ENGINE", job.ENGINES),
        ("TRANSPORT", job.TRANSPORTS),
    ):
        for number, value in enumerate(values):
            assert defined[f"{prefix}_{value.upper()}"] == number
    for number, value in enumerate(job.ARRANGEMENTS):
        assert defined[f"ARRANGE_{value.upper().replace('-', '_')}"] == number
