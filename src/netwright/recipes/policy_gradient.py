"""Policy gradient over a densely connected encoder-decoder: Mortazi and Bagci, "Automatically Designing CNN
Architectures for Medical Image Segmentation", MLMI at MICCAI 2018.

Adam with 1e-4 and cross-entropy, 50 epochs, rotation and scaling; the reward is the mean validation Dice of the last
five epochs; the winner's label maps are refined by a fully connected CRF where that helps on the validation cases.

The available summary of the paper does not say everything. Chosen here:

- Slices are those of the scans, in their own resolution and whole, because the network has two dimensions and ACDC's
  slices are 5 to 10 mm thick. Smaller slices are padded to the largest of the dataset. Sides over 320 pixels are not
  resized, which would blend pixels: they are cropped at random in training, and predicted in windows.
- Batches have 4 slices. A random network then fits into the 12 GB of the authors' cards at 216 x 256 pixels.
- Rotation is by at most 15 degrees, scaling from 0.8 to 1.2.
- All slices of the training volumes are used, also those without a label.
"""

from __future__ import annotations

from netwright.recipes.base import Recipe

RECIPES = {
    "policy-gradient": Recipe(
        name="policy-gradient",
        title="a densely connected encoder-decoder, all of its 76 hyperparameters moved at once",
        paper="Mortazi and Bagci, policy gradient, MLMI at MICCAI 2018",
        task="segmentation of images, or of volumes slice by slice; inpainting",
        values={
            "recipe": "policy-gradient",
            "space": {"name": "dense-encoder-decoder"},
            "strategy": {"name": "policy-gradient"},
            "training": {
                "loss": "cross_entropy",
                "optimizer": "adam",
                "learning_rate": 1e-4,
                "batch_size": 4,
                "epochs": 50,
                "score_epochs": 5,
                "augmentation": {
                    "probability": 1.0,
                    "rotation_degrees": 15.0,
                    "shift": 0.0,
                    "scale": (0.8, 1.2),
                },
            },
            "budget": {"trials": 300},
            "preprocessing": {"spacing": "native", "size": "whole"},
            "slices": {},
            "postprocessing": {"crf": True},
        },
    )
}
