"""Networks of cells as lists of steps, and the modules that the steps name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from netwright.errors import InfeasibleArchitecture
from netwright.nn.steps import IMAGE, Step, StepNetwork, Steps, Supernet, needed_steps
from netwright.spaces.base import TaskShape
from netwright.spaces.cells import operations as modules
from netwright.spaces.cells.genotype import (
    AVERAGE,
    IDENTITY,
    INPUTS,
    MAXIMUM,
    OPERATIONS,
    SEPARABLE_3,
    SEPARABLE_5,
    Cell,
    outputs_of,
    source_names,
)

STEM_FACTOR = 3
"""Channels of the stem, as a multiple of the first cell's channels."""
STEM, RECTIFIER, HEAD, AUXILIARY = "stem", "relu", "head", "auxiliary"
SMALLEST_SIDE = 4

Makers = dict[str, partial[Any]]


@dataclass(frozen=True)
class Shape:
    """What a network is apart from its cells; the fields are those of `CellSpace`."""

    nodes: int
    normal_cells: int
    channels: int
    affine: bool
    auxiliary: bool
    drop_path: float


class CellPosition(NamedTuple):
    """A cell's position in the stack.

    It holds the cell's number, whether it is a reduction cell, its channels, the channels of its two inputs, and
    whether the previous cell is a reduction cell, so that the first input is twice as large as the second.
    """

    number: int
    reduces: bool
    channels: int
    inputs: tuple[int, int]
    after_reduction: bool


def cell_positions(shape: Shape) -> list[CellPosition]:
    """The stack: three groups of ``normal_cells`` normal cells, with a reduction cell, which doubles channels, between
    the groups.
    """
    positions: list[CellPosition] = []
    width = shape.channels
    inputs = (STEM_FACTOR * width, STEM_FACTOR * width)
    for number in range(3 * shape.normal_cells + 2):
        reduces = number % (shape.normal_cells + 1) == shape.normal_cells
        width *= 2 if reduces else 1
        positions.append(
            CellPosition(number, reduces, width, inputs, bool(positions) and positions[-1].reduces)
        )
        inputs = (inputs[1], width)
    return positions


def network_steps(normal: Cell, reduction: Cell, shape: Shape) -> Steps:
    """The steps of a network that reach the logits or the auxiliary head, and no others. The last is the head.

    Args:
        normal: the normal cell.
        reduction: the reduction cell.
        shape: of the network.
    """
    steps = _StepList()
    features = [steps.add(STEM, IMAGE)] * 2
    auxiliary: int | None = None
    stack = cell_positions(shape)
    for position in stack:
        cell = reduction if position.reduces else normal
        features = [features[1], _add_cell(steps, position, cell, features)]
        if position.reduces and position.number > shape.normal_cells and shape.auxiliary:
            auxiliary = steps.add(AUXILIARY, features[1])
    head = steps.add(HEAD, features[1])
    return needed_steps(tuple(steps.steps), [head] if auxiliary is None else [head, auxiliary])


class _StepList:
    """A list of steps that is being built. A step that is already there is not added again."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._indices: dict[Step, int] = {}

    def add(self, key: str, *inputs: int, options: tuple[Any, ...] = ()) -> int:
        """The index of the step."""
        step = Step(key, inputs, options)
        if step not in self._indices:
            self._indices[step] = len(self.steps)
            self.steps.append(step)
        return self._indices[step]


def _add_cell(steps: _StepList, position: CellPosition, cell: Cell, features: list[int]) -> int:
    """Add a cell's steps. Returns the index of its output."""
    name = f"cell{position.number}"
    outputs = [
        steps.add(f"{name}/{source}", steps.add(RECTIFIER, given))
        for source, given in zip(INPUTS, features, strict=True)
    ]
    sources = source_names(len(cell))
    for number, node in enumerate(cell, start=1):
        paths: list[int] = []
        for source, operation in node:
            stride = _stride(position, source)
            given = outputs[source]
            if operation == IDENTITY and stride == 1:
                paths.append(given)
                continue
            if operation not in (AVERAGE, MAXIMUM):
                given = steps.add(RECTIFIER, given)
            paths.append(steps.add(_path_key(position, number, sources[source], operation, stride), given))
        droppable = tuple(operation != IDENTITY for _, operation in node)
        outputs.append(steps.add(f"{name}/node{number}", *paths, options=(droppable,)))
    last = outputs_of(cell)
    return steps.add(f"{name}/output", *(outputs[node + 1] for node in last), options=(last,))


def _stride(position: CellPosition, source: int) -> int:
    """The stride of an operation: 2 for those on the inputs of a reduction cell, else 1."""
    return 2 if position.reduces and source < len(INPUTS) else 1


def _path_key(position: CellPosition, node: int, source: str, operation: str, stride: int) -> str:
    """The name of a path's module. Poolings have no weights, so all poolings of one input are the same step."""
    if operation in (AVERAGE, MAXIMUM):
        return f"{operation}/stride{stride}"
    return f"cell{position.number}/node{node}/from-{source}/{operation}"


