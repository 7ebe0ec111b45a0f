"""How a candidate is trained: every setting of it, as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from netwright.data.loading.augmentation_settings import AugmentationSettings
from netwright.errors import SettingsError
from netwright.training.early_stopping import EarlyTermination

Optimizer = Literal["nadam", "adam", "sgd"]
Schedule = Literal["constant", "cosine"]

MOST_VALIDATIONS = 200
"""Of a training whose length is given in steps: where there are few cases, its epochs are very many."""


@dataclass(frozen=True)
class TrainingProtocol:
    """Training as in SegNAS3D (Section 2.4) by default: Nadam 1e-3, batch 3, 100 epochs, augmentation.

    optimizer: "sgd" has momentum 0.9; the others have their usual constants. nesterov: of "sgd"; off, its momentum is
    the plain one. weight_decay: this times each weight, biases and normalisations among them, is added to its gradient
    (L2 regularisation; of "nadam" and "adam" as well, whose steps then scale it with the rest of the gradient: it is
    not the decoupled one of AdamW). gradient_norm: a gradient whose norm over all weights is larger is scaled down to
    it; None for never. schedule: the paper names none, hence "constant"; "cosine" falls to zero at the end (Loshchilov
    and Hutter 2017, without restarts). warm_up: of "cosine": it rises linearly at first; off, it starts at the full
    rate. loss: one of the task's, with its weights and exponent; "dice" has neither, images
    that are classified have "cross_entropy", restored ones "mse". loss_auxiliary_weight: of each auxiliary head of a
    network that has any, beside 1 for its output. batch_size: images a step. epochs: at most; exactly that many where
    ``seconds`` is None. steps: of the optimizer, in place of epochs: as many whole epochs as it takes. seconds: wall
    time of training and validation; the epochs are then fitted to it, and the schedule to them. augmentation: of the
    training images; None for none. mixed_precision: half precision where the device computes faster in it.
    channels_last: memory format of weights and images; faster on CPU and GPU, same mathematics. validate_every: epochs
    from one validation to the next; the first and the last epoch always end with one. score_epochs: a candidate's
    metrics are means over its last so many validations, as in Mortazi and Bagci (2018), who took five epochs. early:
    what ends a training before its time as hopeless; None for nothing. patience: a training ends, complete, when so
    many successive epochs (of those with a validation) have not improved the task's metric by more than minimum_gain;
    None for no such end. threads: of the CPU. device: "auto" is the GPU where there is one, else the CPU; else a name
    of torch's, for example "cuda:1".

    Raises:
        SettingsError: a value is out of range.
    """

    # Read by `netwright.settings`: a mistyped name is an error there, as it is here.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    optimizer: Optimizer = "nadam"
    nesterov: bool = True
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    gradient_norm: float | None = None
    schedule: Schedule = "constant"
    warm_up: bool = True
    loss: str = "exponential_logarithmic"
    loss_dice_weight: float = 0.8
    loss_cross_entropy_weight: float = 0.2
    loss_gamma: float = 0.3
    loss_auxiliary_weight: float = 0.3
    batch_size: int = 3
    epochs: int = 100
    steps: int | None = None
    seconds: float | None = None
    augmentation: AugmentationSettings | None = field(default_factory=AugmentationSettings)
    mixed_precision: bool = True
    channels_last: bool = True
    validate_every: int = 1
    score_epochs: int = 1
    early: EarlyTermination | None = None
    patience: int | None = None
    minimum_gain: float = 1e-4
    threads: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in (
            "batch_size",
            "epochs",
            "steps",
            "validate_every",
            "score_epochs",
            "patience",
            "threads",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"training.{name} must be at least 1, got {value}.")
        for name in (
            *("minimum_gain", "weight_decay"),
            *("loss_dice_weight", "loss_cross_entropy_weight", "loss_auxiliary_weight"),
        ):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"training.{name} must be at least 0, got {getattr(self, name)}.")
        for name in ("learning_rate", "seconds", "loss_gamma", "gradient_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"training.{name} must be over 0, got {value}.")
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
