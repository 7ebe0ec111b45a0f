"""Groups of options that several verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from netwright.cli.app import app
from netwright.cli.option_groups import values_of, with_groups


@dataclass(frozen=True)
class Sizes:
    width: Annotated[int, typer.Option(min=1, help="How wide.")] = 3
    names: Annotated[list[str] | None, typer.Option("--name")] = None


@pytest.fixture
def verb():
    """A program with one verb, and what it was called with."""
    seen = []
    program = typer.Typer()

    @program.command()
    @with_groups
    def draw(
        path: str,
        *,
        first: bool = False,
        sizes: Sizes,
        last: Annotated[str, typer.Option(help="The end.")] = "end",
    ) -> None:
        """Draw."""
        seen.append((path, first, sizes, last))

    return program, seen


def test_the_options_of_a_group_come_as_its_values(verb):
    program, seen = verb
    words = ["here", "--name", "a", "--width", "4", "--name", "b", "--first", "--last", "x"]
    assert CliRunner().invoke(program, words).exit_code == 0
    assert CliRunner().invoke(program, ["there"]).exit_code == 0
    assert seen == [("here", True, Sizes(4, ["a", "b"]), "x"), ("there", False, Sizes(), "end")]
    assert values_of(Sizes(4, ["a"])) == {"width": 4, "names": ["a"]}


def test_options_of_a_group_stand_in_its_place_and_are_checked(verb):
    program, seen = verb
    names = [parameter.name for parameter in get_command(program).params]
    assert names[:5] == ["path", "first", "width", "names", "last"]
    refused = CliRunner().invoke(program, ["here", "--width", "0"])
    assert refused.exit_code == 2
    assert not seen


def test_whatever_is_planned_can_be_searched():
    commands = get_command(app).commands
    options = {verb: {p.name for p in commands[verb].params} for verb in ("plan", "search")}
    assert options["plan"] - options["search"] <= {"as_json", "seconds"}
