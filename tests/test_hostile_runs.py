"""Runs from anyone: a damaged or hostile one is named in one line, and costs no more than it is worth."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dnslab.analyse.dataset import open_run
from dnslab.analyse.sketches import sketches
from dnslab.analyse.timeline import stalls_per_second
from dnslab.errors import InvalidPlan, RunInvalid, StreamForeign
from dnslab.explain.findings import findings_of
from dnslab.explain.soundness import examine
from dnslab.measure import runner
from dnslab.plan.model import Plan
from dnslab.plan.planfile import load
from dnslab.plan.schedule import TargetInfo, trials
from dnslab.present import share
from dnslab.store import bundle as bundles
from dnslab.store.folder import RunFolder
from tests.cli.test_cli import dnslab
from tests.runs import rows, stream, write_run

TRIAL = "trials/0001/glibc"
PLAN = Plan(variants=("baseline", "use-vc"), rounds=2)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    lookups = {(v, "glibc", r): rows([1.0] * 50 + [5_000.0]) for v in PLAN.variants for r in (1, 2)}
    return write_run(tmp_path / "run", PLAN, lookups)


def read(run: Path) -> None:
    """All that ``summary``, ``gate`` and a report read of a run."""
    opened = open_run(run)
    part = examine(opened)
    findings_of(part)
    opened.lookups()
    opened.trials()
    sketches(opened)
    stalls_per_second(opened)
    _ = opened.problems


def change(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is MISSING:
            data.pop(key)
        else:
            data[key] = value
    path.write_text(json.dumps(data), encoding="utf-8")


MISSING = object()
WRONG: list[Any] = [None, True, -1, 10**300, float("nan"), float("inf"), 1e308, "x", "", [], [1], {}, {"x": []}]
#: what the reading side needs
START_KEYS = (
    *("round", "group", "variant", "load", "target", "engine", "libc", "libc_version", "resolv_conf", "names"),
    *("expected", "asks_aaaa", "stall_ms", "deadline_s", "started_realtime_ns", "counters"),
)
OPTIONAL_START_KEYS = ("missing", "arrangement", "n_candidates", "attempt_timeout_s")
END_KEYS = ("status", "error", "counters", "missing", "exposed_counted", "trailer", "clock")
BACKEND_KEYS = ("name", "fresh_clients", "n_ports", "udp_timeout_s", "node_cache", "surroundings", "places")


@contextlib.contextmanager
def costing(cpu_s: float) -> Iterator[None]:
    before = time.process_time()
    yield
    assert time.process_time() - before < cpu_s


@pytest.mark.parametrize("key", START_KEYS)
def test_a_missing_key_of_start_is_named(run: Path, key: str) -> None:
    change(run / f"{TRIAL}.start.json", **{key: MISSING})
    with pytest.raises(RunInvalid, match=rf"0001/glibc\.start\.json: the key '{key}' is missing"):
        read(run)


@pytest.mark.parametrize(
    ("file", "key"),
    [
        *((f"{TRIAL}.start.json", key) for key in (*START_KEYS, *OPTIONAL_START_KEYS)),
        *((f"{TRIAL}.end.json", key) for key in END_KEYS),
        *(("environment.json", key) for key in ("version", "targets", "backend", "kernel", "fault")),
        *(("environment.json", f"backend.{key}") for key in BACKEND_KEYS),
    ],
    ids=lambda value: str(value).rpartition("/")[2],
)
def test_a_mistyped_key_is_read_or_named(run: Path, file: str, key: str) -> None:
    """Some wrong values are right ones by chance; none ends in anything but an error of dnslab's own."""
    original = (run / file).read_text(encoding="utf-8")
    for wrong in WRONG:
        (run / file).write_text(original, encoding="utf-8")
        outer, _, inner = key.partition(".")
        change(run / file, **{outer: {**json.loads(original)[outer], inner: wrong} if inner else wrong})
        try:
            read(run)
        except RunInvalid as error:
            assert file in str(error), (wrong, str(error))  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 200_000,
        b'{"a": ' * 200_000,
        b'{"round": ' + b"1" * 5_001 + b"}",
        b'{"x": ' + b"1" * 3_000_000 + b"}",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"",
        b"{",
        b"\xff\xfe{\x00}\x00",
        '{"variant": "ä"}'.encode("latin-1"),
        b'{"variant": "\\ud800"}',
        bytes(range(256)),
        b"\0" * 1_000,
        b'{"x": [' + b"[]," * 4_000_000 + b"1]}",
        b'{"x": [' + b"[]," * 199_000 + b"1]}",
        b'{"x": [' + b"1.5," * 4_000_000 + b"1]}",
        b'{"counters": {' + b",".join(b'"%d": "x"' % i for i in range(499_000)) + b"}}",
    ],
    ids=lambda text: repr(text[:20]),
)
@pytest.mark.parametrize("file", ["environment.json", f"{TRIAL}.start.json", f"{TRIAL}.end.json"])
def test_what_is_no_json_of_dnslab_is_named(run: Path, file: str, text: bytes) -> None:
    (run / file).write_bytes(text)
    with costing(1.0), pytest.raises(RunInvalid, match=file.rpartition("/")[2]):
        read(run)


