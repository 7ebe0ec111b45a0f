"""What the published agents cost: milliseconds an episode above random search, and the memory of their tables.

    python benchmarks/q_learning_overhead.py [--episodes 400]

For the spaces of VGG-16 (32 x 32), GoogLeNet (32 x 32) and U-Net (48 x 48) with the values of Table III, every layer an
agent and every connection an edge: the number of agents, tables and cells; KB of the tables (four bytes a cell), and of
what a state keeps beside them (changes since the last copy, sets of actions that were met) after the run; the median
milliseconds (of the processor, so that other programs count less) of ask + tell of random search and of the agents in
both phases, in turns in one run. Targets: at most 2 ms more than random search, and at most the paper's 164, 380 and
255 KB of tables (section VIII-D).

GoogLeNet has a second line, as a chain of its layers in order. The four layers that end an inception module all feed
the four that begin the next one: with a table for every such edge, 380 KB would leave 9 bits for a cell.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from netwright.spaces import SPACES
from netwright.spaces.base import AgentGraph, Layered
from netwright.strategies import Dimension, Observation, RandomSearch, Strategy
from netwright.strategies.q_learning.published import PublishedQLearning, State
from netwright.strategies.view import dimensions_of

PAPER = {"vgg16": 164, "googlenet": 380, "unet": 255}
"""KB of tables."""


@dataclass(frozen=True)
class Network:
    """The agents of a network's layers, and what the paper says of their tables."""

    name: str
    paper: int
    dimensions: list[Dimension]
    graph: AgentGraph


def networks() -> list[Network]:
    """The three of the paper, and GoogLeNet as a chain."""
    found = []
    for name, paper in PAPER.items():
        space = SPACES[name](channels=3, classes=10, size=(48, 48) if name == "unet" else (32, 32))
        assert isinstance(space, Layered)
        dimensions = dimensions_of(space.distributions())
        graph = space.agent_graph()
        found.append(Network(name, paper, dimensions, graph))
        if name == "googlenet":
            chain = AgentGraph(graph.names, graph.agents, tuple(pairwise(range(len(graph.names)))))
            found.append(Network("- chain", paper, dimensions, chain))
    return found


def milliseconds(strategy: Strategy[Any], state: Any, episode: int) -> tuple[float, Any, str]:
    """Of one ask and tell, on the processor; the next state, and the kind of the proposal."""
    rng = np.random.default_rng(episode)
    start = time.thread_time()
    choice, stamp = strategy.ask(state, rng)
    asked = time.thread_time()
    reward = rng.normal()
    told = time.thread_time()
    state = strategy.tell(state, Observation(episode, choice, reward, "complete", stamp))
    return 1000 * (asked - start + time.thread_time() - told), state, stamp["kind"]


def measure(network: Network, episodes: int) -> tuple[dict[str, float], State]:
    """Median milliseconds of each phase and of random search, and the agents' last state."""
    graph = network.graph
    agents = PublishedQLearning(graph.agents, graph.edges, exploration=episodes, epsilon_decay=0.99)
    random = RandomSearch()
    state, other = agents.init(network.dimensions), random.init(network.dimensions)
    spent: dict[str, list[float]] = {"search": [], "exploration": [], "random": [], "exploitation": []}
    for episode in range(2 * episodes):
        took, other, _ = milliseconds(random, other, episode)
        spent["search"].append(took)
        took, state, kind = milliseconds(agents, state, episode)
        spent[kind].append(took)
    return {kind: statistics.median(values) for kind, values in spent.items()}, state


def beside_the_tables(state: State) -> float:
    """KB of changes and of sets that were met."""
    changes = sum(cells.nbytes + values.nbytes for cells, values in state.tables.changes)
    met = sum(len(key) for part in state.met for key in part)
    return (changes + met) / 1000


def main() -> None:
    """Prints one line a network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=400, help="of each phase")
    episodes = parser.parse_args().episodes
    print(f"{'':10} agents tables   cells | tables  paper  beside  KB | random explore exploit  above  ms")
    for network in networks():
        took, state = measure(network, episodes)
        layout = state.plan.layout
        above = max(took["exploration"], took["exploitation"], took["random"]) - took["search"]
        print(
            f"{network.name:10} {layout.start:6} {len(layout.starts):6} {layout.size:7} | "
            f"{state.tables.base.nbytes / 1000:6.0f} {network.paper:6} {beside_the_tables(state):7.0f}     | "
            f"{took['search']:6.2f} {took['exploration']:7.2f} {took['exploitation']:7.2f} {above:6.2f}"
        )


if __name__ == "__main__":
    main()
