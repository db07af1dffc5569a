"""Docstrings of public functions: what is raised is named, and what notebooks call says what it takes and gives."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import pytest

import dnslab
from tests import PROJECT

#: of Python itself, as the protocol of a module or a program asks for
NOT_OURS = {"AttributeError", "KeyboardInterrupt", "SystemExit"}


def public_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Each public function and method of the package but the commands, whose docstrings are their help."""
    for path in sorted((PROJECT / "dnslab").rglob("*.py")):
        if path.is_relative_to(PROJECT / "dnslab" / "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            body = node.body if isinstance(node, (ast.Module, ast.ClassDef)) else []
            for item in body:
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
                    yield f"{path.relative_to(PROJECT)} {item.name}", item


def raised(function: ast.FunctionDef) -> set[str]:
    """Names of the exceptions that stand in the function's own text."""
    errors = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise)]
    names = [error.func if isinstance(error, ast.Call) else error for error in errors]
    return {name.id for name in names if isinstance(name, ast.Name) and name.id[0].isupper()} - NOT_OURS


def test_what_is_raised_is_named() -> None:
    unnamed = {
        name: errors
        for name, function in public_functions()
        if (errors := {error for error in raised(function) if error not in (ast.get_docstring(function) or "")})
    }
    assert not unnamed
    assert any(raised(function) for _, function in public_functions())


@pytest.mark.parametrize("name", dnslab.__all__)
def test_what_notebooks_call_says_what_it_takes(name: str) -> None:
    thing = getattr(dnslab, name)
    text = inspect.cleandoc(thing.__doc__ or "")
    summary = text.split("\n\n")[0]
    assert summary.endswith("."), name
    if inspect.isclass(thing):
        return
    parameters = inspect.signature(thing).parameters
    # A summary, a run or a load speaks for itself; a frame does not.
    explained = [key for key, parameter in parameters.items() if "DataFrame" in str(parameter.annotation)]
    assert all(f"``{key}``" in text or f"\n{key}\n" in text for key in explained), name
    if "DataFrame" in str(inspect.signature(thing).return_annotation):
        assert "Returns\n-------\nDataFrame\n" in text, name
