"""What does a step of the search inside one training cost, beside a plain training step of one sampled network?

The unit is one plain step of one network: forward, backward, SGD, in float32, contiguous tensors, every operation as
torch has it. The straightforward search step does that for two networks, and two forward passes behind it. Ours is
`netwright.supernet.gradients`. All are given the same random networks of the cell space and the same random images, and
take turns, so that a change of the machine's speed meets all of them. Memory is measured in a process each, and the
multiply-adds of convolutions and linear layers are counted operation by operation: the least possible is every distinct
step of the pair, forward, backward, and forward. Where other programs are busy, ``--threads 1`` compares the work
alone: two threads that wait for each other at every operation then take several times as long, the unit's above all.

    python benchmarks/supernet_step.py [--pairs 8] [--rounds 3] [--threads 2]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from netwright.execution.local import MEMORY_SETTINGS
from netwright.nn.steps import Steps, Supernet, run_steps
from netwright.searches.random_choices import draw_choice
from netwright.spaces.cells import CellSpace, operations
from netwright.supernet.common_steps import merge_steps
from netwright.supernet.gradients import add_gradients, losses_of
from netwright.tasks.classification.task import ClassificationTask
from netwright.training.device import half_precision, tensor_channels_last
from netwright.training.memory import measured_memory

BATCH, SIZE, CLASSES = 64, 32, 10
KINDS = ("unit", "straightforward", "ours", "ours_in_half")
STEPS = {"unit": 2, "straightforward": 1, "ours": 1, "ours_in_half": 1}
"""How many each does for a pair."""
SPACE = CellSpace(channels=16, normal_cells=2)


class PlainSeparable(nn.Module):
    """A separable convolution with torch's own operations, and the weights of ours."""

    def __init__(self, given: operations.SeparableConvolution) -> None:
        super().__init__()
        self.given = given

    def forward(self, features: Tensor) -> Tensor:
        for number, half in enumerate((self.given.first, self.given.second)):
            weight = half.depthwise.weight
            features = F.relu(features) if number else features
            features = F.conv2d(
                features, weight, None, half.stride, weight.shape[-1] // 2, groups=len(weight)
            )
            features = F.batch_norm(half.pointwise(features), None, None, training=True)
        return features


class PlainProjection(nn.Module):
    """A 1 x 1 convolution with batch normalisation by torch."""

    def __init__(self, given: operations.Projection) -> None:
        super().__init__()
        self.given = given

    def forward(self, features: Tensor) -> Tensor:
        return F.batch_norm(self.given.convolution(features), None, None, training=True)


class PlainReduction(nn.Module):
    """A factorised reduction by torch."""

    def __init__(self, given: operations.FactorisedReduction) -> None:
        super().__init__()
        self.given = given

    def forward(self, features: Tensor) -> Tensor:
        parts = self.given.even(features), self.given.odd(features[:, :, 1:, 1:])
        return F.batch_norm(torch.cat(parts, dim=1), None, None, training=True)


class PlainConcatenation(nn.Module):
    """Concatenation, ReLU, 1 x 1 convolution, batch normalisation."""

    def __init__(self, given: operations.Concatenation) -> None:
        super().__init__()
        self.given = given

    def forward(self, *arguments: Any) -> Tensor:
        *outputs, nodes = arguments
        weight = torch.cat([self.given.weights[f"node{node}"] for node in nodes], dim=1)
        features = F.conv2d(F.relu(torch.cat(outputs, dim=1)), weight)
        return F.batch_norm(features, None, None, training=True)


def plain_operation(module: nn.Module) -> nn.Module:
    """The module by torch's own operations, with the same weights."""
    if isinstance(module, operations.Pooling):
        if module.pool is operations.average_pool:
            return nn.AvgPool2d(3, module.stride, 1, count_include_pad=False)
        return nn.MaxPool2d(3, module.stride, 1)
    plain: dict[type[nn.Module], Callable[..., nn.Module]] = {
        operations.SeparableConvolution: PlainSeparable,
        operations.Projection: PlainProjection,
        operations.FactorisedReduction: PlainReduction,
        operations.Concatenation: PlainConcatenation,
    }
    return plain.get(type(module), lambda given: given)(module)


