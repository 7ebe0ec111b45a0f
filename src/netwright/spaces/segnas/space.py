"""The search spaces SegNAS11, SegNAS4 and SegNAS7 (Wong and Moradi 2019, Table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, ClassVar

from optuna.distributions import BaseDistribution, IntDistribution
from torch import nn

from netwright.errors import SettingsError
from netwright.nn.steps import Supernet
from netwright.spaces.base import Choice, Diagram, TaskShape, Value
from netwright.spaces.segnas.block import (
    Matrix,
    gene_count,
    illegality,
    matrix_genes,
    operation_matrix,
    simplify,
)
from netwright.spaces.segnas.diagrams import block_diagram, network_diagram
from netwright.spaces.segnas.network import Architecture, SegNASNetwork, check_size
from netwright.spaces.segnas.operations import OPERATIONS
from netwright.spaces.segnas.supernet import Edges, Extent, SegNASSupernet, edges_of

# A fixed value, or bounds [a, b) as in Table 2: b itself is excluded.
Bounds = int | tuple[int, int]

# Two cascaded Conv(3,1) with three nodes: the fixed block of SegNAS4, and the start of a search.
CASCADE_NODES = 3
CASCADE_GENES = (2, 0, 2)
STARTING_VALUES = {"n": 16, "p": 3, "sup": 1, "res": 1, "nodes": CASCADE_NODES}
SMALLEST = {"n": 1, "p": 1, "sup": 0, "res": 0, "nodes": 2}


@dataclass(frozen=True, kw_only=True)
class SegNAS:
    """A U-shaped 3D network of repeated blocks; the defaults are SegNAS11.

    Every dimension is a fixed value or half-open bounds [a, b). Fixed dimensions are not searched.

    Args:
        n: feature channels of the first block.
        p: max poolings.
        sup: deep supervision, 0 or 1.
        res: residual connection around each block, 0 or 1.
        nodes: nodes of a block; the upper bound determines the number of operations.
        ops: operations of the block, each from 0 to 6; None: they are searched.
        dropout: rate of the spatial dropout in each block. The paper does not give it; 0.05 regularises slightly
            without harming networks with few channels in short trainings.

    Raises:
        SettingsError: bounds are empty or out of range, or fixed operations are too few or illegal.
    """

    name: ClassVar[str] = "segnas11"

    n: Bounds = (8, 33)
    p: Bounds = (2, 6)
    sup: Bounds = (0, 2)
    res: Bounds = (0, 2)
    nodes: Bounds = (2, 5)
    ops: tuple[int, ...] | None = None
    dropout: float = 0.05

    def __post_init__(self) -> None:
        for dimension in SMALLEST:
            object.__setattr__(self, dimension, _checked_bounds(dimension, getattr(self, dimension)))
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout must be at least 0 and below 1, but is {self.dropout}.")
        if self.ops is None:
            return
        object.__setattr__(self, "ops", tuple(int(operation) for operation in self.ops))
        try:
            operation_matrix(self._highest_nodes, self.ops)
        except ValueError as error:
            raise SettingsError(f"ops: {error}") from error
        reason = illegality(self.architecture(self.starting_choice()).matrix)
        if reason is not None:
            raise SettingsError(f"ops: {self.ops} is an illegal block: {reason}.")

    def distributions(self) -> dict[str, BaseDistribution]:
        """The searched dimensions, in the order of the paper's Table 2."""
        searched: dict[str, BaseDistribution] = {}
        for dimension in SMALLEST:
            bounds = getattr(self, dimension)
            if not isinstance(bounds, int):
                searched[dimension] = IntDistribution(bounds[0], bounds[1] - 1)
        for gene in self._genes:
            searched[gene] = IntDistribution(0, OPERATIONS - 1)
        return searched

    def starting_choice(self) -> dict[str, Value]:
        """n=16 p=3 sup res and two cascaded Conv(3,1), clipped to the bounds.

        Operations beyond the block's three nodes are set as in a cascade, so that any number of nodes is
        legal.
        """
        choice: dict[str, Value] = {}
        for dimension, start in STARTING_VALUES.items():
            bounds = getattr(self, dimension)
            if not isinstance(bounds, int):
                choice[dimension] = min(max(start, bounds[0]), bounds[1] - 1)
        cascade = [
            CASCADE_GENES[0] if source == target - 1 else 0
            for target in range(1, self._highest_nodes)
            for source in range(target)
        ]
        choice.update(zip(self._genes, cascade, strict=False))
        return choice

    def canonical(self, choice: Choice) -> dict[str, Value]:
        """The searched dimensions that shape the network, in order.

        Operations of unused nodes are dropped, and a legal searched block is written in its smallest form
        (see `netwright.spaces.segnas.block.simplify`). It can have fewer nodes than the bounds allow.
        So if operations are searched, ``nodes`` is included even if it is fixed.
        """
        architecture = self.architecture(choice)
        values = {
            "n": architecture.n,
            "p": architecture.p,
            "sup": int(architecture.sup),
            "res": int(architecture.res),
            "nodes": len(architecture.matrix),
        }
        names = {*self.distributions()}
        if self.ops is None:
            genes = matrix_genes(architecture.matrix)
            values.update({f"op{index}": gene for index, gene in enumerate(genes, start=1)})
            names.add("nodes")
        elif not isinstance(self.nodes, int):
            same = (n for n in range(*self.nodes) if self._matrix(n, self.ops) == architecture.matrix)
            values["nodes"] = next(same)
        return {name: value for name, value in values.items() if name in names}

    def architecture(self, choice: Choice) -> Architecture:
        """The architecture of a choice: fixed dimensions are filled in, the block is in its smallest form."""
        nodes = self._value(choice, "nodes")
        genes = self.ops
        if genes is None:
            nodes = int(choice.get("nodes", nodes))
            genes = tuple(int(choice[gene]) for gene in self._genes[: gene_count(nodes)])
        p = self._value(choice, "p")
        return Architecture(
            n=self._value(choice, "n"),
            p=p,
            # With one pooling the decoder has one level, so deep supervision makes no difference.
            sup=bool(self._value(choice, "sup")) and p > 1,
            res=bool(self._value(choice, "res")),
            matrix=self._matrix(nodes, genes),
        )

    def build(self, choice: Choice, task: TaskShape) -> nn.Module:
        """The network: images (batch, channels, depth, height, width) to logits (batch, classes, ...).

        Raises:
            InfeasibleArchitecture: the block is illegal, or p poolings reduce the input to nothing.
        """
        return SegNASNetwork(self.architecture(choice), task, dropout=self.dropout)

    def supernet(self, task: TaskShape) -> Supernet:
        """The shared weights of all networks, freshly drawn; n must be fixed.

        If networks with different numbers of channels shared weights, they would be judged mostly by how many of the
        weights they use, and with the paper's bounds there would be three billion weights. SegNAS7 has 180 million for
        one channel and 20 classes.

        Raises:
            SettingsError: n is searched.
            InfeasibleArchitecture: the task's images are not 3D, or even the fewest poolings reduce them to nothing.
        """
        if not isinstance(self.n, int):
            raise SettingsError(
                f"n is searched within {list(self.n)}, but a search inside one training takes a fixed number of "
                "channels. Set it, for example space.n=16."
            )
        fewest, most = (self.p, self.p) if isinstance(self.p, int) else (self.p[0], self.p[1] - 1)
        check_size(task.size, fewest)
        deepest = min(most, min(task.size).bit_length() - 1)
        extent = Extent(self.n, deepest, sup=self.sup != 0, res=self.res != 0, edges=self._edges())
        return SegNASSupernet(extent, self.architecture, task)

    def describe(self, choice: Choice) -> str:
        """For example ``n=14 p=3 sup res``, and for a searched block also ``nodes=3 ops=2,0,2``."""
        architecture = self.architecture(choice)
        words = [f"n={architecture.n}", f"p={architecture.p}"]
        words += ["sup"] if architecture.sup else []
        words += ["res"] if architecture.res else []
        if self.ops is None or not isinstance(self.nodes, int):
            genes = ",".join(map(str, matrix_genes(architecture.matrix)))
            words += [f"nodes={len(architecture.matrix)}", f"ops={genes}"]
        return " ".join(words)

    def diagrams(self, choice: Choice, task: TaskShape) -> tuple[Diagram, ...]:
        """The block as a graph, and the network as a U."""
        architecture = self.architecture(choice)
        return block_diagram(architecture.matrix), network_diagram(architecture, task)

    def count_choices(self) -> int:
        """The number of combinations of integer values of all searched dimensions."""
        return prod(
            distribution.high - distribution.low + 1
            for distribution in self.distributions().values()
            if isinstance(distribution, IntDistribution)
        )

    def count_blocks(self) -> int:
        """The number of legal blocks that are distinct networks: forms of the block after `canonical`."""
        counts = [self.nodes] if isinstance(self.nodes, int) else range(*self.nodes)
        blocks: set[Matrix] = set()
        for nodes in counts:
            free = [range(OPERATIONS)] * gene_count(nodes) if self.ops is None else [[op] for op in self.ops]
            matrices = (self._matrix(nodes, genes) for genes in product(*free))
            blocks.update(matrix for matrix in matrices if illegality(matrix) is None)
        return len(blocks)

    @property
    def _highest_nodes(self) -> int:
        return self.nodes if isinstance(self.nodes, int) else self.nodes[1] - 1

    @property
    def _genes(self) -> list[str]:
        if self.ops is not None:
            return []
        return [f"op{index}" for index in range(1, gene_count(self._highest_nodes) + 1)]

    def _edges(self) -> Edges:
        """The edges of all blocks."""
        if self.ops is not None:
            counts = [self.nodes] if isinstance(self.nodes, int) else range(*self.nodes)
            return edges_of(self._matrix(nodes, self.ops) for nodes in counts)
        length = gene_count(self._highest_nodes)
        return edges_of(operation_matrix(self._highest_nodes, [op] * length) for op in range(OPERATIONS))

    @staticmethod
    def _matrix(nodes: int, genes: Sequence[int]) -> Matrix:
        return simplify(operation_matrix(nodes, genes))

    def _value(self, choice: Choice, dimension: str) -> int:
        bounds = getattr(self, dimension, None)
        return bounds if isinstance(bounds, int) else int(choice[dimension])


