"""How networks are searched inside one training: every setting of it, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from netwright.setting_fields import require_ranges, setting


@dataclass(frozen=True)
class SupernetSettings:
    """The search of PDAS (Section 4.1, Training Detail) by default: 200 epochs, batches of 64, SGD.

    Loss, augmentation, precision and device are settings of the networks' own training.

    Raises:
        SettingsError: a value is out of range.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    cases: Literal["training", "training+validation"] = setting(
        "training",
        "cases that the search learns from; `training+validation`: all but the test cases. Its scores on validation "
        "cases are then no test",
    )
    epochs: int = setting(
        200, "passes over the half of these cases on which the weights are trained", at_least=1
    )
    steps: int | None = setting(None, "steps of the search, in place of epochs", at_least=1)
    seconds: float | None = setting(
        None,
        "wall time of the search, over which its learning rate falls; `--hours`. It ends earlier if its "
        "epochs or steps are done",
        over=0,
    )
    batch_size: int = setting(64, "images in each of the two batches of a step", at_least=1)
    learning_rate: float = setting(
        0.025, "learning rate of the weights at the start; it falls to zero along half a cosine", over=0
    )
    momentum: float = setting(0.9, "momentum of the stochastic gradient descent", at_least=0, under=1)
    weight_decay: float = setting(3e-4, "L2 regularisation of the weights that a step uses", at_least=0)
    gradient_norm: float = setting(
        5.0, "the longest gradient; a longer one is scaled down to this length", over=0
    )
    checkpoint_seconds: float = setting(
        120.0,
        "time between two checkpoints, and at least twenty times what writing one takes; a kill loses no "
        "more than this",
        at_least=0,
    )
    snapshots: int = setting(200, "how often the probabilities are recorded for the report", at_least=1)
    space: dict[str, Any] = setting(
        description="options of the space that are other in the search than in the network that is trained in the end",
        factory=dict,
    )

    def __post_init__(self) -> None:
        require_ranges(self, "supernet")

    @property
    def on_all(self) -> bool:
        """Whether the search learns from the validation cases, too."""
        return self.cases != "training"

    def steps_of(self, steps_an_epoch: int) -> int:
        """The most steps of the search, given the number of steps per epoch."""
        return self.steps or self.epochs * steps_an_epoch
