"""Networks of repeated cells: the micro space of ENAS, as PDAS searches it."""

from netwright.spaces.cells.genotype import OPERATIONS, Cell, Path
from netwright.spaces.cells.network import CellNetwork
from netwright.spaces.cells.space import CellSpace

__all__ = ["OPERATIONS", "Cell", "CellNetwork", "CellSpace", "Path"]
