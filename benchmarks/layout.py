"""What can be counted of the layout: how large its rooms and files are, and how many places do what one is to do.

    python benchmarks/layout.py [SRC]

``SRC``: the ``src`` folder to look at, by default that of the installed package. Times are of processes of this Python,
the least of some.
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

KINDS = {"Dataset", "ImageSet", "Prepared", "PreparedImages", "SegmentationTask", "ClassificationTask"}
KINDS |= {
    "InpaintingTask",
    "Segmenter",
    "Classifier",
    "Inpainter",
    "Segmentation",
    "Classification",
    "Inpainting",
}
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
STARTS = 5
HELP = "import sys; sys.argv[1:] = ['--help']; from netwright.cli import main; main()"


def modules(root: Path) -> dict[str, ast.Module]:
    """Path below the package -> what it holds."""
    files = sorted(path for path in root.rglob("*.py"))
    return {str(path.relative_to(root)): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its signature among them and its docstring not."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is None:
        return lines
    return lines - ((first.end_lineno or 0) - first.lineno + 1)


def kind_questions(tree: ast.Module) -> int:
    """``isinstance`` and ``type`` on tasks, datasets and prepared data, and types of several of these."""
    count = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            names = {one.id for one in ast.walk(node.args[-1]) if isinstance(one, ast.Name)}
            count += bool(KINDS & names)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            sides = {side.id for side in (node.left, node.right) if isinstance(side, ast.Name)}
            count += len(KINDS & sides) > 1
    return count


def calls(name: str) -> Callable[[ast.Module], int]:
    """How often something of that name, or an attribute of that name, is called."""

    def count(tree: ast.Module) -> int:
        called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        return sum(getattr(one, "attr", getattr(one, "id", None)) == name for one in called)

    return count


def seconds(source: Path, *words: str) -> float:
    """The least time of a process of Python, beyond that of one that does nothing."""

    def least(arguments: tuple[str, ...]) -> float:
        times = []
        for _ in range(STARTS):
            begun = time.perf_counter()
            environment = {**os.environ, "PYTHONPATH": str(source)}
            subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
            times.append(time.perf_counter() - begun)
        return min(times)

    return least(words) - least(("-c", "pass"))


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
        ("questions of which kind a task, a dataset or prepared data is", kind_questions),
        ("places that submit to an executor", calls("submit")),
        ("places that make a local executor", calls("LocalExecutor")),
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
    print(f"import netwright: {seconds(source, '-c', 'import netwright'):.2f} s")
    print(f"netwright --help: {seconds(source, '-c', HELP):.2f} s")


if __name__ == "__main__":
    main()
