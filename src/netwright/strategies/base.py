"""The contract of a search strategy: two pure functions, `ask` and `tell`.

A strategy needs numpy only. It keeps no state of its own. The caller starts with `init`, passes every observation
through `tell` and gives the resulting state to `ask`. So a resumed, copied or shared study loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from netwright.strategies.pictures import StrategySection

Value = int | float | str | bool | None
Choice = dict[str, Value]
Stamp = dict[str, Any]
"""What the strategy needs to know again when the result arrives (kind of step, generation, parent): plain JSON."""

FIDELITY = "netwright:fidelity"
"""The user attribute of an Optuna trial that holds the fidelity of its observation."""

Status = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Dimension:
    """One dimension of the search space, as a strategy sees it.

    ``integer`` and ``float`` have bounds ``low`` and ``high`` (both included) and a ``step`` (None: continuous). They
    may be on a ``log`` scale. ``categorical`` has ``choices``; its ``low`` is 0, its ``high`` the number of choices
    minus 1, its ``step`` 1.

    >>> from netwright.strategies.dimensions import value_at
    >>> value_at(Dimension("kernel", "integer", 1, 7, step=2), 0.5)
    5
    """

    name: str
    kind: Literal["integer", "float", "categorical"]
    low: float
    high: float
    step: float | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Observation:
    """The result of one candidate.

    ``reward`` is maximised. It is None where the candidate could not be built, did not fit into memory or was stopped;
    such a candidate ranks behind every candidate with a reward. ``stamp`` is what `ask` returned with the choice. It is
    None where the candidate came from elsewhere (added by a user, reused from another study). A ``failed`` candidate
    (a bug, a lost machine) says nothing about its choice. If it has a stamp it is told nevertheless, so that the
    strategy does not propose the same choice for ever. ``fidelity`` is the amount of training behind the reward, in
    epochs, steps or seconds, with the same unit throughout a study. It is None where it is unknown, or where all
    candidates are trained equally long.
    """

    number: int
    choice: Mapping[str, Value]
    reward: float | None
    status: Status
    stamp: Stamp | None
    fidelity: float | None = None


State = TypeVar("State")


@runtime_checkable
class Converging(Protocol):
    """A strategy that can tell when it has converged."""

    converged_words: ClassVar[str]
    """A sentence that says what has happened then."""

    def converged(self, state: Any) -> bool:
        """Whether the strategy has converged."""


@runtime_checkable
class Exploring(Protocol):
    """A strategy whose first proposals are random until it knows enough."""

    def exploration_episodes(self, dimensions: Sequence[Dimension], rng: np.random.Generator) -> int:
        """The approximate number of these random proposals."""


@runtime_checkable
class Reporting(Protocol):
    """A strategy that has something to show in the report."""

    def report(
        self, state: Any, best: Mapping[str, Value] | None, reward_name: str
    ) -> tuple[StrategySection, ...]:
        """Sections of the report, as plain data.

        Args:
            state: the strategy's state.
            best: the choice of the best trial; None while there is none.
            reward_name: the name of the reward, in words.
        """


@runtime_checkable
class KeepingHistory(Protocol):
    """A strategy whose history is written to a file for other programs."""

    def history(self, state: Any) -> list[dict[str, Any]]:
        """The rounds so far, as plain JSON values."""


@runtime_checkable
class Starting(Protocol):
    """A strategy that starts from one choice. The comparison trains that choice, too."""

    def starting_point(self, state: Any) -> tuple[str, Choice] | None:
        """A name for that choice, for use in sentences, and the choice. None before there is one."""


@runtime_checkable
class Penalising(Protocol):
    """A strategy that uses a fixed reward for candidates without one."""

    @property
    def penalty(self) -> float:
        """The fixed reward."""


@runtime_checkable
class OwnProposalsOnly(Protocol):
    """A strategy that begins with proposals of its own: before them, observations without a stamp teach it nothing."""

    own_proposals_only: ClassVar[Literal[True]]


class Strategy(Protocol[State]):
    """Proposes choices from observations. `State` is immutable: `tell` returns a new one."""

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings, as plain JSON values. Stored results belong to the name together with the settings."""

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """The state before any observation.

        Raises:
            SettingsError: a setting does not fit the dimensions.
        """

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """A choice for every dimension, and the stamp to be told with its result.

        Args:
            state: the current state.
            rng: the source of every random number.
            pending: stamps of candidates that were asked for and have no result yet. They may influence a proposal
                (one mutation is not proposed twice) but never block it.
        """

    def tell(self, state: State, observation: Observation) -> State:
        """The state after one more observation."""
