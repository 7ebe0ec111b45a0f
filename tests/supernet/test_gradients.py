"""Two networks on one batch: the straightforward gradients and losses, with nothing computed twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.nn.steps import IMAGE, Step, Steps, Supernet, run_steps
from netwright.searches.random_choices import draw_choice
from netwright.spaces.cells import CellSpace
from netwright.supernet.common_steps import merge_steps
from netwright.supernet.gradients import add_gradients, losses_of
from netwright.tasks.classification.task import ClassificationTask
from netwright.training.device import half_precision, tensor_channels_last, threads

SPACE = CellSpace(channels=4, normal_cells=1, nodes=3)
TASK = ClassificationTask(3, ("a", "b", "c", "d"), (12, 9))
IMAGES = torch.randn(6, 3, 12, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LAID_OUT = tensor_channels_last(IMAGES)
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
NAMES = SPACE.supernet(TASK)
"""For its steps alone."""


@pytest.fixture(
    params=[pytest.param(1, id="one thread"), pytest.param(2, id="two threads", marks=pytest.mark.slow)]
)
def thread_count(request: pytest.FixtureRequest) -> Iterator[int]:
    with threads(request.param):
        yield request.param
        assert torch.get_num_threads() == request.param


@pytest.fixture
def supernet() -> Supernet:
    torch.manual_seed(0)
    return SPACE.supernet(TASK).double().train()


def choices(seed: int, count: int, alike: float = 0.0) -> list[dict[str, Any]]:
    """Random choices; each gene is the first one's with a probability."""
    rng = np.random.default_rng(seed)
    found = [draw_choice(SPACE.distributions(), rng) for _ in range(count)]
    return [
        {name: found[0][name] if rng.random() < alike else value for name, value in choice.items()}
        for choice in found
    ]


def sampled(supernet: Supernet, seed: int, count: int = 2, alike: float = 0.0) -> list[Steps]:
    return [supernet.steps(choice) for choice in choices(seed, count, alike)]


def straightforward(supernet: Supernet, samples: list[Steps]) -> tuple[list[float], dict[str, Tensor]]:
    """Losses, and the gradients of their mean, one network at a time."""
    names = [name for name, _ in supernet.named_parameters()]
    with threads(1):
        outputs = [run_steps(supernet.operations, steps, IMAGES, [len(steps) - 1])[0] for steps in samples]
        losses = torch.stack([F.cross_entropy(output, LABELS) for output in outputs])
        found = torch.autograd.grad(losses.mean(), list(supernet.parameters()), allow_unused=True)
    return losses.tolist(), {
        name: gradient for name, gradient in zip(names, found, strict=True) if gradient is not None
    }


def gradients(supernet: Supernet) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in supernet.named_parameters() if p.grad is not None}


def expressions(steps: Steps) -> list[tuple[str, str]]:
    """Of each step its key, and a digest of what it computes, told by its whole history."""
    digests = {IMAGE: "image"}
    for place, step in enumerate(steps):
        words = [step.key, repr(step.options), *(digests[source] for source in step.inputs)]
        digests[place] = hashlib.sha256(" ".join(words).encode()).hexdigest()
    return [(step.key, digests[place]) for place, step in enumerate(steps)]


@pytest.mark.parametrize(
    ("count", "alike"),
    [
        *((1, 0.0), (2, 0.0), (2, 1.0), (3, 0.8)),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((2, 0.8), (3, 0.0), (3, 1.0))),
    ],
)
def test_gradients_are_the_straightforward_ones(
    supernet: Supernet, thread_count: int, count: int, alike: float
) -> None:
    for seed in range(2):
        samples = sampled(supernet, seed, count, alike)
        losses, expected = straightforward(supernet, samples)
        supernet.zero_grad()
        assert add_gradients(supernet, samples, LAID_OUT, LABELS, F.cross_entropy) == pytest.approx(losses)
        found = gradients(supernet)
        assert found.keys() == expected.keys()  # weights that no sample uses have none
        for name, gradient in expected.items():
            assert (found[name] - gradient).norm() <= 1e-9 * (gradient.norm() + 1e-3), name
        assert losses_of(supernet, samples, LAID_OUT, LABELS, F.cross_entropy) == pytest.approx(losses)
        assert gradients(supernet).keys() == expected.keys()


