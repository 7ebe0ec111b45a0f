"""PDAS: "Probabilistic Model-Based Dynamic Architecture Search" (under review at ICLR 2019, anonymous).

The first two recipes search inside one training by a stochastic natural gradient with an adaptive learning rate, as in
Sections 4.1 and 4.2. They search on all cases except the test cases, and the network that was found is then trained on
the same ones from scratch, as in the paper; a network of cells is larger then. The third recipe is no published system:
it searches the blocks of SegNAS3D in the same way on the training cases, and trains the result as the paper of SegNAS3D
does.

The paper does not say everything. Chosen here: plain momentum; a cutout of 16 x 16 pixels, as in DeVries and Taylor
2017 for CIFAR-10; no weight decay for autoencoders, as the paper gives one for cells only; new masks for every batch.
"""

from __future__ import annotations

from typing import Any

from netwright.recipes.base import Recipe

PAPER = "anonymous, PDAS, under review at ICLR 2019"
ALL = "training+validation"
_SGD = {
    "optimizer": "sgd",
    "nesterov": False,
    "learning_rate": 0.025,
    "schedule": "cosine",
    "warm_up": False,
    "gradient_norm": 5.0,
}
_FLIP_ALONE = {"probability": 0.0, "rotation_degrees": 0.0, "shift": 0.0, "scale": (1.0, 1.0), "flip": 0.5}


def _values(name: str, space: str, shared: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipe": name,
        "space": {"name": space},
        "strategy": {"name": "natural-gradient"},
        "supernet": shared,
        "training": {**_SGD, **training},
        "train": {"cases": ALL},
    }


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="pdas-cells",
            title="the cells of a classifier, searched inside one training",
            paper=PAPER,
            task="classification of pictures",
            values=_values(
                "pdas-cells",
                "cells",
                {"cases": ALL, "space": {"channels": 16, "normal_cells": 2}},
                {
                    "loss": "cross_entropy",
                    "loss_auxiliary_weight": 0.4,
                    "weight_decay": 3e-4,
                    "batch_size": 80,
                    "epochs": 600,
                    "augmentation": {**_FLIP_ALONE, "crop": 4, "cutout": 16},
                },
            ),
        ),
        Recipe(
            name="pdas-inpainting",
            title="a symmetric convolutional autoencoder, searched inside one training",
            paper=PAPER,
            task="inpainting of pictures",
            values=_values(
                "pdas-inpainting",
                "autoencoder",
                {"cases": ALL, "steps": 50_000, "batch_size": 16, "weight_decay": 0.0},
                {"loss": "mse", "batch_size": 16, "steps": 500_000, "augmentation": _FLIP_ALONE},
            ),
        ),
        Recipe(
            name="pdas-segnas7",
            title="the block of a U-shaped network, searched inside one training",
            paper=f"{PAPER}; Wong and Moradi, SegNAS3D, MICCAI 2019",
            task="segmentation of 3D volumes",
            values={
                "recipe": "pdas-segnas7",
                "space": {"name": "segnas7"},
                "strategy": {"name": "natural-gradient"},
                "supernet": {"epochs": 100, "batch_size": 3},
            },
        ),
    )
}
