"""A made-up but realistic report, for tests and to look at: ``python tests/report/conftest.py FOLDER``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from netwright.report.agents import action_text
from netwright.report.content import (
    AgentTable,
    ConfusionMatrix,
    Contestant,
    ImageExample,
    LayerChoices,
    OverlayCase,
    ReportContent,
    TrialRow,
)
from netwright.spaces.base import Diagram, Edge, Node

LABELS = ("anterior", "posterior")
HIPPOCAMPUS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "Task04_Hippocampus"


def make_trials(count: int = 40, seed: int = 3) -> tuple[TrialRow, ...]:
    """A search: slow gains, some cached, infeasible, too large, too slow, diverged and crashed candidates."""
    generator = np.random.default_rng(seed)
    rows: list[TrialRow] = []
    clock = 0.0
    for number in range(count):
        n, p = int(generator.integers(8, 33)), int(generator.integers(2, 6))
        sup, res = generator.random(2) < 0.5
        choice = f"n={n} p={p}{' sup' if sup else ''}{' res' if res else ''} nodes=3 ops=2,0,2"
        parameters = int(n**2 * 4.3 ** (p - 1) * generator.uniform(25, 60))
        status, reason, reward, epochs = "complete", "", None, 12
        fate = generator.random()
        if fate < 0.08:
            status, epochs = "infeasible", 0
            reason = "node 2 is a sink: no operation leaves it, so its result would be lost"
        elif fate < 0.13:
            status, epochs = "out_of_memory", 0
            reason = "a training step would need 9,310 MB, the limit is 8,000 MB"
        elif fate < 0.17:
            status, epochs = "too_slow", 0
            reason = "one epoch would take 96 s, its share is 80 s"
        elif fate < 0.20:
            status, epochs, reason = "diverged", 3, "the loss became NaN in epoch 4"
        elif fate < 0.22:
            status, epochs, reason = "crashed", 1, "the worker was killed (signal 9) twice"
        else:
            gain = 0.86 - 0.16 * np.exp(-number / 14)
            reward = float(np.clip(gain + generator.normal(0, 0.025), 0.2, 0.874))
        cached = None
        if reward is not None and number > 12 and generator.random() < 0.15:
            twin = next(t for t in rows if t.reward is not None)
            cached, reward, parameters, choice, epochs = (
                twin.number,
                twin.reward,
                twin.parameters,
                twin.choice,
                12,
            )
        seconds = 0.02 if cached is not None else epochs * float(generator.uniform(4, 9)) + 0.4
        clock += seconds
        size = None if status == "infeasible" else parameters
        rows.append(
            TrialRow(number, status, reason, choice, reward, size, epochs, 12, seconds, clock, cached)
        )
    return tuple(rows)


def make_dice(
    mean: float, cases: int, seed: int, hardness: NDArray[np.float64]
) -> dict[str, dict[str, float]]:
    """Dice of each case and label around a mean, the same cases hard for every network."""
    generator = np.random.default_rng(seed)
    return {
        f"hippocampus_{10 + 3 * i:03d}": {
            label: float(np.clip(mean + shift + hardness[i] + generator.normal(0, 0.012), 0, 1))
            for label, shift in zip(LABELS, (0.009, -0.009), strict=True)
        }
        for i in range(cases)
    }


def make_curves(epochs: int, dice: float, seed: int) -> dict[str, list[float]]:
    """Falling loss and rising validation Dice, every second epoch validated."""
    generator = np.random.default_rng(seed)
    steps = np.arange(1, epochs + 1)
    loss = 0.35 + 0.9 * np.exp(-steps / (0.2 * epochs)) + generator.normal(0, 0.012, epochs)
    quality = dice * (1 - 0.9 * np.exp(-steps / (0.13 * epochs))) + generator.normal(0, 0.006, epochs)
    quality[::2] = np.nan
    return {"train_loss": loss.tolist(), "validation_score": quality.tolist()}


def make_contestants(cases: int = 60) -> tuple[Contestant, ...]:
    """The searched network, three that it meets on equal terms, and one that is too slow."""
    hardness = -np.random.default_rng(1).gamma(1.2, 0.022, cases) + 0.026
    rows = (
        ("searched", "the searched network", "n=14 p=3 sup res", 0.884, 412_310, 118, 21.4),
        ("random", "a random network of the same space", "n=9 p=2", 0.869, 190_412, 131, 16.9),
        ("unet3d", "3D U-Net", "4 levels, 16 to 128 channels", 0.879, 4_081_203, 41, 96.0),
        ("monai-unet", "MONAI's U-Net", "residual, 16-32-64-128 channels", 0.8835, 1_188_230, 160, 34.2),
    )
    contestants = [
        Contestant(
            name,
            title,
            description,
            "complete",
            "",
            parameters,
            900.0 + 4 * i,
            epochs,
            milliseconds,
            make_dice(mean, cases, i, hardness),
            make_curves(epochs, mean, i),
        )
        for i, (name, title, description, mean, parameters, epochs, milliseconds) in enumerate(rows)
    ]
    slow = Contestant(
        "vnet", "V-Net", "5 levels, 16 to 256 channels", "too_slow", "one epoch would take 1,130 s of 900 s",
        45_597_898, 12.0, 0, None,
    )  # fmt: skip
    return (*contestants, slow)


def make_volume(index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A real hippocampus where the data is at hand, else two ellipsoids in noise."""
    files = sorted(HIPPOCAMPUS.glob("labelsTr/*.nii.gz"))
    if files:
        import nibabel

        label = nibabel.as_closest_canonical(nibabel.load(files[index]))
        image = nibabel.as_closest_canonical(nibabel.load(HIPPOCAMPUS / "imagesTr" / files[index].name))
        return image.get_fdata(dtype=np.float32), np.asarray(label.dataobj).astype(np.uint8)
    shape = (35, 51, 36)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    truth = np.zeros(shape, np.uint8)
    truth[(x / 0.4) ** 2 + ((y - 0.3) / 0.3) ** 2 + (z / 0.3) ** 2 < 1] = 1
    truth[(x / 0.3) ** 2 + ((y + 0.3) / 0.4) ** 2 + (z / 0.3) ** 2 < 1] = 2
    noise = np.random.default_rng(index).normal(0, 0.2, shape)
    return np.asarray(truth * 0.5 + noise, dtype=np.float32), truth


