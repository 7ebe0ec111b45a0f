"""How many random forms of a network can be rebuilt and trained, and why not the others?

Each network is read by `from_module`; its original form must give its own output, and each random choice must
train one step (forward, loss, backward, finite gradients for every parameter) or be infeasible with a reason. The
networks are those of the tests: a plain CNN, a residual and an inception network, a U-Net, and MONAI's BasicUNet,
UNet, SegResNet and DenseNet121, in 2D and in 3D. Anything else that goes wrong ends the run.

    python benchmarks/rebuild_any_network.py [--choices 200] [--only U-Net] [--reasons 3]
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.errors import InfeasibleArchitecture
from netwright.spaces.layerwise import LayerwiseSpace, copy_weights, from_module

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from spaces.layerwise_networks import Case, cases


def outputs(network: nn.Module, images: Tensor) -> list[Tensor]:
    torch.manual_seed(0)
    value: Any = network(images)
    return [value] if isinstance(value, Tensor) else list(value)


def largest_difference(module: nn.Module, space: LayerwiseSpace, case: Case) -> float:
    """Between the module and its rebuilt original form with its weights, in both modes."""
    rebuilt, images = space.build(space.original_choice(), case.task), case.example()
    copy_weights(module, rebuilt)
    differences = []
    for training in (False, True):
        module.train(training)
        rebuilt.train(training)
        pairs = zip(outputs(module, images), outputs(rebuilt, images), strict=True)
        differences += [float((one - other).abs().max()) for one, other in pairs]
    return max(differences)


def train_one_step(network: nn.Module, case: Case) -> None:
    loss = torch.zeros(())
    for logits in outputs(network.train(), case.example()):
        assert logits.shape[1] == case.task.classes
        assert tuple(logits.shape[2:]) in ((), case.task.size)
        labels = torch.zeros(len(logits), *logits.shape[2:], dtype=torch.int64)
        loss = loss + F.cross_entropy(logits, labels)
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.isfinite().all(), f"{name} has a gradient that is not finite"


def kind(reason: InfeasibleArchitecture) -> str:
    """The reason without its layer and numbers."""
    text = re.sub(r"^(Layer|Operation) \S+?( on [^:]*)?: ", "", str(reason))
    return re.sub(r"\d+( x \d+)*", "n", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--choices", type=int, default=200, help="random choices of each network")
    parser.add_argument("--only", default="", help="part of a network's name")
    parser.add_argument("--reasons", type=int, default=3, help="reasons shown of each network")
    settings = parser.parse_args()
    print("network          reader        layers dims  difference  trained infeasible  seconds  ms a build")
    for name, case in cases().items():
        if settings.only not in name:
            continue
        torch.manual_seed(0)
        module = case.make()
        space = from_module(module, case.example(), case.values)
        difference = largest_difference(module, space, case)
        rng, reasons, start, building = random.Random(0), Counter[str](), time.perf_counter(), 0.0
        for _ in range(settings.choices):
            values: dict[str, Any] = space.distributions()
            choice = {dimension: rng.choice(values[dimension].choices) for dimension in values}
            begun = time.perf_counter()
            try:
                network = space.build(choice, case.task)
            except InfeasibleArchitecture as reason:
                reasons[kind(reason)] += 1
                continue
            finally:
                building += time.perf_counter() - begun
            train_one_step(network, case)
        seconds, infeasible = time.perf_counter() - start, sum(reasons.values())
        print(
            f"{name:<16} {space.network.reader:<13} {len(space.network.layers):>6} {len(values):>4} "
            f"{difference:>11.1e} {settings.choices - infeasible:>8} {infeasible:>10} {seconds:>8.1f} "
            f"{1000 * building / settings.choices:>11.0f}",
            flush=True,
        )
        for reason, count in reasons.most_common(settings.reasons):
            print(f"    {count:>4}  {reason}")


if __name__ == "__main__":
    main()
