"""How a candidate is trained: every setting of it, as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

from netwright.data.loading.augmentation_settings import AugmentationSettings
from netwright.errors import SettingsError
from netwright.setting_fields import require_ranges, setting
from netwright.training.early_stopping import EarlyTermination

Optimizer = Literal["nadam", "adam", "adamw", "schedule_free", "sgd"]
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

    optimizer: Optimizer = setting(
        "nadam",
        "the optimiser: `sgd` has momentum 0.9, the others have their usual constants; `schedule_free` is "
        "AdamW without a schedule (Defazio et al. 2024), for `schedule=constant`, and averages the weights itself",
    )
    nesterov: bool = setting(True, "Nesterov's momentum in `sgd`; `false`: plain momentum")
    learning_rate: float = setting(1e-3, "the highest learning rate", over=0)
    weight_decay: float = setting(
        0.0,
        "L2 regularisation: this many times each weight is added to its gradient, in `adam` and `nadam` "
        "before they scale it. In `adamw` and `schedule_free` the decay is decoupled: it is not scaled",
        at_least=0,
    )
    gradient_norm: float | None = setting(
        None,
        "the longest gradient, over all weights; a longer one is scaled down to this length; `null`: no "
        "limit",
        over=0,
    )
    schedule: Schedule = setting(
        "constant",
        "learning rate over time; `cosine`: a short linear warm-up, then down to zero. Always `cosine` "
        "in a search limited in hours, and in the final comparison unless `verdict.schedule=recipe`",
    )
    warm_up: bool = setting(
        True,
        "whether `cosine` begins with a warm-up, over the first epoch or 5 % of the steps, whichever is "
        "shorter; `false`: it begins at the full rate",
    )
    warm_up_steps: int = setting(
        0,
        "steps over which the learning rate rises in the schedule `constant`; 0: it begins at the full rate",
        at_least=0,
    )
    averaging: float | None = setting(
        None,
        "validate and keep a moving average of the weights: the share of it that each step keeps, for example "
        "0.999, and less in the first steps. Statistics of batch normalisation are computed again for it. "
        "`null`: validate and keep the weights of the last step. Not used by `schedule_free`, which has an average "
        "of its own",
        over=0,
        under=1,
    )
    loss: str = setting(
        "exponential_logarithmic",
        "the loss: `exponential_logarithmic`; `dice_cross_entropy`: 1 - Dice plus unweighted "
        "cross-entropy; `dice`: 1 - Dice; `cross_entropy`: unweighted, for classification; "
        "`binary_cross_entropy`: unweighted, for several labels a picture; `mse`: the mean squared "
        "error, for inpainting",
    )
    loss_dice_weight: float = setting(0.8, "weight of Dice in the loss", at_least=0)
    loss_cross_entropy_weight: float = setting(0.2, "weight of cross-entropy in the loss", at_least=0)
    loss_gamma: float = setting(0.3, "exponent of both terms of the exponential logarithmic loss", over=0)
    loss_auxiliary_weight: float = setting(
        0.3,
        "weight of the loss of each auxiliary head, if the network has any; that of its output is 1",
        at_least=0,
    )
    batch_size: int = setting(3, "images in a batch", at_least=1)
    epochs: int = setting(
        100,
        "passes over the training cases; the most passes if `training.seconds` is set; `--epochs`",
        at_least=1,
    )
    steps: int | None = setting(
        None,
        "steps of the optimiser, in place of epochs; rounded up to whole epochs. `--epochs` turns it off",
        at_least=1,
    )
    seconds: float | None = setting(
        None,
        "wall time of a candidate, with its validations; epochs and schedule are adapted to it. Chosen "
        "for you in a search limited in hours",
        over=0,
    )
    in_parts: bool = setting(
        False,
        "whether a training limited in `training.seconds` may end within an epoch, also its first, and go on later; "
        "`false`: a candidate that cannot finish one epoch in its time is too slow",
    )
    cool_down: float = setting(
        0.0,
        "the last seconds of `training.seconds`, over which the learning rate falls to zero; 0: it does not",
        at_least=0,
    )
    patches: int = setting(
        1,
        "the most patches of a case in an epoch, where the case has the voxels of several inputs: as many as have its "
        "voxels; of smaller patches (`training.patch_size`) as many more. Only for volumes that a network sees whole, "
        "not slice by slice",
        at_least=1,
    )
    foreground_patches: float = setting(
        0.0,
        "the share of these patches that are centred on a labelled voxel, of each label in turn; the others are cut "
        "out anywhere",
        at_least=0,
        at_most=1,
    )
    patch_size: tuple[int, int, int] | None = setting(
        None,
        "voxels along each axis of what volumes are trained on, where networks see them whole and not slice by slice. "
        "Networks are validated and used with the input of `preprocessing.size`, whatever they are trained on. `null`: "
        "that input",
    )
    augmentation: AugmentationSettings | None = setting(
        description="random changes of the training images; `null`: none", factory=AugmentationSettings
    )
    mixed_precision: bool = setting(True, "half precision, if it is faster on the device")
    fast_convolutions: bool = setting(
        False,
        "half precision on a CPU also for convolutions over images shorter than twice their kernel, as at a network's "
        "deepest level, and faster transposed convolutions; `false`: results are those of earlier versions",
    )
    channels_last: bool = setting(
        True,
        "memory format of weights and images, for speed. A network that calls `.view` on features is "
        "computed contiguous in any case",
    )
    validate_every: int = setting(
        1,
        "epochs from one validation to the next; the first and the last epoch are always validated",
        at_least=1,
    )
    validation_patches: int | None = setting(
        None,
        "judge a validation volume that needs more windows than this by as many fixed patches, half of them on "
        "labels, or more so that each label has one, while networks are trained. The networks that `auto` compares "
        "at its end are judged by whole volumes. `null`: whole volumes always",
        at_least=1,
    )
    validation_share: float | None = setting(
        None,
        "the validations' largest share of the time, in place of `training.validate_every`: an epoch is "
        "validated if they stay within it. The last epoch is always validated. `null`: no such limit",
        over=0,
        under=1,
    )
    score_epochs: int = setting(
        1, "how many of the last validations a candidate's metrics are means of", at_least=1
    )
    early: EarlyTermination | None = setting(
        None,
        "when a candidate's training is ended as hopeless; `null`: never. Measured if the recipe says "
        "so. It holds for the search, not for the final comparison and `netwright train`",
    )
    patience: int | None = setting(
        None,
        "end a training, as complete, after this many epochs without a better validation metric; `null`: "
        "never. Not used in the final comparison unless `verdict.schedule=recipe`. For `netwright train` "
        "see `train.patience` and `train.epochs`",
        at_least=1,
    )
    minimum_gain: float = setting(1e-4, "a metric is better if it rises by more than this", at_least=0)
    threads: int = setting(1, "not used in a run: set `machine.threads`", at_least=1)
    device: str = setting(
        "auto",
        "`auto`: all GPUs, each with a candidate of its own, or the CPU if there is no GPU; `cuda`: all "
        "GPUs; `cuda:1`: one of them; `cpu`",
    )

    devices: int = setting(
        1,
        "devices that compute each batch of a candidate together: so many GPUs of one machine, or processes on a CPU. "
        "Batch normalisation takes the statistics of the whole batch",
        at_least=1,
    )

    def __post_init__(self) -> None:
        require_ranges(self, "training")
        for name, choices in (("optimizer", Optimizer), ("schedule", Schedule)):
            known = get_args(choices)
            if getattr(self, name) not in known:
                raise SettingsError(
                    f"training.{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}."
                )

        if self.patch_size is not None and (len(self.patch_size) != 3 or min(self.patch_size) < 1):
            raise SettingsError(
                f"training.patch_size is {self.patch_size!r}: expected three whole numbers of voxels of at least 1."
            )

    @property
    def moving_average(self) -> float | None:
        """``averaging`` where the optimizer does not average the weights itself."""
        return None if self.optimizer == "schedule_free" else self.averaging

    @property
    def validating_whole(self) -> TrainingProtocol:
        """The same, with validations on whole volumes."""
        return replace(self, validation_patches=None)

    def epochs_of(self, batches: int) -> int:
        """The epochs, at most, of a training of so many batches each."""
        return self.epochs if self.steps is None else math.ceil(self.steps / batches)

    def validate_every_of(self, batches: int) -> int:
        """Epochs from one validation to the next; a training of so many steps has at most `MOST_VALIDATIONS`."""
        if self.steps is None:
            return self.validate_every
        return max(self.validate_every, self.epochs_of(batches) // MOST_VALIDATIONS)
