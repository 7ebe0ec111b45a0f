"""What ends a training before its last epoch: early termination, and patience."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from netwright.setting_fields import require_ranges, setting
from netwright.training.time_budget import TooSlow


@dataclass(frozen=True)
class EarlyTermination:
    """Early termination of multi-agent Q-learning (Iranfar, Zapater and Atienza 2022, Section V-E and Fig. 7).

    A training whose batches are too slow, from one batch to the next with reading and augmentation, ends at once. One
    whose loss stays too high is started again, once, with new weights, and ends the second time. The paper gives the
    mechanism, but no values: the counts are ours. Its epochs have hundreds of steps and more; those of few pictures
    have one, in which no network learns, hence ``least_steps``.

    Raises:
        SettingsError: a threshold that is not over 0, or a count under 1.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    batch_seconds: float | None = setting(
        None,
        "t_th: a batch is too slow if it takes more seconds; `null`: never. The last batch of an epoch "
        "is not counted if it is smaller",
        over=0,
    )
    batches: int = setting(
        10, "N_th,t: this many batches in a row that are too slow end the training", at_least=1
    )
    loss: float | None = setting(
        None,
        "l_th: the training loss of an epoch is too high above this; `null`: never. Auxiliary heads are "
        "not counted",
        over=0,
    )
    loss_epochs: int = setting(
        3,
        "N_th,l: after this many epochs in a row with too high a loss the training begins again with new "
        "weights, once; the second time it ends",
        at_least=1,
    )
    least_steps: int = setting(
        200,
        "epochs that end before this many steps of the optimiser do not count as too high in loss",
        at_least=1,
    )

    def __post_init__(self) -> None:
        require_ranges(self, "training.early")


class LossStalled(Exception):  # noqa: N818  a verdict on a candidate, not a mishap
    """The loss stays over its threshold; the message says in which epochs."""


class Watch:
    """Counts the consecutive violations of one training (N_violation,t and N_violation,l of Fig. 7).

    Attributes:
        loss_met_epoch: the first epoch whose loss was not over the threshold; None before it, or without one.
    """

    def __init__(self, settings: EarlyTermination | None) -> None:
        self._settings = settings or EarlyTermination()
        self._slow = 0
        self._largest = 0
        self._stalled = 0
        self.loss_met_epoch: int | None = None

    def values(self) -> dict[str, Any]:
        """What it has counted, for a checkpoint."""
        return {
            "slow": self._slow,
            "largest": self._largest,
            "stalled": self._stalled,
            "loss_met_epoch": self.loss_met_epoch,
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take up what `values` gave."""
        self._slow, self._largest = values["slow"], values["largest"]
        self._stalled, self.loss_met_epoch = values["stalled"], values["loss_met_epoch"]

    def batch(self, seconds: float, images: int) -> None:
        """To be called after each training batch with the time that it took and its size.

        The last batch of an epoch may be smaller than the others, and tells nothing: it is neither slow nor not.

        Raises:
            TooSlow: it is one too many.
        """
        limit = self._settings.batch_seconds
        self._largest = max(self._largest, images)
        if limit is None or images < self._largest:
            return
        self._slow = self._slow + 1 if seconds > limit else 0
        if self._slow == self._settings.batches:
            raise TooSlow(
                f"{self._slow} batches running took longer than {limit:.3g} s, the last one {seconds:.3g} s"
            )

    def epoch(self, epoch: int, loss: float, steps: int) -> None:
        """To be called at the end of each epoch with the mean loss of its batches and the steps since the start.

        Args:
            epoch: its number, from 1.
            loss: the mean loss of its batches.
            steps: training steps since the start.

        Raises:
            LossStalled: it is one too many.
        """
        limit = self._settings.loss
        if limit is None:
            return
        if loss <= limit:
            self._stalled = 0
            if self.loss_met_epoch is None:
                self.loss_met_epoch = epoch
            return
        if steps < self._settings.least_steps:
            return
        self._stalled += 1
        if self._stalled == self._settings.loss_epochs:
            first = epoch - self._stalled + 1
            epochs = f"epoch {epoch}" if first == epoch else f"epochs {first} to {epoch}"
            raise LossStalled(f"the training loss was over {limit:.4g} in {epochs}, at last {loss:.4g}")


class Patience:
    """The stopping rule of the same paper, Section VII: "until the validation accuracy does not improve more than
    0.01 % for 10 successive epochs".

    Improvement is over the best score so far; a gain of ``minimum_gain`` or less leaves the best as it is, so that
    a slow rise counts once it adds up.

    Args:
        epochs: successive epochs, of those that end with a validation; None waits for ever.
        minimum_gain: of the metric.
    """

    def __init__(self, epochs: int | None, minimum_gain: float) -> None:
        self._epochs = epochs
        self._minimum_gain = minimum_gain
        self._best = -math.inf
        self._without = 0

    def values(self) -> dict[str, Any]:
        """What it has counted, for a checkpoint."""
        return {"best": self._best, "without": self._without}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take up what `values` gave."""
        self._best, self._without = values["best"], values["without"]

    def ends_after(self, score: float) -> bool:
        """Whether training ends after an epoch whose validation gave ``score``."""
        if score > self._best + self._minimum_gain:
            self._best = score
            self._without = 0
        else:
            self._without += 1
        return self._epochs is not None and self._without >= self._epochs
