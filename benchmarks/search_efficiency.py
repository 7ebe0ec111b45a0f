"""How soon does a strategy find the best? Mean regret after 50, 100 and 300 evaluations, beside its peers.

    python benchmarks/search_efficiency.py --seeds 40 --objectives nas-bench-201 --plot docs/images/search.svg
    python benchmarks/search_efficiency.py --strategies coordinated evolution tpe --workers 2
    python benchmarks/search_efficiency.py --strategies coordinated gp --trials 100 --seeds 5

Netwright's strategies run through the fold, Optuna's samplers in a study in memory. Regret is the best value there
is, less the best true value of the choices tried so far: the mean with its standard error over the seeds, and in
brackets the median with the quartiles. Where there is noise, a second row has the true value of the choice that looked
best instead ("looks"). Of the tables of trained networks it is in points of accuracy or Dice, else in standard
deviations of random choices' values.
CMA-ES, which knows numbers only, is given the places of categorical values as integers; "cma-es" is Optuna's sampler,
"cma-es-margin" netwright's strategy.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler

from netwright.strategies import CmaEs, ControlledRandomSearch, Dimension, Observation, RandomSearch, Strategy
from netwright.strategies.dimensions import choice_at, value_at
from netwright.strategies.natural_gradient import NaturalGradient
from netwright.strategies.policy_gradient import policy_gradient
from netwright.strategies.q_learning import q_learning
from search_objectives import OBJECTIVES, TABLE, Choice, Objective

BUDGETS = (50, 100, 300)
COLOURS = (
    "#0b6e4f",
    "#c1121f",
    "#1d3557",
    "#e09f3e",
    "#7b2cbf",
    "#457b9d",
    "#6c757d",
    "#000000",
    "#d6006c",
    "#8a5a00",
    "#4dab00",
)
Ask = Callable[[int], tuple[Choice, Callable[[float | None], None]]]


def by_fold(make: Callable[[Objective], Strategy[object]], objective: Objective, seed: int) -> Ask:
    """A strategy of netwright."""
    strategy = make(objective)
    state = [strategy.init(objective.dimensions)]

    def ask(number: int) -> tuple[Choice, Callable[[float | None], None]]:
        choice, stamp = strategy.ask(state[0], np.random.default_rng([seed, number]))

        def tell(reward: float | None) -> None:
            status = "pruned" if reward is None else "complete"
            state[0] = strategy.tell(state[0], Observation(number, choice, reward, status, stamp))  # type: ignore[arg-type]

        return choice, tell

    return ask


def by_optuna(
    make: Callable[[int], BaseSampler], objective: Objective, seed: int, numbers: bool = False
) -> Ask:
    """One of Optuna's samplers."""
    study = optuna.create_study(direction="maximize", sampler=make(seed))
    space = {d.name: distribution(d, numbers) for d in objective.dimensions}
    categories = {d.name: d.choices for d in objective.dimensions if numbers and d.kind == "categorical"}

    def ask(number: int) -> tuple[Choice, Callable[[float | None], None]]:
        trial = study.ask(space)
        choice = {n: categories[n][v] if n in categories else v for n, v in trial.params.items()}

        def tell(reward: float | None) -> None:
            if reward is None:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, reward)

        return choice, tell

    return ask


def distribution(d: Dimension, numbers: bool) -> BaseDistribution:
    """Optuna's form of a dimension."""
    if d.kind == "categorical" and not numbers:
        return CategoricalDistribution(d.choices)
    if d.kind == "float":
        return FloatDistribution(d.low, d.high, step=d.step, log=d.log)
    return IntDistribution(int(d.low), int(d.high), step=int(d.step or 1), log=d.log)


