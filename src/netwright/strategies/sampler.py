"""Any strategy as an Optuna sampler. Its state is computed from the storage; stamps are stored, states never.

Only this file and `view` use Optuna's private names. A proposal depends only on the seed, the trial's number and the
results in the storage. So a study can be killed, resumed, copied and shared between workers.
"""

from __future__ import annotations

import inspect
import threading
import zlib
from collections.abc import Sequence
from secrets import randbits
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from optuna.distributions import BaseDistribution, _get_single_value
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from netwright.docstrings import argument_descriptions
from netwright.errors import SettingsError
from netwright.spec import unknown_option
from netwright.strategies import STRATEGIES
from netwright.strategies.base import Strategy
from netwright.strategies.completion import COMPLETION, count_of, in_order_of_completion, place_of
from netwright.strategies.dimensions import value_at
from netwright.strategies.first_choices import FirstChoices
from netwright.strategies.scalarisation import equal_weights, weights_for
from netwright.strategies.view import Distributions, View, dimension_of, dimensions_of, proposal_of

VIEWS_KEPT = 4
_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


def sampler(
    name: str, seed: int | None = None, *, distributions: Distributions | None = None, **settings: Any
) -> StrategySampler:
    """A strategy for any Optuna study, with any mix of integer, categorical and float parameters.

    Args:
        name: one of `netwright.strategies.STRATEGIES`, for example ``"controlled-random-search"``.
        seed: every random number comes from it and the trial's number; None: a new one.
        distributions: see `StrategySampler`.
        settings: the strategy's own settings, for example ``population=60``.

    Raises:
        SettingsError: there is no such strategy, or it has no such setting.

    Example:
        >>> import optuna
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(sampler=sampler("controlled-random-search", seed=0, population=8))
        >>> study.optimize(lambda trial: (trial.suggest_float("x", -1, 1) - 0.3) ** 2, n_trials=60)
        >>> round(study.best_params["x"], 1)
        0.3
    """
    if name not in STRATEGIES:
        raise SettingsError(f"no strategy is called {name!r}: choose one of {', '.join(sorted(STRATEGIES))}")
    descriptions = argument_descriptions(STRATEGIES[name])
    known = {
        option: descriptions.get(option, "") for option in inspect.signature(STRATEGIES[name]).parameters
    }
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise unknown_option(name, unknown[0], known)
    return StrategySampler(STRATEGIES[name](**settings), seed, distributions=distributions)


class StrategySampler(BaseSampler):
    """Drives a strategy over an Optuna study.

    With several objectives, each proposal goes by another weighting of them (`netwright.strategies.scalarisation`).

    The strategy sees the parameters that all finished trials share. The first trial of a study is sampled uniformly,
    and so is every parameter that not all trials have. With ``distributions`` the parameters are known from the first
    trial on.

    Args:
        strategy: the strategy.
        seed: a natural number; None: drawn once.
        distributions: the parameters of every trial, in the order in which the strategy is to see them.
        first: choices that are tried before the strategy is asked; None: there are none.

    Raises:
        SettingsError: ``seed`` is negative, or the strategy's settings do not fit ``distributions``.
    """

    def __init__(
        self,
        strategy: Strategy[Any],
        seed: int | None = None,
        *,
        distributions: Distributions | None = None,
        first: FirstChoices | None = None,
    ) -> None:
        if seed is not None and seed < 0:
            raise SettingsError(f"seed is {seed}, but a seed is a whole number of at least 0")
        self._strategy = strategy
        self._first = first
        self._seed = randbits(63) if seed is None else seed
        self._distributions = None if distributions is None else dict(distributions)
        self._lock = threading.Lock()
        self._ledgers: WeakKeyDictionary[BaseStorage, dict[int, _Ledger]] = WeakKeyDictionary()
        free = {name: d for name, d in (distributions or {}).items() if not d.single()}
        if free:
            strategy.init(dimensions_of(free))

    def __getstate__(self) -> dict[str, Any]:
        kept = self.__dict__.copy()
        del kept["_lock"], kept["_ledgers"]
        return kept

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept)
        self._lock = threading.Lock()
        self._ledgers = WeakKeyDictionary()

    @property
    def strategy(self) -> Strategy[Any]:
        """The strategy that is driven."""
        return self._strategy

    def state(self, study: Study) -> Any:
        """The strategy's state after all trials of the study in the storage, for inspection.

        Several objectives have equal weights.
        """
        space = self._distributions
        with self._lock:
            ledger = self._read(study)
            known = ledger.shared_distributions() if space is None else space
            free = {name: d for name, d in known.items() if not d.single()}
            view = ledger.view(free, self._strategy, study.directions)
            return view.state(ledger.finished, equal_weights(len(study.directions)))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The given distributions, or those that all finished trials share, sorted by name."""
        if self._distributions is not None:
            space = self._distributions
        else:
            with self._lock:
                space = self._read(study).shared_distributions()
        return {name: distribution for name, distribution in space.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The strategy's proposal for a trial. Its stamp is stored with the trial.

        Raises:
            StrategyFailed: what it proposed is no choice.
        """
        fixed = {name: _get_single_value(d) for name, d in search_space.items() if d.single()}
        free = {name: d for name, d in search_space.items() if name not in fixed}
        if not free:
            return fixed
        given = None if self._first is None else self._first.next(_trials_of(study), trial.number)
        if given is not None:
            return {**given, **fixed}
        with self._lock:
            ledger = self._read(study)
            view = ledger.view(free, self._strategy, study.directions)
            weights = weights_for(len(study.directions), self._seed, trial.number)
            state = view.state(ledger.finished, weights)
            others = (other for other in ledger.unfinished() if other._trial_id != trial._trial_id)
            pending = [stamp for other in others if (stamp := view.stamp(other)) is not None]
            rng = np.random.default_rng([self._seed, trial.number])
            choice, stamp = self._strategy.ask(state, rng, pending)
            # Within the lock, so that the next thread to ask sees the stamp.
            study._storage.set_trial_system_attr(trial._trial_id, view.stamp_key, stamp)
        return {**proposal_of(self._strategy, choice, free), **fixed}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A uniform value for a parameter that the strategy does not see."""
        rng = np.random.default_rng([self._seed, trial.number, 1 + zlib.crc32(param_name.encode())])
        return value_at(dimension_of(param_name, param_distribution), rng.random())

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Store the trial's number in the order of completion: one more than any that this process knows of.

        The clock is not used, because it may be set back or differ between machines. Two processes that complete trials
        at the same time may give both the same number. Then the trials' own numbers decide, in every process alike.
        """
        with self._lock:
            count = self._read(study).next_completion()
            study._storage.set_trial_user_attr(trial._trial_id, COMPLETION, count)

    def _read(self, study: Study) -> _Ledger:
        """The ledger of a study, up to date with the storage (a pruner may show only some of the trials)."""
        ledger = self._ledgers.setdefault(study._storage, {}).setdefault(study._study_id, _Ledger())
        ledger.update(_trials_of(study))
        return ledger


