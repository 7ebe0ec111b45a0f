"""Public functions with more than two parameters describe each of them, as CONTRIBUTING.md asks.

Exempt are commands, whose options have a help text, methods that a protocol or Optuna describes, and functions that say
where their arguments are described.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import netwright

ROOT = Path(netwright.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
REFERS = re.compile(r"\b[Aa]rguments?\b")
"""The docstring says where the arguments are described."""
OF_OPTUNA = {"sample_relative", "sample_independent", "before_trial", "after_trial"}


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def functions(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """The public functions of a module and the public methods of its public classes, with the class's name."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node.body, node.name)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield owner, node


def protocol_methods() -> set[str]:
    """The methods that a protocol describes; classes that satisfy it need not repeat that."""
    return {
        method.name
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
        for method in node.body
        if isinstance(method, ast.FunctionDef)
    }


def parameters(function: ast.FunctionDef) -> list[str]:
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return [one.arg for one in every if one.arg not in ("self", "cls", "ctx")]


def described(docstring: str) -> list[str]:
    """The names in the section ``Args:``."""
    section = re.search(r"^Args:\n((?:[ ]{4}.*\n?|\n)+)", docstring, re.MULTILINE)
    return re.findall(r"^ {4}(\w+): ", section[1], re.MULTILINE) if section else []


def all_names(function: ast.FunctionDef) -> set[str]:
    """All parameters, also those like ``*values``."""
    more = (function.args.vararg, function.args.kwarg)
    return {*parameters(function), *(one.arg for one in more if one is not None)}


def test_every_parameter_of_a_public_function_is_described() -> None:
    from_protocols, lacking, unknown = protocol_methods() | OF_OPTUNA, [], []
    for path, tree in trees().items():
        for owner, function in functions(tree.body):
            docstring = inspect.cleandoc(ast.get_docstring(function) or "")
            names, entries = parameters(function), described(docstring)
            where = f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
            unknown += [f"{where}: {name}" for name in entries if name not in all_names(function)]
            exempt = path.parent.name == "cli" or (owner and function.name in from_protocols)
            if len(names) > 2 and not exempt and not REFERS.search(docstring):
                lacking += [f"{where}: {name}" for name in names if name not in entries]
    assert unknown == []
    assert lacking == []