def by_evolution(objective: Objective, seed: int, population: int = 50, sample: int = 10) -> Ask:
    """Regularised evolution: E. Real et al., "Regularized evolution for image classifier architecture search" (2019).

    The best of a random sample of the population has a child, with one dimension changed; the oldest member dies.
    """
    rng = np.random.default_rng([seed, 11])
    members: list[tuple[dict[str, object], float]] = []

    def ask(number: int) -> tuple[Choice, Callable[[float | None], None]]:
        if number < population:
            choice = dict(choice_at(objective.dimensions, rng.random(len(objective.dimensions))))
        else:
            drawn = rng.choice(len(members), sample, replace=False)
            choice = dict(max((members[i] for i in drawn), key=lambda member: member[1])[0])  # type: ignore[arg-type]
            d = objective.dimensions[rng.integers(len(objective.dimensions))]
            old = choice[d.name]
            while choice[d.name] == old:
                choice[d.name] = value_at(d, rng.random())

        def tell(reward: float | None) -> None:
            members.append((choice, -np.inf if reward is None else reward))
            del members[:-population]

        return choice, tell

    return ask


def coordinated(objective: Objective) -> Strategy[object]:
    """Agents that choose jointly."""
    return q_learning("coordinated", objective.agents, objective.edges)


def published(objective: Objective) -> Strategy[object]:
    """Agents as published: a third of the usual budget explores."""
    return q_learning("published", objective.agents, objective.edges, exploration=100)


def cma_es(seed: int) -> BaseSampler:
    """CMA-ES with Optuna's defaults."""
    return CmaEsSampler(seed=seed)


STRATEGIES: dict[str, Callable[[Objective, int], Ask]] = {
    "coordinated": lambda o, seed: by_fold(coordinated, o, seed),
    "published": lambda o, seed: by_fold(published, o, seed),
    "crs": lambda o, seed: by_fold(lambda _: ControlledRandomSearch(), o, seed),
    "policy-gradient": lambda o, seed: by_fold(lambda _: policy_gradient(), o, seed),
    "natural": lambda o, seed: by_fold(lambda _: NaturalGradient(), o, seed),
    "natural-fixed": lambda o, seed: by_fold(lambda _: NaturalGradient(adaptive=False), o, seed),
    "pooled": lambda o, seed: by_fold(lambda _: policy_gradient("pooled"), o, seed),
    "random": lambda o, seed: by_fold(lambda _: RandomSearch(), o, seed),
    "evolution": by_evolution,
    "tpe": lambda o, seed: by_optuna(lambda s: TPESampler(seed=s, multivariate=True), o, seed),
    "gp": lambda o, seed: by_optuna(
        lambda s: GPSampler(seed=s, deterministic_objective=not o.noise), o, seed
    ),
    "cma-es": lambda o, seed: by_optuna(cma_es, o, seed, numbers=True),
    "cma-es-margin": lambda o, seed: by_fold(lambda _: CmaEs(), o, seed),
}


def regrets(name: str, strategy: str, seed: int, trials: int) -> tuple[NDArray[np.float64], float]:
    """Regrets after each evaluation, NaN while all were infeasible, and seconds an evaluation.

    Shape (2, trials): of the best that was tried, and of the one that looked best.
    """
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    objective = OBJECTIVES[name](seed)
    ask = STRATEGIES[strategy](objective, seed)
    noise = np.random.default_rng([seed, 99])
    looked_best, looks, found, curve = -np.inf, np.nan, np.nan, np.empty((2, trials))
    start = time.perf_counter()
    for number in range(trials):
        choice, tell = ask(number)
        true = objective.true(choice)
        reward = None if true is None else true + objective.noise * float(noise.standard_normal())
        tell(reward)
        if true is not None and reward is not None:
            found = float(np.fmax(found, true))
            if reward > looked_best:
                looked_best, looks = reward, true
        curve[:, number] = (objective.best - np.array([found, looks])) / objective.unit
    return curve, (time.perf_counter() - start) / trials


def curves(arguments: argparse.Namespace) -> Iterator[tuple[str, str, NDArray[np.float64], float]]:
    """Objective, strategy, regrets (seeds, 2, trials), seconds an evaluation."""
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    with ProcessPoolExecutor(arguments.workers) as pool:
        for name in arguments.objectives:
            for strategy in arguments.strategies:
                jobs = [pool.submit(regrets, name, strategy, seed, arguments.trials) for seed in seeds]
                found = [job.result() for job in jobs]
                seconds = float(np.mean([each for _, each in found]))
                yield name, strategy, np.array([curve for curve, _ in found]), seconds


