"""A made-up but realistic report of a search, for tests and to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from netwright.report.draw.comparison import comparison_sections
from netwright.report.draw.layers import LayerChoices, layers_section
from netwright.report.draw.network import NetworkTable, network_section
from netwright.report.draw.one_shot import ProbabilityPath, one_shot_section
from netwright.report.draw.overlays import OverlayCase
from netwright.report.draw.repetition import repetition_section
from netwright.report.draw.search import SearchCourse, search_sections
from netwright.report.draw.strategy import strategy_sections
from netwright.report.metrics import metric_named
from netwright.report.results import Contestant, TrialRow
from netwright.report.sections import Page, Section, render_page
from netwright.report.summaries import Comparison
from netwright.spaces.base import Diagram, Edge, Node
from netwright.strategies.pictures import AgentTable, AgentTables, StrategySection
from netwright.strategies.q_learning.report import AFTER_CHOICES, AGENTS, TITLE
from netwright.tasks.classification.report import ConfusionMatrix, ImageExample, mistakes_section
from netwright.tasks.inpainting.report import Restoration
from netwright.tasks.inpainting.report import cases_section as restored_section
from netwright.tasks.segmentation.report.cases import cases_section
from netwright.tasks.segmentation.report.crf import crf_section
from netwright.tasks.segmentation.report.distances import distances_section

LABELS = ("anterior", "posterior")
HIPPOCAMPUS = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "Task04_Hippocampus"


@dataclass(frozen=True)
class MadeUpReport:
    """All that the givers of sections get, of a run that never was."""

    title: str
    run_name: str
    recipe: str
    facts: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]
    trials: tuple[TrialRow, ...]
    best_trial: int | None
    best_curves: Mapping[str, list[float]]
    diagrams: tuple[Diagram, ...]
    contestants: tuple[Contestant, ...]
    overlays: tuple[OverlayCase, ...]
    settings: str
    commands: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    reward_name: str = "validation Dice"
    metric: str = "Dice"
    penalty: float | None = None
    agent_tables: tuple[AgentTable, ...] = ()
    agent_values: str = "Q-value"
    layer_choices: LayerChoices | None = None
    strategy: tuple[StrategySection, ...] = ()
    one_shot: ProbabilityPath | None = None
    network_table: NetworkTable | None = None
    batch_size: int | None = None
    confusion: ConfusionMatrix | None = None
    mistakes: tuple[ImageExample, ...] = ()
    restorations: tuple[Restoration, ...] = ()


_CASES: dict[tuple[int, int, str], tuple[MadeUpReport, Section]] = {}


def _cases_of(made: MadeUpReport, comparison: Comparison) -> Section:
    """Drawn once for all reports with the same cases: surfaces seen from all sides take a second."""
    key = (id(made.overlays), id(made.contestants), made.metric)
    if key not in _CASES:  # whose report is kept, so that no other object gets these addresses
        _CASES[key] = made, cases_section(made.overlays, comparison, comparison.labels)
    return _CASES[key][1]


def render_report(made: MadeUpReport) -> str:
    """The page with the sections of every giver."""
    comparison = Comparison(made.contestants, made.labels, metric_named(made.metric), made.batch_size)
    search = SearchCourse(
        made.trials,
        made.best_trial,
        made.reward_name,
        made.facts,
        made.best_curves,
        made.penalty,
        made.one_shot is not None,
    )
    agents = AgentTables(made.agent_tables, made.agent_values)
    sections: tuple[Section, ...] = (
        repetition_section(made.commands, made.settings, made.notes),
        *comparison_sections(comparison),
        *search_sections(search, comparison),
        distances_section(comparison),
        crf_section(comparison),
        _cases_of(made, comparison),
        restored_section(made.restorations, comparison),
        mistakes_section(made.confusion, made.mistakes, comparison.searched),
        *(() if made.one_shot is None else (one_shot_section(made.one_shot),)),
        *strategy_sections((*made.strategy, _agents_section(agents))),
        layers_section(made.layer_choices, made.best_trial),
        network_section(made.diagrams, made.network_table, comparison.searched),
    )
    return render_page(Page(made.title, f"{made.recipe} · {made.run_name}", sections))


def _agents_section(tables: AgentTables) -> StrategySection:
    return StrategySection(AGENTS, TITLE, TITLE, pictures=(tables,), order=AFTER_CHOICES)


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


def make_content() -> MadeUpReport:
    """A whole report."""
    trials = make_trials()
    best = max((t for t in trials if t.reward is not None), key=lambda t: t.reward or 0.0)
    contestants = make_contestants()
    return MadeUpReport(
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