def make_overlays() -> tuple[OverlayCase, ...]:
    """Three cases with predictions that are wrong by more, some and little."""
    made = []
    scores = make_contestants()[0].scores
    ranked = sorted(scores, key=lambda name: np.mean(list(scores[name].values())))
    for i, (role, name, blur, shift) in enumerate(
        (("worst", ranked[0], 1.3, 0.8), ("median", ranked[30], 1.0, 0.4), ("best", ranked[-1], 0.7, 0.0))
    ):
        image, truth = make_volume(7 * i)
        soft = np.stack(
            [
                ndimage.shift(ndimage.gaussian_filter((truth == k).astype(float), blur), shift)
                for k in range(3)
            ]
        )
        prediction = soft.argmax(axis=0).astype(np.uint8)
        dice = float(np.mean(list(scores[name].values())))
        made.append(OverlayCase(role, name, dice, image, truth, prediction, (1.0, 1.0, 1.0)))
    return tuple(made)


def make_block() -> Diagram:
    """A four-node block with skips, as SegNAS3D draws it."""
    nodes = tuple(Node(str(i), str(i), i - 1, 0, {1: "input", 4: "output"}.get(i, "")) for i in range(1, 5))
    edges = (
        Edge("1", "2", "Conv(3, 1)"),
        Edge("1", "3", "Conv(1, 1)"),
        Edge("2", "3", "Conv(5, 2)"),
        Edge("1", "4", "skip", dashed=True),
        Edge("2", "4", "Conv(3, 2)"),
        Edge("3", "4", "Conv(3, 1)"),
    )
    return Diagram("Block", nodes, edges)


def make_network(levels: int = 3) -> Diagram:
    """A U-shaped network with deep supervision: a row a resolution."""
    nodes = [Node("input", "image", 0, 0, "1 channels, 40 x 56 x 40")]
    edges = [Edge("input", "encoder 0")]
    for level in range(levels + 1):
        detail = f"{14 * 2**level} channels, " + " x ".join(str(n >> level) for n in (40, 56, 40))
        nodes.append(Node(f"encoder {level}", "MegaBlock", level + 1, level, detail))
        if level:
            edges.append(Edge(f"encoder {level - 1}", f"encoder {level}", "max pooling"))
        if level < levels:
            nodes.append(Node(f"decoder {level}", "MegaBlock", 2 * levels + 1 - level, level, detail))
            edges.append(Edge(f"encoder {level}", f"decoder {level}", "concatenation", dashed=True))
            below = f"decoder {level + 1}" if level + 1 < levels else f"encoder {levels}"
            edges.append(Edge(below, f"decoder {level}", "upsampling"))
        if 0 < level < levels:
            edges.append(Edge(f"decoder {level}", "output", "deep supervision"))
    nodes.append(Node("output", "logits", 2 * levels + 2, 0, "3 channels, 40 x 56 x 40"))
    return Diagram("Network", tuple(nodes), (*edges, Edge("decoder 0", "output")))


