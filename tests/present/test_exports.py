"""exports: a long run is written part by part, and reads as one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyarrow.parquet import ParquetFile

from dnslab.analyse.dataset import open_run
from dnslab.plan.model import Load, Plan
from dnslab.present import exports
from dnslab.present.exports import export, keep_parquet
from dnslab.store import stream as records
from tests.runs import rows, write_run


def test_in_parts_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "GROUP_ROWS", 150)
    plan = Plan(variants=("baseline", "use-vc"), rounds=2, loads=(Load(duration_s=1),))
    made = [rows([float(number)] * 100) for number in range(1, 5)]
    made[3]["outcome"] = records.OUTCOME_ABANDONED
    keys = [(variant, "glibc", number) for variant in plan.variants for number in (1, 2)]
    run = open_run(write_run(tmp_path / "run", plan, dict(zip(keys, made, strict=True))))
    lookups = run.lookups()
    assert set(lookups["variant"].cat.categories) == set(plan.variants)
    assert lookups["error"].value_counts().to_dict() == {"": 300, "abandoned": 100}

    assert export(run, tmp_path / "all.csv") == 400
    read = pd.read_csv(tmp_path / "all.csv", keep_default_na=False)
    assert read["response_ms"].tolist() == lookups["response_ms"].tolist()
    assert read["error"].tolist() == lookups["error"].tolist()

    kept = keep_parquet(run)
    assert ParquetFile(kept).num_row_groups == 2
    pd.testing.assert_frame_equal(pd.read_parquet(kept), lookups)
