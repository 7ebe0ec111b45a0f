"""Objectives of which the best is known, for `search_efficiency.py`: a table, made-up tables, made-up networks.

Each is made from a seed, so that a strategy meets another one in every repetition (the real table apart, whose
choices come in another order each time).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.strategies import Dimension

TABLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "nas-bench-201-cifar10.json"
TRAINED = Path(__file__).with_name("trained-table.json")
LETTERS = tuple("abcdefghijklmnop")
KERNELS = (16, 32, 48, 64, 96, 128, 192)

Choice = Mapping[str, Any]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """What is searched: ``true`` gives the value of a choice without noise, None where it is infeasible.

    ``unit``: what a regret is divided by. ``noise``: standard deviation of what is added to a value.
    """

    dimensions: tuple[Dimension, ...]
    true: Callable[[Choice], float | None]
    best: float
    unit: float = 1.0
    noise: float = 0.0
    agents: tuple[tuple[str, ...], ...] | None = None
    edges: tuple[tuple[int, int], ...] | None = None


def categorical(shape: Sequence[int]) -> tuple[Dimension, ...]:
    """Dimensions whose values have no order."""
    return tuple(
        Dimension(f"x{i}", "categorical", 0, n - 1, 1, choices=LETTERS[:n]) for i, n in enumerate(shape)
    )


def integer(shape: Sequence[int]) -> tuple[Dimension, ...]:
    """Dimensions of integers from 0."""
    return tuple(Dimension(f"x{i}", "integer", 0, n - 1, 1) for i, n in enumerate(shape))


def tabulated(table: Array, dimensions: tuple[Dimension, ...], noise: float = 0.0, **more: Any) -> Objective:
    """A table of values, NaN where a choice is infeasible; regrets and noise in its standard deviations."""

    def true(choice: Choice) -> float | None:
        place = [
            d.choices.index(choice[d.name]) if d.kind == "categorical" else int(choice[d.name])
            for d in dimensions
        ]
        value = float(table[tuple(place)])
        return None if np.isnan(value) else value

    unit = float(np.nanstd(table))
    return Objective(dimensions, true, float(np.nanmax(table)), unit, noise * unit, **more)


def nas_bench_201(seed: int, ordered: bool = False, noise: float = 0.0) -> Objective:
    """6 edges of a cell with 5 operations: validation accuracy in points, of networks really trained."""
    table = np.zeros((5,) * 6)
    for name, (accuracy, _) in json.loads(TABLE.read_text(encoding="utf-8"))["table"].items():
        table[tuple(map(int, name))] = accuracy
    rng = np.random.default_rng(seed)
    for axis in range(6):
        table = np.take(table, rng.permutation(5), axis)
    found = tabulated(table, (integer if ordered else categorical)(table.shape))
    return Objective(found.dimensions, found.true, found.best, 1.0, noise)


def trained(seed: int) -> Objective:
    """576 small networks, each really trained once (`trained_table.py`), in points of validation Dice.

    8 ordered dimensions. The noise is that of a training: the deviation between two of the same network.
    """
    dice = json.loads(TRAINED.read_text(encoding="utf-8"))["dice"]
    table = np.zeros((3, 3, *(2,) * 6))
    places = {value: place for place, value in enumerate((4, 8, 16))} | {1: 0, 3: 1}
    pairs = []
    for name, values in dice.items():
        table[tuple(places[int(part)] for part in name.split("-"))] = 100 * np.mean(values)
        pairs += [values] if len(values) > 1 else []
    noise = 100 * float(np.sqrt(np.mean([np.var(pair, ddof=1) for pair in pairs])))
    found = tabulated(table, integer(table.shape))
    return Objective(found.dimensions, found.true, found.best, 1.0, noise)


def terms(rng: np.random.Generator, shape: tuple[int, ...], order: int, count: int | None = None) -> Array:
    """A sum of random tables over every dimension, every pair, or ``count`` random sets of dimensions."""
    table = np.zeros(shape)
    dimensions = len(shape)
    sets: list[tuple[int, ...]] = [(i,) for i in range(dimensions)]
    if order == 2:
        sets = [(i, j) for j in range(dimensions) for i in range(j)]
    if count is not None:
        sets = [tuple(sorted(rng.choice(dimensions, order, replace=False).tolist())) for _ in range(count)]
    for chosen in sets:
        table += rng.normal(size=[n if i in chosen else 1 for i, n in enumerate(shape)])
    return table


def made_up(kind: str, seed: int, ordered: bool = False, noise: float = 0.0) -> Objective:
    """7 dimensions of 4 values: a table of one of many characters."""
    rng = np.random.default_rng([seed, 2])
    shape = (4,) * 7
    grid = np.indices(shape)
    table = terms(rng, shape, 1)
    if kind == "pairwise":
        table = terms(rng, shape, 2)
    elif kind == "sparse":
        table = terms(rng, shape, 3, 3) + terms(rng, shape, 4, 2)
    elif kind == "rugged":
        table = sum(
            (rng.random([4 if k in (i, *_others(rng, i)) else 1 for k in range(7)]) for i in range(7)),
            table * 0,
        )
    elif kind == "multiplicative":
        table = np.ones(shape)
        for i in range(7):
            table = table * rng.uniform(0.4, 1, 4)[grid[i]]
    elif kind == "cliffs":
        table = np.floor(1.5 * table) / 1.5 + rng.normal(0, 0.05, shape)
        for _ in range(3):
            a, b = rng.choice(7, 2, replace=False)
            table[(grid[a] == rng.integers(4)) & (grid[b] == rng.integers(4))] -= 8
    elif kind == "infeasible":
        cost = sum((rng.random(4)[grid[i]] for i in range(7)), table * 0)
        table += 0.4 * terms(rng, shape, 2) + 0.8 * cost
        table[cost > np.quantile(cost, 0.45)] = np.nan
    elif kind == "conditional":
        first = (
            sum((rng.normal(size=4)[grid[i]] for i in (1, 2, 3)), table * 0)
            + rng.normal(size=(4, 4))[grid[1], grid[2]]
        )
        other = (
            sum((rng.normal(size=4)[grid[i]] for i in (4, 5, 6)), table * 0)
            + rng.normal(size=(4, 4))[grid[4], grid[5]]
        )
        table = np.select([grid[0] == 0, grid[0] == 1], [first, other], 0.5 * (first + other))
    elif kind != "separable":
        raise ValueError(f"no table is called {kind!r}")
    return tabulated(table, (integer if ordered else categorical)(shape), noise)


def eight_of_three(seed: int, order: int = 2, noise: float = 0.0) -> Objective:
    """8 dimensions of 3 categories: a random table over every dimension (order 1) or every pair of them."""
    shape = (3,) * 8
    return tabulated(terms(np.random.default_rng([seed, 3]), shape, order), categorical(shape), noise)


def _others(rng: np.random.Generator, i: int) -> list[int]:
    return rng.choice([j for j in range(7) if j != i], 3, replace=False).tolist()  # type: ignore[no-any-return]


def chain(seed: int, ordered: bool = True, noise: float = 0.0) -> Objective:
    """8 layers of 3 values: a preferred value each, neighbours that must fit, a little of everything, saturation."""
    rng = np.random.default_rng([seed, 1])
    shape = (3,) * 8
    grid = np.indices(shape)
    weight, preferred = rng.uniform(0.2, 1, 8), rng.uniform(0, 2, 8)
    table = -np.einsum("i,i...->...", weight, np.abs(grid - preferred.reshape(-1, *[1] * 8)) ** 1.5)
    for i in range(7):
        table += rng.normal(0, 0.5, (3, 3))[grid[i], grid[i + 1]]
    table = 4 * np.tanh((table + 0.35 * terms(rng, shape, 3, 6)) / 4) + rng.normal(0, 0.15, shape)
    edges = tuple((i, i + 1) for i in range(7)) if ordered else None
    return tabulated(table, (integer if ordered else categorical)(shape), noise, edges=edges)


def bowl(seed: int, kind: str = "integer", noise: float = 0.0) -> Objective:
    """6 dimensions of 20 integers, or of floats: a tilted bowl, smooth or sharp, with or without ripples."""
    rng = np.random.default_rng([seed, 3])
    centre = rng.integers(3, 17, 6)
    mixing = rng.normal(size=(6, 6))
    mixing = mixing @ mixing.T / 6 + 0.3 * np.eye(6)
    dimensions = integer((20,) * 6)
    if kind == "float":
        dimensions = tuple(Dimension(f"x{i}", "float", 0.0, 19.0) for i in range(6))

    def true(choice: Choice) -> float:
        z = (np.array([choice[d.name] for d in dimensions]) - centre) / 19
        if seed % 2:
            return -float(np.sqrt(z @ mixing @ z))
        return -float(z @ mixing @ z) - 0.02 * float(np.sum(1 - np.cos(12 * z)))

    return _in_units(Objective(dimensions, true, 0.0), noise)


def layers(seed: int, count: int = 22, noise: float = 0.0) -> Objective:
    """A network of layers with 7 numbers of kernels, 3 kernel sizes, 2 strides, in a chain with skips.

    Every layer has a best action of its own; neighbours must fit; the strides of all must come to a total.
    """
    rng = np.random.default_rng([seed, 4])
    dimensions, agents = [], []
    for i in range(count):
        values = {"kernels": KERNELS, "kernel_size": (1, 3, 5), "stride": (1, 2)}
        agents.append(tuple(f"layer{i}.{name}" for name in values))
        dimensions += [
            Dimension(f"layer{i}.{name}", "categorical", 0, len(known) - 1, 1, choices=known)
            for name, known in values.items()
        ]
    edges = [(i, i + 1) for i in range(count - 1)] + [(i, count - 1 - i) for i in range(count // 2 - 1)]
    best = np.stack([rng.integers(0, 7, count), rng.integers(0, 3, count), rng.integers(0, 2, count)])
    width, size, stride = (
        rng.uniform(0.1, 0.6, count),
        rng.uniform(0, 0.8, (count, 3)),
        rng.uniform(0, 1, count),
    )
    fit, sizes = rng.uniform(0, 0.15, len(edges)), rng.uniform(0, 0.8, (len(edges), 3, 3))
    source, target = np.array(edges).T
    size[np.arange(count), best[1]] = 0.0
    sizes[np.arange(len(edges)), best[1][source], best[1][target]] = 0.0
    places = [{value: place for place, value in enumerate(d.choices)} for d in dimensions]

    def true(choice: Choice) -> float:
        levels = [place[choice[d.name]] for d, place in zip(dimensions, places, strict=True)]
        kernels, shapes, strides = np.array(levels).reshape(count, 3).T
        off = kernels - best[0]
        loss = (width * np.abs(off) ** 1.3).sum() + size[np.arange(count), shapes].sum()
        loss += (stride * (strides != best[2])).sum() + 0.3 * abs(strides.sum() - best[2].sum())
        loss += (fit * (off[source] - off[target]) ** 2).sum()
        return -float(loss + sizes[np.arange(len(edges)), shapes[source], shapes[target]].sum())

    return _in_units(Objective(tuple(dimensions), true, 0.0, agents=tuple(agents), edges=tuple(edges)), noise)


def mixed(seed: int, noise: float = 0.0) -> Objective:
    """Floats (one logarithmic), integers, categories, a gene that only one category uses, an infeasible corner."""
    rng = np.random.default_rng([seed, 5])
    dimensions = (
        Dimension("rate", "float", 1e-5, 1e-1, None, True),
        Dimension("dropout", "float", 0.0, 0.7),
        Dimension("width", "integer", 8, 64, 4),
        Dimension("depth", "integer", 1, 6, 1),
        Dimension("operation", "categorical", 0, 3, 1, choices=LETTERS[:4]),
        Dimension("norm", "categorical", 0, 2, 1, choices=LETTERS[:3]),
        Dimension("batch", "integer", 1, 128, 1, True),
        Dimension("decay", "float", 0.0, 1.0),
    )
    rate, dropout, slope = rng.uniform(-4.3, -1.7), rng.uniform(0.05, 0.5), rng.uniform(-0.4, 0.4)
    width, depth, batch = 4 * rng.integers(4, 12), rng.integers(1, 7), 2 ** rng.integers(1, 7)
    table = rng.normal(0, 0.5, (4, 1)) + rng.normal(0, 0.4, (4, 3))
    table -= table.max()

    def true(choice: Choice) -> float | None:
        operation, norm = (LETTERS.index(choice[name]) for name in ("operation", "norm"))
        if operation == 2 and choice["width"] > 48:
            return None
        batches = float(np.log2(choice["batch"] / batch))
        value = -1.2 * (np.log10(choice["rate"]) - rate - slope * batches / 2) ** 2 - 0.05 * batches**2
        value -= 3 * (choice["dropout"] - dropout - 0.02 * (choice["depth"] - depth)) ** 2
        value -= ((choice["width"] - width) / 30) ** 2 + 0.15 * (choice["depth"] - depth) ** 2
        return float(
            value + table[operation, norm] - (0.5 * (choice["decay"] - 0.3) ** 2 if operation == 1 else 0)
        )

    return _in_units(Objective(dimensions, true, 0.0), noise)


def _in_units(objective: Objective, noise: float) -> Objective:
    """With regrets and noise in standard deviations over random choices."""
    from netwright.strategies.dimensions import choice_at

    rng = np.random.default_rng(0)
    points = rng.random((500, len(objective.dimensions)))
    values = [objective.true(choice_at(objective.dimensions, point)) for point in points]
    unit = float(np.std([value for value in values if value is not None]))
    return Objective(
        objective.dimensions,
        objective.true,
        objective.best,
        unit,
        noise * unit,
        objective.agents,
        objective.edges,
    )


OBJECTIVES: dict[str, Callable[[int], Objective]] = {
    "nas-bench-201": nas_bench_201,
    "nas-bench-201, integers": lambda seed: nas_bench_201(seed, ordered=True),
    "nas-bench-201, noise": lambda seed: nas_bench_201(seed, noise=0.5),
    "trained": trained,
    "chain": chain,
    "chain, noise": lambda seed: chain(seed, noise=0.3),
    "pairwise": lambda seed: made_up("pairwise", seed),
    "pairwise, integers": lambda seed: made_up("pairwise", seed, ordered=True),
    "pairwise, noise": lambda seed: made_up("pairwise", seed, noise=0.5),
    "separable": lambda seed: made_up("separable", seed),
    "multiplicative": lambda seed: made_up("multiplicative", seed),
    "sparse": lambda seed: made_up("sparse", seed),
    "rugged": lambda seed: made_up("rugged", seed),
    "cliffs": lambda seed: made_up("cliffs", seed),
    "infeasible": lambda seed: made_up("infeasible", seed),
    "conditional": lambda seed: made_up("conditional", seed),
    "8 x 3": eight_of_three,
    "8 x 3, noise": lambda seed: eight_of_three(seed, noise=0.5),
    "8 x 3, heavy noise": lambda seed: eight_of_three(seed, noise=2.0),
    "8 x 3, separable": lambda seed: eight_of_three(seed, 1),
    "8 x 3, separable, noise": lambda seed: eight_of_three(seed, 1, noise=0.5),
    "bowl": bowl,
    "bowl, noise": lambda seed: bowl(seed, noise=0.3),
    "bowl, floats": lambda seed: bowl(seed, "float"),
    "8 layers": lambda seed: layers(seed, 8),
    "22 layers": layers,
    "22 layers, noise": lambda seed: layers(seed, noise=0.3),
    "mixed": mixed,
}
"""Name to what makes it from a seed. Made without seeds in the name: regrets of the two tables of trained networks are
in points of accuracy or Dice, all others in standard deviations of the values of random choices."""
