"""``--set`` is completed by the shell: names with their descriptions, and values that can be listed."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from netwright.cli.app import app


def offered(verb: str, incomplete: str) -> dict[str, str]:
    """What a shell is told, in the form of fish: a line for each text, its help behind a tab."""
    words = {
        "_NETWRIGHT_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"netwright {verb} dataset --set {incomplete}",
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
        "training.optimizer=sgd",
    }
    assert set(offered("search", "postprocessing.crf=a")) == {"postprocessing.crf=always"}
    assert offered("search", "training.epochs=1") == {}
    assert offered("search", "no.such=") == {}
