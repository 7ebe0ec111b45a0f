"""SegNAS3D: Wong and Moradi, "SegNAS3D: Network Architecture Search with Derivative-Free Global Optimization for
3D Image Segmentation", MICCAI 2019.

A U-shaped network of one repeated block is found by controlled random search over a continuous relaxation of its
hyperparameters (Section 2.3); every candidate is trained as in Section 2.4. The three variants differ in what is
searched (Table 2). The first point is the space's starting choice, which the paper leaves open.
The training of Section 2.4 is the default of `TrainingProtocol`. Volumes are padded with the value of air: the paper
pads with zeros (Section 3.1), which z-scores, of which it says nothing, would make a grey as bright as tissue.
"""

from __future__ import annotations

from typing import Any

from netwright.recipes.base import Recipe

_TITLES = {
    "segnas11": "SegNAS11: the block and how blocks are connected (11 hyperparameters)",
    "segnas4": "SegNAS4: how blocks are connected, the block fixed to two 3 x 3 x 3 convolutions (4 hyperparameters)",
    "segnas7": "SegNAS7: the block, its connections fixed as in the V-Net (7 hyperparameters)",
}


def _values(name: str) -> dict[str, Any]:
    return {
        "recipe": name,
        "space": {"name": name},
        "preprocessing": {"pad_value": "air"},
        "strategy": {"name": "controlled-random-search", "first": "start"},
        "budget": {"trials": 300},
    }


RECIPES = {
    name: Recipe(
        name=name,
        title=title,
        paper="Wong and Moradi, SegNAS3D, MICCAI 2019",
        task="segmentation of 3D volumes",
        values=_values(name),
    )
    for name, title in _TITLES.items()
}