def plans() -> Iterator[tuple[str, bytes, str]]:
    yield "sequences 200,000 deep", b"rounds: " + b"[" * 200_000, ":1: "
    yield "mappings 200,000 deep", b"{a: " * 200_000, ":1: "
    yield "blocks 1,500 deep", b"".join(b" " * i + b"a:\n" for i in range(1_500)), ":20: nested deeper than 20"
    yield "a number of 5,001 digits", b"rounds: " + b"1" * 5_001, ":1: expected a number"
    yield "a number without digits", b"rounds: 3\nseed: 0x_\n", ":2: expected a number"
    yield "a day that is none", b"rounds: 2001-13-45\n", ":1: expected a number, a date"
    yield "UTF-16", "rounds: 3\n".encode("utf-16"), "not UTF-8 text"
    yield "Latin-1", "name: ä\n".encode("latin-1"), "not UTF-8 text"
    yield "binary", bytes(range(256)), "not UTF-8 text"
    yield "NUL", b"name: \0\n", "not YAML"
    yield "a key twice", b"rounds: 3\nseed: 1\nrounds: 4\n", ":3: the key 'rounds' is there twice, first in line 1"
    yield "a key twice in a line", b"{rounds: 3, rounds: 4}", "the key 'rounds' is there twice"
    yield "a key twice inside", b"custom_variants:\n a: {summary: x}\n a: {summary: y}\n", ":3: the key 'a'"
    yield "a billion laughs", b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", ":1: expected the value itself"
    yield "a merge", b"<<: {rounds: 3}\nrounds: 4\n", ":1: the key '<<' is not read"
    yield "a tag", b"rounds: !!python/object/apply:os.system [true]\n", ":1: expected a value, saw a tag"
    yield "a tag that does not fit", b"seed: 1\nrounds: !!int abc\n", ":2: expected a value, saw a tag"
    yield "a key that is a list", b"? [a]\n: b\n", "unhashable"
    yield "not finite", b"limit_ms: .inf\n", "limit_ms: "
    yield "too large", b"#" + b"x\n#" * 3_000_000, "at most 8 MiB"
    yield "too many values", b"names: [" + b"[]," * 1_000_000, "more than 80,000 values"
    yield "too many keys", b"{" + b"".join(b"k%d: 1," % i for i in range(2_000)) + b"}", "more than 1,000 keys"


@pytest.mark.parametrize(("text", "says"), [(text, says) for _, text, says in plans()], ids=[one[0] for one in plans()])
def test_a_plan_that_is_none_is_named(run: Path, text: bytes, says: str) -> None:
    with costing(3.0), pytest.raises(InvalidPlan, match=says):
        load(text)
    (run / "plan.yaml").write_bytes(text)
    with costing(3.0), pytest.raises(RunInvalid, match=f"plan.yaml.*{says}"):
        read(run)


def test_a_plan_as_large_as_any_is_read_in_seconds() -> None:
    names = tuple(f"service-{i}.namespace.svc.cluster.local." for i in range(65_535))
    text = Plan(names=names).to_yaml()
    with costing(5.0):
        assert load(text).names == names


