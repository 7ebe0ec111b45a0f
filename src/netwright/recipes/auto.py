"""`auto`: netwright's own recipe, whose trainings go on.

Every candidate is a network with the values of its own training. All train side by side under one protocol, without a
schedule that must know its end: a short warm-up, a constant rate, and averaged weights wherever a network is judged.
Who goes on is decided again and again. The starting choice, which is the best default that we know, runs along.
"""

from __future__ import annotations

from netwright.data.volumes.preprocessing import FOR_ANY_DATA
from netwright.recipes.base import Recipe

RECIPES = {
    "auto": Recipe(
        name="auto",
        title="trainings that go on: the best default and its variants, raced for the hours that there are",
        paper="netwright's own",
        task="segmentation in 2D and 3D, and classification",
        values={
            "recipe": "auto",
            "space": {"name": "encoder-decoder"},
            "strategy": {"name": "prior", "first": "start", "suggestions": "space"},
            "budget": {"hours": 1.0},
            "race": {},
            "split": (0.6, 0.2, 0.2),
            "preprocessing": dict(FOR_ANY_DATA),
            "training": {
                "schedule": "constant",
                "warm_up_steps": 50,
                "averaging": 0.998,
                "fast_convolutions": True,
                "patches": 4,
                "foreground_patches": 0.33,
                "validation_share": 0.08,
                "validation_patches": 8,
                "in_parts": True,
                "epochs": 100000,
            },
            "train": {"epochs": 200, "schedule": "cosine"},
            "verdict": {"random_choices": 0},
            "machine": {"checkpoint_seconds": 20.0, "keep_weights": "all"},
        },
        spaces={"segmentation": "encoder-decoder", "classification": "classifier-stages"},
    )
}
