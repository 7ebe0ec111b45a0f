"""Nothing above the tasks asks of which kind a task, a dataset or prepared data is: it asks the task object."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import netwright
from netwright.tasks import TASKS

ROOT = Path(netwright.__file__).parent
MARKS = {"predicted_words", "loss_of_guess", "without_postprocessing", "scores_of"}
"""A method of a task, of its `NetworkTask`, of its predictor, and of its problem."""


def kinds() -> set[str]:
    """The classes of every task in its folder, also of one that is added, and those of datasets and prepared data."""
    classes = [
        node
        for path in (ROOT / "tasks").glob("*/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    own = {
        node.name
        for node in classes
        if MARKS & {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
    }
    return own | {"Dataset", "ImageSet", "Prepared", "PreparedImages"}


KINDS = kinds()
BELOW = ("data", "tasks")
"""The rooms that make these."""


def asked(path: Path) -> Iterator[str]:
    """Where a file asks of which kind something is, or has a type of several kinds."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: set[str] = set()
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "type")
        ):
            names = {
                one.id
                for argument in node.args[-1:]
                for one in ast.walk(argument)
                if isinstance(one, ast.Name)
            }
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            sides = [side.id for side in (node.left, node.right) if isinstance(side, ast.Name)]
            names = set(sides) if len(KINDS & set(sides)) > 1 else set()
        for name in sorted(KINDS & names):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {name}"


def test_no_room_above_the_tasks_asks_for_a_kind() -> None:
    above = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in BELOW]
    assert [line for path in above for line in asked(path)] == []


def test_few_ask_at_all() -> None:
    lines = [line for path in ROOT.rglob("*.py") for line in asked(path)]
    assert 0 < len(lines) < 10, lines


def test_all_classes_of_all_tasks_are_known() -> None:
    for task in TASKS.values():
        assert type(task).__name__ in KINDS
    assert {"Segmenter", "Classifier", "LabelPredictor", "Inpainter"} <= KINDS
    assert {
        "VolumeProblem",
        "SliceProblem",
        "ImageProblem",
        "MultilabelProblem",
        "InpaintingProblem",
    } <= KINDS
    assert {"SegmentationTask", "ClassificationTask", "MultilabelTask", "InpaintingTask"} <= KINDS


def test_nothing_above_the_tasks_imports_one_of_them() -> None:
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] == "tasks":
            continue
        modules = {
            node.module or ""
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
        }
        of_one = [name for name in modules for task in TASKS if name.startswith(f"netwright.tasks.{task}")]
        assert of_one == [], path


def test_a_question_is_recognised(tmp_path: Path) -> None:
    inside = ROOT / "tasks" / "images.py"
    assert any("ImageSet" in line for line in asked(inside))
