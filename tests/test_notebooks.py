"""The notebooks, each on stored runs and on one made now: what they show is what the run holds."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import papermill
import pytest
from jupyter_client.manager import start_new_kernel

from dnslab import notebook
from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.errors import Interrupted, UsageError
from dnslab.experiment import diagnose as experiment
from dnslab.experiment.compare import SAMPLE, obtain_run, obtain_runs, resume, run
from dnslab.experiment.diagnosed import obtain_diagnosis
from dnslab.explain import overview
from dnslab.measure import runner
from dnslab.plan.model import Load, Plan
from dnslab.present.page import diagnosis_page
from dnslab.text import as_html, milliseconds, share_text
from tests import PROJECT, diagnoses, notebooks
from tests.explain.test_verification import measured as measured_verification
from tests.present.test_report import Page
from tests.runs import rows, write_run

NOTEBOOKS = PROJECT / "notebooks"
MODELS: dict[str, type[notebook._Parameters]] = {
    "compare": notebook.CompareParameters,
    "explore": notebook.ExploreParameters,
    "before_after": notebook.BeforeAfterParameters,
    "matrix": notebook.MatrixParameters,
    "verify": notebook.VerifyParameters,
    "diagnose": notebook.DiagnoseParameters,
}


def executed(name: str, folder: Path, **parameters: Any) -> tuple[str, Page]:
    """The outputs of a notebook as a page: without its pictures' bytes, and its tags."""
    out = folder / f"{name}-executed.ipynb"
    problem = notebooks.execute(NOTEBOOKS / f"{name}.ipynb", out, parameters)
    page = notebooks.shown(out)
    assert not problem, problem
    return re.sub(r"base64,[A-Za-z0-9+/=]+", "base64,", page), Page(page)


def alternatives(page: Page) -> list[str]:
    return [image["alt"] or "" for image in page.all("img")]


def test_every_notebook_is_known() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_committed_clean_and_short(name: str) -> None:
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert all(len(cell["source"]) <= 10 for cell in code)
    assert [cell["metadata"].get("tags") for cell in code].count(["parameters"]) == 1


@pytest.mark.notebook
@pytest.mark.parametrize("name", MODELS)
def test_papermill_lists_every_parameter(name: str) -> None:
    """With its type and what it is for; defaults are the model's."""
    listed = papermill.inspect_notebook(NOTEBOOKS / f"{name}.ipynb")
    fields = MODELS[name].model_fields
    assert set(listed) == set(fields)
    for key, parameter in listed.items():
        default = ast.literal_eval(parameter["default"])
        assert default == fields[key].default
        assert parameter["inferred_type_name"] == type(default).__name__
        assert len(parameter["help"]) > 10


