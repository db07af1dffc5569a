"""The parameters of the notebooks, which each notebook checks first, and the plans made from them.

It measures nothing and opens no run: that is done by ``experiment``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dnslab.analyse.dataset import Run
from dnslab.errors import InvalidPlan, Problem, UsageError
from dnslab.experiment.compare import check_runs
from dnslab.plan.ladder import BUDGET_S, base_plan
from dnslab.plan.model import Plan
from dnslab.plan.problems import problems_of


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    @field_validator("run", mode="before", check_fields=False)
    @classmethod
    def _folder_of(cls, run: object) -> object:
        """A run that is open, as ``dnslab.resume`` gives it, stands for its folder."""
        return str(run.path) if isinstance(run, Run) else run

    @classmethod
    def check(cls, **values: object) -> Self:
        """The parameters, checked.

        Raises
        ------
        InvalidPlan
            In one line, what is wrong with each parameter that is wrong.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = problems_of(error, cls)
        except InvalidPlan as error:
            problems = list(error.problems)
        lines = dict.fromkeys(f"parameter {cls._parameter(values, problem)}: {problem.text}" for problem in problems)
        raise InvalidPlan(*problems, lines=tuple(lines))

    @classmethod
    def _parameter(cls, values: Mapping[str, object], problem: Problem) -> str:
        """The parameter that gave the value of which ``problem`` is."""
        return str(problem.location[0])


class CompareParameters(_Parameters):
    """Parameters of compare.ipynb. ``run``: a run folder, ``"latest"`` or ``"new"``; ``plan``: for ``"new"``."""

    run: str = "latest"
    plan: dict[str, Any] = {}

    @model_validator(mode="after")
    def _plan_holds(self) -> Self:
        if self.run == "new":
            Plan.of(self.plan)
        return self

    @classmethod
    def _parameter(cls, values: Mapping[str, object], problem: Problem) -> str:
        """With the key of the plan, if it is of that."""
        keys = ".".join(map(str, problem.location))
        return keys if problem.location[:1] in (("run",), ("plan",)) or keys in values else f"plan.{keys}"


class BeforeAfterParameters(_Parameters):
    """Parameters of before_after.ipynb. ``runs``: folders or bundles, the one before first; without any, the two
    newest."""

    runs: list[str] = []

    @field_validator("runs")
    @classmethod
    def _two_or_more(cls, runs: list[str]) -> list[str]:
        try:
            check_runs(runs)
        except UsageError as error:
            raise ValueError(str(error)) from error  # pydantic adds the parameter's name to a ValueError only
        return runs


class VerifyParameters(_Parameters):
    """Parameters of verify.ipynb. ``run``: what found the stalls, or a verifying run; ``like``, ``existing``: the
    patched workload, where that run does not name it."""

    run: str = "latest"
    like: str = ""
    existing: str = ""


class DiagnoseParameters(_Parameters):
    """Parameters of diagnose.ipynb, named as the options of ``dnslab diagnose``. ``run``: the folder of a diagnosis, a
    finished run, ``"latest"`` or ``"new"``; all others are for ``"new"``."""

    run: str = "new"
    backend: str = "lab"
    fault: str = "race"
    budget: Annotated[float, Field(gt=0)] = BUDGET_S
    name: str = ""
    namespace: str = ""
    like: str = ""
    nodes: str = ""

    @model_validator(mode="after")
    def _holds(self) -> Self:
        if self.run == "new":
            self.base()
        return self

    @classmethod
    def _parameter(cls, values: Mapping[str, object], problem: Problem) -> str:
        """As the user set it: the plan has other names."""
        keys = ["name" if key == "names" else key for key in problem.location if isinstance(key, str)]
        return next((key for key in reversed(keys) if key in cls.model_fields), keys[0] if keys else "run")

    def base(self) -> Plan:
        """Where and what a new diagnosis asks.

        Raises
        ------
        InvalidPlan
            With all that is wrong.
        """
        return base_plan(
            self.backend,
            [name for name in self.name.split(",") if name],
            fault=self.fault if self.backend == "lab" and self.fault else "none",
            cluster={key: value for key in ("namespace", "like", "nodes") if (value := getattr(self, key))},
        )


class _MeasureParameters(_Parameters):
    """Parameters of a notebook that can measure a run; they have the names of the command line's options."""

    run: str = "new"
    variants: str = "baseline,single-request-reopen,node-local"
    fault: str = "race"
    rate: float = 60.0
    duration: float = 2.0
    rounds: int = 3

    @model_validator(mode="after")
    def _makes_a_plan(self) -> Self:
        Plan.of(self.plan)
        return self

    @classmethod
    def _parameter(cls, values: Mapping[str, object], problem: Problem) -> str:
        """As the user set it: the plan has other names."""
        names = {"rate_per_s": "rate", "duration_s": "duration", "workers": "values", "targets": "values"}
        keys = [part for part in problem.location if isinstance(part, str)]
        name = next((names[key] for key in keys if key in names), keys[0] if keys else "variants")
        swept = values.get("sweep", "rate") if "sweep" in cls.model_fields else ""
        return "values" if swept and name in (swept, "loads") else name

    @property
    def plan(self) -> dict[str, Any]:
        """The plan that ``run = "new"`` carries out."""
        variants = [name for name in self.variants.split(",") if name]
        loads = [{"rate_per_s": self.rate, "duration_s": self.duration}]
        return {"variants": variants, "fault": self.fault, "loads": loads, "rounds": self.rounds}


class ExploreParameters(_MeasureParameters):
    """Parameters of explore.ipynb."""

    @property
    def plan(self) -> dict[str, Any]:
        """The plan of one run, which is named after the notebook."""
        return {**super().plan, "name": "explore"}


class MatrixParameters(_MeasureParameters):
    """Parameters of matrix.ipynb. ``values``, with commas between, are the values that ``sweep`` takes in turn."""

    sweep: Literal["rate", "workers", "duration", "target"] = "rate"
    values: str = "20,60,180"

    @property
    def plan(self) -> dict[str, Any]:
        """The plan of one run: a load for each value, or all targets under one load."""
        values = [value for value in self.values.split(",") if value]
        plan = {**super().plan, "name": "matrix"}
        if self.sweep == "target":
            return {**plan, "targets": values}
        (load,) = plan["loads"]
        closed = {"loop": "closed", "duration_s": self.duration}
        if self.sweep == "workers":
            loads = [{**closed, "workers": value} for value in values]
        else:
            key = {"rate": "rate_per_s", "duration": "duration_s"}[self.sweep]
            loads = [{**load, key: value} for value in values]
        return {**plan, "loads": loads, "targets": ["glibc"]}
