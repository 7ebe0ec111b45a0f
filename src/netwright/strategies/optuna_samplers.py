"""Optuna's own samplers as strategies of a run: random, TPE, Gaussian process and NSGA-II.

Optuna's CMA-ES is `netwright.strategies.cma_es`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import (
    BaseGASampler,
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study
from optuna.trial import FrozenTrial

from netwright.errors import SettingsError
from netwright.strategies.checks import require_whole
from netwright.strategies.first_choices import FirstChoices

MakeSampler = Callable[..., BaseSampler]
"""Makes an Optuna sampler from a ``seed``."""


class SeededSampler(BaseSampler):
    """One of Optuna's samplers without memory: made again for every trial, from the seed and the trial's number.

    It reads all that it knows from the storage. So a study that was killed goes on as if nothing had happened, and
    workers with the same seed propose different candidates. Optuna's Gaussian process normally starts its fit where
    the last one ended; here it starts afresh.

    Args:
        make: makes the sampler from a ``seed``.
        seed: a natural number.
        first: choices that are tried before the sampler is asked; None: there are none.
    """

    def __init__(self, make: MakeSampler, seed: int, first: FirstChoices | None = None) -> None:
        self._make = make
        self._seed = seed
        self._first = first

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that the sampler proposes together: those that all finished trials share."""
        if self._first is not None and self._given(study, trial) is not None:
            return self._first.distributions
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The sampler's proposal; empty during the random start."""
        sampler = self._sampler(trial)
        if isinstance(sampler, BaseGASampler):
            # The storage lists parents in another order than they were selected in: store them first. A given choice
            # needs a generation, too, or it would never be a parent.
            sampler.get_parent_population(study, sampler.get_trial_generation(study, trial))
        given = self._given(study, trial)
        return sampler.sample_relative(study, trial, search_space) if given is None else given

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The sampler's value for a single parameter."""
        sampler = self._sampler(trial, 1 + zlib.crc32(param_name.encode()))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def _given(self, study: Study, trial: FrozenTrial) -> dict[str, Any] | None:
        if self._first is None:
            return None
        return self._first.next(study._storage.get_all_trials(study._study_id, deepcopy=False), trial.number)

    def _sampler(self, trial: FrozenTrial, *more: int) -> BaseSampler:
        entropy = np.random.SeedSequence([self._seed, trial.number, *more])
        return self._make(seed=int(entropy.generate_state(1)[0]))


def optuna_random() -> MakeSampler:
    """Optuna's random search: every dimension uniformly, whatever was observed before."""
    return RandomSampler


def tpe(
    n_startup_trials: int = 10,
    n_ei_candidates: int = 24,
    multivariate: bool = True,
    constant_liar: bool = True,
) -> MakeSampler:
    """Optuna's tree-structured Parzen estimator, `optuna.samplers.TPESampler`.

    Args:
        n_startup_trials: random candidates at the beginning.
        n_ei_candidates: how many draws there are; the best one is proposed.
        multivariate: whether dimensions are modelled together.
        constant_liar: whether to keep away from candidates that are being trained.

    Raises:
        SettingsError: a value is wrong.
    """
    require_whole(n_startup_trials=(n_startup_trials, 0))
    require_whole(n_ei_candidates=(n_ei_candidates, 1))
    _require_switch("multivariate", multivariate)
    _require_switch("constant_liar", constant_liar)
    return partial(
        TPESampler,
        n_startup_trials=n_startup_trials,
        n_ei_candidates=n_ei_candidates,
        multivariate=multivariate,
        constant_liar=constant_liar,
    )


def gp(n_startup_trials: int = 10, deterministic_objective: bool = False) -> MakeSampler:
    """Optuna's Gaussian process with expected improvement, `optuna.samplers.GPSampler`.

    Args:
        n_startup_trials: random candidates at the beginning.
        deterministic_objective: whether rewards are taken to be without noise.

    Raises:
        SettingsError: a value is wrong.
    """
    require_whole(n_startup_trials=(n_startup_trials, 1))
    _require_switch("deterministic_objective", deterministic_objective)
    return partial(
        GPSampler,
        n_startup_trials=n_startup_trials,
        deterministic_objective=deterministic_objective,
        warn_independent_sampling=False,
    )


def nsga_ii(
    population_size: int = 50,
    mutation_prob: float | None = None,
    crossover_prob: float = 0.9,
    swapping_prob: float = 0.5,
) -> MakeSampler:
    """Optuna's genetic algorithm NSGA-II, `optuna.samplers.NSGAIISampler`.

    Args:
        population_size: candidates of a generation.
        mutation_prob: probability that a dimension of a child is drawn anew; None: 1 / n for n dimensions.
        crossover_prob: probability that a child has two parents.
        swapping_prob: probability that a dimension comes from the second parent.

    Raises:
        SettingsError: a value is wrong.
    """
    require_whole(population_size=(population_size, 2))
    shares = {"crossover_prob": crossover_prob, "swapping_prob": swapping_prob}
    shares |= {} if mutation_prob is None else {"mutation_prob": mutation_prob}
    for name, value in shares.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
            raise SettingsError(f"{name} is {value!r}, but expected a number from 0 to 1")
    return partial(
        NSGAIISampler,
        population_size=population_size,
        mutation_prob=mutation_prob,
        crossover_prob=crossover_prob,
        swapping_prob=swapping_prob,
    )


OPTUNA_SAMPLERS: dict[str, Callable[..., MakeSampler]] = {
    "optuna-random": optuna_random,
    "tpe": tpe,
    "gp": gp,
    "nsga-ii": nsga_ii,
}
"""Name to maker. The keywords of the maker are the strategy's settings. No name is also in `STRATEGIES`."""


def _require_switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise SettingsError(f"{name} is {value!r}, but expected true or false")
