"""Which rule spends the hours of a race best? Replays learning curves in simulated wall time.

    python benchmarks/race_rules.py --seeds 100
    python benchmarks/race_rules.py --curves benchmarks/curves/*.json --workers 2 --factor 4

For each dataset and rule: the regret at the end, in points (hundredths) of the score: the best score that any
candidate has after the whole race, less the true score of the candidate whose last validation is best, as it was
trained when the race ended. Mean with its standard error over the seeds, the median, the candidates begun, and the
milliseconds a decision. A seed is an order of the candidates, the same for all rules; the default is the first.

Beside netwright's rules: the default alone; random search, each candidate trained for an eighth of the race; and
Optuna's Hyperband with TPE, its own pruner and sampler, a third of the race for the longest trainings. Optuna begins
trainings again and proposes choices; each is taken for the nearest curve that is left, which Optuna is told. Rows with
`prior` have netwright's strategy of that name propose in the same way, without the space's suggestions and with them.
The suggestions were chosen from some of the same curves: these rows say how fast good ones are found, not how good they
are elsewhere.

Without ``--curves`` the curves are made up (`race_curves.py`): the constants of rules may be looked at with them, and
nothing of this says how a rule does on real ones.
"""

from __future__ import annotations

import argparse
import heapq
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from netwright.searches.race import RULES, Begin, Candidate, GoOn, Race, Rule, best_waiting
from netwright.spaces.auto import ClassifierStagesSpace, EncoderDecoderSpace
from netwright.strategies.base import Observation, Strategy
from netwright.strategies.prior import Prior
from netwright.strategies.view import dimensions_of
from race_curves import Recorded, made_up, recorded

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class Setting:
    """A race: wall seconds, workers, the shortest useful part."""

    total: float
    workers: int
    first: float


@dataclass(frozen=True)
class Result:
    """Of one race: the chosen curve, its seconds of training, candidates begun, milliseconds a decision."""

    chosen: int
    seconds: float
    begun: int
    milliseconds: float


class Table:
    """The curves of a dataset, given away one by one: in a random order, or those nearest to proposals."""

    def __init__(self, curves: Sequence[Recorded], seed: int) -> None:
        self.curves = curves
        self.left = [0, *(1 + np.random.default_rng(seed).permutation(len(curves) - 1)).tolist()]
        names = list(curves[0].choice)
        columns = {name: [curve.choice[name] for curve in curves] for name in names}
        self.space = {name: _distribution(column) for name, column in columns.items()}
        self._places = np.stack([_places(self.space[name], columns[name]) for name in names], axis=1)

    @property
    def first(self) -> dict[str, Any]:
        """The default's choice."""
        return {name: self.curves[0].choice[name] for name in self.space}

    def has(self, pair: tuple[str, Any]) -> bool:
        """Whether a curve has a value of a dimension."""
        name, value = pair
        return any(curve.choice.get(name) == value for curve in self.curves)

    def next(self) -> int | None:
        return self.left.pop(0) if self.left else None

    def nearest(self, choice: dict[str, Any]) -> int | None:
        """The curve that is left whose choice is nearest to a proposal."""
        if not self.left:
            return None
        place = np.concatenate([_places(self.space[name], [choice[name]]) for name in self.space])
        away = np.abs(self._places[self.left] - place)
        numbers = [isinstance(self.space[name], FloatDistribution) for name in self.space]
        distances = np.where(numbers, away, away > 0).sum(axis=1)
        return self.left.pop(int(np.argmin(distances)))


def _distribution(values: Sequence[Any]) -> BaseDistribution:
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values) and min(values) < max(
        values
    ):
        low, high = float(min(values)), float(max(values))
        return FloatDistribution(low, high, log=low > 0 and high / low >= 8)
    return CategoricalDistribution(tuple(dict.fromkeys(values)))


