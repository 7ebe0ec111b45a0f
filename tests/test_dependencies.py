"""What the package imports is what it declares, and what its folder holds is what its wheel gets."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "netwright"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

OTHERWISE_CALLED = {
    "pil": "pillow",
    "mlflow": "mlflow-skinny",
    "pydensecrf": "pydensecrf2",
    "pynvml": "nvidia-ml-py",
    "yaml": "pyyaml",
}
"""Module -> the distribution that brings it, where their names differ."""
FOR_OTHERS = {"onnx"}
"""What torch.onnx and the quantisation of onnxruntime import, and do not declare."""
NOT_OF_USERS = {"dev", "docs"}


def named(text: str) -> str:
    """The name of a distribution, from a requirement or a module, as an index compares it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", text)[0]).lower()


def imports(code: str) -> Iterator[str]:
    """The modules that code imports, wherever in it, by the name before the first dot."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            yield node.module.partition(".")[0]


def imported() -> dict[str, Path]:
    """Distributions of others that the package imports, and a file that does."""
    own = {*sys.stdlib_module_names, "netwright"}
    return {
        OTHERWISE_CALLED.get(named(module), named(module)): file.relative_to(ROOT)
        for file in PACKAGE.rglob("*.py")
        for module in imports(file.read_text(encoding="utf-8"))
        if module not in own
    }


def declared() -> set[str]:
    """What users install, with all extras."""
    extras = PROJECT["project"]["optional-dependencies"].items()
    all_of_them = [text for name, texts in extras if name not in NOT_OF_USERS for text in texts]
    return {named(text) for text in (*PROJECT["project"]["dependencies"], *all_of_them)}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    found = imported()
    assert {name: file for name, file in found.items() if name not in declared()} == {}
    assert declared() - set(found) == FOR_OTHERS


def test_every_import_is_seen_wherever_it_stands() -> None:
    code = "import a.b, c\ndef later():\n    from d.e import f\n    from . import g\n    from .h import i\n"
    assert list(imports(code)) == ["a", "c", "d"]


def test_tests_have_every_extra_but_the_one_that_is_compiled() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    here = {named(text) for text in extras["dev"]}
    lacking = {
        name
        for name, texts in extras.items()
        if name not in NOT_OF_USERS and not {named(text) for text in texts} <= here
    }
    assert lacking == {"crf"}


def test_the_wheel_gets_every_file_of_the_package() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["netwright"]
    packed = {path for pattern in patterns for path in PACKAGE.glob(pattern) if path.is_file()}
    there = {
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }
    assert there - packed == set()
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()


def test_the_licence_of_everything_in_the_wheel_is_told() -> None:
    """Its own, and those of programs that it brings."""
    files = PROJECT["project"]["license-files"]
    assert {ROOT / name for name in files} == {ROOT / "LICENSE", *PACKAGE.rglob("LICENSE")}
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in files]
    told = PROJECT["project"]["license"].split(" AND ")
    titles = {"Apache-2.0": "Apache License", "MIT": "MIT License", "BSD-2-Clause": "BSD 2-Clause License"}
    assert sorted(next(name for name in told if titles[name] in text) for text in texts) == sorted(told)
