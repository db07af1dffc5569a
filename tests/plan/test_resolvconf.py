"""resolvconf: options texts good and bad, candidate order, attempt timeouts as glibc and musl document them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dnslab.errors import InvalidName, UsageError
from dnslab.plan.resolvconf import (
    FLAGS,
    Libc,
    ResolverOptions,
    attempt_timeout_s,
    check_name,
    lookup_failure_s,
    names_tried,
    parse,
    parse_endpoint,
    read_option,
    render,
    retry_step_s,
)

CLUSTER = parse(
    "# made by the kubelet\n"
    "nameserver 10.96.0.10\n"
    "search default.svc.cluster.local svc.cluster.local cluster.local\n"
    "options ndots:5\n"
)


def test_a_pods_file() -> None:
    assert (
        ResolverOptions(
            nameservers=("10.96.0.10",),
            search=("default.svc.cluster.local", "svc.cluster.local", "cluster.local"),
            ndots=5,
        )
        == CLUSTER
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResolverOptions()),
        ("; nameserver 1.1.1.1\n", ResolverOptions()),
        ("nameserver\n", ResolverOptions()),
        ("options timeout:x use-vc unheard-of\n", ResolverOptions(timeout_s=0, flags=("use-vc",))),
        ("options single-request-reopened ndots:3x\n", ResolverOptions(ndots=3, flags=("single-request-reopen",))),
        ("options timeout:1\noptions attempts:3 rotate\n", ResolverOptions(timeout_s=1, attempts=3, flags=("rotate",))),
        ("search a.test\ndomain b.test\n", ResolverOptions(search=("b.test",))),
        (
            "".join(f"nameserver 10.0.0.{i}\n" for i in range(5)),
            ResolverOptions(nameservers=("10.0.0.0", "10.0.0.1", "10.0.0.2")),
        ),
    ],
)
def test_parse(text: str, expected: ResolverOptions) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "libc", "version", "expected"),
    [
        ("options single-request -single-request use-vc\n", "glibc", "2.41", ("use-vc",)),
        ("options single-request\noptions -single-request-reopen\n", "glibc", "2.41", ("single-request",)),
        ("options single-request -single-request\n", "glibc", "2.36", ("single-request",)),
        ("options single-request -single-request\n", "glibc", "", ("single-request",)),
        ("options use-vc\n", "musl", "", ()),
    ],
)
def test_flags_as_each_libc_reads_them(text: str, libc: Libc, version: str, expected: tuple[str, ...]) -> None:
    assert parse(text, libc, version).flags == expected


@pytest.mark.parametrize(
    ("text", "libc", "expected"),
    [
        ("options ndots:2 ndots:7\n", "glibc", 7),
        ("options ndots:2 ndots:7\n", "musl", 2),
        ("options ndots:x\n", "glibc", 0),
        ("options ndots:x\n", "musl", None),
        ("options\fndots:3\n", "musl", 3),
        ("options\fndots:3\n", "glibc", None),
    ],
)
def test_values_as_each_libc_reads_them(text: str, libc: Libc, expected: int | None) -> None:
    assert parse(text, libc).ndots == expected


def test_a_search_line_of_over_254_bytes_is_none_to_musl() -> None:
    """It reads into 256 bytes, newline and final zero included, and drops what does not fit."""
    for size, search in ((254, ("a" * 247,)), (255, ())):
        text = f"search b.test\nsearch {'a' * (size - 7)}\n"
        assert parse(text, "glibc").search == ("a" * (size - 7),)
        assert parse(text, "musl").search == (search or ("b.test",))


def test_the_root_in_a_search_list() -> None:
    options = parse("search . a.test\noptions ndots:2\n")
    assert names_tried("x.y", options) == ["x.y.", "x.y.a.test."]
    assert names_tried("x.y", options, "musl") == ["x.y.a.test.", "x.y."]
    assert names_tried("x.y.z", options) == ["x.y.z.", "x.y.z.", "x.y.z.a.test."]


@pytest.mark.parametrize("option", ["attempts:0", "ndots", "ndots:-1", "timeout:x", "-use-vc", "fly"])
def test_options_that_no_plan_may_have(option: str) -> None:
    with pytest.raises(UsageError):
        read_option(option)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("10.96.0.10", ("10.96.0.10", 53)),
        ("10.96.0.10:5353", ("10.96.0.10", 5353)),
        ("::1", ("::1", 53)),
        ("[fd00::a]:5353", ("fd00::a", 5353)),
    ],
)
def test_endpoints(text: str, endpoint: tuple[str, int]) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "name", "10.96.0.10:0", "10.96.0.10:65536", "[10.0.0.1", "fd00::a:99999", "::1%lo"]
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(UsageError):
        parse_endpoint(text)


_label = st.from_regex(r"\A[a-z][a-z0-9]{0,8}\Z")
_options = st.builds(
    ResolverOptions,
    nameservers=st.lists(st.ip_addresses(v=4).map(str), max_size=3).map(tuple),
    search=st.lists(_label.map(lambda label: f"{label}.test"), max_size=4).map(tuple),
    ndots=st.none() | st.integers(0, 15),
    timeout_s=st.none() | st.integers(1, 30),
    attempts=st.none() | st.integers(1, 5),
    flags=st.lists(st.sampled_from(sorted(FLAGS)), unique=True).map(tuple),
)


@given(_options)
def test_render_is_parsed_back(options: ResolverOptions) -> None:
    assert parse(render(options)) == options


S = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


@pytest.mark.parametrize(
    ("name", "libc", "expected"),
    [
        ("kubernetes.default", "glibc", [*(f"kubernetes.default.{domain}." for domain in S), "kubernetes.default."]),
        ("kubernetes.default.", "glibc", ["kubernetes.default."]),
        ("a.b.c.d.e.f", "musl", ["a.b.c.d.e.f."]),
        ("a.b.c.d.e.f", "glibc", ["a.b.c.d.e.f.", *(f"a.b.c.d.e.f.{domain}." for domain in S)]),
    ],
)
def test_names_tried(name: str, libc: str, expected: list[str]) -> None:
    assert names_tried(name, CLUSTER, libc) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", ".", "a..b", ".a", "a" * 64, ".".join(["a" * 50] * 6), "a b", "a\tb"])
def test_names_that_cannot_be_asked(name: str) -> None:
    with pytest.raises(InvalidName):
        check_name(name)


@given(st.lists(_label, min_size=1, max_size=6).map(".".join), _options, st.sampled_from(["glibc", "musl"]))
def test_every_candidate_is_absolute_and_one_is_the_name(name: str, options: ResolverOptions, libc: str) -> None:
    tried = names_tried(name, options, libc)  # type: ignore[arg-type]
    assert all(candidate.endswith(".") for candidate in tried)
    assert f"{name}." in tried


@pytest.mark.parametrize(
    ("text", "libc", "expected"),
    [
        ("", "glibc", 5.0),
        ("options timeout:1 attempts:3\n", "glibc", 1.0),
        ("options timeout:99\n", "glibc", 30.0),
        ("options use-vc timeout:1\n", "glibc", None),
        ("", "musl", 2.5),  # 5 s in two attempts
        ("options timeout:1 attempts:3\n", "musl", 1 / 3),
        ("options use-vc\n", "musl", 2.5),
    ],
)
def test_attempt_timeout(text: str, libc: str, expected: float | None) -> None:
    assert attempt_timeout_s(parse(text), libc) == expected  # type: ignore[arg-type]


def test_longest_lookup() -> None:
    # One dead server: a pair that stays half lost was measured to take 15.0 s; three servers 28.0 s for two attempts.
    assert lookup_failure_s(CLUSTER) == 15.0
    assert lookup_failure_s(parse("nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n")) == 3 * (5 + 3 + 6)
    assert lookup_failure_s(CLUSTER, n_candidates=2, libc="musl") == 10.0


@pytest.mark.parametrize(
    ("n_servers", "options", "libc", "step_s"),
    [
        (1, "", "glibc", 5.0),
        (2, "", "glibc", 5.0),
        (3, "", "glibc", None),  # 5 s, then 10 s and 20 s shared by three: 3 and 6 s
        (1, "timeout:1 attempts:3", "glibc", 1.0),
        (1, "use-vc", "glibc", None),
        (1, "", "musl", 2.5),
        (3, "", "musl", 2.5),  # all are asked at once
        (1, "timeout:1 attempts:3", "musl", 1 / 3),
    ],
)
def test_the_step_at_which_it_asks_again(n_servers: int, options: str, libc: str, step_s: float | None) -> None:
    text = "nameserver 192.0.2.1\n" * n_servers + f"options {options}\n"
    assert retry_step_s(parse(text), libc) == step_s  # type: ignore[arg-type]
