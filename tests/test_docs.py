"""The documentation against the code: settings and defaults, verbs and options, links, paths, Python."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from netwright.cli.app import app
from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.volumes.slices import SliceSettings
from netwright.planning.user_settings import UserSettings
from netwright.recipes import RECIPES
from netwright.settings import RaceSettings, StartFromSettings
from netwright.spaces.auto import ClassifierStagesSpace, EncoderDecoderSpace
from netwright.spaces.autoencoder import AutoencoderSpace
from netwright.spaces.cells import CellSpace
from netwright.spaces.dense import DenseSpace
from netwright.spaces.layerwise import makers
from netwright.spaces.own import own
from netwright.spaces.segnas import SegNAS
from netwright.strategies import CmaEs, ControlledRandomSearch, Prior
from netwright.strategies.natural_gradient import NaturalGradient
from netwright.strategies.optuna_samplers import gp, nsga_ii, tpe
from netwright.strategies.own import own as own_strategy
from netwright.strategies.policy_gradient import PolicyGradient, PooledPolicyGradient, policy_gradient
from netwright.strategies.q_learning import q_learning
from netwright.strategies.q_learning.published import PublishedQLearning
from netwright.supernet.settings import SupernetSettings
from netwright.training.early_stopping import EarlyTermination
from planning.steps import resolve

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ROOT / "docs" / "settings.md"
MARL = ROOT / "docs" / "multi-agent-q-learning.md"
POLICY_GRADIENT = ROOT / "docs" / "policy-gradient.md"
PDAS = ROOT / "docs" / "pdas.md"
PAGES = [
    page
    for page in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *sorted(ROOT.glob("docs/*.md")),
    )
    if page.exists()
]
OPTIONS: dict[str, set[str]] = {
    verb: {"--help", *(name for parameter in command.params for name in parameter.opts)}
    for verb, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
}

OPTIONS_OF: list[tuple[str, Callable[..., Any]]] = [
    ("strategy.", policy_gradient),
    ("strategy.", PooledPolicyGradient),
    ("strategy.", PolicyGradient),
    ("strategy.", NaturalGradient),
    ("space.", AutoencoderSpace),
    ("space.", EncoderDecoderSpace),
    ("space.", ClassifierStagesSpace),
    ("space.", CellSpace),
    ("space.", DenseSpace),
    ("space.", SegNAS),
    ("space.", makers.vgg16),
    ("space.", makers.googlenet),
    ("space.", makers.unet),
    ("space.", makers.layerwise),
    ("space.", own),
    ("strategy.", q_learning),
    ("strategy.", PublishedQLearning),
    ("strategy.", tpe),
    ("strategy.", gp),
    ("strategy.", nsga_ii),
    ("strategy.", CmaEs),
    ("strategy.", Prior),
    ("strategy.", ControlledRandomSearch),
    ("strategy.", own_strategy),
    ("slices.", SliceSettings),
    ("inpainting.", MaskSettings),
    ("training.early.", EarlyTermination),
    ("supernet.", SupernetSettings),
    ("race.", RaceSettings),
    ("start_from.", StartFromSettings),
]
"""Tables whose settings depend on what is chosen, and what takes them."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values; an empty table is a value."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def defaults() -> dict[str, Any]:
    """Of a search with `segnas4`, as they stand in run.yaml."""
    return dict(leaves(resolve(Path("dataset"), "segnas4", UserSettings()).model_dump(mode="json")))


def options() -> dict[str, Any]:
    """Settings that a search with `segnas4` need not have, and their defaults."""
    return {
        prefix + name: _plain_list(parameter.default)
        for prefix, maker in OPTIONS_OF
        for name, parameter in inspect.signature(maker).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }


def _plain_list(value: Any) -> Any:
    """A default as YAML has it; a dataclass tells of no value that it makes for each instance."""
    if repr(value) == "<factory>":
        return {}
    return list(value) if isinstance(value, tuple) else value


def rows() -> dict[str, list[str]]:
    """Setting -> the other cells of its (first) row in the page on settings."""
    return dict(reversed(all_rows(SETTINGS)))


