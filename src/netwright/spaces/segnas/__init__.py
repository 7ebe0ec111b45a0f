"""The search spaces of SegNAS3D (Wong and Moradi 2019)."""

from netwright.spaces.segnas.space import SegNAS, SegNAS4, SegNAS7

__all__ = ["SegNAS", "SegNAS4", "SegNAS7"]