def make_content() -> ReportContent:
    """A whole report."""
    trials = make_trials()
    best = max((t for t in trials if t.reward is not None), key=lambda t: t.reward or 0.0)
    contestants = make_contestants()
    return ReportContent(
        title="A network for Task04_Hippocampus",
        run_name="runs/hippocampus",
        recipe="segnas4",
        facts=(
            ("dataset", "Task04_Hippocampus: 200 cases, MRI, 3D, 1 mm, 2 labels"),
            ("cases", "100 training, 40 validation, 60 test"),
            ("space", "segnas4: 4 dimensions (n, p, sup, res), block of two cascaded Conv(3, 1)"),
            ("strategy", "controlled random search with local mutation, population 5, seed 0"),
            ("candidate training", "Nadam 0.001, exponential logarithmic loss, batches of 3, 12 epochs"),
            ("budget", "30 m of search, 30 m of final comparison, 2 workers of 1 thread"),
            ("machine", "2 cores, 23.4 GB, no GPU"),
        ),
        labels=LABELS,
        trials=trials,
        best_trial=best.number,
        best_curves=make_curves(12, best.reward or 0.0, 9),
        diagrams=(make_block(), make_network()),
        contestants=contestants,
        overlays=make_overlays(),
        settings="dataset: Task04_Hippocampus\nrecipe: segnas4\nseed: 0\ntraining:\n  epochs: 12\n",
        commands=(
            (
                "The whole run again, on another folder:",
                "netwright search Task04_Hippocampus --recipe segnas4 --hours 0.5 --seed 0 -o runs/again",
            ),
            ("Labels for new scans:", "netwright predict runs/hippocampus /path/to/scans -o /path/to/labels"),
        ),
        notes=("Trial times are of two workers that share two cores.",),
    )


LAYERS = tuple(
    f"{part}.{level}.conv{i}" for part in ("encoder", "decoder") for level in range(5) for i in (1, 2)
)
KERNELS, SIZES, STRIDES = (16, 32, 64, 128, 256, 512, 1024), (3, 5, 7), (1, 2)


def make_layer_choices(trials: int = 300, layers: tuple[str, ...] = LAYERS) -> LayerChoices:
    """Choices at random at first, then more and more often the same."""
    generator = np.random.default_rng(5)
    values = {}
    for name, options in (("kernels", KERNELS), ("kernel size", SIZES), ("stride", STRIDES)):
        drawn = generator.choice(options, size=(len(layers), trials)).astype(np.float64)
        settled = generator.choice(options, size=len(layers)).astype(np.float64)
        keep = generator.random((len(layers), trials)) < np.clip(
            np.arange(trials) / trials * 1.4 - 0.4, 0, 0.97
        )
        drawn[keep] = np.broadcast_to(settled[:, None], drawn.shape)[keep]
        values[name] = drawn
    values["stride"][::3] = np.nan
    return LayerChoices(layers, tuple(range(trials)), values)


def make_agent_tables(count: int = 19, actions: int = 42) -> tuple[AgentTable, ...]:
    """Tables of neighbouring layers with a slope, noise, and cells that nobody visited."""
    generator = np.random.default_rng(6)
    options = [
        action_text({"kernels": k, "kernel_size": s, "stride": t})
        for k in KERNELS
        for s in SIZES
        for t in STRIDES
    ]
    tables = []
    for i in range(count):
        slope = np.linspace(0, generator.uniform(0, 2), actions)
        values = (
            slope[:, None]
            + slope[None] * generator.uniform(-1, 1)
            + generator.normal(0, 0.2, (actions, actions))
        )
        values[generator.random((actions, actions)) < 0.4] = np.nan
        row, column = LAYERS[i % len(LAYERS)], LAYERS[(i + 1) % len(LAYERS)]
        names = tuple(options[:actions])
        tables.append(AgentTable(row, column, names, names, values, (i % actions, 2 * i % actions)))
    return tuple(tables)


