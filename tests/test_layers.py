"""The import graph: data flows one way, measuring needs no pandas, reading no backend."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import dnslab

PACKAGE = Path(dnslab.__file__).parent

#: module -> what it may import of dnslab, in whatever order; packages stand for all in them
ALLOWED = {
    "text": set(),
    "errors": set(),
    "files": {"errors"},
    "yamltext": {"errors", "files"},
    "contents": {"errors", "files"},
    "resolvconf": {"errors"},
    "variants": {"errors", "resolvconf"},
    "remedies": {"errors", "resolvconf", "text", "variants"},
    "plan": {"errors", "files", "resolvconf", "text", "variants", "yamltext"},
    "limits": {"errors", "plan", "resolvconf"},
    "records": {"errors"},
    "counters": {"errors"},
    "store": {"errors", "files", "contents", "plan", "records", "counters"},
    "probe": {"errors", "plan", "resolvconf", "records"},
    "backends": {
        "errors",
        "resolvconf",
        "variants",
        "remedies",
        "plan",
        "records",
        "counters",
        "store",
        "probe",
        "backends",
    },
    "conversation": {"errors", "records", "backends"},
    "trial": {"errors", "resolvconf", "plan", "probe", "backends"},
    "health": {"errors", "plan", "records", "probe", "backends", "conversation", "trial"},
    "pacing": {"store"},
    "preflight": {"errors", "plan", "limits"},
    "runner": {
        "errors",
        "preflight",
        "plan",
        "limits",
        "records",
        "store",
        "probe",
        "backends",
        "conversation",
        "trial",
        "health",
        "pacing",
    },
    "standstill": set(),
    "bundles": {"errors", "files", "store"},
    "dataset": {"bundles", "errors", "files", "plan", "records", "standstill", "store", "text"},
    "tables": {"text"},
    "intervals": set(),
    "power": {"intervals"},
    "stats": {"dataset", "errors", "intervals", "plan", "power", "records", "resolvconf", "tables"},
    "exports": {"dataset", "errors", "files", "text"},
    "imported": {"intervals", "stats", "tables", "text"},
    "csvfile": {"errors", "files"},
    "imports": {"csvfile", "errors", "files", "imported"},
    "validity": {"intervals", "variants", "dataset", "stats", "store"},
    "comparison": {"intervals", "dataset", "stats", "tables", "validity", "text"},
    "gates": {"errors", "intervals", "stats", "tables", "validity", "text"},
    "answers": {"intervals", "stats", "tables"},
    "findings": {"answers", "power", "stats", "tables", "validity", "text"},
    "timeline": {"dataset", "plan", "store"},
    "costs": {"dataset", "stats", "store", "variants"},
    "closeup": {"errors", "records", "dataset", "tables", "text"},
    "overview": {"dataset", "stats", "validity", "findings", "tables", "comparison"},
    "sweeps": {"plan", "stats"},
    "rounds": {"intervals", "stats"},
    "plots": {"intervals", "rounds", "stats", "sweeps", "tables", "text", "timeline"},
    "report": {"dataset", "errors", "store", "text"},
    "redaction": {"plan", "text", "variants"},
    "share": {"bundles", "errors", "files", "records", "redaction", "report", "store", "yamltext"},
    "notebook": {"dataset", "errors", "plan", "progress", "runner", "store", "text"},
    "doctor": {"errors", "plan", "probe", "backends"},
    "progress": {"runner", "stats", "findings", "text"},
    "cli": None,
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dnslab":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("dnslab.")}
            assert all(alias.name != "dnslab" for alias in node.names), f"{path.name} imports the package root"
    return found


def test_every_module_is_in_the_graph() -> None:
    modules = {
        path.stem if path.parent == PACKAGE else path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")
    }
    assert modules - {"__init__"} == set(ALLOWED)


def test_the_graph_has_no_cycle() -> None:
    graph = {name: (allowed or set()) - {name} for name, allowed in ALLOWED.items()}
    assert set(TopologicalSorter(graph).static_order()) == set(ALLOWED)


@pytest.mark.parametrize("module", sorted(name for name, allowed in ALLOWED.items() if allowed is not None))
def test_imports_only_what_stands_left_of_it(module: str) -> None:
    paths = list((PACKAGE / module).rglob("*.py")) if (PACKAGE / module).is_dir() else [PACKAGE / f"{module}.py"]
    for path in paths:
        allowed = ALLOWED[module]
        assert allowed is not None
        assert imports(path) - {module} <= allowed, path


def test_backends_know_only_the_protocol() -> None:
    for path in (PACKAGE / "backends").rglob("*.py"):
        own, *inner = path.relative_to(PACKAGE / "backends").with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dnslab.backends."):
                assert (node.module or "").split(".")[2] in {"base", own} or own == "__init__", (path, inner)


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_measuring_needs_no_pandas() -> None:
    heavy = "print([m for m in ('pandas', 'numpy', 'matplotlib', 'scipy') if m in sys.modules])"
    backends = "dnslab.backends.lab, dnslab.backends.local, dnslab.backends.kubernetes"
    assert run_python(f"import sys, dnslab.runner, {backends}; {heavy}") == "[]\n"
    assert run_python(f"import sys, dnslab.cli; {heavy}") == "[]\n"


def test_reading_needs_no_backend() -> None:
    code = "import sys, dnslab.report, dnslab.plots, dnslab.findings; "
    code += "print([m for m in sys.modules if 'dnslab.backends' in m])"
    assert run_python(code) == "[]\n"


def test_modules_import_without_what_only_linux_has() -> None:
    """What is only there is asked for when it is used, never at import."""
    code = (
        "import os\n"
        "for name in ('sched_getaffinity', 'setns', 'unshare', 'pidfd_open', 'eventfd'):\n"
        "    hasattr(os, name) and delattr(os, name)\n"
        "import dnslab.runner, dnslab.backends.local, dnslab.backends.lab, dnslab.backends.kubernetes\n"
        "import dnslab.cli, dnslab.doctor, dnslab.report\n"
        "print('fine')"
    )
    assert run_python(code) == "fine\n"


def test_the_root_exports_lazily() -> None:
    code = "import sys, dnslab; print('pydantic' in sys.modules, callable(dnslab.open_run))"
    assert run_python(code) == "False True\n"
    with pytest.raises(AttributeError):
        _ = dnslab.nonsense
