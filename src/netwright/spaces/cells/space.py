"""The micro search space of ENAS (Pham et al. 2018) as PDAS searches it: a normal and a reduction cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

from optuna.distributions import BaseDistribution, CategoricalDistribution

from netwright.errors import SettingsError
from netwright.nn.steps import Supernet
from netwright.spaces.base import Choice, Diagram, TaskShape, Value
from netwright.spaces.cells.diagrams import cell_diagram, network_diagram
from netwright.spaces.cells.genotype import (
    INPUTS,
    KINDS,
    OPERATIONS,
    SEPARABLE_3,
    Cell,
    cell_of,
    dimension_names,
    genes_of,
    outputs_of,
    smallest_form,
    source_names,
)
from netwright.spaces.cells.network import CellNetwork, CellSupernet, Shape, check_size
from netwright.spaces.cells.sizes import channels_for

SHARED_CHANNELS = 16
"""The channels of networks that share weights, unless the user sets them (Section 4.1)."""
RENUMBERED_NODES = 6
"""Cells with more nodes are not renumbered in the canonical form, because there are too many orders to try."""


@dataclass(frozen=True, kw_only=True)
class CellSpace:
    """Each node adds the results of two operations. Outputs that no node takes are concatenated to the cell's output.

    There are 40 dimensions by default: two sources and two operations for each of 2 x 5 nodes. The defaults are those
    of the network that is trained in the end. A search inside one training has ``channels=16, normal_cells=2``
    (Section 4.1).

    Args:
        nodes: nodes of a cell.
        normal_cells: normal cells in each of three groups; the two reduction cells are between the groups. N in the
            paper.
        channels: channels of the first cell; each reduction cell doubles them. None: so many that a network has about
            ``parameters`` weights.
        parameters: weights of a network where ``channels`` is None. The auxiliary head is not counted, as it is not
            part of the trained network.
        affine: True: batch normalisations have scale and shift, and keep statistics. False: all but the stem's have
            neither, and every batch is normalised by itself.
        auxiliary: whether there is an auxiliary head after the second reduction cell, in training.
        drop_path: probability of leaving out a path; it grows evenly from 0 to this value at the end of the training.

    Raises:
        SettingsError: a value is out of range.
    """

    name: ClassVar[str] = "cells"
    table_columns: ClassVar[tuple[str, ...]] = ("cell", "node", "first", "of", "second", "of")

    nodes: int = 5
    normal_cells: int = 6
    channels: int | None = None
    parameters: int = 3_000_000
    affine: bool = True
    auxiliary: bool = True
    drop_path: float = 0.3

    def __post_init__(self) -> None:
        for name in ("nodes", "normal_cells", "channels", "parameters"):
            value = getattr(self, name)
            if (type(value) is not int or value < 1) and not (name == "channels" and value is None):
                raise SettingsError(f"{name} must be a whole number of at least 1, but is {value!r}.")
        if isinstance(self.drop_path, bool) or not 0 <= self.drop_path < 1:
            raise SettingsError(f"drop_path must be at least 0 and below 1, but is {self.drop_path!r}.")

    def distributions(self) -> dict[str, BaseDistribution]:
        """The dimensions of the normal cell, then those of the reduction cell, node by node.

        Names are ``normal.node1.source1``, ``.source2``, ``.operation1``, ``.operation2`` and so on.
        """
        distributions: dict[str, BaseDistribution] = {}
        for kind in KINDS:
            for number in range(1, self.nodes + 1):
                sources = CategoricalDistribution(source_names(number - 1))
                for name in dimension_names(kind, number):
                    gene = name.rpartition(".")[2]
                    distributions[name] = (
                        sources if gene.startswith("source") else CategoricalDistribution(OPERATIONS)
                    )
        return distributions

    def starting_choice(self) -> dict[str, Value]:
        """3 x 3 separable convolutions of both inputs in every node."""
        start: dict[str, Value] = {}
        for kind in KINDS:
            for number in range(1, self.nodes + 1):
                values = (*INPUTS, SEPARABLE_3, SEPARABLE_3)
                start.update(zip(dimension_names(kind, number), values, strict=True))
        return start

    def canonical(self, choice: Choice) -> dict[str, Value]:
        """The paths of each node sorted, and the nodes in the first of the orders that give the same cell.

        Every gene shapes the network, so none is dropped.
        """
        canonical: dict[str, Value] = {}
        for kind, cell in zip(KINDS, self.cells(choice), strict=True):
            canonical.update(genes_of(smallest_form(cell) if self.nodes <= RENUMBERED_NODES else cell, kind))
        return canonical

    def cells(self, choice: Mapping[str, Any]) -> tuple[Cell, Cell]:
        """The normal and the reduction cell, nodes in the order of the choice."""
        normal, reduction = (cell_of(choice, kind, self.nodes) for kind in KINDS)
        return normal, reduction

    def build(self, choice: Choice, task: TaskShape) -> CellNetwork:
        """The network: images (batch, channels, height, width) to logits (batch, classes).

        Raises:
            InfeasibleArchitecture: the images are too small, or do not have two dimensions.
        """
        normal, reduction = self.cells(choice)
        return CellNetwork(normal, reduction, self._shape(choice, task), task)

    def supernet(self, task: TaskShape) -> Supernet:
        """The shared weights of all its networks, freshly drawn, with 16 channels where ``channels`` is None.

        Whatever the options are, batch normalisations have no scale, shift or statistics, and there is no auxiliary
        head and no dropped path (Section 4.1).

        Raises:
            InfeasibleArchitecture: the images are too small, or do not have two dimensions.
        """
        plain = replace(self, affine=False, auxiliary=False, drop_path=0.0)
        return CellSupernet(plain._shape_with(self.channels or SHARED_CHANNELS), task, self.cells)

    def describe(self, choice: Choice) -> str:
        """For example ``normal: 6 separable3, 3 maximum3, 1 identity, 2 outputs; reduction: ...``."""
        words = []
        for kind, cell in zip(KINDS, self.cells(choice), strict=True):
            counts = Counter(path.operation for node in cell for path in node)
            parts = [f"{counts[operation]} {operation}" for operation in OPERATIONS if counts[operation]]
            outputs = len(outputs_of(cell))
            words.append(f"{kind}: {', '.join(parts)}, {outputs} output{'s' * (outputs != 1)}")
        return "; ".join(words)

    def table(self, choice: Choice, classes: int) -> tuple[tuple[str, ...], ...]:
        """One row per node: what it adds."""
        names = source_names(self.nodes)
        return tuple(
            (kind, str(number), first.operation, names[first.source], second.operation, names[second.source])
            for kind, cell in zip(KINDS, self.cells(choice), strict=True)
            for number, (first, second) in enumerate(cell, start=1)
        )

    def diagrams(self, choice: Choice, task: TaskShape) -> tuple[Diagram, ...]:
        """The normal cell, the reduction cell, and the stack of cells.

        Raises:
            InfeasibleArchitecture: the images are too small, or do not have two dimensions.
        """
        check_size(task)
        cells = self.cells(choice)
        drawn = (cell_diagram(kind, cell) for kind, cell in zip(KINDS, cells, strict=True))
        return *drawn, network_diagram(self._shape(choice, task), task)

    def count_choices(self) -> int:
        """The number of combinations of all dimensions' values."""
        distributions = self.distributions().values()
        return prod(len(d.choices) for d in distributions if isinstance(d, CategoricalDistribution))

    def _shape(self, choice: Choice, task: TaskShape) -> Shape:
        if self.channels is not None:
            return self._shape_with(self.channels)
        normal, reduction = self.cells(choice)
        shape = self._shape_with(1)
        width = channels_for(self.parameters, normal, reduction, shape, task.channels, task.classes)
        return self._shape_with(width)

    def _shape_with(self, channels: int) -> Shape:
        return Shape(
            self.nodes, self.normal_cells, channels, self.affine, self.auxiliary, float(self.drop_path)
        )