def _places(distribution: BaseDistribution, values: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    if isinstance(distribution, CategoricalDistribution):
        return np.array([float(distribution.choices.index(value)) for value in values])
    assert isinstance(distribution, FloatDistribution)
    scaled, low, high = np.array(values, dtype=float), distribution.low, distribution.high
    if distribution.log:
        scaled, low, high = np.log(scaled), np.log(low), np.log(high)
    places: np.ndarray[Any, np.dtype[np.float64]] = (scaled - low) / (high - low)
    return places


def plain_prior(table: Table) -> Prior:
    """The strategy without suggestions."""
    return Prior(first=table.first)


def suggesting_prior(table: Table) -> Prior:
    """The strategy as `auto` has it, with the suggestions that are in the table."""
    space = (
        ClassifierStagesSpace(channels=3, classes=10, size=(32, 32))
        if "stages" in table.first
        else EncoderDecoderSpace(channels=1, classes=2, size=(64, 64))
    )
    known = [change for change in space.suggestions() if all(map(table.has, change.items()))]
    return Prior(first=table.first, suggestions=known)


Propose = Callable[[Table, dict[int, Candidate], dict[int, int], int], int | None]


def in_order(
    table: Table, candidates: dict[int, Candidate], curve_of: dict[int, int], seed: int
) -> int | None:
    """The next curve of the random order."""
    return table.next()


def by_strategy(
    make: Callable[[Table], Strategy[Any]],
    table: Table,
    candidates: dict[int, Candidate],
    curve_of: dict[int, int],
    seed: int,
) -> int | None:
    """The curve nearest to what a strategy proposes when it is told all validations at the ends of parts so far."""
    strategy = make(table)
    state = strategy.init(dimensions_of(table.space))
    if not candidates:
        return table.next()
    for number, candidate in candidates.items():
        if candidate.curve:
            choice, (seconds, score) = dict(table.curves[curve_of[number]].choice), candidate.curve[-1]
            state = strategy.tell(
                state, Observation(number, choice, score, "complete", {"kind": "prior"}, seconds)
            )
    choice, _ = strategy.ask(state, np.random.default_rng([seed, len(candidates)]))
    return table.nearest(choice)


def race(rule: Rule, propose: Propose, curves: Sequence[Recorded], setting: Setting, seed: int) -> Result:
    """Play one race."""
    table, candidates, curve_of = Table(curves, seed), {}, {}
    free = [(0.0, worker, -1, 0.0) for worker in range(setting.workers)]
    decisions, spent = 0, 0.0
    while free:
        now, worker, number, until = heapq.heappop(free)
        if number >= 0:
            before, curve = candidates[number], curves[curve_of[number]]
            end = min(until, float(curve.seconds[-1]))
            ended = "recorded no further" if until >= curve.seconds[-1] else ""
            points = (*before.curve, *curve.until(before.seconds, end))
            candidates[number] = replace(before, curve=points, running=False, ended=ended)
        seen = Race(
            tuple(candidates.values()), setting.total - now, setting.total, setting.workers, setting.first
        )
        start = time.perf_counter()
        decision = rule.decide(seen)
        decisions, spent = decisions + 1, spent + time.perf_counter() - start
        if isinstance(decision, Begin):
            index = propose(table, candidates, curve_of, seed)
            if index is None:
                decision = best_waiting(seen)
        if isinstance(decision, Begin):
            number = len(candidates)
            curve_of[number] = index
            candidates[number] = Candidate(number, running=True, default=number == 0)
            heapq.heappush(free, (now + decision.seconds, worker, number, decision.seconds))
        elif isinstance(decision, GoOn):
            before = candidates[decision.number]
            candidates[decision.number] = replace(before, running=True)
            length = decision.seconds - before.seconds
            heapq.heappush(free, (now + length, worker, decision.number, decision.seconds))
    best = max(candidates.values(), key=lambda candidate: candidate.score)
    return Result(curve_of[best.number], best.seconds, len(candidates), 1000 * spent / decisions)


def default_alone(curves: Sequence[Recorded], setting: Setting, seed: int) -> Result:
    return Result(0, setting.total, 1, 0.0)


def random_search(curves: Sequence[Recorded], setting: Setting, seed: int, share: float = 1 / 8) -> Result:
    """Each candidate is trained for a fixed share of the race."""
    table, seconds = Table(curves, seed), share * setting.total
    tried = [table.left[i] for i in range(min(int(setting.workers / share), len(table.left)))]
    best = max(tried, key=lambda i: float(np.interp(seconds, curves[i].seconds, curves[i].scores)))
    return Result(best, seconds, len(tried), 0.0)


def hyperband_tpe(curves: Sequence[Recorded], setting: Setting, seed: int, share: float = 1 / 3) -> Result:
    """Optuna's own pruner and sampler, asked and told as the simulated time goes on."""
    table = Table(curves, seed)
    steps = max(int(share * setting.total / setting.first), 1)
    study = optuna.create_study(
        study_name=str(seed),  # by which Hyperband draws brackets
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=steps, reduction_factor=3),
    )
    study.enqueue_trial({name: table.curves[0].choice[name] for name in table.space})
    running: list[tuple[float, int, int, int, optuna.Trial]] = []
    best, begun = (-np.inf, 0, 0.0), 0

    def begin(now: float, worker: int) -> None:
        nonlocal begun
        trial = study.ask(table.space)
        index = table.nearest(trial.params)
        if index is None:
            return
        for name, distribution in table.space.items():
            value = distribution.to_internal_repr(table.curves[index].choice[name])
            study._storage.set_trial_param(trial._trial_id, name, value, distribution)
        begun += 1
        heapq.heappush(running, (now + setting.first, worker, 1, index, trial))

    for worker in range(setting.workers):
        begin(0.0, worker)
    while running:
        now, worker, step, index, trial = heapq.heappop(running)
        if now > setting.total:
            break
        curve, seconds = curves[index], step * setting.first
        score = float(np.interp(seconds, curve.seconds, curve.scores))
        best = max(best, (score, index, seconds))
        trial.report(score, step)
        if step < steps and seconds < curve.seconds[-1] and not trial.should_prune():
            heapq.heappush(running, (now + setting.first, worker, step + 1, index, trial))
            continue
        study.tell(trial, score if step >= steps else None, None if step >= steps else TrialState.PRUNED)
        begin(now, worker)
    return Result(best[1], best[2], begun, 0.0)


