"""What every search space offers: distributions, a canonical form, and a network for a choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from optuna.distributions import BaseDistribution
from torch import nn

from netwright.nn.steps import Supernet

Value = int | float | str | bool
Choice = Mapping[str, Value]


class TaskShape(Protocol):
    """The part of a task that a network must fit."""

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
    """Whether every voxel has a label, as in segmentation, and not the image as a whole, be it one label or several."""
    size = tuple(task.size)
    return tuple(getattr(task, "label_size", size))[-len(size) :] == size


@dataclass(frozen=True)
class Node:
    """One box of a diagram; `column` and `row` are grid positions (column to the right, row downwards)."""

    name: str
    label: str
    column: int
    row: int
    detail: str = ""


@dataclass(frozen=True)
class Edge:
    """One arrow of a diagram, from node name to node name."""

    source: str
    target: str
    label: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Diagram:
    """A drawing of a block or a network, in plain data: the report turns it into a picture."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class AgentGraph:
    """The layers of a network that are decided one by one, and which feeds which.

    ``agents``: in topological order, each the names of the dimensions that shape one layer. ``names``: of the
    layers. ``edges``: pairs (i, j), i < j, where the output of layer i reaches layer j with no other decided
    layer between, be it along the chain, a skip, a residual or a branch.
    """

    names: tuple[str, ...]
    agents: tuple[tuple[str, ...], ...]
    edges: tuple[tuple[int, int], ...]


@runtime_checkable
class Layered(Protocol):
    """What a space of layers offers besides."""

    def agent_graph(self) -> AgentGraph:
        """The layers and the edges between them."""

    def original_choice(self) -> dict[str, Value]:
        """The network as its authors made it, whether or not its values are among those searched."""


@runtime_checkable
class HasBase(Protocol):
    """What a space offers besides that has a hand-made network of its own kind, of any depth."""

    def base_choice(self, choice: Choice) -> tuple[str, dict[str, Value]]:
        """The hand-made network that a choice's network is to be compared with, of the same depth: how sentences call
        it, and its choice, whether or not its values are among those searched.
        """


@runtime_checkable
class Tabled(Protocol):
    """What a space offers besides whose networks are told layer by layer."""

    @property
    def table_columns(self) -> tuple[str, ...]:
        """Names of the columns of `table`."""

    def table(self, choice: Choice, classes: int) -> tuple[tuple[str, ...], ...]:
        """The network of a choice, a row a layer."""


@runtime_checkable
class SharesWeights(Protocol):
    """What a space offers besides whose networks can be searched inside one training."""

    def supernet(self, task: TaskShape) -> Supernet:
        """The shared weights of all its networks, freshly drawn.

        Raises:
            InfeasibleArchitecture: the task is not one of its networks'.
        """


@runtime_checkable
class Space(Protocol):
    """A family of networks, addressed by choices: a value for each named dimension."""

    @property
    def name(self) -> str:
        """Short name, as in `SPACES`."""

    def distributions(self) -> dict[str, BaseDistribution]:
        """The dimensions, in a fixed order, as Optuna's distributions."""

    def starting_choice(self) -> dict[str, Value]:
        """A sensible choice to start from; always feasible."""

    def canonical(self, choice: Choice) -> dict[str, Value]:
        """What really shapes the network: unused genes dropped, so that equal networks have equal forms.

        Never raises for a choice within the distributions, feasible or not.
        """

    def build(self, choice: Choice, task: TaskShape) -> nn.Module:
        """The network: images (batch, channels, *spatial) to logits (batch, classes, *spatial).

        Raises:
            InfeasibleArchitecture: the choice makes no network; the message says why.
        """

    def describe(self, choice: Choice) -> str:
        """One short line for tables, for example ``n=14 p=3 sup res``."""

    def diagrams(self, choice: Choice, task: TaskShape) -> tuple[Diagram, ...]:
        """Drawings of the choice, the finest structure first (for example: block, network)."""
