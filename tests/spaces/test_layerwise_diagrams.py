"""Drawings of layer-wise spaces."""

from __future__ import annotations

import torch
from torch import nn

from netwright.spaces.layerwise import from_module
from netwright.tasks.segmentation.network_task import SegmentationTask


def test_a_layer_may_be_called_output() -> None:
    network = nn.Sequential()
    network.add_module("first", nn.Conv2d(1, 8, 3, padding=1))
    network.add_module("output", nn.Conv2d(8, 3, 3, padding=1))
    space = from_module(network, torch.zeros(1, 1, 8, 8))
    task = SegmentationTask(channels=1, label_names=("a", "b"), size=(8, 8))
    (diagram,) = space.diagrams(space.original_choice(), task)
    names = [node.name for node in diagram.nodes]
    assert len(names) == len(set(names)) == 4
    assert [node.label for node in diagram.nodes] == ["image", "first", "output", "logits"]
    assert [(edge.source, edge.target) for edge in diagram.edges] == [
        (names[0], "first"),
        ("first", "output"),
        ("output", names[3]),
    ]