@pytest.mark.parametrize("column", ["name", "intended_ns", "start_ns", "end_ns"])
def test_a_record_that_no_probe_writes_is_named(run: Path, column: str) -> None:
    """All its checksums are right."""
    made = rows([1.0] * 50)
    made[column][7] = 0xFFFF if column == "name" else 1 << 62
    (run / f"{TRIAL}.dnsr").write_bytes(stream(made))
    with costing(2.0), pytest.raises(StreamForeign, match=r"0001/glibc\.dnsr: a (lookup|time)"):
        read(run)


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def dangle(path: Path) -> None:
    path.symlink_to("nowhere")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listen(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")


def other_folder(path: Path) -> None:
    folder = path.parent.parent / "elsewhere"
    folder.mkdir()
    path.symlink_to(folder)


PLACES = (
    *("plan.yaml", "environment.json", "environment.2.json", "trials", "trials/0001", "anything"),
    *(f"{TRIAL}{suffix}" for suffix in (".start.json", ".end.json", ".ground-truth.json", ".dnsr")),
)
KINDS: tuple[Callable[[Path], None], ...] = (link, dangle, pipe, listen, device, other_folder)


def reads(run: Path, out: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "open", lambda: read(run)
    yield "bundle", lambda: share.bundle(run, out / "x.dnslab.zip")
    yield "redacted bundle", lambda: share.bundle(run, out / "y.dnslab.zip", redact=True)
    yield "resume", lambda: runner.resume(run)
    yield "folder", lambda: RunFolder(run)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_regular_file_is_named_and_refused(
    run: Path, tmp_path: Path, place: str, kind: Callable[[Path], None]
) -> None:
    path, out = run / place, tmp_path / "out"
    out.mkdir()
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    kind(path)
    with costing(1.0):
        for name, attempt in reads(run, out):
            with pytest.raises(RunInvalid, match=f"{place} is (a|no) [a-z ]+, but a run folder holds only regular"):
                attempt()
            assert not any(out.iterdir()), name


def test_the_run_itself_may_be_behind_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(run)
    read(tmp_path / "latest")
    assert share.bundle(tmp_path / "latest", tmp_path / "x.zip").exists()


def with_variants(n: int, rounds: int = 1) -> str:
    names = [f"own-{i}" for i in range(n)]
    own = {name: {"options": [f"timeout:{1 + i % 30}"]} for i, name in enumerate(names)}
    loads = [{"rate_per_s": 1, "duration_s": 1}]
    return yaml.safe_dump({"variants": names, "custom_variants": own, "rounds": rounds, "loads": loads})


def test_a_thousand_variants_are_read_in_seconds(tmp_path: Path) -> None:
    """Each made all others anew whenever it was asked for: 5,000 were not done after 40 s."""
    with costing(8.0):
        plan = load(with_variants(1_000, rounds=3))
        lookups = {(name, "glibc", 1): rows([1.0] * 5) for name in plan.variants[::50]}
        run = write_run(tmp_path / "run", plan, lookups)
    with costing(8.0):
        read(run)


@pytest.mark.lab
def test_a_thousand_variants_are_shown_in_seconds(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(with_variants(1_000))
    done = dnslab("run", "plan.yaml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("own-999") >= 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (with_variants(5_000), "more than 1,000 keys"),
        ("variants: [" + ",".join(f"v{i}" for i in range(1_001)) + "]", "variants: expected at most 1,000 items, saw "),
        ("loads: [" + "{rate_per_s: 1}," * 101 + "]", "loads: expected at most 100 items, saw "),
        ("targets: [" + ",".join(f"t{i}" for i in range(10_001)) + "]", "targets: expected at most 10,000 items, saw "),
        (with_variants(201, rounds=1_000), "201,000 trials: expected at most 200,000"),
    ],
)
def test_a_plan_beyond_all_use_is_refused(text: str, says: str) -> None:
    with costing(4.0), pytest.raises(InvalidPlan, match=says):
        load(text)


def test_trials_are_counted_on_each_target(run: Path) -> None:
    plan = Plan(variants=PLAN.variants, rounds=100)
    targets = [TargetInfo(f"t{i}", "glibc") for i in range(1_001)]
    with pytest.raises(InvalidPlan, match="saw 200,200"):
        trials(plan, targets)
    (run / "plan.yaml").write_text(plan.to_yaml())
    environment = json.loads((run / "environment.json").read_text())
    environment["targets"] = [{"name": one.name, "libc": "glibc"} for one in targets]
    (run / "environment.json").write_text(json.dumps(environment))
    with costing(2.0), pytest.raises(RunInvalid, match="more than 200,000 trials"):
        read(run)


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_bundle_costs_no_more_than_it_is_worth(run: Path, tmp_path: Path) -> None:
    """300 MB of comments made a bundle of 308 KB, which took over a minute and 718 MB to read."""
    whole = {f"run/{path.relative_to(run)}": path.read_bytes() for path in run.rglob("*") if path.is_file()}
    comments = packed(tmp_path / "comments.zip", {**whole, "run/plan.yaml": b"#" + b"x" * 300_000_000})
    with costing(1.0), pytest.raises(RunInvalid, match=r"'run/plan\.yaml' is larger than allowed"):
        open_run(comments)
    zeros = {f"run/{TRIAL}.dnsr": b"\0" * 100_000_000}
    with costing(1.0), pytest.raises(RunInvalid, match="unpacks to more than 100 times its size"):
        open_run(packed(tmp_path / "zeros.zip", {**whole, **zeros}))
    assert open_run(packed(tmp_path / "whole.zip", whole)).clients()


def test_an_honest_bundle_is_far_from_the_limit(tmp_path: Path) -> None:
    """Even of quick lookups of one name, which shrink most."""
    lookups = {(v, "glibc", r): rows([1.0] * 20_000) for v in PLAN.variants for r in (1, 2)}
    run = write_run(tmp_path / "run", PLAN, lookups)
    made = share.bundle(run, tmp_path / "x.zip")
    size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    assert size < bundles.MAX_RATIO / 2 * made.stat().st_size