@dataclass(frozen=True, kw_only=True)
class SegNAS4(SegNAS):
    """Searches the block-connecting dimensions n, p, sup, res; the block is two cascaded Conv(3,1) (Table 2)."""

    name: ClassVar[str] = "segnas4"

    nodes: Bounds = CASCADE_NODES
    ops: tuple[int, ...] | None = CASCADE_GENES


@dataclass(frozen=True, kw_only=True)
class SegNAS7(SegNAS):
    """Searches the block's nodes and operations; n=16 p=4 res, inferred from the V-Net, are fixed (Table 2)."""

    name: ClassVar[str] = "segnas7"

    n: Bounds = 16
    p: Bounds = 4
    sup: Bounds = 0
    res: Bounds = 1


def _checked_bounds(dimension: str, bounds: Any) -> Bounds:
    """An integer or a pair of integers; a range with one value counts as fixed."""
    values = (bounds, bounds + 1) if isinstance(bounds, int) else bounds
    expected = "expected a fixed integer or half-open bounds [a, b)"
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 2:
        raise SettingsError(f"{dimension}: {expected}, but got {bounds!r}.")
    if not all(isinstance(value, int) for value in values) or values[0] >= values[1]:
        raise SettingsError(f"{dimension}: {expected} of integers with a < b, but got {bounds!r}.")
    low, high = int(values[0]), int(values[1])
    if low < SMALLEST[dimension] or (dimension in ("sup", "res") and high > 2):
        allowed = "0 or 1" if dimension in ("sup", "res") else f"at least {SMALLEST[dimension]}"
        raise SettingsError(f"{dimension}: must be {allowed}, but got {bounds!r}.")
    return low if high == low + 1 else (low, high)