Play = Callable[[Sequence[Recorded], Setting, int], Result]
WAYS: dict[str, Play] = {
    "default alone": default_alone,
    "random search": random_search,
    "Hyperband + TPE (Optuna)": hyperband_tpe,
    **{name: partial(race, make(), in_order) for name, make in RULES.items()},
    **{
        f"{name}, prior{words}": partial(race, rule(), partial(by_strategy, make))
        for words, make in (("", plain_prior), (", suggestions", suggesting_prior))
        for name, rule in RULES.items()
    },
}


def many(
    way: str, curves: Sequence[Recorded], setting: Setting, seeds: int
) -> tuple[list[float], float, float]:
    """Regrets in points, candidates begun and milliseconds a decision."""
    best = max(curve.truth(setting.total) for curve in curves)
    results = [WAYS[way](curves, setting, seed) for seed in range(seeds)]
    regrets = [100 * (best - curves[result.chosen].truth(result.seconds)) for result in results]
    begun = float(np.mean([result.begun for result in results]))
    return regrets, begun, float(np.mean([result.milliseconds for result in results]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--curves", type=Path, nargs="*", default=[], help="files of recorded curves")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--factor", type=float, default=1.0, help="length of the race, in lengths of the longest curve"
    )
    parser.add_argument(
        "--first", type=float, default=None, help="shortest part in seconds; else the default's first"
    )
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    tables = recorded(arguments.curves) or {f"made-up {seed}": made_up(seed) for seed in range(3)}
    with ProcessPoolExecutor(arguments.processes) as pool:
        for dataset, curves in tables.items():
            total = arguments.factor * max(float(curve.seconds[-1]) for curve in curves)
            setting = Setting(total, arguments.workers, arguments.first or float(curves[0].seconds[0]))
            print(f"\n{dataset}: {len(curves)} curves, a race of {total:.0f} s, workers: {setting.workers}")
            print(f"{'':34}{'regret':>8} {'±':>5} {'median':>8} {'begun':>7} {'ms':>6}")
            jobs = [pool.submit(many, way, curves, setting, arguments.seeds) for way in arguments.ways]
            for way, job in zip(arguments.ways, jobs, strict=True):
                regrets, begun, milliseconds = job.result()
                error = np.std(regrets) / len(regrets) ** 0.5
                print(
                    f"{way:34}{np.mean(regrets):8.3f} {error:5.3f} {np.median(regrets):8.3f} "
                    f"{begun:7.1f} {milliseconds:6.1f}"
                )


if __name__ == "__main__":
    main()
