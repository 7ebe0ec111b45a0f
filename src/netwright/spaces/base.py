"""What every search space offers: distributions, a canonical form, and a network for every choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from optuna.distributions import BaseDistribution
from torch import nn

from netwright.nn.steps import Supernet

Value = int | float | str | bool
Choice = Mapping[str, Value]


class TaskShape(Protocol):
    """The part of a task that shapes a network."""

    @property
    def channels(self) -> int:
        """Channels of the input image."""

    @property
    def classes(self) -> int:
        """Classes of the output, background included."""

    @property
    def size(self) -> tuple[int, ...]:
        """Spatial size of the network's input, in voxels."""


def is_dense(task: TaskShape) -> bool:
    """Whether every voxel has a label, as in segmentation, rather than the whole image one or several labels."""
    size = tuple(task.size)
    return tuple(getattr(task, "label_size", size))[-len(size) :] == size


@dataclass(frozen=True)
class Node:
    """One box of a diagram. `column` and `row` are grid positions (columns to the right, rows downwards)."""

    name: str
    label: str
    column: int
    row: int
    detail: str = ""


@dataclass(frozen=True)
class Edge:
    """One arrow of a diagram, from one node's name to another's."""

    source: str
    target: str
    label: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Diagram:
    """A diagram of a block or a network, as plain data. The report draws it."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class AgentGraph:
    """The layers of a network that agents decide one by one, and which layer feeds which.

    ``agents``: for each layer the names of its dimensions, in topological order. ``names``: of the layers.
    ``edges``: pairs (i, j), i < j, where the output of layer i reaches layer j with no other decided layer between,
    through a chain, a skip, a residual or a branch.
    """

    names: tuple[str, ...]
    agents: tuple[tuple[str, ...], ...]
    edges: tuple[tuple[int, int], ...]


@runtime_checkable
class Layered(Protocol):
    """A space whose dimensions belong to layers."""

    def agent_graph(self) -> AgentGraph:
        """The layers and the edges between them."""

    def original_choice(self) -> dict[str, Value]:
        """The network as its authors made it, even if its values are not among those searched."""


@runtime_checkable
class HasBase(Protocol):
    """A space with a hand-made network of its own kind, of any depth."""

    def base_choice(self, choice: Choice) -> tuple[str, dict[str, Value]]:
        """The hand-made network to compare a choice's network with, of the same depth.

        Returns its name for use in sentences, and its choice, even if its values are not among those searched.
        """


@runtime_checkable
class Tabled(Protocol):
    """A space whose networks can be shown as a table of layers."""

    @property
    def table_columns(self) -> tuple[str, ...]:
        """The headings of `table`."""

    def table(self, choice: Choice, classes: int) -> tuple[tuple[str, ...], ...]:
        """The network of a choice, one row per layer."""


@runtime_checkable
class SharesWeights(Protocol):
    """A space whose networks can be searched inside one training."""

    def supernet(self, task: TaskShape) -> Supernet:
        """The shared weights of all its networks, freshly drawn.

        Raises:
            InfeasibleArchitecture: the space has no network for the task.
        """


@runtime_checkable
class Space(Protocol):
    """A family of networks. A choice, with a value for each named dimension, selects one."""

    @property
    def name(self) -> str:
        """Short name, as in `SPACES`."""

    def distributions(self) -> dict[str, BaseDistribution]:
        """The dimensions, in a fixed order, as Optuna's distributions."""

    def starting_choice(self) -> dict[str, Value]:
        """A sensible choice to start from, always feasible."""

    def canonical(self, choice: Choice) -> dict[str, Value]:
        """The part of a choice that shapes the network, so that equal networks have equal forms.

        It never raises an error for a choice within the distributions, feasible or not.
        """

    def build(self, choice: Choice, task: TaskShape) -> nn.Module:
        """The network: images (batch, channels, *spatial) to logits (batch, classes, *spatial).

        Raises:
            InfeasibleArchitecture: no network can be built from the choice; the message says why.
        """

    def describe(self, choice: Choice) -> str:
        """One short line for tables, for example ``n=14 p=3 sup res``."""

    def diagrams(self, choice: Choice, task: TaskShape) -> tuple[Diagram, ...]:
        """Diagrams of the choice, the finest structure first (for example: block, network)."""


@runtime_checkable
class SetsTraining(Protocol):
    """A space whose choices set how their networks are trained, too."""

    def training(self, choice: Choice) -> dict[str, Any]:
        """The fields of `netwright.training.config.TrainingProtocol` that a choice sets.

        Augmentation is a table of the fields of its settings.
        """
