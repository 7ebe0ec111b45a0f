"""Multi-agent Q-learning: Iranfar, Zapater and Atienza, "Multi-Agent Reinforcement Learning for Hyperparameter
Optimization of Convolutional Neural Networks", IEEE Transactions on Computer-Aided Design, 2022.

One agent a layer chooses the layer's hyperparameters from the sets of Table III. The reward weighs accuracy against
size (Equation 2), early termination is Fig. 7's, and networks are trained as in Table II and Section VII.

The networks are those that have the sizes of Table V: VGG-16 with one dense layer of 512 on small pictures (60 MB on
CIFAR-100) and with the original's two of 4096 on larger ones (138 million parameters, Table IV), U-Net with
up-convolutions of 3 x 3 (138 MB).

What the paper leaves open, and was chosen here: c_A = 0.9 and c_S = 0.1, accuracy counting from 0 to 100 as the
rewards of Fig. 9 do; learning rates (0.01 for SGD; 0.0001 for Adam, as a U-Net without normalisation does not learn
at 0.001); the amounts of augmentation; the thresholds of early termination (twice the original's time a batch for
ten batches; a share of a guess's loss for three epochs, from the 200th step on).

A network that was found is trained until it has converged (Section VII), after a thousand epochs at the latest.

The agents choose jointly (``strategy.variant: coordinated``), for which 300 episodes are a fair number. With
``strategy.variant=published`` they follow the paper's algorithms, for which it takes 500 (VGG-16), 4,500 (GoogLeNet)
and 2,000 (U-Net) episodes of exploration alone (Section VIII-D).
"""

from __future__ import annotations

from typing import Any

from netwright.recipes.base import Recipe

_CLASSIFICATION = {
    "loss": "cross_entropy",
    "optimizer": "sgd",
    "learning_rate": 1e-2,
    "epochs": 10,
    "patience": 10,
    "augmentation": {
        "probability": 1.0,
        "rotation_degrees": 15.0,
        "shift": 0.1,
        "scale": (1.0, 1.0),
        "flip": 0.5,
    },
}
_SEGMENTATION = {**_CLASSIFICATION, "loss": "dice", "optimizer": "adam", "learning_rate": 1e-4}


def _values(
    name: str, space: dict[str, Any], training: dict[str, Any], loss_of_guess: float
) -> dict[str, Any]:
    return {
        "recipe": name,
        "space": space,
        "strategy": {"name": "q-learning"},
        "objective": {"weight": 0.9, "percent": True, "per_epoch": True, "costs": {"size_mb": 0.1}},
        "training": training,
        "train": {"epochs": 1000, "patience": 10, "schedule": "constant"},
        "termination": {"slower_than_start": 2.0, "loss_of_guess": loss_of_guess},
        "budget": {"trials": 300, "fewest_epochs": 3},
    }


def _recipe(name: str, title: str, task: str, values: dict[str, Any]) -> Recipe:
    return Recipe(
        name=name,
        title=title,
        paper="Iranfar et al., multi-agent Q-learning, 2022",
        task=task,
        values=values,
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _recipe(
            "marl-vgg16",
            "every layer of VGG-16, one agent each",
            "classification of images",
            _values(
                "marl-vgg16", {"name": "vgg16", "units": None}, {**_CLASSIFICATION, "batch_size": 128}, 0.98
            ),
        ),
        _recipe(
            "marl-googlenet",
            "every layer of GoogLeNet, inception modules and auxiliary heads included, one agent each",
            "classification of images",
            _values("marl-googlenet", {"name": "googlenet"}, {**_CLASSIFICATION, "batch_size": 32}, 0.98),
        ),
        _recipe(
            "marl-unet",
            "every layer of a 2D U-Net, one agent each",
            "segmentation of images, or of volumes slice by slice; inpainting",
            {
                **_values(
                    "marl-unet", {"name": "unet", "up_kernel": 3}, {**_SEGMENTATION, "batch_size": 20}, 0.9
                ),
                "slices": {},
            },
        ),
        _recipe(
            "marl",
            "every layer of your own network (--network package.module:factory), one agent each",
            "classification, segmentation or inpainting",
            _values(
                "marl",
                {"name": "layerwise"},
                {**_SEGMENTATION, "learning_rate": 1e-3, "batch_size": 16},
                0.95,
            ),
        ),
    )
}