class Case:
    """A supernet, its plain counterpart with the same weights, pairs of networks and a batch."""

    def __init__(self, pairs: int) -> None:
        torch.manual_seed(0)
        task = ClassificationTask(3, tuple(map(str, range(CLASSES))), (SIZE, SIZE))
        self.supernet: Supernet = SPACE.supernet(task).train()
        self.plain = nn.ModuleDict(
            {key: plain_operation(module) for key, module in self.supernet.operations.items()}
        )
        self.optimizer = torch.optim.SGD(
            self.supernet.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4
        )
        rng = np.random.default_rng(0)
        dimensions = SPACE.distributions()
        self.pairs = [
            [self.supernet.steps(draw_choice(dimensions, rng)) for _ in range(2)] for _ in range(pairs)
        ]
        self.images = torch.randn(BATCH, 3, SIZE, SIZE)
        self.laid_out = tensor_channels_last(self.images)
        self.labels = torch.randint(0, CLASSES, (BATCH,))

    def unit(self, pair: list[Steps]) -> None:
        """A plain training step of each network: two units."""
        for steps in pair:
            self.optimizer.zero_grad()
            F.cross_entropy(self.plain_output(steps), self.labels).backward()
            self.optimizer.step()

    def straightforward(self, pair: list[Steps]) -> None:
        """Both networks one after the other, then the forward passes."""
        self.optimizer.zero_grad()
        for steps in pair:
            (F.cross_entropy(self.plain_output(steps), self.labels) / 2).backward()
        self.optimizer.step()
        with torch.inference_mode():
            for steps in pair:
                F.cross_entropy(self.plain_output(steps), self.labels).item()

    def ours(self, pair: list[Steps], half: torch.dtype | None = None) -> None:
        """As a search does it."""
        self.optimizer.zero_grad()
        add_gradients(self.supernet, pair, self.laid_out, self.labels, F.cross_entropy, half)
        self.optimizer.step()
        losses_of(self.supernet, pair, self.laid_out, self.labels, F.cross_entropy, half)

    def ours_in_half(self, pair: list[Steps]) -> None:
        """The same in half precision, where the CPU has one."""
        self.ours(pair, half_precision(torch.device("cpu")))

    def least(self, pair: list[Steps]) -> None:
        """Every distinct step of the pair once with gradients, and once without."""
        plan = merge_steps(pair)

        def losses() -> Tensor:
            outputs = run_steps(self.plain, plan.steps, self.images, plan.outputs)
            return torch.stack([F.cross_entropy(output, self.labels) for output in outputs]).mean()

        losses().backward()
        with torch.no_grad():
            losses()

    def check(self) -> None:
        """Raises where plain operations compute something else."""
        with torch.no_grad():
            losses = [
                F.cross_entropy(self.plain_output(steps), self.labels).item() for steps in self.pairs[0]
            ]
        ours = losses_of(self.supernet, self.pairs[0], self.images, self.labels, F.cross_entropy)
        np.testing.assert_allclose(ours, losses, rtol=1e-4)

    def plain_output(self, steps: Steps) -> Tensor:
        """Logits by torch's own operations."""
        return run_steps(self.plain, steps, self.images, [len(steps) - 1])[0]


class MultiplyAdds(TorchDispatchMode):
    """Counts those of convolutions and matrix products, of groups and of gradients rightly."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("convolution", "conv2d"):  # whole in inference mode
            self.count += result.numel() * args[1][0].numel()
        elif name == "convolution_backward":
            self.count += args[0].numel() * args[2][0].numel() * sum(args[-1][:2])
        elif name in ("mm", "addmm"):
            self.count += result.numel() * args[-1].shape[0]
        elif name == "linear":
            self.count += result.numel() * args[1].shape[1]
        return result


@dataclass
class Times:
    """Seconds of each kind of step, pair by pair."""

    seconds: dict[str, list[float]]

    def ratio(self, kind: str) -> float:
        """Of the mean over the pairs to the unit's."""
        return self.mean(kind) / self.mean("unit")

    def mean(self, kind: str) -> float:
        return float(np.mean(self.seconds[kind]))


def measure_times(case: Case, rounds: int) -> Times:
    """Of each pair the least of the rounds: other programs only ever add to it."""
    taken: dict[str, list[list[float]]] = {kind: [[] for _ in case.pairs] for kind in KINDS}
    for turn in range(rounds + 1):
        for number, pair in enumerate(case.pairs):
            for kind in KINDS:
                begun = time.perf_counter()
                getattr(case, kind)(pair)
                if turn:  # the first round warms up
                    taken[kind][number].append((time.perf_counter() - begun) / STEPS[kind])
    return Times({kind: [min(seconds) for seconds in taken[kind]] for kind in KINDS})


def measure_memory(case: Case, kind: str) -> float:
    """Peak in MB above what weights, optimizer state and the batch take, over all pairs."""
    for pair in case.pairs[:1]:
        getattr(case, kind)(pair)
    with measured_memory() as use:
        for pair in case.pairs:
            getattr(case, kind)(pair)
    return use.peak_mb or float("nan")


def count(case: Case) -> Iterator[tuple[str, float]]:
    """Multiply-adds a step of each kind; our parts run one by one here, as counters see one thread."""
    torch.set_num_threads(1)
    for kind in (*KINDS, "least"):
        with MultiplyAdds() as counter:
            for pair in case.pairs:
                getattr(case, kind)(pair)
        yield kind, counter.count / len(case.pairs) / STEPS.get(kind, 1)


def main() -> None:
    """Prints ratios, memory and operations."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-of", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if any(name not in os.environ for name in MEMORY_SETTINGS):
        # As in the worker processes of a run; the C library reads it when a process begins.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MEMORY_SETTINGS})
    torch.set_num_threads(arguments.threads)
    case = Case(arguments.pairs)
    if arguments.memory_of:
        print(measure_memory(case, arguments.memory_of))
        return
    memory = {
        kind: subprocess.run(
            [sys.executable, *sys.argv, "--memory-of", kind], check=True, capture_output=True, text=True
        ).stdout
        for kind in KINDS
    }
    case.check()
    times = measure_times(case, arguments.rounds)
    operations_of = dict(count(case))
    for kind in KINDS:
        print(
            f"{kind:16} {times.ratio(kind):5.2f} units   {times.mean(kind):6.2f} s   "
            f"{float(memory[kind]):6.0f} MB   {operations_of[kind] / 1e9:6.2f} G multiply-adds"
        )
    print(f"the least possible: {operations_of['least'] / 1e9:.2f} G multiply-adds")


if __name__ == "__main__":
    main()
