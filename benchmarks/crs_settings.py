"""The settings of controlled random search beyond the paper, each measured beside it on tabulated objectives.

    python benchmarks/crs_settings.py [--seeds 40] [--budget 300] [--table nas-bench-201-cifar10.json]

Settings: members stored at the centre of their cell; only distinct networks counted against the budget; restarts
after a collapse. Objectives: the validation accuracy of NAS-Bench-201's 15,625 cells (six categorical
dimensions), and a made-up one with SegNAS11's eleven dimensions, illegal blocks and unused genes, whose rugged
part is an NK landscape. Prints the mean and the median regret (distance to the best of the table, or of all that
any run found) over the seeds, the networks trained and the proposals made for them, and how many runs the
paper's run of the same seed beat.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netwright.strategies import ControlledRandomSearch, Dimension, Observation, RandomSearch, Strategy
from netwright.strategies.base import Status

TABLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "nas-bench-201-cifar10.json"
PROPOSALS_A_NETWORK = 30  # a collapsed search would go on for ever

Choice = Mapping[str, Any]


@dataclass(frozen=True)
class Objective:
    """A table: `canonical` names the network of a choice, `reward` is None where there is none."""

    name: str
    dimensions: tuple[Dimension, ...]
    canonical: Callable[[Choice], Hashable]
    reward: Callable[[Choice], float | None]
    best: float | None


def nas_bench_201(path: Path) -> Objective:
    """Validation accuracy in per cent after 12 epochs on CIFAR-10."""
    table = {key: values[0] for key, values in json.loads(path.read_text())["table"].items()}
    edges = tuple(f"edge{i}" for i in range(6))
    dimensions = tuple(Dimension(e, "categorical", 0, 4, 1, choices=(0, 1, 2, 3, 4)) for e in edges)

    def key(choice: Choice) -> str:
        return "".join(str(choice[edge]) for edge in edges)

    return Objective("NAS-Bench-201", dimensions, key, lambda c: table[key(c)], max(table.values()))


def rugged_blocks(seed: int = 0, neighbours: int = 2) -> Objective:
    """SegNAS11's dimensions and legality; the reward is an NK landscape over the genes that are in use."""
    bounds = {"n": (8, 32), "p": (2, 5), "sup": (0, 1), "res": (0, 1), "nodes": (2, 4)}
    bounds |= {f"op{i}": (0, 6) for i in range(6)}
    names = tuple(bounds)
    dimensions = tuple(Dimension(name, "integer", low, high, 1) for name, (low, high) in bounds.items())
    rng = np.random.default_rng(seed)
    parts = [rng.choice(len(names), 1 + neighbours, replace=False) for _ in names]
    tables = [rng.random(tuple(bounds[names[i]][1] + 1 for i in part)) for part in parts]

    def canonical(choice: Choice) -> tuple[int, ...]:
        used = choice["nodes"] * (choice["nodes"] - 1) // 2
        return tuple(0 if name >= f"op{used}" and name.startswith("op") else choice[name] for name in names)

    def reward(choice: Choice) -> float | None:
        genes, nodes = canonical(choice), choice["nodes"]
        matrix = np.zeros((nodes, nodes), dtype=int)
        columns = [(row, column) for column in range(1, nodes) for row in range(column)]
        for index, (row, column) in enumerate(columns):
            matrix[row, column] = choice[f"op{index}"]
        if not (matrix[:-1].any(axis=1).all() and matrix[:, 1:].any(axis=0).all()):
            return None
        return float(
            np.mean([table[tuple(genes[i] for i in part)] for table, part in zip(tables, parts, strict=True)])
        )

    return Objective("NK landscape of SegNAS11", dimensions, canonical, reward, None)


@dataclass(frozen=True)
class Search:
    """What came of one run."""

    best: float
    networks: int
    proposals: int


def search(strategy: Strategy[Any], objective: Objective, budget: int, distinct: bool, seed: int) -> Search:
    """One run; a network that was trained is not trained again, and costs nothing where ``distinct``."""
    rng = np.random.default_rng(seed)
    state = strategy.init(objective.dimensions)
    known: dict[Hashable, float | None] = {}
    proposals = 0
    while (len(known) if distinct else proposals) < budget and proposals < PROPOSALS_A_NETWORK * budget:
        choice, stamp = strategy.ask(state, rng)
        network = objective.canonical(choice)
        if network not in known:
            known[network] = objective.reward(choice)
        reward = known[network]
        status: Status = "pruned" if reward is None else "complete"
        state = strategy.tell(state, Observation(proposals, choice, reward, status, stamp))
        proposals += 1
    return Search(max(r for r in known.values() if r is not None), len(known), proposals)


CONTESTANTS: dict[str, tuple[Callable[[], Strategy[Any]], bool]] = {
    "the paper": (lambda: ControlledRandomSearch(restart=False), False),
    "restarts": (ControlledRandomSearch, False),
    "cell centres": (lambda: ControlledRandomSearch(cell_centres=True), False),
    "distinct counted, no restart": (lambda: ControlledRandomSearch(restart=False), True),
    "distinct counted": (ControlledRandomSearch, True),
    "cell centres, distinct counted": (lambda: ControlledRandomSearch(cell_centres=True), True),
    "random": (RandomSearch, False),
    "random, distinct counted": (RandomSearch, True),
}


def main() -> None:
    """Prints one table an objective."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--table", type=Path, default=TABLE)
    arguments = parser.parse_args()
    objectives = [rugged_blocks()]
    if arguments.table.exists():
        objectives.insert(0, nas_bench_201(arguments.table))
    for objective in objectives:
        runs = {
            name: [
                search(make(), objective, arguments.budget, distinct, seed) for seed in range(arguments.seeds)
            ]
            for name, (make, distinct) in CONTESTANTS.items()
        }
        best = objective.best or max(run.best for several in runs.values() for run in several)
        paper = runs["the paper"]
        print(f"\n{objective.name}: budget {arguments.budget}, {arguments.seeds} seeds")
        print(
            f"{'':32}{'mean regret':>12}{'median':>10}{'networks':>10}{'proposals':>11}{'paper better':>14}"
        )
        for name, several in runs.items():
            regret = np.array([best - run.best for run in several])
            networks, proposals = (
                np.median([getattr(r, a) for r in several]) for a in ("networks", "proposals")
            )
            beaten = sum(run.best < other.best for run, other in zip(several, paper, strict=True))
            row = (
                f"{regret.mean():12.4f}{np.median(regret):10.4f}{networks:10.0f}{proposals:11.0f}{beaten:14d}"
            )
            print(f"{name:32}{row}")


if __name__ == "__main__":
    main()