def test_gradients_add_up(supernet: Supernet, thread_count: int) -> None:
    samples = sampled(supernet, 5)
    add_gradients(supernet, samples, LAID_OUT, LABELS, F.cross_entropy)
    once = gradients(supernet)
    add_gradients(supernet, samples, LAID_OUT, LABELS, F.cross_entropy)
    for name, gradient in gradients(supernet).items():
        torch.testing.assert_close(gradient, 2 * once[name])


@pytest.mark.parametrize("alike", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("run", [add_gradients, losses_of])
def test_equal_operations_are_computed_once(
    supernet: Supernet, thread_count: int, run: Callable[..., list[float]], alike: float
) -> None:
    calls: Counter[str] = Counter()
    for name, module in supernet.operations.items():
        module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    for seed in range(3):
        calls.clear()
        samples = sampled(supernet, 10 + seed, 2, alike)
        distinct = {value for steps in samples for value in expressions(steps)}
        run(supernet, samples, LAID_OUT, LABELS, F.cross_entropy)
        assert calls == Counter(value[0] for value in distinct)
        if alike == 1:
            assert calls == Counter(step.key for step in samples[0])


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_a_union_is_every_network_once(seed: int, count: int, alike: float) -> None:
    samples = sampled(NAMES, seed, count, alike)
    plan = merge_steps(samples)
    found = expressions(plan.steps)
    of_each = [set(expressions(steps)) for steps in samples]
    assert len(set(found)) == len(found)
    assert set(found) == set().union(*of_each)
    for steps, values, own, output in zip(samples, of_each, plan.own, plan.outputs, strict=True):
        assert found[output] == expressions(steps)[-1]
        others = [other for other in of_each if other is not values]
        assert {found[place] for place in own} == values.difference(*others)
    for place, step in enumerate(plan.steps):
        assert all(source < place for source in step.inputs)
        if place < plan.common:
            assert all(source < plan.common for source in step.inputs)
            assert sum(found[place] in values for values in of_each) > 1


@pytest.mark.parametrize("half", [None, torch.bfloat16])
def test_the_same_bits_come_out_again(half: torch.dtype | None) -> None:
    torch.manual_seed(0)
    supernet = SPACE.supernet(TASK).train()
    samples, images = sampled(supernet, 3, 2, 0.3), LAID_OUT.float()
    runs = []
    with threads(2):
        for _ in range(4):
            supernet.zero_grad()
            losses = add_gradients(supernet, samples, images, LABELS, F.cross_entropy, half)
            theirs = losses_of(supernet, samples, images, LABELS, F.cross_entropy, half)
            runs.append((losses, theirs, gradients(supernet)))
    for losses, theirs, found in runs[1:]:
        assert (losses, theirs) == runs[0][:2]
        assert all(torch.equal(gradient, runs[0][2][name]) for name, gradient in found.items())


def test_every_part_is_in_half_precision(thread_count: int) -> None:
    if half_precision(torch.device("cpu")) is None:
        pytest.skip("this CPU has no fast half precision")
    torch.manual_seed(0)
    supernet = SPACE.supernet(TASK).train()
    samples = sampled(supernet, 7, 2, 0.5)
    types: dict[str, set[torch.dtype]] = {}
    for name, module in supernet.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *a, name=name: types.setdefault(name, set()).add(a[-1].dtype))
    exact = losses_of(supernet, samples, LAID_OUT.float(), LABELS, F.cross_entropy)
    types.clear()
    for run in (add_gradients, losses_of):
        losses = run(supernet, samples, LAID_OUT.float(), LABELS, F.cross_entropy, torch.bfloat16)
        assert losses == pytest.approx(exact, rel=0.05)
        assert losses != exact
        pointwise = {kind for name, kinds in types.items() if "pointwise" in name for kind in kinds}
        assert pointwise == {torch.bfloat16}
        types.clear()


class Failing(Supernet):
    """Two networks, of which one has an operation that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.operations["sum"] = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 9, 4))
        self.operations["wrong"] = nn.Linear(5, 4)

    def steps(self, choice: Any) -> Steps:
        return (Step(choice, (IMAGE,)),)


@pytest.mark.parametrize("run", [add_gradients, losses_of])
def test_failures_are_told(run: Callable[..., list[float]], thread_count: int) -> None:
    supernet = Failing()
    samples = [supernet.steps("sum"), supernet.steps("wrong")]
    with pytest.raises(RuntimeError, match="shapes"):
        run(supernet, samples, LAID_OUT.float(), LABELS, F.cross_entropy)
