"""How a candidate is trained: every setting of it, as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from netwright.data.loading.augmentation_settings import AugmentationSettings
from netwright.errors import SettingsError
from netwright.setting_fields import require_ranges, setting
from netwright.training.early_stopping import EarlyTermination

Optimizer = Literal["nadam", "adam", "sgd"]
Schedule = Literal["constant", "cosine"]

MOST_VALIDATIONS = 200
"""Of a training whose length is given in steps: where there are few cases, its epochs are very many."""


@dataclass(frozen=True)
class TrainingProtocol:
    """How a network is trained; by default as in SegNAS3D (Section 2.4): Nadam 1e-3, batch 3, 100 epochs, augmentation.

    The paper names no schedule, hence "constant"; "cosine" is that of Loshchilov and Hutter 2017, without restarts.
    Mortazi and Bagci 2018 take the mean of five epochs' metrics (``score_epochs``).

    Raises:
        SettingsError: a value is out of range.
    """

    # Read by `netwright.settings`: a mistyped name is an error there, as it is here.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    optimizer: Optimizer = setting("nadam", "`sgd` has momentum 0.9, the others have their usual constants")
    nesterov: bool = setting(True, "Nesterov's momentum in `sgd`; `false`: the plain one")
    learning_rate: float = setting(1e-3, "learning rate at its highest", over=0)
    weight_decay: float = setting(
        0.0,
        "L2 regularisation of all weights: so many times the weight is added to its gradient, in `adam` and `nadam` "
        "before they scale it (not the decoupled decay of AdamW)",
        at_least=0,
    )
    gradient_norm: float | None = setting(
        None,
        "a gradient that is longer, over all weights, is scaled down to this length; `null`: never",
        over=0,
    )
    schedule: Schedule = setting(
        "constant",
        "learning rate over time; `cosine`: a short linear warm-up, then down to zero. Always `cosine` in a search "
        "limited in hours, and in the final comparison unless `verdict.schedule` says otherwise",
    )
    warm_up: bool = setting(
        True,
        "whether `cosine` has its warm-up, over the first epoch or 5 % of the steps, whichever is shorter; `false`: it "
        "starts at the full rate",
    )
    loss: str = setting(
        "exponential_logarithmic",
        "`exponential_logarithmic`; `dice_cross_entropy`: 1 - Dice plus unweighted cross-entropy; `dice`: 1 - Dice; "
        "`cross_entropy`: unweighted, the one for classification; `binary_cross_entropy`: unweighted, the one for "
        "several labels a picture; `mse`: the mean squared error, the one for inpainting",
    )
    loss_dice_weight: float = setting(0.8, "weight of Dice in the loss", at_least=0)
    loss_cross_entropy_weight: float = setting(0.2, "weight of cross-entropy in the loss", at_least=0)
    loss_gamma: float = setting(0.3, "exponent of both terms of the exponential logarithmic loss", over=0)
    loss_auxiliary_weight: float = setting(
        0.3, "weight of each auxiliary head of a network that has any; that of its output is 1", at_least=0
    )
    batch_size: int = setting(3, "images a step", at_least=1)
    epochs: int = setting(
        100,
        "passes over the training cases: exactly so many; at most, where `training.seconds` is set; `--epochs`",
        at_least=1,
    )
    steps: int | None = setting(
        None,
        "steps of the optimiser, in place of epochs: as many whole epochs as it takes. `--epochs` turns it off",
        at_least=1,
    )
    seconds: float | None = setting(
        None,
        "wall time of a candidate, its validation included; epochs and schedule are fitted to it. Chosen in a search "
        "limited in hours",
        over=0,
    )
    augmentation: AugmentationSettings | None = setting(
        description="random changes of the training images; `null`: none", factory=AugmentationSettings
    )
    mixed_precision: bool = setting(True, "half precision where the device computes faster in it")
    channels_last: bool = setting(
        True,
        "memory format of weights and images, for speed; a network that calls `.view` on features is computed "
        "contiguous all the same",
    )
    validate_every: int = setting(
        1, "epochs from one validation to the next; the first and the last always have one", at_least=1
    )
    score_epochs: int = setting(
        1, "a candidate's metrics are means over its last so many validations", at_least=1
    )
    early: EarlyTermination | None = setting(
        None,
        "what ends the training of a candidate as hopeless; `null`: nothing. Measured where the recipe says so. Of the "
        "search alone: the final comparison and `netwright train` end nothing",
    )
    patience: int | None = setting(
        None,
        "end a training, as complete, after so many epochs in which the validation metric has not improved; `null`: "
        "never, as always in a final comparison whose learning rate falls along a cosine. `train.patience` and "
        "`train.epochs` say it for `netwright train`",
        at_least=1,
    )
    minimum_gain: float = setting(1e-4, "what counts as an improvement: more than this", at_least=0)
    threads: int = setting(1, "not used in a run: set `machine.threads`", at_least=1)
    device: str = setting(
        "auto",
        "`auto`: all GPUs where there are any, each with a candidate of its own, else the CPU; `cuda` for all GPUs, "
        "`cuda:1` for one, `cpu`",
    )

    def __post_init__(self) -> None:
        require_ranges(self, "training")
        for name, choices in (("optimizer", Optimizer), ("schedule", Schedule)):
            known = get_args(choices)
            if getattr(self, name) not in known:
                raise SettingsError(
                    f"training.{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}."
                )

    def epochs_of(self, batches: int) -> int:
        """The epochs, at most, of a training of so many batches each."""
        return self.epochs if self.steps is None else math.ceil(self.steps / batches)

    def validate_every_of(self, batches: int) -> int:
        """Epochs from one validation to the next; a training of so many steps has at most `MOST_VALIDATIONS`."""
        if self.steps is None:
            return self.validate_every
        return max(self.validate_every, self.epochs_of(batches) // MOST_VALIDATIONS)