def all_rows(page: Path) -> list[tuple[str, list[str]]]:
    """Every row about a setting in a page's tables: its name and its other cells."""
    lines = re.findall(r"^\| `([a-z_.]+)` \|(.*)\|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [(name, [cell.strip() for cell in cells.split(" | ")]) for name, cells in lines]


def blocks(page: Path, language: str | None = None) -> list[str]:
    """The fenced code blocks of a page, lines that go on joined."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [code.replace("\\\n", " ") for tag, code in fenced if language in (None, tag)]


def commands(page: Path) -> list[tuple[str, str]]:
    """(verb, the rest of the line) of every `netwright` command in code, blocks and spans alike."""
    text = page.read_text(encoding="utf-8")
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    lines = [line for block in blocks(page) for line in block.splitlines()] + spans
    pattern = re.compile(r"(?<![\w/.-])netwright +(?:-v +|--verbose +)?([a-z][a-z-]*)(?![\w.])([^|;&#]*)")
    return [match for line in lines for match in pattern.findall(line)]


def anchor(heading: str) -> str:
    """The address of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_every_setting_is_documented_and_no_other() -> None:
    assert set(rows()) == set(defaults()) | set(options())


def test_documented_defaults_are_those_of_a_search() -> None:
    """Those of spaces and strategies are compared with their makers in tests/settings/test_options.py."""
    written = {
        name: yaml.safe_load(cells[0].strip("`"))
        for name, cells in rows().items()
        if re.fullmatch(r"`[^`]*`", cells[0]) and not re.match(r"(space|strategy)\.(?!name$)", name)
    }
    usual = {**options(), **defaults()}
    assert len(written) > 70
    assert written == {name: usual[name] for name in written}


@pytest.mark.parametrize(
    ("page", "family"), [(MARL, "marl"), (POLICY_GRADIENT, "policy-gradient"), (PDAS, "pdas")]
)
def test_recipes_differ_as_documented(page: Path, family: str) -> None:
    written = {name: [cell.strip("`") for cell in cells] for name, cells in all_rows(page)}
    names = [name for name in RECIPES if name.startswith(family)]
    usual = {**options(), **defaults()}
    for column, recipe in enumerate(names):
        given = dict(leaves(RECIPES[recipe].values))
        assert {name for name in given if name != "recipe"} <= set(written), recipe
        for name, cells in written.items():
            if cells[column] == "–":
                assert name not in given, (recipe, name)
                continue
            expected = _plain(given[name] if name in given else usual[name])
            assert yaml.safe_load(cells[column]) == expected, (recipe, name)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return pytest.approx(value)
    return list(value) if isinstance(value, tuple) else value


def test_every_verb_is_in_the_guide() -> None:
    shown = {verb for verb, _ in commands(ROOT / "docs" / "guide.md")}
    assert shown == set(OPTIONS)


@pages
def test_commands_exist(page: Path) -> None:
    for verb, rest in commands(page):
        assert verb in OPTIONS, f"netwright {verb}"
        used = set(re.findall(r"(?<!\S)(--?[a-zA-Z][\w-]*)", rest))
        assert used <= OPTIONS[verb], f"netwright {verb} {rest}"


def test_the_guide_uses_the_data_and_runs_that_it_has_made() -> None:
    made: set[str] = set()
    lines = [line for block in blocks(ROOT / "docs" / "guide.md", "console") for line in block.splitlines()]
    for words in (shlex.split(line[2:]) for line in lines if line.startswith("$ ")):
        if words[0] == "cp":
            made.add(words[-1])
        if words[0] != "netwright":
            continue
        verb, *given = words[1:]
        used = [] if verb in ("sample", "recipes") else given[: 2 if verb in ("predict", "evaluate") else 1]
        assert {path.split("/")[0] for path in used} <= made, words
        made |= {given[i + 1] for i, word in enumerate(given) if word == "-o"}
    assert len(made) > 6


@pages
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, section = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if section:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert section in map(anchor, headings), target


@pages
def test_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"(?<![\w/])(?:src|tests|benchmarks|docs|examples)/[\w./-]*\w", text):
        assert (ROOT / path).exists() or (page.parent / path).exists(), path


@pages
def test_python_is_valid_and_imports_what_there_is(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):  # raises where it is no Python
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("netwright"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)
