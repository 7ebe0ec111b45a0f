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
    if length < 0:
        raise ValueError("a length is not negative")
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


def test_a_wrong_value_is_a_mistake_of_the_user_s() -> None:
    with pytest.raises(SettingsError, match=r"'line' cannot be made of .*a length is not negative"):
        make("shape", Named("line", {"length": -1}), line)
