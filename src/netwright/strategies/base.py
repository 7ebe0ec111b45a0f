"""The contract of a search strategy: a fold over observations, with `ask` and `tell`, pure and small.

A strategy knows numpy alone. It never keeps state of its own: whoever drives it folds `tell` over what was
observed and hands the result to `ask`, so that a resumed, copied or shared study loses nothing.
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
"""What the strategy must find again beside a result (kind of step, generation, parent); plain JSON values."""

FIDELITY = "netwright:fidelity"
"""Where a trial of an Optuna study has the fidelity of its observation: the user attribute."""

Status = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Dimension:
    """A strategy's view of one distribution.

    ``integer`` and ``float`` have inclusive bounds ``low`` and ``high``, a ``step`` (None: continuous) and
    may be ``log`` scaled; ``categorical`` has ``choices`` (``low`` 0, ``high`` their number - 1, ``step`` 1).
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
    """One finished candidate.

    ``reward`` is maximised; None where the candidate made no network, did not fit or was stopped: such a
    candidate ranks behind every candidate with a reward. ``stamp`` is what `ask` returned with the choice, or
    None where the candidate came from elsewhere (enqueued by a user, reused from another study). A ``failed``
    candidate (a bug, a lost machine) teaches nothing about its choice; it is told, where it has a stamp, so
    that a strategy need not hand out one and the same proposal for ever. ``fidelity`` says how much training the reward
    stands for, in epochs, steps or seconds, one of them throughout a study; None where that is not known, or where all
    have as much.
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
    """What a strategy offers besides that can tell when it has nothing more to find out."""

    converged_words: ClassVar[str]
    """What has happened then, in words."""

    def converged(self, state: Any) -> bool:
        """Whether it has."""


@runtime_checkable
class Exploring(Protocol):
    """What a strategy offers besides whose first proposals are random until it knows enough."""

    def exploration_episodes(self, dimensions: Sequence[Dimension], rng: np.random.Generator) -> int:
        """About how many proposals that takes."""


@runtime_checkable
class Reporting(Protocol):
    """What a strategy offers besides that has something to show in the report."""

    def report(
        self, state: Any, best: Mapping[str, Value] | None, reward_name: str
    ) -> tuple[StrategySection, ...]:
        """Sections of the report, as plain data.

        Args:
            state: what was learned.
            best: the best trial's choice, None while there is none.
            reward_name: what the reward is, in words.
        """


@runtime_checkable
class KeepingHistory(Protocol):
    """What a strategy offers besides whose course is written down for machines."""

    def history(self, state: Any) -> list[dict[str, Any]]:
        """Its rounds so far, as plain JSON values."""


@runtime_checkable
class Starting(Protocol):
    """What a strategy offers besides that moves on from one choice, which the comparison trains, too."""

    def starting_point(self, state: Any) -> tuple[str, Choice] | None:
        """How sentences call that choice, and the choice; None before there is one."""


@runtime_checkable
class Penalising(Protocol):
    """What a strategy offers besides that takes a fixed reward for a candidate that has none."""

    @property
    def penalty(self) -> float:
        """That reward."""


class Strategy(Protocol[State]):
    """Proposes choices from what was observed. `State` is immutable: `tell` returns a new one."""

    @property
    def name(self) -> str:
        """Short name, as in `STRATEGIES`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting, as plain JSON values; with the name, they key what is stored."""

    def init(self, dimensions: Sequence[Dimension]) -> State:
        """The state before any observation.

        Raises:
            SettingsError: a setting does not fit the dimensions.
        """

    def ask(
        self, state: State, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """A choice for every dimension, and the stamp to be told with its result.

        ``pending``: stamps of candidates that were asked for and have no result yet. They may bias a proposal
        (one mutation is not handed out twice) and never block it.
        """

    def tell(self, state: State, observation: Observation) -> State:
        """The state after one more observation."""
