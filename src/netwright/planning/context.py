"""What the steps that make a run's settings ask beside the settings: the user, the data, what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from netwright.data.images.dataset import ImageSet
from netwright.data.images.prepared import PreparedImages
from netwright.data.splits import Splits
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.prepared import Prepared
from netwright.planning.user_settings import UserSettings
from netwright.tasks.base import Task


@dataclass
class Context:
    """What steps ask, and what they found for those that follow.

    Args:
        user: what the user gave.
        output: the run folder that the user named; None: a new one is chosen.
        on_stage: is told in a few words what is being done.
        epoch_seconds: of the starting candidate; None: not measured.
        batch_seconds: of one of its training steps; None: not measured.

    Attributes:
        folder: the run folder to make.
        dataset: opened.
        prepared: the dataset, prepared.
        task: what networks are trained for.
        splits: the parts of the dataset.
    """

    user: UserSettings = field(default_factory=UserSettings)
    output: Path | None = None
    on_stage: Callable[[str], None] = lambda text: None
    epoch_seconds: float | None = None
    batch_seconds: float | None = None
    folder: Path = field(init=False)
    dataset: Dataset | ImageSet = field(init=False)
    prepared: Prepared | PreparedImages = field(init=False)
    task: Task = field(init=False)
    splits: Splits = field(init=False)

    @property
    def repeats(self) -> bool:
        """Whether settings that the user did not give are those of an earlier run, and stay."""
        return self.user.repeat is not None

    @property
    def cases(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Indices of the training and of the validation cases. Test cases are not even measured."""
        return self.prepared.indices(self.splits.training), self.prepared.indices(self.splits.validation)
