"""What a report shows, as plain data: the study fills it in, the report only draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netwright.spaces.base import Diagram
from netwright.tasks.segmentation.crf_fitting import FittedCRF


@dataclass(frozen=True)
class TrialRow:
    """One candidate of the search. ``seconds`` is wall time; ``finished_at`` seconds since the search began.

    ``cached_from`` is the number of the trial that had trained the same network before. ``phase``: of the
    strategy when it asked, "exploration" or "exploitation", where it has such phases.
    """

    number: int
    status: str
    reason: str
    choice: str
    reward: float | None
    parameters: int | None
    epochs: int
    planned_epochs: int
    seconds: float
    finished_at: float | None
    cached_from: int | None = None
    phase: str | None = None


@dataclass(frozen=True)
class Contestant:
    """One network of the final comparison, retrained and tested like the others.

    ``groups``: test case -> its patient, of cases that are several of one patient: intervals and tests then count
    patients.

    ``name``: "searched" for the winner, else for example "random", "unet3d", "vnet", "monai-unet". ``scores``:
    test case -> label name -> Dice on the original grid (NaN where absent from truth and prediction); for
    classification test image -> its true class -> 1 where it is recognised, else 0; for inpainting test image -> "psnr"
    and "ssim" -> its value. ``curves``: name -> one
    value an epoch. ``status`` and ``reason`` as in `netwright.training.outcome`. ``inference_ms``: of one
    input.

    ``role``: "original", "random network", "random search" or "searched" puts it into the table of costs beside the
    original, for which ``size_mb`` (1 MB = 1e6 bytes), ``training_batch_ms`` (a training step of one batch) and
    ``inference_batch_ms`` are there; what was not measured is None.

    Of a segmentation ``distances`` are the Hausdorff distances (95 %, mm; infinite where a label is in one of truth and
    prediction alone) as ``scores`` are Dice; ``crf``: what came of fitting a CRF; where one was kept, ``scores`` are
    with it, ``scores_without_crf`` without; ``scores_with_unkept_crf``: with one that was not kept, and is not used.
    """

    name: str
    title: str
    description: str
    status: str
    reason: str
    parameters: int | None
    train_seconds: float
    epochs: int
    inference_ms: float | None
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curves: Mapping[str, list[float]] = field(default_factory=dict)
    role: str | None = None
    size_mb: float | None = None
    training_batch_ms: float | None = None
    inference_batch_ms: float | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    distances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scores_without_crf: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    scores_with_unkept_crf: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    crf: FittedCRF | None = None


@dataclass(frozen=True)
class OverlayCase:
    """A test case to show: image and two label maps on one grid (X, Y, Z), RAS axes.

    ``image``: one channel, (X, Y, Z), or red, green and blue, (X, Y, Z, 3). A grid of one slice, Z = 1, is a
    picture: X runs to the right and Y down.
    """

    role: str
    name: str
    dice: float
    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Restoration:
    """A test image that was restored: its ``score`` (PSNR in dB), what was ``given``, the ``result`` and the ``truth``,
    these (C, H, W), values 0 to 1.
    """

    role: str
    name: str
    score: float
    given: NDArray[np.float32]
    result: NDArray[np.float32]
    truth: NDArray[np.float32]


@dataclass(frozen=True)
class AgentTable:
    """What two connected agents have learned together: a value for each pair of their actions.

    ``values``: shape (row actions, column actions), NaN where the pair has not been tried: Q-values of the
    published agents, the mean reward (or its rank) of each pair for the coordinated ones. Actions are short
    texts (`netwright.report.draw.agents.action_text`). ``chosen``: row and column of the best trial's actions.
    """

    row_agent: str
    column_agent: str
    row_actions: tuple[str, ...]
    column_actions: tuple[str, ...]
    values: NDArray[np.float64]
    chosen: tuple[int, int] | None = None


@dataclass(frozen=True)
class LayerChoices:
    """What each layer was given in each trial.

    ``trials``: numbers, in order. ``values``: hyperparameter ("kernels", "kernel size", ...) -> the values
    themselves (not their indices), shape (layers, trials), NaN where a layer has no such hyperparameter.
    """

    layers: tuple[str, ...]
    trials: tuple[int, ...]
    values: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class PolicyPath:
    """How a policy moved from round to round.

    ``coordinates``: their names. ``values``: of each coordinate, as texts, at the start of each round and, last, where
    the policy stands: (rounds + 1) rows. ``positions``: the same from 0, the lowest value, to 1, the highest: shape
    (rounds + 1, coordinates). Of the last finished round ``means`` (coordinates, 3) are the mean rewards of C_-, C_0
    and C_+, NaN where a group is empty, and ``moves`` (coordinates,) the steps taken. ``rewards``: the mean of each
    round. ``results``: of a round. ``estimated``: the means are effects on the reward's rank, in standard deviations,
    estimated from many rounds.
    """

    coordinates: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    positions: NDArray[np.float64]
    means: NDArray[np.float64]
    moves: NDArray[np.int64]
    rewards: tuple[float, ...]
    results: int
    estimated: bool = False


@dataclass(frozen=True)
class ProbabilityPath:
    """How the probabilities of a search inside one training moved, snapshot by snapshot.

    ``steps``: of each snapshot. ``variables``: names; ``values``: of each variable, as texts; ``probabilities``: of
    each variable (snapshots, its values); ``chosen``: the place of each variable's value in the network that was
    found. ``certainty``, ``entropy``, ``eta``, ``loss`` and ``theta_loss`` as in `netwright.supernet.path.Snapshot`,
    one each snapshot. ``seconds``: in all. ``infeasible``: samples that made no network.
    """

    steps: tuple[int, ...]
    variables: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    probabilities: tuple[NDArray[np.float64], ...]
    chosen: tuple[int, ...]
    certainty: tuple[float, ...]
    entropy: tuple[float, ...]
    eta: tuple[float, ...]
    loss: tuple[float | None, ...]
    theta_loss: tuple[float | None, ...]
    seconds: float
    infeasible: int


@dataclass(frozen=True)
class NetworkTable:
    """A network layer by layer: names of the columns, and a row a layer."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ConfusionMatrix:
    """Test images of the searched network: ``counts`` by true class (row) and predicted class (column)."""

    classes: tuple[str, ...]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class ImageExample:
    """A test image, (C, H, W) or (H, W), values 0 to 1, its class and the one predicted with ``probability``."""

    image: NDArray[np.float32]
    truth: str
    prediction: str
    probability: float
    name: str = ""


@dataclass(frozen=True)
class ReportContent:
    """All that `render` needs. ``facts``: rows of a table (what was searched and how), in order.

    ``settings`` is the text of run.yaml. ``labels``: names of the foreground labels in order of value, of the
    classes, or of the metrics of images that are restored. ``contestants`` is empty, and ``overlays`` and
    ``restorations`` too, while the final comparison has not been run. ``reward_name``: what the trials' ``reward``
    is, in words. ``metric``: what the contestants' ``scores``
    are, "Dice", "accuracy" or "PSNR". ``penalty``: what the strategy was told for a trial without a reward.
    ``agent_tables`` in the network's order; ``agent_values``: what is in them, in words. ``batch_size``: of
    the contestants' times a batch. ``policy``: where the strategy moves one. ``shared``: of a search inside one
    training, which has no trials to show. ``network_table``: of the best trial, where its space is told layer by layer.
    ``mistakes``: test images that the searched network takes for another
    class.
    """

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
    policy: PolicyPath | None = None
    shared: ProbabilityPath | None = None
    network_table: NetworkTable | None = None
    batch_size: int | None = None
    confusion: ConfusionMatrix | None = None
    mistakes: tuple[ImageExample, ...] = ()
    restorations: tuple[Restoration, ...] = ()
