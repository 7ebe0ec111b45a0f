"""``--set`` is completed by the shell, soon: names with their descriptions, and values that can be listed."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from netwright.cli.app import app
from netwright.spaces import SPACES
from netwright.spaces.autoencoder import AutoencoderSpace
from netwright.spaces.cells import CellSpace
from netwright.spaces.segnas import SegNAS4
from netwright.strategies import CmaEs, ControlledRandomSearch, RandomSearch
from netwright.strategies.makers import PROPOSERS
from netwright.strategies.optuna_samplers import tpe
from processes import run


def offered(verb: str, incomplete: str, before: str = "") -> dict[str, str]:
    """What a shell is told, in the form of fish: a line for each text, its help behind a tab.

    Args:
        verb: of the command line to complete.
        incomplete: the text behind its last ``--set``.
        before: further options of it.
    """
    words = {
        "_NETWRIGHT_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"netwright {verb} dataset {before} --set {incomplete}",
    }
    result = CliRunner().invoke(app, [], prog_name="netwright", env=words)
    lines = [line.partition("\t") for line in result.output.splitlines()]
    return {text: help for text, _, help in lines if text}


@pytest.mark.parametrize("verb", ["search", "plan"])
def test_names_are_offered_with_their_descriptions(verb: str) -> None:
    names = offered(verb, "training.e")
    assert set(names) == {
        "training.epochs=",
        "training.early=",
        "training.early.batch_seconds=",
        "training.early.batches=",
        "training.early.loss=",
        "training.early.loss_epochs=",
        "training.early.least_steps=",
    }
    assert names["training.epochs="].startswith("passes over the training cases")
    assert all(help and "`" not in help and len(help) <= 75 for help in names.values())


def test_without_a_letter_all_settings_are_offered() -> None:
    names = offered("search", "")
    assert len(names) > 100
    assert {"seed=", "space.name=", "slices.axis=", "objective.costs="} <= set(names)
    assert "[parameters <= 2e6]" in names["objective.limits="]
    assert "training=" not in names  # a table that is always there is no setting


def test_values_are_offered_where_they_can_be_listed() -> None:
    assert set(offered("search", "training.optimizer=")) == {
        "training.optimizer=nadam",
        "training.optimizer=adam",
        "training.optimizer=adamw",
        "training.optimizer=schedule_free",
        "training.optimizer=sgd",
    }
    assert set(offered("search", "postprocessing.crf=a")) == {"postprocessing.crf=always"}
    assert offered("search", "training.epochs=1") == {}
    assert offered("search", "no.such=") == {}


@pytest.mark.parametrize(
    ("before", "component", "maker"),
    [
        ("--recipe segnas4", "space", SegNAS4),
        ("-r pdas-inpainting", "space", AutoencoderSpace),
        ("--recipe segnas4 --space cells", "space", CellSpace),
        ("--recipe segnas4 --space cells --set space.name=autoencoder", "space", AutoencoderSpace),
        ("--recipe segnas4", "strategy", ControlledRandomSearch),
        ("--recipe segnas4 --strategy tpe", "strategy", tpe),
        ("--set strategy.name=cma-es", "strategy", CmaEs),
        ("--strategy random", "strategy", RandomSearch),
        ("--strategy tpe", "space", None),
        ("--space cells", "strategy", None),
        ("--space nonsense --recipe nonsense", "space", None),
        ("--strategy q-learning --set strategy.variant=nonsense", "strategy", None),
        ("", "space", None),
    ],
)
def test_options_are_offered_of_what_the_command_line_names(
    before: str, component: str, maker: Callable[..., Any] | None
) -> None:
    names = offered("plan", f"{component}.", before)
    options = [] if maker is None else inspect.signature(maker).parameters
    assert set(names) == {f"{component}.{option}=" for option in ("name", *options)}
    assert all(len(help) > 8 for help in names.values())


@pytest.mark.parametrize("before", ["--recipe marl", "--network package.module:factory"])
def test_what_a_run_fills_in_is_not_offered(before: str) -> None:
    names = {"space.name=", "space.network=", "space.values=", "space.frozen="}
    assert set(offered("search", "space.", before)) == names


def test_options_of_the_variant_are_offered() -> None:
    strategy = "--set strategy.name=q-learning"
    coordinated = offered("search", "strategy.", strategy)
    published = offered("search", "strategy.", f"{strategy} --set strategy.variant=published")
    assert {"strategy.first=", "strategy.variant="} <= set(coordinated)
    assert {"strategy.gamma=", "strategy.variant="} <= set(published)
    assert not {"strategy.gamma="} & set(coordinated)
    assert not {"strategy.first="} & set(published)


def test_values_of_options_are_offered() -> None:
    assert set(offered("search", "space.share=", "--space autoencoder")) == {
        "space.share=exact",
        "space.share=slices",
    }
    assert set(offered("search", "strategy.adaptive=t", "--strategy natural-gradient")) == {
        "strategy.adaptive=true"
    }
    assert set(offered("search", "space.name=")) == {f"space.name={name}" for name in SPACES}
    assert set(offered("search", "strategy.name=")) == {f"strategy.name={name}" for name in PROPOSERS}


def test_the_command_line_begins_without_what_takes_long_to_load() -> None:
    """Every help and every completion waits for it."""
    code = "import netwright.cli.app, sys; "
    code += "sys.exit(bool({'numpy', 'torch', 'optuna', 'netwright.data'} & sys.modules.keys()))"
    assert run([sys.executable, "-c", code]).returncode == 0