def operation_makers(shape: Shape, task: TaskShape, nodes: Mapping[bool, tuple[int, ...]]) -> Makers:
    """Makers of all modules that a step of any network can name.

    Args:
        shape: of the networks.
        task: channels and classes.
        nodes: for reduction cells (True) and normal cells (False), the nodes that have weights in the concatenation.
    """
    affine = shape.affine
    stack = cell_positions(shape)
    makers: Makers = {
        STEM: partial(modules.Stem, task.channels, STEM_FACTOR * shape.channels, affine),
        RECTIFIER: partial(modules.Rectifier),
        HEAD: partial(modules.Head, stack[-1].channels, task.classes),
    }
    for stride in (1, 2):
        for operation in (AVERAGE, MAXIMUM):
            makers[f"{operation}/stride{stride}"] = partial(modules.Pooling, operation, stride)
    for position in stack:
        makers |= _cell_makers(shape, position, nodes[position.reduces])
    if shape.auxiliary:
        second = stack[2 * shape.normal_cells + 1]
        size = [-(-length // 4) for length in task.size]
        makers[AUXILIARY] = partial(modules.AuxiliaryHead, second.channels, task.classes, size)
    return makers


def _cell_makers(shape: Shape, position: CellPosition, concatenated: tuple[int, ...]) -> Makers:
    name, channels, affine = f"cell{position.number}", position.channels, shape.affine
    first = modules.FactorisedReduction if position.after_reduction else modules.Projection
    makers: Makers = {
        f"{name}/{INPUTS[0]}": partial(first, position.inputs[0], channels, affine),
        f"{name}/{INPUTS[1]}": partial(modules.Projection, position.inputs[1], channels, affine),
        f"{name}/output": partial(modules.Concatenation, channels, concatenated, affine),
    }
    for node in range(1, shape.nodes + 1):
        makers[f"{name}/node{node}"] = partial(modules.Addition, shape.drop_path)
        for source_index, source in enumerate(source_names(node - 1)):
            stride = _stride(position, source_index)
            for operation in OPERATIONS:
                maker = _path_maker(operation, channels, stride, affine)
                if maker is not None:
                    makers[_path_key(position, node, source, operation, stride)] = maker
    return makers


def _path_maker(operation: str, channels: int, stride: int, affine: bool) -> partial[Any] | None:
    """The maker of an operation with weights; None for the others."""
    if operation in (SEPARABLE_3, SEPARABLE_5):
        kernel = 3 if operation == SEPARABLE_3 else 5
        return partial(modules.SeparableConvolution, channels, kernel, stride, affine)
    if operation == IDENTITY and stride == 2:
        return partial(modules.FactorisedReduction, channels, channels, affine)
    return None


class CellNetwork(StepNetwork):
    """The network of two cells: images (batch, channels, height, width) to logits (batch, classes).

    If the shape has an auxiliary head, after the second reduction cell, training returns a tuple with the auxiliary
    logits.

    Raises:
        InfeasibleArchitecture: the images are too small, or do not have two dimensions.
    """

    def __init__(self, normal: Cell, reduction: Cell, shape: Shape, task: TaskShape) -> None:
        check_size(task)
        steps = network_steps(normal, reduction, shape)
        makers = operation_makers(shape, task, {False: outputs_of(normal), True: outputs_of(reduction)})
        keys = dict.fromkeys(step.key for step in steps)
        auxiliary = [position for position, step in enumerate(steps) if step.key == AUXILIARY]
        super().__init__({key: makers[key]() for key in keys}, steps, auxiliary)


class CellSupernet(Supernet):
    """The weights of all networks of cells, with separate ones for each cell, node, source and operation.

    The paper only says so about the layers of autoencoders (Section 4.2: layers with other settings share no weights).
    """

    def __init__(
        self, shape: Shape, task: TaskShape, cells: Callable[[Mapping[str, Any]], tuple[Cell, Cell]]
    ) -> None:
        super().__init__()
        check_size(task)
        self._shape, self._cells = shape, cells
        every = tuple(range(1, shape.nodes + 1))
        for key, maker in operation_makers(shape, task, {False: every, True: every}).items():
            self.operations[key] = maker()

    def steps(self, choice: Mapping[str, Any]) -> Steps:
        """The steps of a choice's network."""
        return network_steps(*self._cells(choice), self._shape)


def check_size(task: TaskShape) -> None:
    """Check that the images are large enough for two reductions.

    Raises:
        InfeasibleArchitecture: they are too small, or do not have two dimensions.
    """
    words = " x ".join(map(str, task.size))
    if len(task.size) != 2:
        raise InfeasibleArchitecture(
            f"Cells are for images of two dimensions, but these are {words}: choose another space, or slices."
        )
    if min(task.size) < SMALLEST_SIDE:
        raise InfeasibleArchitecture(
            f"Two reduction cells leave too little of images of {words} pixels: expected at least {SMALLEST_SIDE} "
            "along each side. Use larger images."
        )
