"""The notebooks, each on stored runs and on one made now: what they show is what the run holds."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any

import papermill
import pytest

from dnslab import notebook
from dnslab.analyse.dataset import open_run
from dnslab.analyse.summary import summarise
from dnslab.errors import UsageError
from dnslab.experiment.compare import SAMPLE, obtain_runs
from dnslab.explain import overview
from dnslab.plan.model import Load, Plan
from dnslab.present import report
from dnslab.text import milliseconds, percent
from tests import PROJECT
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
}


def executed(name: str, folder: Path, **parameters: Any) -> tuple[str, Page]:
    """The outputs of a notebook as a page: without its pictures' bytes, and its tags."""
    out = folder / f"{name}-executed.ipynb"
    problem = report._execute(NOTEBOOKS / f"{name}.ipynb", out, parameters)
    page = report._export(out, name, problem)
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
    assert f"baseline on glibc: {percent(row.slow_share)} at or over 1 s" in curves
    assert f"baseline on glibc: {row.stalls} stalls" in seconds
    assert "Yes, with the fault race:p=0.05 injected: " in text
    assert "The race is emulated" in text
    assert "sample run" not in text


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
    assert "5 % (95 % interval 3.05 % to 8.08 %) of baseline" in text  # 15 of 300 by Wilson
    start = "<tr><th scope='row'>baseline</th><td>{}</td><td>glibc</td><td>300</td><td>{}</td>"
    assert text.index(start.format("before", 15)) < text.index(start.format("after", 3))
    assert text.index(start.format("after", 3)) < text.index("<td>before</td><td>musl</td>")
    assert "<td>5 %</td><td>1 %</td><td>-4 (" in text  # points of stalls, of the comparison
    reason = "<td>after</td><td>musl</td><td class='reason' colspan='17' [^>]*>not applicable: musl ignores use-vc"
    assert re.search(reason, text)


@pytest.mark.notebook
def test_a_stored_verification(tmp_path: Path) -> None:
    measured_verification(tmp_path / "verified", [0, 0, 0], [40, 41, 39])
    text, page = executed("verify", tmp_path, run=str(tmp_path / "verified"))
    assert "Gone: none of 1,500 lookups stalled with the workload as it is now." in text
    assert len(alternatives(page)) == 1


@pytest.mark.notebook
def test_before_and_after_where_there_are_no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNSLAB_RESULTS", str(tmp_path / "results"))
    text, _ = executed("before_after", tmp_path)
    assert "the sample run that comes with dnslab, beside itself" in text
    assert text.count("With the fault race:p=0.05 injected") == 2


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
    assert alt.endswith("against lookups/s. baseline: 0 at 20, p99 0.5 ms, 2 % at 40, p99 5,004 ms.")
    assert "<td>40/s (poisson)</td><td>300</td><td>6</td>" in text


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
    assert "<td>race:p=0.2</td>" in text  # a busy machine may void the headline
    text, _ = executed("before_after", tmp_path, runs=[str(SAMPLE), str(made)])
    assert f"<td>after</td><td>glibc</td><td>{row.n:,}</td><td>{row.stalls:,}</td>" in text


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
    assert 2 < many.n / few.n < 4
    (alt,) = alternatives(page)
    assert f"baseline: 0 at 30, p99 {milliseconds(few.p99_ms)} ms, 0 at 90" in alt
    assert f"<td>90/s (poisson)</td><td>{many.n:,}</td><td>0</td>" in text
