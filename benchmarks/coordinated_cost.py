"""What agents that choose jointly cost: ask + tell on 22 layers of 42 actions, chain and skips.

    OMP_NUM_THREADS=1 python benchmarks/coordinated_cost.py [--trials 2000] [--asks 100]

Prints the median, the mean and the largest of the milliseconds, in wall time and in the process's own time (which
others on the machine disturb less), after so many results of random choices. The largest is where the prior is found
anew, every hundredth result. Target: 20 ms at 2,000.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from netwright.strategies import Observation
from netwright.strategies.dimensions import choice_at
from netwright.strategies.q_learning import q_learning
from search_objectives import layers


def main() -> None:
    """Prints the costs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--asks", type=int, default=100)
    arguments = parser.parse_args()
    objective = layers(0)
    strategy = q_learning("coordinated", objective.agents, objective.edges)
    state, rng = strategy.init(objective.dimensions), np.random.default_rng(0)
    for number in range(arguments.trials):
        choice = choice_at(objective.dimensions, rng.random(len(objective.dimensions)))
        state = strategy.tell(state, Observation(number, choice, objective.true(choice), "complete", None))
    strategy.ask(state, rng)
    wall, own = [], []
    for number in range(arguments.trials, arguments.trials + arguments.asks):
        start = time.perf_counter(), time.process_time()
        choice, stamp = strategy.ask(state, np.random.default_rng(number))
        between = time.perf_counter(), time.process_time()
        reward = objective.true(choice)
        after = time.perf_counter(), time.process_time()
        state = strategy.tell(state, Observation(number, choice, reward, "complete", stamp))
        end = time.perf_counter(), time.process_time()
        wall.append(1000 * (between[0] - start[0] + end[0] - after[0]))
        own.append(1000 * (between[1] - start[1] + end[1] - after[1]))
    for label, found in (("wall time", wall), ("process time", own)):
        print(
            f"{label:14}median {np.median(found):6.1f}  mean {np.mean(found):6.1f}  largest {max(found):6.1f}"
        )


if __name__ == "__main__":
    main()
