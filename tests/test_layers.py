"""The import graph: data flows one way, measuring needs no pandas, reading no backend."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Container, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import dnslab

PACKAGE = Path(dnslab.__file__).parent

#: what each part may import of dnslab besides itself; measuring and reading meet in `experiment` alone
BELOW = ("errors", "text", "files", "sentences", "style")
RULES = {
    **dict.fromkeys(BELOW, BELOW),
    "plan": BELOW,
    "store": (*BELOW, "plan"),
    "measure": (*BELOW, "plan", "store"),
    "analyse": (*BELOW, "plan", "store"),
    "imports": (*BELOW, "analyse"),
    "explain": (*BELOW, "plan", "store", "analyse"),
    "present": (*BELOW, "plan", "store", "analyse", "explain", "imports"),
    "experiment": (*BELOW, "plan", "store", "measure", "analyse", "explain"),
    "notebook": (*BELOW, "plan", "analyse", "experiment"),
    "cli": (*BELOW, "plan", "store", "measure", "analyse", "explain", "present", "imports", "experiment"),
    "__main__": ("cli",),
}


def graph() -> dict[str, set[str]]:
    """By module, the modules of dnslab that it imports, anywhere in its text."""
    modules = {_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    return {
        name: {found for node in ast.walk(tree) for found in _imported(node, modules)} for name, tree in modules.items()
    }


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def _imported(node: ast.AST, modules: Container[str]) -> Iterator[str]:
    assert not getattr(node, "level", 0), "a relative import"
    if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "dnslab":
        module = (node.module or "").removeprefix("dnslab").removeprefix(".")
        for alias in node.names:
            inner = f"{module}.{alias.name}".lstrip(".")
            yield inner if inner in modules else module
    elif isinstance(node, ast.Import):
        yield from (alias.name.removeprefix("dnslab.") for alias in node.names if alias.name.startswith("dnslab"))


def test_data_flows_one_way() -> None:
    def part(module: str) -> str:
        return module.partition(".")[0]

    broken = [
        f"{module} imports {other}"
        for module, imported in graph().items()
        for other in imported
        if module != "__init__" and part(other) not in (part(module), *RULES[part(module)])
    ]
    assert not broken


def test_no_module_imports_itself_by_way_of_others() -> None:
    runtime = {module: imported for module, imported in graph().items() if module != "__init__"}
    assert set(TopologicalSorter(runtime).static_order()) == set(runtime)


def test_backends_know_only_the_protocol() -> None:
    common, backends = {"protocol", "process", "counters", "witnesses", "probe", "asking"}, set()
    for module, imported in graph().items():
        part, _, rest = module.partition(".")
        own = rest.partition(".")[0]
        if part == "measure" and own in ("lab", "local", "kubernetes"):
            used = {other.split(".")[1] for other in imported if other.startswith("measure.")}
            assert used <= common | {own}, module
            backends.add(own)
    assert backends == {"lab", "local", "kubernetes"}


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_measuring_needs_no_pandas() -> None:
    heavy = "print([m for m in ('pandas', 'numpy', 'matplotlib', 'scipy') if m in sys.modules])"
    backends = "dnslab.measure.lab.backend, dnslab.measure.local, dnslab.measure.kubernetes.backend"
    assert run_python(f"import sys, dnslab.measure.runner, {backends}; {heavy}") == "[]\n"
    assert run_python(f"import sys, dnslab.cli; {heavy}") == "[]\n"


def test_reading_needs_no_backend() -> None:
    code = "import sys, dnslab.present.report, dnslab.present.pictures.ecdf, dnslab.explain.findings; "
    code += "print([m for m in sys.modules if 'dnslab.measure' in m])"
    assert run_python(code) == "[]\n"


def test_modules_import_without_what_only_linux_has() -> None:
    """What is only there is asked for when it is used, never at import."""
    code = (
        "import os\n"
        "for name in ('sched_getaffinity', 'setns', 'unshare', 'pidfd_open', 'eventfd'):\n"
        "    hasattr(os, name) and delattr(os, name)\n"
        "import dnslab.measure.runner, dnslab.measure.local, dnslab.measure.lab.backend\n"
        "import dnslab.measure.kubernetes.backend, dnslab.cli, dnslab.measure.doctor, dnslab.present.report\n"
        "print('fine')"
    )
    assert run_python(code) == "fine\n"


def test_the_root_exports_lazily() -> None:
    code = "import sys, dnslab; print('pydantic' in sys.modules, callable(dnslab.open_run))"
    assert run_python(code) == "False True\n"
    with pytest.raises(AttributeError):
        _ = dnslab.nonsense