@pytest.mark.parametrize(
    ("model", "values", "says"),
    [
        ("compare", {"run": "new", "plan": {"rounds": 0}}, "parameter plan.rounds: expected 1 or more, saw 0"),
        ("compare", {"run": 7}, "parameter run: expected a text, saw 7"),
        ("compare", {"colour": "red"}, "parameter colour: unknown key; known are run, plan"),
        ("explore", {"rounds": 0}, "parameter rounds: expected 1 or more, saw 0"),
        ("explore", {"rate": -5.0}, "parameter rate: expected more than 0, saw -5"),
        (
            "explore",
            {"variants": "baseline,use-cv"},
            "parameter variants: unknown variant 'use-cv': did you mean 'use-vc'?",
        ),
        ("explore", {"fault": "rase", "rounds": 0}, "parameter fault: unknown fault 'rase': did you mean 'race'?"),
        ("explore", {"rate": "fast"}, "parameter rate: expected a number, saw 'fast'"),
        ("explore", {"colour": "red"}, "parameter colour: unknown key"),
        ("matrix", {"sweep": "colour"}, "parameter sweep: expected rate, workers, duration or target, saw 'colour'"),
        ("matrix", {"values": "20,many"}, "parameter values: expected a number, saw 'many'"),
        ("matrix", {"values": ""}, "parameter values: expected 1 or more items"),
        ("diagnose", {"budget": 0.0}, "parameter budget: expected more than 0, saw 0"),
        ("diagnose", {"fault": "rase"}, "parameter fault: unknown fault 'rase': did you mean 'race'?"),
        ("diagnose", {"name": "a..b"}, "parameter name: the name 'a..b' has an empty label"),
        ("diagnose", {"backend": "lan"}, "parameter backend: expected lab, local or kubernetes, saw 'lan'"),
        ("before_after", {"runs": ["one"]}, "parameter runs: name two runs or more"),
        ("before_after", {"runs": [20250101, 20250102]}, "parameter runs: expected a text, saw 20,250,101"),
    ],
)
def test_parameters_are_checked(model: str, values: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        MODELS[model].check(**values)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_each_notebook_checks_its_parameters(name: str) -> None:
    model = MODELS[name]
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    [check] = [call for call in calls if ast.unparse(call.func) == f"dnslab.{model.__name__}.check"]
    assert sorted(ast.unparse(each.value) for each in check.keywords) == sorted(model.model_fields)


def test_runs_that_cannot_be_compared_are_refused() -> None:
    for runs in ([20250101, 20250102], ["one"]):
        with pytest.raises(UsageError):
            obtain_runs(runs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sweep", "values", "label"),
    [
        ("rate", "20,60", ("20/s (poisson)", "60/s (poisson)")),
        ("workers", "5,50", ("closed loop, 5 workers", "closed loop, 50 workers")),
        ("duration", "1,2", ("60/s (poisson)", "60/s (poisson)")),
        ("target", "glibc,musl", ("60/s (poisson)",)),
    ],
)
def test_a_sweep_is_one_plan(sweep: str, values: str, label: tuple[str, ...]) -> None:
    plan = Plan.model_validate(notebook.MatrixParameters.check(sweep=sweep, values=values).plan).check()
    assert tuple(load.label for load in plan.loads) == label
    assert [load.duration_s for load in plan.loads] == ([1, 2] if sweep == "duration" else [2] * len(label))
    assert [target.name for target in plan.targets] == (["glibc", "musl"] if sweep == "target" else ["glibc"])


@pytest.mark.notebook
def test_explore_a_stored_run(tmp_path: Path) -> None:
    text, page = executed("explore", tmp_path, run=str(SAMPLE))
    run = open_run(SAMPLE)
    lookups, row = run.lookups(), summarise(run).row("baseline", "glibc")
    stall = lookups[lookups["stall"]].iloc[0]
    assert row
    assert f"The resolver returned after {milliseconds(stall['service_ms'])} ms" in text
    assert f"<td>{lookups['service_ms'].iloc[0]:.6f}</td>" in text
    assert "server-a.Udp.RcvbufErrors" in text
    curves, seconds = alternatives(page)
    assert f"baseline on glibc: {share_text(row.intervals['slow_share'])} took 1 s or longer" in curves
    assert f"baseline on glibc: {row.stalls} stalls" in seconds
    assert "Stalls found. About 1 lookup in 15 waited 5" in text
    assert "The fault is emulated and cannot hit" in text
    assert "What follows is the sample run" not in text


@pytest.mark.notebook
def test_explore_where_no_lab_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's programs are not on the path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path / "results"))
    text, page = executed("explore", tmp_path)
    assert "What follows is the sample run that comes with dnslab, measured elsewhere." in text
    assert len(alternatives(page)) == 2


@pytest.mark.notebook
def test_before_and_after(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline", "use-vc"), rounds=3, loads=(Load(duration_s=1),))
    for name, n in (("one", 5), ("two", 1)):
        lookups = {("baseline", "glibc", number): rows([5004.0] * n + [0.5] * (100 - n)) for number in (1, 2, 3)}
        lookups |= {("use-vc", "glibc", number): rows([0.7] * 100) for number in (1, 2, 3)}
        lookups |= {("baseline", "musl", number): rows([0.4] * 100) for number in (1, 2, 3)}
        write_run(tmp_path / name, plan, lookups)
    text, _ = executed("before_after", tmp_path, runs=[str(tmp_path / "one"), str(tmp_path / "two")])
    assert "<th scope='row'>before</th><td>one</td>" in text
    assert "<th scope='row'>after</th><td>two</td>" in text
    assert "5.0 % of 300 lookups stalled (95 % interval 3.1 to 8.1 %)" in text  # 15 of 300 by Wilson
    start = "<tr><th scope='row'>baseline</th><td>{}</td><td>glibc</td><td>300</td><td>{}</td>"
    assert text.index(start.format("before", 15)) < text.index(start.format("after", 3))
    assert text.index(start.format("after", 3)) < text.index("<td>before</td><td>musl</td>")
    assert re.search(r"<td>5.0\s%</td><td>1.0\s%</td><td>−4(\.0)? \(", text)  # points of stalls, of the comparison
    assert "3 configurations compared, 0 refused" in text
    reason = "<td>after</td><td>musl</td><td class='reason' colspan='17' [^>]*>not applicable: musl ignores use-vc"
    assert re.search(reason, text)


@pytest.mark.notebook
def test_before_and_after_shows_what_it_did_not_compare(tmp_path: Path) -> None:
    """Refused with its reason, in one run only, and what else differs: no cell is empty."""
    for name, rate, variants in (("one", 100, ("baseline", "use-vc")), ("two", 200, ("baseline",))):
        plan = Plan(variants=variants, rounds=3, loads=(Load(rate_per_s=rate, duration_s=1),), seed=rate)
        lookups = {(variant, "glibc", number): rows([0.5] * 100) for variant in variants for number in (1, 2, 3)}
        write_run(tmp_path / name, plan, lookups)
    text, _ = executed("before_after", tmp_path, runs=[str(tmp_path / "one"), str(tmp_path / "two")])
    assert "0 configurations compared, 1 refused" in text
    assert "Nothing was compared." in text
    assert (
        "<li>The rate_per_s of the load differs: 100.0 before, 200.0 after. This concerns baseline on glibc.</li>"
        in text
    )
    assert "<li>use-vc on glibc, load 100/s (poisson), is only in run &quot;before&quot;.</li>" in text


@pytest.mark.notebook
def test_a_stored_verification(tmp_path: Path) -> None:
    measured_verification(tmp_path / "verified", [0, 0, 0], [40, 41, 39])
    text, page = executed("verify", tmp_path, run=str(tmp_path / "verified"))
    assert "The stalls are gone: with the workload as it is now, none of 1,500 lookups stalled." in text
    assert len(alternatives(page)) == 1


@pytest.mark.notebook
def test_a_stored_diagnosis(tmp_path: Path) -> None:
    """The answer, the arms in numbers, and the page that ``dnslab report`` writes."""
    folder = diagnoses.unpacked("shown", tmp_path)
    text, page = executed("diagnose", tmp_path, run=str(folder))
    found = experiment.opened(folder)
    assert all(as_html(line) in text for line in found.answer.lines)
    (arm,) = [seen for seen in found.answer.arms if seen.arm == "tcp" and seen.silent]
    row = f"<th scope='row'>tcp</th><td>{arm.place}</td><td>{arm.n}</td><td>{arm.n}</td><td>{arm.n}</td>"
    assert row in text
    assert diagnosis_page(found)._repr_html_() in text
    assert len(page.all("h1")) >= 1


@pytest.mark.notebook
def test_a_diagnosis_where_no_lab_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's programs are not on the path: what the sample run bears is shown."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path / "results"))
    text, _ = executed("diagnose", tmp_path)
    assert "What follows is the sample run that comes with dnslab, measured elsewhere." in text
    assert "The rungs of the ladder" in text


def test_the_newest_diagnosis_is_the_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path))
    for name, day in (("shown", 3), ("cluster", 2)):
        diagnoses.unpacked(name, tmp_path).rename(tmp_path / f"2026010{day}T000000Z-diagnose")
    found = obtain_diagnosis("latest")
    assert (found.path.name, found.answer.status) == ("20260103T000000Z-diagnose", "cause")
    assert obtain_diagnosis(found) is found
    with pytest.raises(UsageError, match="saw 7"):
        obtain_diagnosis(7)  # type: ignore[arg-type]


