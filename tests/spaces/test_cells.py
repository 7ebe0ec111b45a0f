"""The cell space: its 40 variables, its networks against ones written by hand, their sizes, and what they learn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.nn.schedule import Scheduled
from netwright.searches.random_choices import draw_choice
from netwright.spaces import SPACES, Space
from netwright.spaces.base import SharesWeights
from netwright.spaces.cells import OPERATIONS, CellSpace
from netwright.spaces.cells.operations import Addition, FactorisedReduction

SEARCHED = {"affine": False, "auxiliary": False, "drop_path": 0.0}
SMALL = CellSpace(channels=4, normal_cells=1, nodes=3)
Genes = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    channels: int = 3
    classes: int = 10
    size: tuple[int, ...] = (12, 9)


def drawn(space: CellSpace, seed: int) -> Genes:
    return draw_choice(space.distributions(), np.random.default_rng(seed))


def paths(choice: Genes, kind: str, node: int) -> list[tuple[str, str]]:
    """(source, operation) of a node."""
    return [tuple(choice[f"{kind}.node{node}.{gene}{i}"] for gene in ("source", "operation")) for i in (1, 2)]  # type: ignore[misc]


def unused(choice: Genes, kind: str, nodes: int) -> list[int]:
    taken = {source for node in range(1, nodes + 1) for source, _ in paths(choice, kind, node)}
    return [node for node in range(1, nodes + 1) if f"node{node}" not in taken]


def test_has_the_papers_variables() -> None:
    space = SPACES["cells"]()
    assert isinstance(space, Space)
    assert isinstance(space, SharesWeights)
    counts = [len(d.choices) for d in space.distributions().values()]  # type: ignore[attr-defined]
    assert (len(counts), sum(counts), sum(counts) - len(counts)) == (40, 180, 140)
    by_hand = 1
    for sources in (2, 3, 4, 5, 6):
        by_hand *= sources**2 * 5**2
    assert space.count_choices() == by_hand**2  # type: ignore[attr-defined]
    first = space.distributions()["normal.node1.source1"]
    assert first.choices == ("cell-2", "cell-1")  # type: ignore[attr-defined]
    last = space.distributions()["reduction.node5.source2"]
    assert last.choices == ("cell-2", "cell-1", "node1", "node2", "node3", "node4")  # type: ignore[attr-defined]


class ByHand:
    """The network written out: whole cells whether or not they are of use, every ReLU where the paper has it."""

    def __init__(self, weights: dict[str, Tensor], choice: Genes, nodes: int, normal_cells: int) -> None:
        self.weights, self.choice, self.nodes = weights, choice, nodes
        self.kinds = (["normal"] * normal_cells + ["reduction"]) * 2 + ["normal"] * normal_cells

    def normalised(self, x: Tensor, name: str) -> Tensor:
        prefix = f"operations.{name}.normalisation"
        statistics = [self.weights.get(f"{prefix}.{what}") for what in ("running_mean", "running_var")]
        scale = [self.weights.get(f"{prefix}.{what}") for what in ("weight", "bias")]
        return F.batch_norm(x, *statistics, *scale, training=statistics[0] is None)  # type: ignore[misc]

    def convolved(self, x: Tensor, name: str, **options: Any) -> Tensor:
        return F.conv2d(x, self.weights[f"operations.{name}.weight"], **options)

    def reduced(self, x: Tensor, name: str) -> Tensor:
        x = F.relu(x)
        odd = torch.zeros(len(x), x.shape[1], x.shape[2] + 1, x.shape[3] + 1, dtype=x.dtype)
        odd[:, :, :-1, :-1] = x
        first = self.convolved(x[:, :, ::2, ::2], f"{name}.even")
        second = self.convolved(odd[:, :, 1::2, 1::2], f"{name}.odd")
        height, width = first.shape[2:]
        return self.normalised(torch.cat([first, second[:, :, :height, :width]], 1), name)

    def operation(self, x: Tensor, operation: str, name: str, stride: int) -> Tensor:
        if operation == "identity":
            return x if stride == 1 else self.reduced(x, name)
        if operation == "maximum3":
            return F.max_pool2d(x, 3, stride, 1)
        if operation == "average3":
            return F.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
        side = int(operation[-1])
        for half, step in (("first", stride), ("second", 1)):
            x = self.convolved(
                F.relu(x), f"{name}.{half}.depthwise", padding=side // 2, stride=step, groups=x.shape[1]
            )
            x = self.normalised(self.convolved(x, f"{name}.{half}.pointwise"), f"{name}.{half}")
        return x

    def projected(self, x: Tensor, name: str) -> Tensor:
        return self.normalised(self.convolved(F.relu(x), f"{name}.convolution"), name)

    def cell(self, number: int, before: Tensor, previous: Tensor) -> Tensor | None:
        kind, name = self.kinds[number], f"cell{number}"
        halve = self.reduced if number and self.kinds[number - 1] == "reduction" else self.projected
        values: dict[str, Tensor] = {}
        sources = {
            source for node in range(1, self.nodes + 1) for source, _ in paths(self.choice, kind, node)
        }
        if "cell-2" in sources:
            values["cell-2"] = halve(before, f"{name}/cell-2")
        if "cell-1" in sources:
            values["cell-1"] = self.projected(previous, f"{name}/cell-1")
        for node in range(1, self.nodes + 1):
            parts = [
                self.operation(
                    values[source],
                    operation,
                    f"{name}/node{node}/from-{source}/{operation}",
                    2 if kind == "reduction" and source.startswith("cell") else 1,
                )
                for source, operation in paths(self.choice, kind, node)
            ]
            values[f"node{node}"] = parts[0] + parts[1]
        nodes = unused(self.choice, kind, self.nodes)
        together = F.relu(torch.cat([values[f"node{node}"] for node in nodes], 1))
        weight = torch.cat(
            [self.weights[f"operations.{name}/output.weights.node{node}"] for node in nodes], 1
        )
        return self.normalised(F.conv2d(together, weight), f"{name}/output")

    def __call__(self, images: Tensor) -> Tensor:
        stem = self.normalised(self.convolved(images, "stem.convolution", padding=1), "stem")
        before = previous = stem
        for number in range(len(self.kinds)):
            before, previous = previous, self.cell(number, before, previous)  # type: ignore[assignment]
        head = "operations.head.linear"
        return F.linear(previous.mean((2, 3)), self.weights[f"{head}.weight"], self.weights[f"{head}.bias"])


def of_use(choice: Genes, kind: str) -> bool:
    """Whether a cell takes both of its inputs, so that every cell of the network is of use."""
    sources = {value for name, value in choice.items() if name.startswith(f"{kind}.") and "source" in name}
    return {"cell-2", "cell-1"} <= sources


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_computes_what_the_paper_says(seed: int, affine: bool) -> None:
    space = CellSpace(channels=4, normal_cells=2, nodes=4, affine=affine, auxiliary=False)
    choices = (drawn(space, number) for number in range(100 * seed, 100 * seed + 100))
    choice = next(c for c in choices if of_use(c, "normal") and of_use(c, "reduction"))
    torch.manual_seed(seed)
    network = space.build(choice, Shape()).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.normal_(module.bias)
    images = torch.randn(3, 3, 12, 9, dtype=torch.float64)
    weights = dict(network.state_dict())
    if not affine:  # the stem's scale and shift stay
        assert "operations.stem.normalisation.weight" in weights
        assert sum("normalisation" in name for name in weights) == 2
    with torch.no_grad():
        torch.testing.assert_close(network(images), ByHand(weights, choice, 4, 2)(images))


def expected_parameters(choice: Genes, space: CellSpace, width: int, task: Shape) -> int:
    """Of a network all of whose cells are of use."""
    norm = 2 if space.affine else 0
    kinds = (["normal"] * space.normal_cells + ["reduction"]) * 2 + ["normal"] * space.normal_cells
    total = 9 * task.channels * 3 * width + 2 * 3 * width
    inputs, channels = [3 * width, 3 * width], width
    for kind in kinds:
        channels *= 2 if kind == "reduction" else 1
        total += sum(given * channels + norm * channels for given in inputs)
        for node in range(1, space.nodes + 1):
            for source, operation in set(paths(choice, kind, node)):
                if operation.startswith("separable"):
                    side = int(operation[-1])
                    total += 2 * (side**2 * channels + channels**2 + norm * channels)
                elif operation == "identity" and kind == "reduction" and source.startswith("cell"):
                    total += channels**2 + norm * channels
        total += len(unused(choice, kind, space.nodes)) * channels**2 + norm * channels
        inputs = [inputs[1], channels]
    return total + (channels + 1) * task.classes


def count(network: nn.Module) -> int:
    return sum(p.numel() for name, p in network.named_parameters() if "auxiliary" not in name)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_parameters_follow_from_the_choice(channels: int) -> None:
    task = Shape(channels=channels, classes=7, size=(8, 8))
    for seed, (width, affine) in enumerate([(2, True), (5, False), (6, True)]):
        space = CellSpace(channels=width, normal_cells=1, affine=affine, auxiliary=seed == 0)
        for number in range(20):
            choice = drawn(space, 50 * seed + number)
            if of_use(choice, "normal") and of_use(choice, "reduction"):
                assert count(space.build(choice, task)) == expected_parameters(choice, space, width, task)


@pytest.mark.parametrize(("parameters", "seed"), [(3_000_000, 1), (400_000, 2), (20_000, 3), (1, 4)])
def test_channels_are_those_that_come_nearest(parameters: int, seed: int) -> None:
    space = CellSpace(parameters=parameters, normal_cells=6 if parameters > 10**6 else 2)
    choice = drawn(space, seed)
    with torch.device("meta"):
        found = space.build(choice, Shape())
        width = found.operations["stem"].convolution.out_channels // 3
        around = [
            count(CellSpace(channels=c, normal_cells=space.normal_cells).build(choice, Shape()))
            for c in range(max(1, width - 2), width + 3)
        ]
    assert abs(count(found) - parameters) == min(abs(one - parameters) for one in around)


def test_auxiliary_head_is_that_of_cifar_and_in_training_alone() -> None:
    space = CellSpace(channels=4, normal_cells=1)
    network = space.build(drawn(space, 0), Shape(size=(32, 32)))
    outputs = network(torch.randn(2, 3, 32, 32))
    assert [tuple(output.shape) for output in outputs] == [(2, 10), (2, 10)]
    weights = [p.numel() for name, p in network.named_parameters() if "auxiliary" in name]
    assert sum(weights) == 16 * 128 + 2 * 128 + 4 * 128 * 768 + 2 * 768 + 769 * 10
    assert network.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 10)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(4, 25), st.integers(4, 25), st.integers(1, 5), st.booleans())
def test_any_choice_takes_images_of_any_size(
    seed: int, height: int, width: int, channels: int, affine: bool
) -> None:
    space = CellSpace(channels=channels, normal_cells=1, nodes=2, affine=affine)
    network = space.build(drawn(space, seed), Shape(channels=1, size=(height, width)))
    logits, auxiliary = network(torch.randn(2, 1, height, width))
    assert logits.shape == auxiliary.shape == (2, 10)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(("size", "words"), [((3, 32), "too little"), ((8, 8, 8), "two dimensions")])
def test_images_that_do_not_suit_are_refused(size: tuple[int, ...], words: str) -> None:
    choice, task = SMALL.starting_choice(), Shape(size=size)
    for call in (SMALL.build, SMALL.diagrams):
        with pytest.raises(InfeasibleArchitecture, match=words):
            call(choice, task)
    with pytest.raises(InfeasibleArchitecture, match=words):
        SMALL.supernet(task)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"nodes": 0}, "nodes"), ({"channels": 1.5}, "channels"), ({"drop_path": 1}, "drop_path")],
)
def test_wrong_settings_are_refused(options: Genes, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        CellSpace(**options)


def test_shared_weights_keep_nothing_of_a_batch_whatever_the_options_say() -> None:
    supernet = CellSpace(normal_cells=1, nodes=2).supernet(Shape())
    assert supernet.operations["stem"].convolution.out_channels == 3 * 16
    assert not any("running" in name for name, _ in supernet.named_buffers())
    scaled = {name for name, weight in supernet.named_parameters() if "normalisation" in name}
    assert scaled == {"operations.stem.normalisation.weight", "operations.stem.normalisation.bias"}
    assert not any("auxiliary" in name for name in supernet.operations)


@pytest.mark.parametrize("affine", [True, False])
def test_networks_are_parts_of_the_supernet(affine: bool) -> None:
    space = CellSpace(channels=4, normal_cells=2, affine=affine, auxiliary=False, drop_path=0)
    supernet = space.supernet(Shape()).double()
    weights = supernet.state_dict()
    images = torch.randn(4, 3, 12, 9, dtype=torch.float64)
    for seed in range(5):
        choice = drawn(space, seed)
        network = space.build(choice, Shape()).double()
        shared = {name: weights[name] for name in network.state_dict() if name in weights}
        own = network.load_state_dict(shared, strict=False).missing_keys
        assert bool(own) == affine
        assert all("normalisation" in name for name in own)
        for train in (True,) if affine else (True, False):  # in training, as one of them has statistics
            network.train(train)
            supernet.train(train)
            torch.testing.assert_close(network(images), supernet(images, choice), rtol=1e-12, atol=1e-12)


def test_weights_are_separate_for_cell_node_source_and_operation() -> None:
    names = set(SMALL.supernet(Shape()).operations)
    for cell in range(5):
        for node in range(1, 4):
            for source in ["cell-2", "cell-1", "node1", "node2"][: node + 1]:
                for operation in ("separable3", "separable5"):
                    assert f"cell{cell}/node{node}/from-{source}/{operation}" in names
    separate = [name for name in names if "separable" in name]
    assert len(separate) == 5 * (2 + 3 + 4) * 2
    assert "cell1/node1/from-cell-1/identity" in names  # a reduction cell
    assert "cell0/node1/from-cell-1/identity" not in names


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_one_network_has_one_form(seed: int, random: Any) -> None:
    """However paths are swapped, and nodes numbered."""
    space = CellSpace()
    choice = drawn(space, seed)
    form = space.canonical(choice)
    assert space.canonical(form) == form
    other: Genes = {}
    for kind in ("normal", "reduction"):
        orders = list(permutations(range(1, 6)))
        random.shuffle(orders)
        for order in orders:
            new = {f"node{old}": f"node{place}" for place, old in enumerate(order, start=1)}
            genes: Genes = {}
            for place, old in enumerate(order, start=1):
                swapped = random.sample(paths(choice, kind, old), 2)
                for i, (source, operation) in enumerate(swapped, start=1):
                    genes[f"{kind}.node{place}.source{i}"] = new.get(source, source)
                    genes[f"{kind}.node{place}.operation{i}"] = operation
            if all(value in space.distributions()[name].choices for name, value in genes.items()):  # type: ignore[attr-defined]
                other |= genes
                break
    assert space.canonical(other) == form
    assert count_of(space, other) == count_of(space, choice)


def count_of(space: CellSpace, choice: Genes) -> int:
    with torch.device("meta"):
        return count(CellSpace(channels=2, normal_cells=1).build(choice, Shape()))


def test_different_networks_have_different_forms() -> None:
    space = CellSpace(nodes=2)
    choice = space.starting_choice()
    forms = {tuple(space.canonical(choice).items())}
    for name, distribution in space.distributions().items():
        if name.endswith("1") and name.startswith("normal.node1"):
            for value in distribution.choices:  # type: ignore[attr-defined]
                forms.add(tuple(space.canonical({**choice, name: value}).items()))
    # Both sources cell-1, and four other operations.
    assert len(forms) == 1 + 1 + (len(OPERATIONS) - 1)


def test_paths_are_dropped_more_and_more_and_identities_never() -> None:
    torch.manual_seed(0)
    addition = Addition(0.3)
    assert isinstance(addition, Scheduled)
    ones, zeros = torch.ones(4000, 2, 3, 3), torch.zeros(4000, 2, 3, 3)
    torch.testing.assert_close(addition(ones, zeros, (True, True)), ones)
    for share in (0.5, 1.0):
        addition.set_progress(share)
        dropped = addition(ones, zeros, (True, True))
        assert torch.equal(dropped, dropped[:, :1, :1, :1].expand_as(dropped))
        kept = dropped[:, 0, 0, 0]
        assert sorted(set(kept.tolist())) == pytest.approx([0.0, 1 / (1 - 0.3 * share)])
        assert (kept == 0).float().mean().item() == pytest.approx(0.3 * share, abs=0.03)
        torch.testing.assert_close(addition(ones, zeros, (False, True)), ones)
    torch.testing.assert_close(addition.eval()(ones, zeros, (True, True)), ones)


def test_starts_with_a_network_that_learns() -> None:
    torch.manual_seed(0)
    network = SMALL.build(SMALL.starting_choice(), Shape(classes=4))
    images = torch.randn(16, 3, 12, 9)
    labels = (images[:, 0].mean((1, 2)) > 0).long() + 2 * (images[:, 1].mean((1, 2)) > 0).long()
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        logits, auxiliary = network(images)
        loss = F.cross_entropy(logits, labels)
        (loss + 0.4 * F.cross_entropy(auxiliary, labels)).backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters() if p.ndim > 1)


@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
@pytest.mark.parametrize("inputs", [4, 8])
def test_a_reduction_is_the_same_on_every_processor(
    inputs: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the default memory format, in which torch's own strided convolution is safe on every processor."""
    torch.manual_seed(0)
    reduction = FactorisedReduction(inputs, 6, affine=False)
    features, results = torch.randn(3, inputs, *size), []
    for capability in ("AVX2", "AVX512"):
        monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda found=capability: found)
        given = features.clone().requires_grad_()
        reduction.zero_grad()
        result = reduction(given)
        (result * torch.arange(result.numel()).reshape(result.shape).sin()).sum().backward()
        gradients = [parameter.grad for parameter in reduction.parameters()]
        results.append([result.detach(), given.grad, *gradients])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