def plotted(name: str, rows: dict[str, NDArray[np.float64]], trials: int) -> str:
    """A drawing (SVG) of regret against evaluations on a logarithmic scale: medians, and quartiles as bands.

    ``rows``: of each strategy the regrets (seeds, trials).
    """
    quartiles = {label: np.nanquantile(curves, (0.25, 0.5, 0.75), axis=0) for label, curves in rows.items()}
    top = max(float(np.nanmax(bands[:, 10:])) for bands in quartiles.values())
    floor = top / 300

    def points(curve: NDArray[np.float64]) -> list[str]:
        shares = np.log(np.maximum(curve, floor) / floor) / np.log(top / floor)
        return [
            f"{60 + 560 * number / trials:.1f},{310 - 270 * min(share, 1):.1f}"
            for number, share in enumerate(shares.tolist())
            if number >= 5 and share == share
        ]

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 350" font-family="sans-serif" font-size="13">',
        '<rect width="800" height="350" fill="white"/>',
        f'<text x="60" y="24" font-weight="bold">{name}: regret after so many evaluations, median and quartiles</text>',
        '<path d="M60,40V310H620" fill="none" stroke="#888"/>',
    ]
    for number in range(0, trials + 1, max(trials // 6, 1)):
        parts.append(
            f'<text x="{60 + 560 * number / trials:.0f}" y="328" text-anchor="middle">{number}</text>'
        )
    for share in (0, 1 / 3, 2 / 3, 1):
        value = floor * (top / floor) ** share
        label = f"{'≤ ' if not share else ''}{value:.2g}"
        parts.append(f'<text x="54" y="{314 - 270 * share:.0f}" text-anchor="end">{label}</text>')
    for place, (strategy, (low, middle, high)) in enumerate(quartiles.items()):
        colour = COLOURS[place % len(COLOURS)]
        band = " ".join([*points(high), *reversed(points(low))])
        parts.append(f'<polygon points="{band}" fill="{colour}" fill-opacity="0.08"/>')
        line = " ".join(points(middle))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="632" y="{60 + 20 * place}" fill="{colour}">{strategy}</text>')
    return "\n".join([*parts, "</svg>", ""])


def spelled(values: NDArray[np.float64]) -> str:
    """Mean and standard error; in brackets the median and the quartiles."""
    low, middle, high = np.nanquantile(values, (0.25, 0.5, 0.75))
    error = np.nanstd(values) / np.sqrt(len(values))
    return f"{np.nanmean(values):9.4f} ±{error:7.4f} [{middle:.3f} {low:.3f}-{high:.3f}]"


def main() -> None:
    """Prints a row a strategy, and draws the curves of the first objective where asked to."""
    known = [name for name in OBJECTIVES if TABLE.exists() or not name.startswith("nas-bench")]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--objectives", nargs="+", default=known, choices=known, metavar="NAME")
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="draw the first objective's curves (SVG)")
    parser.add_argument("--save", type=Path, help="mean curves of all, as JSON")
    arguments = parser.parse_args()
    budgets = [budget for budget in BUDGETS if budget <= arguments.trials]
    print(f"{'':44}" + "".join(f"{f'after {budget}':>36}" for budget in budgets) + f"{'ms':>9}")
    kept: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, strategy, found, seconds in curves(arguments):
        noisy = OBJECTIVES[name](arguments.first_seed).noise > 0
        for row, label in enumerate(["", " looks"] if noisy else [""]):
            cells = [spelled(found[:, row, budget - 1]) for budget in budgets]
            print(
                f"{name:26}{strategy + label:18}"
                + "".join(f"{cell:>36}" for cell in cells)
                + f"{1000 * seconds:9.1f}",
                flush=True,
            )
        kept.setdefault(name, {})[strategy] = found[:, 0]
    if arguments.plot is not None:
        first = arguments.objectives[0]
        arguments.plot.write_text(plotted(first, kept[first], arguments.trials), encoding="utf-8")
    if arguments.save is not None:
        means = {
            name: {
                strategy: np.nanmean(curves, axis=0).round(6).tolist() for strategy, curves in rows.items()
            }
            for name, rows in kept.items()
        }
        arguments.save.write_text(json.dumps(means), encoding="utf-8")


if __name__ == "__main__":
    main()
