"""The page in each of its states: what it says first, its sections, and that it is one file that runs nothing."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnslab.analyse.dataset import open_run
from dnslab.analyse.intervals import Interval
from dnslab.analyse.summary import summarise
from dnslab.experiment.compare import SAMPLE
from dnslab.plan.faultplan import FaultPlan
from dnslab.plan.faults import PARAMETERS
from dnslab.plan.model import Load, Plan, Trouble
from dnslab.present.page import _words, page
from dnslab.present.page.context import cost_cell, cost_decimals
from dnslab.present.page.scales import Scale, scale_around_0, scale_of
from tests import PROJECT, notebooks
from tests.explain import test_verification as verification
from tests.present import states
from tests.present.test_report import Page
from tests.runs import GLIBC, MUSL, rows, write_run

#: what each page says first, and its sections
EXPECTED = {
    "sample": ("Stalls found", "why helps now latency when trust details"),
    "race": ("Stalls found", "why helps now latency when trust details"),
    "wide": ("Stalls found", "why helps now latency when trust details"),
    "found": ("Stalls found", "why helps now latency when trust details"),
    "buffer": ("Stalls found", "why helps now latency when trust details"),
    "failing": ("Lookups fail", "why helps now latency when trust details"),
    "slow": ("Slow lookups, no stalls", "why helps now latency when trust details"),
    "partial": ("Addresses are missing", "why helps now latency when trust details"),
    "delayed": ("Lookups are late", "why helps now latency when trust details"),
    "none": ("No stalls seen", "why helps latency when trust details"),
    "cluster": ("No stalls seen", "why helps latency when trust details"),
    "void": ("Cannot tell: run void", "trust now details"),
    "gone": ("The stalls are gone", "helps now latency when trust details"),
    "stays": ("The stalls are still there", "helps now latency when trust details"),
    "imported": ("No lookups of 4.9 s or longer seen", "helps now trust details"),
    "compared": ("Better than before", "helps trust details"),
    "refused": ("Cannot compare these runs", "trust"),
    "diagnosis-shown": ("Cause shown", "why arms now trust details"),
    "diagnosis-likely": ("Likely cause found", "why arms now trust details"),
    "diagnosis-open": ("Trouble found, cause open", "why arms now trust details"),
    "diagnosis-two": ("Two causes found", "why arms now trust details"),
    "diagnosis-cluster": ("Nothing found", "why arms helps now trust details"),
    "diagnosis-none-fits": ("No known cause fits", "why arms now trust details"),
    "diagnosis-budget": ("Too little to tell", "why arms now trust details"),
    "diagnosis-stopped": ("Stopped early", "why arms now trust details"),
}


#: by trouble: what the small picture and the table of a verified page say that they count
CAPTIONS: dict[Trouble, tuple[str, str]] = {
    "stalls": ("Share of lookups that stalled (had to ask again)", "Lookups that stalled"),
    "failed": ("Share of lookups that failed", "Lookups that failed"),
    "slow": ("Share of lookups of 1 s or longer", "Lookups of 1 s or longer"),
    "partial": ("Share of lookups that got only one kind of address", "Lookups that lack addresses"),
    "over_limit": ("Share of lookups of 20 ms or longer", "Lookups of 20 ms or longer"),
}
#: diagnoses in which no fault was injected
NO_FAULT = {"diagnosis-cluster", "diagnosis-budget", "diagnosis-stopped"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return states.pages(tmp_path_factory.mktemp("states"))


def words(text: str) -> str:
    """The text of a page as one line."""
    body = re.sub(r"<title>.*?</title>", "", text.partition("<body>")[2])
    body = re.sub(r'<span class="nw">([^<]*)</span>|<wbr>', r"\1", body)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\xa0", " ").split())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_state_has_its_title_and_sections(pages: Mapping[str, str], name: str) -> None:
    title, sections = EXPECTED[name]
    found = Page(pages[name])
    said = words(pages[name])
    assert title in said[:900]
    assert [section["id"] for section in found.all("section")][: len(sections.split())] == sections.split()
    for wrong in ("nan", "None", "{", "inf "):
        assert wrong not in re.sub(
            r"None (of|seen|tested|failed|with|takes)|dnsPolicy: None|'\{.*?\}'|Verify.*?Undo", "", said
        ), wrong


@pytest.mark.parametrize("name", EXPECTED)
def test_a_page_is_one_file_that_runs_nothing(pages: Mapping[str, str], name: str) -> None:
    found = Page(pages[name])
    assert found.all("html") == [{"lang": "en"}]
    assert len(found.all("main")) == len(found.all("h1")) == 1
    policy = [one["content"] for one in found.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not found.all("script")
    assert len(pages[name]) < 1_500_000
    ids = [attributes["id"] for _, attributes in found.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for attributes in (attributes for _, attributes in found.tags):
        assert not [key for key in attributes if key.startswith("on")]
        for key in ("src", "href", "action", "data", "xlink:href"):
            value = attributes.get(key) or ""
            assert not value or (value.startswith("#") and value[1:] in ids), (key, value)


def test_marks_say_what_they_are_and_pictures_have_their_numbers(pages: Mapping[str, str]) -> None:
    for text in pages.values():
        marks = re.findall(r'<svg class="track[^>]*>(.*?)</svg></svg>', text, flags=re.S)
        assert all(mark.startswith("<title>") for mark in marks)
    assert pages["race"].count('<details class="numbers">') == 2
    assert len(Page(pages["race"]).all("text")) > 20  # labels of plots are text


def test_the_badge_says_that_a_fault_is_emulated(pages: Mapping[str, str]) -> None:
    emulated = {name for name, text in pages.items() if 'class="fault"' in text}
    assert emulated == {"sample", "race", *(name for name in EXPECTED if name.startswith("diagnosis-"))} - NO_FAULT


#: what must stand in a page, and what must not
SAYS = {
    "sample": (["musl stalls, too. No other configuration was tested with it."], ["nothing tested clears it"]),
    "race": (
        ["Local lab", "Emulated fault: conntrack race", "clear it on glibc", "musl ignores it", "Filled dot: share"],
        ["Very likely"],
    ),
    "found": (["Cluster production, 3 nodes", "Conntrack race Shown", "85 failed inserts"], ["Emulated"]),
    "buffer": (
        [
            "Full receive buffer of a DNS server",
            "Conntrack race alone",
            "None of 1,500 lookups with use-vc took that long",
            "no lookup took between 1 s and 4.5 s",
            "Does a server reach its CPU limit?",
            "More DNS replicas First measure at less load. Replicas were not tried.",
            "This test's own load may be the reason: 200 lookups/s for each configuration.",
            "One more pod for each replica Of what was tried:",
            "Note: this test's own load may be the reason; the cluster does other work too.",
            "One bad node or pod of the clients",
            "More DNS replicas",
            "See step 1 first",
            "See whether lookups stall at less load, too",
            "--rate 50",
            "dnslab sent up to 2,400 lookups/s at a time, 200 for each configuration",
            "get deploy coredns",
            "--replicas= NUMBER",
            "Or instead: use-vc for one workload",
            "is this run, and latest is the run after the change",
            "become faster with node-local and use-vc (p99). node-local needs a cache on every node.",
        ],
        ["Emulated", "replicas=4", "dnslab verify", "Recommended"],
    ),
    "failing": (
        [
            "With node-local, none of 1,500 lookups failed.",
            "can have lost a UDP packet",
            "all servers said that they cannot",
            "Before you change anything, measure your cluster.",
            "If its page names the same cause: fix the DNS servers",
            "If it names another cause, do what that page says instead.",
            "Fix the servers. node-local only hides it",
            "No failure in 1,500 lookups.",
            "Until then: apply node-local, which hides errors of cached names",
            "Other names still get them, and here only 1 name was asked for.",
        ],
        [
            "Most likely",
            "usable",
            "clears it here",
            "get configmap coredns",
            "ended with EAI_AGAIN",
            "Start with",
            "No stall in",
            "stalls are gone",
            "Recommended",
            "asks again after 5 s",
            "ends at the dotted line",
        ],
    ),
    "slow": (
        ["If lookups are slow there, too: find out whether it is the servers", "can have lost a UDP packet"],
        ["not lost packets", "open dot", "compare slow", "ends at the dotted line", "4.5 s of a stall"],
    ),
    "none": (
        ["If lookups of your pods still stall", "can have missed stalls"],
        ["What does it cost?", "ms faster", "Faster median", "Filled dot: share", "asks again after 5 s"],
    ),
    "void": (
        [
            "This is the same plan, but at half the rate and with 3 rounds",
            "void/plan.yaml --rate 20 \\ --rounds 3 \\ --report",
            "not a result",
            "2 checks failed Probe stood still, generator too slow.",
        ],
        ["What helps", "Mend this first"],
    ),
    "imported": (
        [
            "Measured with another tool",
            "No difference in slow lookups shown",
            "slower than baseline",
            "What to do now Replace",
            "dnslab run --backend kubernetes",
            "Measure more rounds, also at other hours",
            "Counted as slow: lookups of 4.9 s or longer.",
            "That holds if such lookups come evenly over time. If they come in bursts, it can be more.",
            "With musl (Alpine images) a stall lasts only 2.5 s. A limit of 4.9 s does not count such stalls.",
            "An open dot: none was seen.",
        ],
        ["rows", "63.2", "not counted", "Can you trust", "the machine", "Rounds differ"],
    ),
    "diagnosis-shown": (
        [
            "One DNS server is dead but still in the Service.",
            "Server 10.200.255.3: all 237 queries got no answer within 1 s.",
            "Server 10.200.255.2: this happened to none of 237.",
            "How sure? Shown",
            "One DNS server by itself: 10.200.255.3",
            "No answer at all",
            "place: 17 s, at most 46 queries/s for each server This tells whether the servers lose",
            "more: not climbed",
            "The evidence did not ask for it.",
            "First confirm it there.",
            "If it finds the same there: delete its pod",
            "Diagnose again after the change",
        ],
        ["Every kind of query is hit", "injected: ", "cause open"],
    ),
    "diagnosis-likely": (
        [
            "Over TCP: all 15 queries got no answer within 1 s.",
            "A alone: this happened to none of 15.",
            "How sure? Likely",
            "The next experiment would tell what applications feel",
            "libc: not climbed, the time was over",
            "The ladder ended before it.",
            "Lookups of the C library.",
        ],
        ["Lookups of the C library failed a check"],
    ),
    "diagnosis-open": (
        [
            "It could be “Conntrack race”.",
            "Which of its causes makes it is still open.",
            "This experiment tells the possible causes apart: shell",
        ],
        ["Cause shown"],
    ),
    "diagnosis-two": (
        [
            "TCP to DNS is blocked, and AAAA answers come late.",
            "Over TCP: all 230 queries got no answer within 1 s. A alone: this happened to none of 230.",
            "AAAA alone: all 149 queries were answered after 150 ms or more. A alone: this happened to none of 230.",
            "Together they explain all that was seen. No single cause does.",
            "Cause 1 TCP to DNS is blocked Likely",
            "Cause 2 AAAA answers come late Likely",
        ],
        [],
    ),
    "diagnosis-cluster": (
        [
            "Cluster dnslab, 1 node",
            "None of 1,231 queries was lost, late or wrong.",
            "fewer than 1 query in 330",
            "Not tested: more than 49 queries/s at each server",
            "Error codes, cut-short answers and late answers: none of 1,231 queries.",
            "--image dnslab.test/glibc:1 --nodes all \\ --report",
            "--wait 21600s",
            "What helps, and what it costs",
        ],
        ["Confirm on your cluster", "Cause 1"],
    ),
    "diagnosis-none-fits": (
        [
            "no cause that dnslab knows explains what was seen",
            "A and AAAA from two sockets: 4 of 298 queries got no answer within 1 s",
            "That there is trouble is sure; why is open",
            "Look at the DNS servers",
        ],
        ["Cause shown", "None seen."],
    ),
    "diagnosis-budget": (
        [
            "The limit of 40 s was too short to tell.",
            "None of 751 queries was lost, late or wrong.",
            "Servers were not asked one by one",
            "dnslab diagnose --backend local --nameserver 127.0.0.1:35581 \\ --name",
            "--budget 120s --report",
        ],
        ["glibc stall", "Cause"],
    ),
    "diagnosis-stopped": (
        [
            "Incomplete trials: 1 of 7 (baseline, round 1: the probe ended without its trailer",
            "Only what was seen until then",
            "1 check failed",
            "A rung ended early",
            "None of 240 queries was lost, late or wrong.",
            "DNS did not stop it.",
            "more: not climbed",
            "The ladder ended before it.",
        ],
        ["Nothing found", "Cause"],
    ),
}


@pytest.mark.parametrize("name", SAYS)
def test_a_state_says_what_was_seen_in_it(pages: Mapping[str, str], name: str) -> None:
    there, absent = SAYS[name]
    said = words(pages[name])
    assert [text for text in there if text not in said] == []
    assert [text for text in absent if text in said] == []


def test_in_a_cluster_the_card_begins_as_the_steps_do(tmp_path: Path) -> None:
    """What is mended first is at the servers, so one run is compared with the next."""
    run = states.in_cluster(states.run_of(tmp_path / "run", states.failing, states.CLUSTER, backend="kubernetes"))
    said = words(page(run))
    first = "Fix the servers first: a cache only hides their errors."
    assert f"{first} Until then, node-local hides the errors of cached names." in said
    steps = said[said.index("What to do now Replace") :]
    order = [
        "Fix the DNS servers",
        "Until then: apply node-local",
        "Measure again after each change",
        "compare run latest",
    ]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)
    assert "dnslab verify" not in steps
    # Where the run's own pods were need not be where a workload is that nobody named.
    assert "--namespace NAMESPACE" in steps


def test_a_block_to_select_whole_only_looks_or_only_changes(pages: Mapping[str, str]) -> None:
    blocks = [block for text in pages.values() for block in re.findall(r"<pre[^>]*>(.*?)</pre>", text, flags=re.S)]
    blocks = [re.sub(r"<[^>]+>", "", block) for block in blocks]
    assert [block for block in blocks if "node-cache install" in block]
    assert not [block for block in blocks if "node-cache install" in block and "status" in block]
    lines = [line for block in blocks for line in block.splitlines()]
    assert [line for line in lines if line.strip() == "\\"] == []


def test_on_an_emulated_fault_each_badge_says_so(pages: Mapping[str, str]) -> None:
    said = words(pages["race"])
    assert "All 4 alternatives clear it on glibc in this emulation" in said
    assert said.count("Clears it in this emulation") == said.count("Clears it") == 5
    assert "Best in this emulation" in said
    assert "Recommended" not in said
    assert "use-vc can be applied as easily and has no known bug either." in said
    assert "Recommended" in words(pages["found"])


def test_where_it_was_measured_stands_first(pages: Mapping[str, str]) -> None:
    for name, text in pages.items():
        said = words(text)
        assert said.index("Where:") < said.index(EXPECTED[name][0]), name
    terms = {
        name: re.findall(r"<dt>(.*?)</dt>", text.partition('class="facts"')[2])[:3] for name, text in pages.items()
    }
    for name in terms.keys() - {"compared", "refused"}:
        assert terms[name] == ["Where", "When", "Measured"], name


@pytest.mark.parametrize("name", sorted(PARAMETERS.keys() - {"none"}))
def test_every_fault_has_its_badge(tmp_path: Path, name: str) -> None:
    """Whether it has words of its own or not."""
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),), fault=FaultPlan.parse(name))
    run = write_run(tmp_path / "run", plan, {("baseline", "glibc", n): rows([0.5] * 10) for n in (1, 2, 3)})
    assert "Emulated fault: " in words(page(open_run(run)))[:200]


def test_no_backslash_stands_alone(pages: Mapping[str, str]) -> None:
    """It is on one line with the word before it."""
    for text in pages.values():
        for block in re.findall(r"<pre[^>]*>(.*?)</pre>", text, flags=re.S):
            for line in block.splitlines():
                assert not line.endswith("\\"), line
    assert re.search(r'<span class="nw">[^\n]* \\</span>', pages["race"])


def test_contents_have_the_words_of_the_headings(pages: Mapping[str, str]) -> None:
    for name, text in pages.items():
        contents = re.findall(r'<li><a href="#(\w+)">(.*?)</a>', text.partition("<nav")[2].partition("</nav>")[0])
        headings = re.findall(r'<section id="(\w+)".*?<h2[^>]*>(.*?)</h2>', text, flags=re.S)
        assert contents == headings[: len(contents)], name
        assert len(contents) >= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("single-request, or use-vc.", '<span class="nw">single-request</span>, or <span class="nw">use-vc</span>.'),
        ("--variants baseline", '<span class="nw">--variants</span> baseline'),
        ("none of 1,500", "none of 1,500"),
        ("a,b-c", 'a,<wbr><span class="nw">b-c</span>'),
        ("on glibc@node-1", 'on <span class="nw">glibc@node-1</span>'),
        ("web-1@ip-10-120.eu-central-1.compute", "web-1@ip-10-120.eu-central-1.compute"),
        ("x" * 20 + "-" + "y" * 20, "x" * 20 + "-" + "y" * 20),
        ("<b-c>", '&lt;<span class="nw">b-c</span>&gt;'),
    ],
)
def test_no_line_breaks_in_a_name(text: str, shown: str) -> None:
    """Unless it is longer than a phone is wide."""
    assert _words(text) == shown


def test_the_remedy_can_be_applied_verified_and_undone(pages: Mapping[str, str]) -> None:
    said = words(pages["race"])
    steps = ["Confirm on your cluster", "names the same cause: apply single-request-reopen", "Verify", "Undo"]
    places = [said.index(step, said.index("What to do now", 900)) for step in steps]
    assert places == sorted(places)
    assert "dnslab verify latest --report" in said
    assert "Alpine and other musl images" in said
    assert '{"spec":{"template":{"spec":{"dnsConfig":null}}}}' in said


def test_the_notebook_shows_the_same_page(tmp_path: Path) -> None:
    """What its last cell shows is the style and the body of the page."""
    made = page(open_run(SAMPLE))
    assert made._repr_html_() == page(open_run(SAMPLE))._repr_html_()
    assert "<title>dnslab" not in made._repr_html_()
    assert "Content-Security-Policy" not in made._repr_html_()
    assert made.count("<style") == 1
    style = made.partition("<style>")[2].partition("</style>")[0]
    for rule in re.findall(r"^([^@\s}/][^{]*)\{", style, flags=re.M):
        assert ".dnslab" in rule, rule  # or it would change the notebook's own page


@pytest.mark.notebook
def test_papermill_makes_the_same_page(tmp_path: Path) -> None:
    executed = tmp_path / "executed.ipynb"
    parameters = {"run": str(SAMPLE)}
    assert notebooks.execute(PROJECT / "notebooks" / "compare.ipynb", executed, parameters) == ""
    assert page(open_run(SAMPLE))._repr_html_() in notebooks.shown(executed)


FINE, BAD = rows([0.5] * 100), rows([0.5] * 95 + [5004.0] * 5)
FAILED = rows([16_000.0] * 100, outcome=-3, answers=0)
BOTH = ("baseline", "use-vc")
#: variants, target, what each round measured; what the page then says
ODD_RUNS: dict[str, tuple[tuple[str, ...], str, list[dict[str, Any]], list[str]]] = {
    "no trial finished": (BOTH, "glibc", [{}] * 3, ["Cannot tell: run void"]),
    "baseline alone": (BOTH[:1], "glibc", [{"baseline": BAD}] * 3, ["1 lookup in 20", "Only baseline was measured"]),
    "another alone": (BOTH[1:], "glibc", [{"use-vc": FINE}] * 3, ["No baseline was measured, only use-vc."]),
    "every lookup failed": (
        BOTH,
        "glibc",
        [dict.fromkeys(BOTH, FAILED)] * 3,
        ["Every lookup failed."],
    ),
    "one round": (BOTH, "glibc", [{"baseline": BAD, "use-vc": FINE}], ["Too few rounds for an interval: 1 round"]),
    "applies nowhere": (BOTH, "musl", [{"baseline": BAD}] * 3, ["2.25 s or longer", "musl ignores use-vc"]),
    "no lookup at all": (BOTH, "glibc", [dict.fromkeys(BOTH, rows([]))] * 3, ["Nothing was measured."]),
}


@pytest.mark.parametrize("name", ODD_RUNS)
def test_an_odd_run_has_a_page(tmp_path: Path, name: str) -> None:
    variants, target, rounds, says = ODD_RUNS[name]
    plan = Plan(variants=variants, rounds=len(rounds), loads=(Load(duration_s=1),))
    lookups = {(name, target, n): made for n, one in enumerate(rounds, 1) for name, made in one.items()}
    known = [info for info in (GLIBC, MUSL) if info.name == target]
    said = words(page(open_run(write_run(tmp_path / "run", plan, lookups, known=known))))
    for one in says:
        assert one in said
    assert "nan" not in said


def test_a_million_lookups_stay_small(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    generator = np.random.default_rng(1)
    lookups = {("baseline", "glibc", n): rows(generator.lognormal(0, 1, 340_000).tolist()) for n in (1, 2, 3)}
    assert len(page(open_run(write_run(tmp_path / "run", plan, lookups)))) < 300_000


def test_a_column_of_changes_has_equal_decimals(tmp_path: Path) -> None:
    """An estimate close to 0 does not ask for more than its bounds bear."""
    bounds = {"a": (0.0003, -0.0462, 0.0468), "b": (0.011, -0.012, 0.034), "c": (12.3, 8.1, 16.4)}
    made = Plan(variants=("baseline",), rounds=3, loads=(Load(duration_s=1),))
    run = write_run(tmp_path / "run", made, {("baseline", "glibc", n): rows([0.5] * 10) for n in (1, 2, 3)})
    row = summarise(open_run(run)).measured()[0]
    effects = {name: {"p50_ms": Interval(*values)} for name, values in bounds.items()}
    changed = [replace(row, variant=name, effects=effect) for name, effect in effects.items()]
    decimals = cost_decimals(changed)
    assert decimals == {("a", "glibc"): 2, ("b", "glibc"): 2, ("c", "glibc"): 0}
    scale = scale_around_0([-0.05, 16.5])
    cells = [cost_cell(one, scale, one.variant, decimals[one.variant, "glibc"]) for one in changed]
    assert [(cell.value, cell.rest) for cell in cells] == [
        ("0.00", "(\u22120.05 to +0.05)"),
        ("+0.01", "(\u22120.01 to +0.03)"),
        ("+12", "(+8 to +16)"),
    ]


@pytest.mark.parametrize("trouble", CAPTIONS)
def test_a_verified_page_counts_the_trouble_that_was_found(tmp_path: Path, trouble: Trouble) -> None:
    plan = verification.plan_of(3, trouble=trouble)
    lookups = {
        (variant, "glibc", number): verification.with_trouble(trouble, n)
        for variant, n in (("baseline", 0), ("before", 40))
        for number in (1, 2, 3)
    }
    path = write_run(tmp_path / "run", plan, lookups, start_changes={"resolv_conf": verification.NEW})
    said = words(page(open_run(path)))
    caption, heading = CAPTIONS[trouble]
    assert f"{caption}, with 95 % interval before the patch glibc 8.0 %" in said
    assert f" {heading} share, 95 % interval" in said


@pytest.mark.parametrize("high", [0.2, 0.3, 0.4, 0.6, 0.8, 3, 7.5, 14, 40])
def test_labels_of_an_axis_are_at_even_steps(high: float) -> None:
    labelled = [tick.at for tick in scale_of([high]).axis("\xa0%").ticks if tick.label]
    steps = np.diff(labelled)
    assert len(labelled) > 1
    assert steps == pytest.approx(np.full(len(steps), steps[0]), abs=0.02)


def test_shares_have_one_scale() -> None:
    assert scale_of([6.8, 0.0], [7.5, 0.04]) == Scale(0.0, 8.0)
    assert scale_of([0.001, 12.0], [14.0]) == Scale(0.001, 100.0, True)
    assert scale_of([100.0], [100.0]).high == 100.0
    assert scale_of([], []) == Scale(0.0, 1.0)
    assert scale_of([0.001, 12.0]).at(0.0) < scale_of([0.001, 12.0]).at(0.001)
    ends = scale_of([6.8]).axis("\xa0%").ticks
    assert (ends[0].edge, ends[-1].edge) == ("", "end")  # a digit is centred; what is wider reaches into no other cell
    around = scale_around_0([-0.1, 0.4])
    assert around.low <= -0.1
    assert around.at(-0.1) < around.at(0.0) < around.at(0.4)
