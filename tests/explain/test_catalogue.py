"""The catalogue: every entry is whole, every fault of the lab has one, and the page for people is current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dnslab.explain import signs
from dnslab.explain.catalogue import CAUSES, Cause, causes_of_fault
from dnslab.explain.catalogue_page import GROUPS, page
from dnslab.explain.predictions import MECHANISMS
from dnslab.plan.faults import PARAMETERS
from tests import PROJECT
from tests.cli.test_cli import dnslab

#: what a fault imitates has an entry; ``none`` imitates nothing
FAULTS = [name for name in PARAMETERS if name != "none"]


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_the_lab_has_a_cause(fault: str) -> None:
    assert causes_of_fault(fault)


def test_there_are_causes_beyond_the_lab() -> None:
    assert len(CAUSES) >= 35
    assert sum(not cause.faults for cause in CAUSES.values()) >= 5
    assert {cause.mechanism for cause in CAUSES.values()} == set(MECHANISMS)


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_an_entry_is_whole(cause: Cause) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cause.name)
    assert cause.group in GROUPS
    assert cause.sources
    assert all(re.match(r"https://|docs/|[\w.-]+/[\w.-]+#\d+$", source) for source in cause.sources)
    assert all((PROJECT / source).exists() for source in cause.sources if source.startswith("docs/"))
    assert cause.command.startswith("dnslab ")
    assert cause.predicts.must
    named = [name.removeprefix("!") for name in (*cause.predicts.must, *cause.predicts.may, *cause.predicts.never)]
    named += [name.removeprefix("!") for group in (*cause.shown_by, cause.predicts.unlikely) for name in group]
    assert set(named) <= set(signs.NAMES)
    # What a cause needs, it cannot exclude.
    assert not {name for name in cause.predicts.must if not name.startswith("!")} & set(cause.predicts.never)


def test_no_two_causes_predict_the_same_by_oversight() -> None:
    """Two causes that no sign tells apart stand here, with the experiment beyond signs that does."""
    same: dict[object, list[str]] = {}
    for cause in CAUSES.values():
        key = (frozenset(cause.predicts.must), frozenset(cause.predicts.may), frozenset(cause.predicts.never))
        same.setdefault((key, cause.predicts.unlikely), []).append(cause.name)
    assert [names for names in same.values() if len(names) > 1] == [
        ["cloud-flow-limit", "ebpf-map-full"],  # the one hits a whole node, and pods in its network, too
        ["slow-upstream", "search-list"],  # a dot at the name's end
    ]


def test_the_page_is_current() -> None:
    assert (PROJECT / "docs" / "causes.md").read_text(encoding="utf-8") == "".join(f"{line}\n" for line in page())


def test_the_command_lists_and_prints(tmp_path: Path) -> None:
    listed = dnslab("causes", cwd=tmp_path).stdout
    assert all(f"{name} " in listed for name in CAUSES)
    one = dnslab("causes", "conntrack-race", cwd=tmp_path).stdout
    assert "single-request-reopen" in one
    assert "kubernetes/kubernetes#56903" in one
    wrong = dnslab("causes", "conntrack-rac", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean 'conntrack-race'?" in wrong.stderr