class _Ledger:
    """What the storage held of one study when it was last read, so that only new trials cost time.

    It is never stored: if it is lost it is read again. Finished trials are in the order of `in_order_of_completion`;
    one that arrives late is inserted at its position.
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.finished: list[FrozenTrial] = []
        self._completed = 0
        self._scanned = 0
        self._trials: list[FrozenTrial] = []  # as the storage listed them last
        self._unfinished: list[int] = []  # indices in that list
        self._last: tuple[int, FrozenTrial] | None = None  # one finished trial and its index
        self._shared: dict[str, BaseDistribution] | None = None
        self._views: list[View] = []

    def update(self, trials: list[FrozenTrial]) -> None:
        """Take in all trials of the study, as the storage lists them."""
        if not self._continues(trials):
            self._clear()
        count = len(trials)  # once: other threads may add to the list of a storage in memory
        indices = [*self._unfinished, *range(self._scanned, count)]
        fresh = [(index, trial) for index in indices if (trial := trials[index]).state not in _UNFINISHED]
        done = {index for index, _ in fresh}
        self._unfinished = [index for index in indices if index not in done] if done else indices
        self._trials, self._scanned = trials, count
        if fresh:
            self._last = fresh[-1]
            self._insert([trial for _, trial in fresh])

    def next_completion(self) -> int:
        """One more than the number of any trial that is finished here or that this process is finishing."""
        self._completed = max(self._completed, len(self.finished)) + 1
        return self._completed

    def unfinished(self) -> list[FrozenTrial]:
        """The trials that are running or waiting."""
        return [self._trials[index] for index in self._unfinished]

    def shared_distributions(self) -> dict[str, BaseDistribution]:
        """The distributions that all finished trials with parameters share (without failed ones), sorted by name."""
        return dict(sorted((self._shared or {}).items()))

    def view(
        self,
        distributions: dict[str, BaseDistribution],
        strategy: Strategy[Any],
        directions: Sequence[StudyDirection],
    ) -> View:
        """The view for these distributions: a kept one or a new one."""
        for view in self._views:
            if view.distributions == distributions and list(view.distributions) == list(distributions):
                return view
        view = View(distributions, strategy, directions)
        self._views = [*self._views[1 - VIEWS_KEPT :], view]
        return view

    def _continues(self, trials: list[FrozenTrial]) -> bool:
        """Whether this is the same study. A deleted study's identifier may be used again for another one."""
        if self._scanned > len(trials):
            return False
        if self._last is None:
            return True
        index, known = self._last
        now = trials[index]
        return now is known or (
            now._trial_id == known._trial_id and now.datetime_complete == known.datetime_complete
        )

    def _insert(self, fresh: list[FrozenTrial]) -> None:
        self._completed = max(self._completed, *(count_of(trial) or 0 for trial in fresh))
        if self._follow(fresh):
            self.finished += sorted(fresh, key=place_of)
        else:
            before = self.finished
            self.finished = in_order_of_completion([*before, *fresh])
            pairs = enumerate(zip(before, self.finished, strict=False))
            start = next((index for index, (old, new) in pairs if old is not new), len(before))
            for view in self._views:
                view.rewind(start)
        for trial in fresh:
            if trial.state != TrialState.FAIL and trial.params:
                self._share(trial.distributions)

    def _follow(self, fresh: Sequence[FrozenTrial]) -> bool:
        """Whether these trials come after all others, so that the others need not be sorted again."""
        if not self.finished or count_of(self.finished[-1]) is None:
            return False
        last = place_of(self.finished[-1])
        return all(count_of(trial) is not None and place_of(trial) > last for trial in fresh)

    def _share(self, distributions: dict[str, BaseDistribution]) -> None:
        if self._shared is None:
            self._shared = dict(distributions)
        else:
            self._shared = {n: d for n, d in self._shared.items() if distributions.get(n) == d}


def _trials_of(study: Study) -> list[FrozenTrial]:
    """All trials in the storage of a study, to be read.

    That of a storage in memory is its own list. In a large study a copy of it costs more than a proposal.
    """
    storage = study._storage
    if isinstance(storage, InMemoryStorage) and study._study_id in storage._studies:
        return storage._studies[study._study_id].trials
    return storage.get_all_trials(study._study_id, deepcopy=False)
