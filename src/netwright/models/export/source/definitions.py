"""The source of classes and functions of the package, with all that they refer to, as part of one file."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType

from netwright.errors import ExportError

PACKAGE = "netwright"
ALLOWED = ("torch",)
"""What the file may import besides Python's own modules."""

SHAPE = '''@dataclass(frozen=True)
class TaskShape:
    """What a network sees and gives."""

    channels: int
    classes: int
    size: tuple[int, ...]
    label_size: tuple[int, ...]'''
INFEASIBLE = '''class InfeasibleArchitecture(ValueError):
    """There is no such network."""'''
PLAIN = {"TaskShape": SHAPE, "InfeasibleArchitecture": INFEASIBLE}
"""What the file has in place of the package's own."""


@dataclass(frozen=True)
class _Parsed:
    """A module of the package: its text, what it defines by name, and what it imports, by module and name there."""

    text: str
    defined: dict[str, list[ast.stmt]]
    imported: dict[str, tuple[str, str | None]]


@dataclass
class Definitions:
    """Definitions in an order in which they can be executed, and the imports that they need."""

    imports: dict[str, set[str]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    _places: dict[str, str] = field(default_factory=dict)

    def add(self, thing: type | object) -> str:
        """Takes up a class or function, with all that it refers to. Returns its name.

        Raises:
            ExportError: it needs a package that the file must not need, or its name is taken.
        """
        module, name = str(getattr(thing, "__module__", "")), str(getattr(thing, "__name__", thing))
        if module.partition(".")[0] != PACKAGE:
            raise ExportError(
                f"The network is made of {module}.{name}: expected parts of {PACKAGE} and torch alone, whose source "
                "can be written. Nothing was written. Choose --format torch-export or onnx."
            )
        self._take(module, name)
        return name

    def shape(self) -> str:
        """Takes up the class of what a network sees and gives. Returns its name."""
        self._take("", "TaskShape")
        return "TaskShape"

    def header(self) -> str:
        """The lines of imports."""
        lines = []
        for module in sorted(
            self.imports, key=lambda one: (one.partition(".")[0] not in sys.stdlib_module_names, one)
        ):
            names = self.imports[module]
            whole = {name for name in names if not name or name.startswith(" as ")}
            lines += [f"import {module}{renamed}" for renamed in sorted(whole)]
            if own := sorted(names - whole):
                lines.append(f"from {module} import {', '.join(own)}")
        return "\n".join(lines)

    def _take(self, module: str, name: str) -> None:
        if name in PLAIN:
            if name not in self._places:
                self._places[name] = module
                self.imports.setdefault("dataclasses", set()).add("dataclass")
                self.texts.append(PLAIN[name])
            return
        if self._places.get(name) == module:
            return
        parsed = _parsed(module)
        if name not in parsed.defined:
            self._follow(module, name, parsed)
            return
        if name in self._places:
            raise ExportError(
                f"{self._places[name]} and {module} both define {name}: expected one network of each kind, as they "
                "share a file. Nothing was written. Choose --format torch-export or onnx."
            )
        self._places[name] = module
        for statement in parsed.defined[name]:
            for used in _names(statement):
                if used in parsed.defined or used in parsed.imported:
                    self._take(module, used)
        self.texts.append("\n".join(_text(parsed.text, statement) for statement in parsed.defined[name]))

    def _follow(self, module: str, name: str, parsed: _Parsed) -> None:
        source, there = parsed.imported[name]
        root = source.partition(".")[0]
        if root == PACKAGE:
            if there is None or there != name:
                raise ExportError(f"The source of {module} refers to {name} in a way that cannot be written.")
            self._take(source, there)
            return
        if root not in (*ALLOWED, *sys.stdlib_module_names):
            raise ExportError(
                f"The source of {module} needs {root}: expected torch alone. Nothing was written. Choose --format "
                "torch-export or onnx."
            )
        if there is None:
            self.imports.setdefault(source, set()).add("" if source == name else f" as {name}")
        else:
            self.imports.setdefault(source, set()).add(there if there == name else f"{there} as {name}")


@lru_cache(maxsize=256)
def _parsed(module: str) -> _Parsed:
    loaded: ModuleType = importlib.import_module(module)
    text = inspect.getsource(loaded)
    defined: dict[str, list[ast.stmt]] = {}
    imported: dict[str, tuple[str, str | None]] = {}
    statements = list(ast.parse(text).body)
    for statement in statements:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            statements += statement.body
    for statement in statements:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                imported[alias.asname or alias.name] = (str(statement.module), alias.name)
        elif isinstance(statement, ast.Import):
            imported |= {alias.asname or alias.name: (alias.name, None) for alias in statement.names}
        elif isinstance(statement, ast.ClassDef | ast.FunctionDef):
            defined.setdefault(statement.name, []).append(statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for name in (node.id for one in targets for node in ast.walk(one) if isinstance(node, ast.Name)):
                defined.setdefault(name, []).append(statement)
    return _Parsed(text, defined, imported)


def _names(statement: ast.stmt) -> list[str]:
    return [
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    ]


def _text(text: str, statement: ast.stmt) -> str:
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(one.lineno for one in decorators)])
    return "\n".join(text.splitlines()[first - 1 : statement.end_lineno])