@pytest.mark.notebook
def test_before_and_after_where_there_are_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path / "results"))
    text, _ = executed("before_after", tmp_path)
    assert "the sample run that comes with dnslab, beside itself" in text
    assert text.count("Emulated fault: race:p=0.05.") == 2


def test_three_runs_have_three_names() -> None:
    table = overview.side_by_side([open_run(SAMPLE)] * 3).frame
    assert table["run"].tolist()[:3] == ["before", "after", "after 2"]
    assert len(table) == 3 * len(summarise(open_run(SAMPLE)).rows)


def test_the_two_newest_are_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path))
    for name in ("20260101T000000Z-a", "20260103T000000Z-c", "20260102T000000Z-b"):
        shutil.copytree(SAMPLE, tmp_path / name)
    assert [run.path.name[-1] for run in obtain_runs()] == ["b", "c"]


@pytest.mark.notebook
def test_a_stored_matrix(tmp_path: Path) -> None:
    plan = Plan(variants=("baseline",), rounds=3, loads=(Load(rate_per_s=20), Load(rate_per_s=40)))
    lookups: dict[tuple[Any, ...], Any] = {}
    for number in (1, 2, 3):
        lookups["baseline", "glibc", number, 0] = rows([0.5] * 100)
        lookups["baseline", "glibc", number, 1] = rows([5004.0] * 2 + [0.5] * 98)
    text, page = executed("matrix", tmp_path, run=str(write_run(tmp_path / "run", plan, lookups)))
    (alt,) = alternatives(page)
    assert alt.endswith(
        "against lookups/s. baseline: 0 at 20, p99 0.50 ms, 2.0\N{NO-BREAK SPACE}% at 40, p99 5,004 ms."
    )
    assert "<td>40/s (poisson)</td><td>300</td><td>6</td>" in text


