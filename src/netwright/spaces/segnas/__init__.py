"""The search spaces of SegNAS3D (Wong and Moradi 2019)."""

from netwright.spaces.segnas.space import SegNAS, segnas4, segnas7, segnas11

__all__ = ["SegNAS", "segnas4", "segnas7", "segnas11"]
