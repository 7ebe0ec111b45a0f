"""What the steps in `netwright.planning.resolve` share beside the settings: user, data, and what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.data.base import AnyDataset, AnyPrepared
from netwright.data.given_parts import GivenParts
from netwright.data.splits import Splits
from netwright.planning.other_run import OtherRun
from netwright.planning.user_settings import UserSettings
from netwright.runs.data import KnownCases

if TYPE_CHECKING:
    from netwright.training.problem import NetworkTask


@dataclass
class Context:
    """What steps read, and where they leave their results for later steps.

    Args:
        user: what the user gave.
        output: the run folder that the user named; None: a new one is chosen.
        on_stage: called with a few words about what is being done.
        epoch_seconds: of the starting candidate; None: not measured.
        batch_seconds: of one of its training steps; None: not measured.
        validation_seconds: of a validation of it; None: not measured.
        flops: of a forward pass of it for one image; None: not measured.

    Attributes:
        begun: when the planning began, by ``time.monotonic``.
        folder: the run folder to make.
        dataset: opened.
        given: the parts that the user gave; None: official parts are kept, and all others are drawn.
        prepared: the dataset, prepared.
        task: what networks get, and what they must give.
        splits: the parts of the dataset.
        other: a run to start from; None: there is none.
        known: the cases that it has, too; None: not looked for.
        start_weights: a file that networks begin with; None: they begin anew.
    """

    user: UserSettings = field(default_factory=UserSettings)
    output: Path | None = None
    on_stage: Callable[[str], None] = lambda text: None
    epoch_seconds: float | None = None
    batch_seconds: float | None = None
    validation_seconds: float | None = None
    flops: float | None = None
    begun: float = field(default_factory=time.monotonic, init=False)
    folder: Path = field(init=False)
    dataset: AnyDataset = field(init=False)
    given: GivenParts | None = field(default=None, init=False)
    prepared: AnyPrepared = field(init=False)
    task: NetworkTask = field(init=False)
    other: OtherRun | None = field(default=None, init=False)
    known: KnownCases | None = field(default=None, init=False)
    start_weights: Path | None = field(default=None, init=False)
    splits: Splits = field(init=False)

    @property
    def repeats(self) -> bool:
        """Whether settings that the user did not give are those of an earlier run, and stay."""
        return self.user.repeat is not None

    @property
    def cases(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Indices of the training and of the validation cases. Test cases are not even measured."""
        return self.prepared.indices(self.splits.training), self.prepared.indices(self.splits.validation)
