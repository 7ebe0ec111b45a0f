"""What the published agents cost: milliseconds an episode above random search, and the memory of their tables.

    python benchmarks/q_learning_overhead.py [--episodes 400]

For VGG-16, GoogLeNet and U-Net with the values of Table III, every layer an agent and every connection an edge:
the number of agents, tables and cells; KB of the tables (four bytes a cell), and of what a state keeps beside them
(changes since the last copy, sets of actions that were met) after the run; the median milliseconds (of the processor,
so that other programs count less) of ask + tell of random search and of the agents in both phases, in turns in one
run. Targets: at most 2 ms more than random search, and at most the paper's 164, 380 and 255 KB of
tables (section VIII-D).

GoogLeNet has a second line, as a chain of the layers along one branch of each module. Tables of that many cells
fit into the paper's figure; with every branch they do not, whatever a cell takes: the four layers that end a module
all feed the four that begin the next one, and 380 KB would leave 9 bits for a cell.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.strategies import Dimension, Observation, RandomSearch, Strategy
from netwright.strategies.q_learning.published import PublishedQLearning, State

VGG16 = {"kernels": (16, 32, 64, 128, 256), "size": (3, 5), "stride": (1, 2), "pool": (2, 3)}
GOOGLENET = {
    "kernels": (32, 48, 64, 80, 96, 112, 128, 160, 208, 384),
    "size": (1, 3, 5),
    "stride": (1, 2),
    "pool": (2, 3, 5, 7),
}
UNET = {"kernels": (16, 32, 64, 128, 256, 512, 1024), "size": (3, 5, 7), "stride": (1, 2), "pool": (2, 3)}
DENSE = (128, 256, 512, 1024, 2048, 4096)


@dataclass
class Network:
    """Layers in topological order, and which feed which; `values` are those of Table III."""

    name: str
    values: dict[str, tuple[int, ...]]
    paper: int  # KB
    dimensions: list[Dimension] = field(default_factory=list)
    agents: list[list[str]] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, sources: Sequence[int], **values: tuple[int, ...]) -> list[int]:
        """A layer that is fed by others; its index, as the sources of the next."""
        index = len(self.agents)
        self.agents.append([f"layer{index}.{name}" for name in values])
        self.edges += [(source, index) for source in sources]
        for name, choices in values.items():
            last = len(choices) - 1
            self.dimensions.append(
                Dimension(f"layer{index}.{name}", "categorical", 0, last, 1, choices=choices)
            )
        return [index]

    def convolution(self, sources: Sequence[int]) -> list[int]:
        """A convolution or up-convolution."""
        return self.add(sources, **{name: self.values[name] for name in ("kernels", "size", "stride")})

    def pooling(self, sources: Sequence[int]) -> list[int]:
        """A pooling layer."""
        return self.add(sources, pool=self.values["pool"])

    def dense(self, sources: Sequence[int]) -> list[int]:
        """A dense layer before the output."""
        return self.add(sources, units=DENSE)


def vgg16() -> Network:
    """13 convolutions, five poolings, one dense layer (section VII)."""
    network = Network("VGG-16", VGG16, 164)
    last: list[int] = []
    for convolutions in (2, 2, 3, 3, 3):
        for _ in range(convolutions):
            last = network.convolution(last)
        last = network.pooling(last)
    network.dense(last)
    return network


def inception(network: Network, sources: list[int]) -> list[int]:
    """A module of four branches; the last layer of each."""
    one = network.convolution(sources)
    three = network.convolution(network.convolution(sources))
    five = network.convolution(network.convolution(sources))
    pooled = network.convolution(network.pooling(sources))
    return one + three + five + pooled


def auxiliary_head(network: Network, sources: list[int]) -> None:
    """Pooling, convolution, dense layer."""
    network.dense(network.convolution(network.pooling(sources)))


def googlenet() -> Network:
    """Three convolutions, nine inception modules, two auxiliary heads."""
    network = Network("GoogLeNet", GOOGLENET, 380)
    last = network.pooling(network.convolution([]))
    last = network.pooling(network.convolution(network.convolution(last)))
    for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        last = inception(network, last)
        if module in ("4a", "4d"):
            auxiliary_head(network, last)
        if module in ("3b", "4e", "5b"):
            last = network.pooling(last)
    return network


def googlenet_chain() -> Network:
    """21 convolutions (three, and two of each module) and five poolings in a row."""
    network = Network("- chain", GOOGLENET, 380)
    last = network.pooling(network.convolution([]))
    last = network.pooling(network.convolution(network.convolution(last)))
    for module in range(9):
        last = network.convolution(network.convolution(last))
        if module in (1, 6, 8):
            last = network.pooling(last)
    return network


def unet() -> Network:
    """22 convolutions, four of them up-convolutions, four poolings, four skips."""
    network = Network("U-Net", UNET, 255)
    last: list[int] = []
    skips: list[list[int]] = []
    for level in range(5):
        last = network.convolution(network.convolution(last))
        if level < 4:
            skips.append(last)
            last = network.pooling(last)
    for skip in reversed(skips):
        last = network.convolution(network.convolution(network.convolution(last) + skip))
    return network


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
    agents = PublishedQLearning(network.agents, network.edges, exploration=episodes, epsilon_decay=0.99)
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
    for network in (vgg16(), googlenet(), googlenet_chain(), unet()):
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