def make_phased_trials(count: int = 300) -> tuple[TrialRow, ...]:
    """The first two thirds explore; then the rewards rise."""
    rows = []
    for trial in make_trials(count, seed=8):
        phase = "exploration" if trial.number < 2 * count // 3 else "exploitation"
        gain = 0 if phase == "exploration" else 12 * (trial.number - 2 * count / 3) / count
        reward = None if trial.reward is None else 40 * (trial.reward - 0.6) + gain
        rows.append(replace(trial, phase=phase, reward=reward, cached_from=None))
    return tuple(rows)


def make_roles(contestants: Sequence[Contestant]) -> tuple[Contestant, ...]:
    """The searched network, random search and the original, with what a batch costs them."""
    costs = {"searched": ("searched", 1.6, 41.0, 12.0), "random": ("random search", 2.9, 66.0, 21.0)}
    costs["unet3d"] = ("original", 31.0, 140.0, 38.0)
    made = []
    for contestant in contestants:
        if contestant.name in costs:
            role, size, training, inference = costs[contestant.name]
            made.append(
                replace(
                    contestant,
                    role=role,
                    size_mb=size,
                    training_batch_ms=training,
                    inference_batch_ms=inference,
                )
            )
    return tuple(made)


def make_marl_content() -> ReportContent:
    """The report of agents that fitted a U-Net: phases, tables, choices and costs."""
    trials = make_phased_trials()
    best = max((t for t in trials if t.reward is not None), key=lambda t: t.reward or 0.0)
    return replace(
        make_content(),
        recipe="marl-unet", trials=trials, best_trial=best.number, penalty=-1.0, diagrams=(),
        reward_name="reward", contestants=make_roles(make_contestants()), batch_size=8,
        agent_tables=make_agent_tables(), layer_choices=make_layer_choices(),
    )  # fmt: skip


CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def make_recognised(accuracy: float, images: int, seed: int) -> dict[str, dict[str, float]]:
    """Right or wrong for each image under its class, the same images hard for every network."""
    hard = np.random.default_rng(0).random(images)
    noise = np.random.default_rng(seed).normal(0, 0.05, images)
    return {
        f"test_{i:05d}": {CLASSES[i % len(CLASSES)]: float(hard[i] + noise[i] < accuracy)}
        for i in range(images)
    }


def make_classification() -> ReportContent:
    """The report of a VGG-16 fitted to images."""
    generator = np.random.default_rng(2)
    curves = [{"train_loss": [1.9, 1.2, 0.9], "validation_score": [0.4, 0.6, 0.7]}] * 3
    accuracies = {"searched": 0.913, "random": 0.889, "unet3d": 0.905}
    contestants = [
        replace(c, scores=make_recognised(accuracies[c.name], 1000, i), curves=curves[i])
        for i, c in enumerate(make_roles(make_contestants()))
    ]
    contestants[-1] = replace(contestants[-1], name="original", title="the original VGG-16")
    counts = generator.poisson(2, (10, 10)) + np.diag(generator.integers(70, 90, 10))
    x, y = np.meshgrid(np.linspace(0, 1, 32), np.linspace(0, 1, 32))
    examples = tuple(
        ImageExample(
            np.stack([x, y, np.full_like(x, i / 30)]).astype(np.float32),
            CLASSES[i % 10], CLASSES[(i + 3) % 10], 0.99 - 0.02 * i, f"test_{i:05d}",
        )
        for i in range(30)
    )  # fmt: skip
    return replace(
        make_marl_content(),
        title="VGG-16 for CIFAR-10", recipe="marl-vgg16", metric="accuracy", labels=CLASSES, overlays=(),
        contestants=tuple(contestants), best_curves=curves[0],
        confusion=ConfusionMatrix(CLASSES, counts.astype(np.int64)), mistakes=examples,
    )  # fmt: skip


def without_verdict(content: ReportContent) -> ReportContent:
    """The same run before its final comparison."""
    return replace(content, contestants=(), overlays=())


@pytest.fixture(scope="session")
def content() -> ReportContent:
    return make_content()


@pytest.fixture(scope="session")
def marl() -> ReportContent:
    return make_marl_content()


@pytest.fixture(scope="session")
def images() -> ReportContent:
    return make_classification()


@pytest.fixture(scope="session")
def block() -> Diagram:
    return make_block()


@pytest.fixture(scope="session", name="make_network")
def network_maker() -> Callable[[int], Diagram]:
    return make_network


if __name__ == "__main__":
    from netwright.report.render import render_report

    for name, make in (
        ("segnas", make_content),
        ("marl", make_marl_content),
        ("images", make_classification),
    ):
        Path(sys.argv[1], f"{name}.html").write_text(render_report(make()), encoding="utf-8")