@pytest.mark.alone  # what a busy machine spoils is left out of the picture
@pytest.mark.lab
@pytest.mark.notebook
def test_explored_now_then_set_beside_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path / "results"))
    text, page = executed("explore", tmp_path, variants="baseline,use-vc", fault="race:p=0.2", rate=60.0, duration=1.0)
    (made,) = (tmp_path / "results").iterdir()
    row = summarise(open_run(made)).row("baseline", "glibc")
    assert row
    assert row.stalls > 5
    assert "half lost: one of two parallel answers came" in text
    assert f"baseline on glibc: {row.stalls} stalls" in alternatives(page)[1]
    assert "<td>race:p=0.2 is injected, " in text  # a busy machine may void the headline
    text, _ = executed("before_after", tmp_path, runs=[str(SAMPLE), str(made)])
    assert f"<td>after</td><td>glibc</td><td>{row.n:,}</td><td>{row.stalls:,}</td>" in text


@pytest.mark.alone
@pytest.mark.lab
@pytest.mark.notebook
def test_a_matrix_made_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times the rate, three times the lookups; nothing is injected, so nothing stalls."""
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path / "results"))
    asked = {"values": "30,90", "variants": "baseline,use-vc", "fault": "none", "duration": 1.0}
    text, page = executed("matrix", tmp_path, **asked)
    (made,) = (tmp_path / "results").iterdir()
    summary = summarise(open_run(made))
    few, many = summary.row("baseline", load=0), summary.row("baseline", load=1)
    assert few
    assert many
    assert 1.5 < many.n / few.n < 6  # arrivals of chance: some 90 lookups and 270
    (alt,) = alternatives(page)
    assert f"baseline: 0 at 30, p99 {milliseconds(few.p99_ms)} ms, 0 at 90" in alt
    assert f"<td>90/s (poisson)</td><td>{many.n:,}</td><td>0</td>" in text


def in_a_kernel(code: str, folder: Path, stop_when: str = "") -> tuple[list[str], list[str], float]:
    """Run ``code`` in a kernel in ``folder``, as a notebook does. With ``stop_when``, interrupt it, as the stop button
    does, once an output matches it.

    Returns
    -------
    list of str
        The texts shown, one after the other.
    list of str
        Lines of the error; empty if there was none.
    float
        Seconds from the interrupt to the next output.
    """
    manager, client = start_new_kernel(
        cwd=str(folder), env={**os.environ, "DNSLAB_RESULTS": "", "PYTHONPATH": str(PROJECT)}
    )
    shown: list[str] = []
    error: list[str] = []
    stopped_s = answered_s = 0.0
    try:
        asked = client.execute(code)
        while True:
            message = client.get_iopub_msg(timeout=60)
            content = message["content"]
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return shown, error, answered_s - stopped_s
            text = "".join(map(str, content.get("data", {}).values())) + content.get("text", "")
            if text:
                shown.append(text)
                answered_s = answered_s or (time.monotonic() if stopped_s and "topping" in text else 0.0)
            error += content.get("traceback", [])
            if stop_when and not stopped_s and re.search(stop_when, text):
                stopped_s = time.monotonic()
                manager.interrupt_kernel()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.lab
@pytest.mark.notebook
def test_the_stop_button_keeps_what_was_measured(tmp_path: Path) -> None:
    """It says so at once, and how to go on in Python; that line of Python measures the rest."""
    plan = {
        "variants": ["baseline"],
        "targets": ["glibc"],
        "fault": "none",
        "rounds": 2,
        "loads": [{"duration_s": 4.0}],
    }
    shown, error, answered_s = in_a_kernel(f"import dnslab\ndnslab.run({plan})", tmp_path, r"[1-9][\d,]* lookups")
    assert any("topping, keeping what was measured" in text for text in shown)
    assert answered_s < 1.0
    (line,) = error
    match = re.fullmatch(
        r"Interrupted after 0 of 2 trials; all is kept: `(run = dnslab\.resume\(.*\))` continues the run", line
    )
    assert match
    (made,) = (tmp_path / "results").iterdir()
    assert len(open_run(made).lookups()) > 10
    shown, error, _ = in_a_kernel(f"import dnslab\n{match[1]}\nrun", tmp_path)
    assert not error
    assert "state  complete" in shown[-1]
    assert open_run(made).problems == []


@pytest.mark.notebook
def test_an_error_of_the_user_is_one_line(tmp_path: Path) -> None:
    cases = {
        "dnslab.open_run('nowhere')": "RunNotFound: ",
        "dnslab.ExploreParameters.check(rounds='3')": "InvalidPlan: parameter rounds: ",
        "dnslab.resume('nowhere')": "RunNotFound: ",
        "dnslab.run({'variants': ['nonsense']})": "InvalidPlan: ",
        "dnslab.open_run('a\\u202eb')": r"\u202e",
    }
    for code, says in cases.items():
        _, error, _ = in_a_kernel(f"import dnslab\n{code}", tmp_path)
        (line,) = error
        assert says in line
        assert "\n" not in line


@pytest.mark.notebook
def test_papermill_says_what_the_user_did_wrong(tmp_path: Path) -> None:
    problem = notebooks.execute(NOTEBOOKS / "explore.ipynb", tmp_path / "out.ipynb", {"rounds": 0})
    assert "rounds" in problem
    assert "Traceback" not in problem


def test_an_opened_run_stands_for_its_folder() -> None:
    run = open_run(SAMPLE)
    assert notebook.ExploreParameters.check(run=run).run == str(SAMPLE)
    assert obtain_run(run) is run


def test_a_bundle_cannot_be_resumed(tmp_path: Path) -> None:
    bundle = tmp_path / "run.dnslab"
    bundle.write_bytes(b"")
    with pytest.raises(UsageError, match="is a bundle"):
        resume(bundle)


def test_an_interrupt_before_the_first_trial_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupted)
    monkeypatch.setattr(runner, "resume", interrupted)
    with pytest.raises(Interrupted, match="before anything was measured"):
        run({})
    with pytest.raises(Interrupted, match="before anything was measured"):
        resume(SAMPLE)
