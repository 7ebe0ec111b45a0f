"""Counts what can be counted of the layout: sizes of folders and files, and places that should be one.

    python benchmarks/layout.py [SRC]

``SRC``: the ``src`` folder to look at, by default that of the installed package. Times are the shortest of several
processes of this Python.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import netwright

DATA_KINDS = {"Dataset", "ImageSet", "Prepared", "PreparedImages"}
MARKS = {"predicted_words", "loss_of_guess", "without_postprocessing", "scores_of"}
"""A class of a task has a method of this name: the task itself, its `NetworkTask`, its predictor, its problem."""
EARLIER = {"SegmentationTask", "ClassificationTask", "InpaintingTask", "Segmenter", "Classifier", "Inpainter"}
"""Those of versions without these methods."""
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
STARTS = 5
HELP = "import sys; sys.argv[1:] = ['--help']; from netwright.cli import main; main()"


def modules(root: Path) -> dict[str, ast.Module]:
    """Path below the package -> its syntax tree."""
    files = sorted(path for path in root.rglob("*.py"))
    return {str(path.relative_to(root)): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function with its signature, without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is None:
        return lines
    return lines - ((first.end_lineno or 0) - first.lineno + 1)


def kinds_of(trees: dict[str, ast.Module]) -> set[str]:
    """The names of the classes of tasks, networks' tasks, predictors, problems, datasets and prepared data."""
    classes = [
        node
        for name, tree in trees.items()
        if name.startswith("tasks/") and name not in ("tasks/base.py", "tasks/predictor.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    own = {node.name for node in classes if MARKS & {getattr(one, "name", "") for one in node.body}}
    return DATA_KINDS | EARLIER | own


def kind_questions(kinds: set[str]) -> Callable[[ast.Module], int]:
    """How often ``isinstance`` or ``type`` asks for one of the kinds, or a type is a union of several."""

    def count(tree: ast.Module) -> int:
        questions = 0
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "type"):
                names = {
                    one.id for last in node.args[-1:] for one in ast.walk(last) if isinstance(one, ast.Name)
                }
                questions += bool(kinds & names)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
                sides = {side.id for side in (node.left, node.right) if isinstance(side, ast.Name)}
                questions += len(kinds & sides) > 1
        return questions

    return count


def calls(name: str) -> Callable[[ast.Module], int]:
    """How often something of that name, or an attribute of that name, is called."""

    def count(tree: ast.Module) -> int:
        called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        return sum(getattr(one, "attr", getattr(one, "id", None)) == name for one in called)

    return count


def mentions(name: str) -> Callable[[ast.Module], int]:
    """How often something of that name is defined, imported or used."""

    def count(tree: ast.Module) -> int:
        named = (getattr(node, "id", getattr(node, "name", None)) for node in ast.walk(tree))
        return sum(one == name for one in named)

    return count


def shortest(source: Path, *arguments: str) -> float:
    """The shortest time of a process of Python among several, in s."""
    times = []
    for _ in range(STARTS):
        begun = time.perf_counter()
        environment = {**os.environ, "PYTHONPATH": str(source)}
        subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
        times.append(time.perf_counter() - begun)
    return min(times)


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path, default=Path(netwright.__file__).parents[1])
    source = parser.parse_args().source.resolve()
    root = source / "netwright"
    trees = modules(root)
    lines = {name: len((root / name).read_text(encoding="utf-8").splitlines()) for name in trees}
    rooms = Counter(name.partition("/")[0] for name in trees)
    sizes: Counter[str] = Counter()
    for name, count in lines.items():
        sizes[name.partition("/")[0]] += count
    print("room                     files   lines")
    for room, files in sorted(rooms.items()):
        print(f"{room:24} {files:5}   {sizes[room]:5}")
    long = [name for name, count in lines.items() if count > LONGEST_FILE]
    large = [
        f"{name}:{one.name}"
        for name, tree in trees.items()
        for one in functions(tree)
        if code_lines(one) > LONGEST_FUNCTION
    ]
    print(f"\nfiles over {LONGEST_FILE} lines: {', '.join(long) or 'none'}")
    print(f"functions over {LONGEST_FUNCTION} lines (docstrings apart): {', '.join(large) or 'none'}")
    for words, count in (
        ("questions of which kind a task, a dataset or prepared data is", kind_questions(kinds_of(trees))),
        ("places that submit to an executor", calls("submit")),
        ("places that name LocalExecutor, with its class and its import", mentions("LocalExecutor")),
        ("places that open Optuna's storage", calls("RDBStorage")),
    ):
        where = {name: number for name, tree in trees.items() if (number := count(tree))}
        told = ", ".join(f"{name} {number}" for name, number in where.items())
        print(f"{words}: {sum(where.values())} in {len(where)} files ({told or 'none'})")
    named = re.compile(r"\b(found|said|place)\b")
    used: Counter[str] = Counter()
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name | ast.arg):
                name = node.id if isinstance(node, ast.Name) else node.arg
                used[name] += bool(named.fullmatch(name))
    print(f"variables named found, said or place: {used['found']}, {used['said']}, {used['place']}")
    nothing = shortest(source, "-c", "pass")
    for title, arguments in (
        ("import netwright", ("-c", "import netwright")),
        ("netwright --help", ("-c", HELP)),
    ):
        taken = shortest(source, *arguments)
        print(f"{title}: {taken:.2f} s, {taken / nothing:.1f} times python -c pass ({nothing:.2f} s)")


if __name__ == "__main__":
    main()
