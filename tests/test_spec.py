"""Components by name and options."""

from dataclasses import dataclass
from typing import Any

import pytest

from netwright.errors import SettingsError
from netwright.spec import entry_of, make, require_options


@dataclass(frozen=True)
class Named:
    name: str
    options: dict[str, Any]


def line(length: int, points: tuple[tuple[int, int], ...] = (), own: int = 0) -> tuple[Any, ...]:
    """A line.

    Args:
        length: how long it is in mm.
        points: where it goes through, which is told here in so many words that no error about a wrong value would
            quote them all.
        own: set by others.
    """
    if length < 0:
        raise ValueError("a length is not negative")
    if length > 9:
        raise SettingsError(f"length is {length}, but expected 9 at most")
    if len(points) > 9:
        raise SettingsError("points: expected 9 at most")
    return length, points, own


def test_a_maker_gets_the_options_and_lists_as_tuples() -> None:
    spec = Named("line", {"length": 3, "points": [[1, 2], [3, 4]]})
    assert make("shape", spec, line) == (3, ((1, 2), (3, 4)), 0)
    assert make("shape", spec, line, {"length": 1}) == (1, (), 0)


def test_a_name_that_is_not_there_is_told_with_the_nearest() -> None:
    assert entry_of("shape", {"line": line}, "line") is line
    with pytest.raises(SettingsError, match=r"no shape 'lime'. Did you mean line\? There are: line, disc"):
        entry_of("shape", {"line": line, "disc": line}, "lime")


def test_an_unknown_option_is_told_with_those_that_a_user_may_set() -> None:
    require_options("shape", Named("line", {"length": 1, "own": 2}), line)
    with pytest.raises(SettingsError, match=r"'line' has no option 'width'. It has: length, points\."):
        require_options("shape", Named("line", {"width": 1}), line, filled_in=("own",))


def test_options_with_a_similar_name_are_described() -> None:
    with pytest.raises(
        SettingsError, match=r"'lenght'. Did you mean length \(how long it is in mm\)\? It has: len"
    ):
        require_options("shape", Named("line", {"lenght": 1}), line)
    with pytest.raises(
        SettingsError, match=r"'po'. Did you mean points \(where it goes .* \.\.\.\)\? It has"
    ):
        require_options("shape", Named("line", {"po": 1}), line)
    told = {"length": "from end to end"}
    with pytest.raises(
        SettingsError, match=r"Did you mean length \(from end to end\)\? It has: length, points, own"
    ):
        require_options("shape", Named("line", {"len": 1}), line, descriptions=told)


def test_a_wrong_value_is_told_with_what_the_option_is_if_that_is_short() -> None:
    with pytest.raises(
        SettingsError, match=r"^length is 10, but expected 9 at most \(length: how long it is in mm\)$"
    ):
        make("shape", Named("line", {"length": 10}), line)
    with pytest.raises(SettingsError, match=r"^points: expected 9 at most$"):
        make("shape", Named("line", {"length": 1, "points": [[1, 2]] * 10}), line)


def test_a_wrong_value_is_a_mistake_of_the_user_s() -> None:
    with pytest.raises(SettingsError, match=r"'line' cannot be made of .*a length is not negative"):
        make("shape", Named("line", {"length": -1}), line)
