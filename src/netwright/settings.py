"""A run's settings: every resolved value, enough to repeat the run. Known to the command line, recipes and study.

A recipe gives the defaults, ``--set key=value`` overrides one of them by its dotted name, and the result stands in
the run folder as ``run.yaml``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.images.settings import ImageSettings
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.data.volumes.slices import SliceSettings
from netwright.errors import RunError, SettingsError
from netwright.objective import ObjectiveSettings
from netwright.supernet.settings import SupernetSettings
from netwright.training.config import Schedule, TrainingProtocol

_FAMILIES = (("space",), ("strategy",))
_OPEN_TABLES = (*_FAMILIES, ("space", "values"), ("objective", "costs"), ("supernet", "space"))
"""Tables that take names beyond those that they have; they are checked where they are used."""
_OPTIONAL_TABLES = (
    ("slices",),
    ("inpainting",),
    ("supernet",),
    ("space", "values"),
    ("training", "early"),
    ("training", "augmentation"),
)
"""Tables that may be absent; a name in one of them makes it."""


NEAREST = 3
"""So many names are offered in place of one that does not exist."""


MADE_WITH = "made_with"
"""The table of ``run.yaml`` that is no setting: versions and machine, see `netwright.runs.versions`."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DatasetSettings(_Model):
    """Where the data lies. ``map_label`` renames label values on reading (255 to 1, say)."""

    path: Path
    format: str | None = None
    map_label: dict[int, int] = Field(default_factory=dict)


class Part(BaseModel):
    """A member of a family by its name, with its own options beside the name."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """All but the name."""
        return dict(self.model_extra or {})


class BudgetSettings(_Model):
    """When the search ends: after ``trials`` or ``hours``, whichever comes first.

    ``count``: "all" counts every iteration as the paper does, "distinct" only networks that were not met before.
    ``retries``: how often a candidate whose worker was lost or that crashed is run again. ``fewest_epochs``: with
    a number, candidates begin with ``training.epochs``, and train as many as the quickest of them needed to bring
    the loss under its threshold (``training.early.loss``), but no fewer than this (Iranfar et al. 2022, Section
    VI-A); None: all train ``training.epochs``.
    """

    trials: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0)
    count: Literal["all", "distinct"] = "all"
    retries: int = Field(default=2, ge=0)
    fewest_epochs: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _ends(self) -> BudgetSettings:
        if self.trials is None and self.hours is None:
            raise ValueError("give a number of trials or of hours, else the search never ends")
        return self


class VerdictSettings(_Model):
    """The final comparison. ``hours``: wall time in all, shared alike; None: half of the search's; 0: none. ``epochs``:
    each network is trained for so many in place of a share of the time, however long that takes.

    ``references``: names of hand-made networks; None: all that suit the task, or the original alone where the space
    tunes the layers of one. ``random_choices``: how many random networks of the same space take part. ``rival``: the
    folder of another run on the same data and space (a random search, say), whose best network takes part.

    ``schedule``: of the learning rate; "cosine" lets it fall to zero at the end of each training, "recipe" trains as
    ``train`` and ``training`` say, their patience included.
    """

    hours: float | None = Field(default=None, ge=0)
    epochs: int | None = Field(default=None, ge=1)
    schedule: Literal["cosine", "recipe"] = "cosine"
    references: tuple[str, ...] | None = None
    random_choices: int = Field(default=1, ge=0)
    rival: Path | None = None


class TrainSettings(_Model):
    """How a network that was found is trained, where that differs from a candidate.

    ``on``: the part of the data that the networks of the final comparison, and of ``netwright train``, are trained on.
    Of ``netwright train`` alone, and of a comparison by the recipe's schedule: ``schedule`` of the learning rate, and
    ``patience``; None: those of ``training``. Of ``netwright train`` alone: ``epochs``, at most where there is
    patience; None: the length that ``training`` gives.
    """

    on: Literal["training", "training+validation"] = "training"
    epochs: int | None = Field(default=None, ge=1)
    patience: int | None = Field(default=None, ge=1)
    schedule: Schedule | None = None


class TerminationSettings(_Model):
    """The thresholds of early termination (Iranfar et al. 2022, Fig. 7) where they are measured, not given.

    From them ``training.early`` is made when a run begins. ``slower_than_start``: a batch is too slow when it takes
    so many times as long as one of the starting network. ``batches``: so many in a row end the training.
    ``loss_of_guess``: a loss is too high over this share of what guessing would give. ``epochs``: so many in a row
    end the training. None: no such threshold. The paper gives no values.
    """

    slower_than_start: float | None = Field(default=None, gt=0)
    batches: int = Field(default=10, ge=1)
    loss_of_guess: float | None = Field(default=None, gt=0)
    epochs: int = Field(default=3, ge=1)


class PostprocessingSettings(_Model):
    """Of segmentations. ``crf``: whether the fully connected CRF is fitted to each network of the final comparison and
    to each that ``train`` makes, on at most ``cases`` validation cases within ``minutes``, and kept where it helps
    there, or "always", as papers do; ``iterations``: of its mean field.
    """

    crf: bool | Literal["always"] = False
    cases: int = Field(default=20, ge=1)
    minutes: float = Field(default=20.0, gt=0)
    iterations: int = Field(default=5, ge=1)

    @property
    def most_seconds(self) -> float | None:
        """What fitting adds to the time of a network at most; None where nothing is fitted."""
        return 60.0 * self.minutes if self.crf else None


class MachineSettings(_Model):
    """``workers`` candidates train at once, each with ``threads`` threads and at most ``memory_limit_mb``.

    ``keep_weights``: whose weights stay on disk, of the "best" candidate so far or of "all". ``hang_minutes``: a
    candidate of which no batch was finished for so long, and for 20 times as long as its batches take, is ended.
    ``checkpoint_seconds``: how often a training that lasts longer writes what it goes on from when its worker or the
    search was killed; null: never.
    """

    workers: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1)
    memory_limit_mb: float | None = Field(default=None, gt=0)
    keep_weights: Literal["best", "all"] = "best"
    hang_minutes: float = Field(default=10.0, gt=0)
    checkpoint_seconds: float | None = Field(default=60.0, ge=0)

    @property
    def hang_seconds(self) -> float:
        """``hang_minutes`` in s."""
        return 60.0 * self.hang_minutes

    @property
    def whole_memory_mb(self) -> float | None:
        """The memory of all workers together, in MB; None: no limit."""
        return None if self.memory_limit_mb is None else self.memory_limit_mb * self.workers


class RunSettings(_Model):
    """Everything that a run depends on.

    ``preprocessing`` is that of volumes and of pictures with masks, ``images`` that of pictures with a class each,
    or without. ``slices``: for a 2D network on volumes; None: the network takes whole volumes. ``inpainting``: what is
    missing of pictures that are restored; None where the task is another. ``supernet``: the
    search is one training with shared weights; None: it trains candidate after candidate. ``log``: where trials and
    epochs are logged beside the run folder, see `netwright.logs.LOGS`.
    """

    recipe: str
    dataset: DatasetSettings
    seed: int = Field(default=0, ge=0)
    split: tuple[float, float, float] = (0.5, 0.2, 0.3)
    preprocessing: PreprocessingSettings = Field(default_factory=PreprocessingSettings)
    images: ImageSettings = Field(default_factory=ImageSettings)
    slices: SliceSettings | None = None
    inpainting: MaskSettings | None = None
    space: Part
    strategy: Part
    objective: ObjectiveSettings = Field(default_factory=ObjectiveSettings)
    training: TrainingProtocol = Field(default_factory=TrainingProtocol)
    train: TrainSettings = Field(default_factory=TrainSettings)
    supernet: SupernetSettings | None = None
    termination: TerminationSettings = Field(default_factory=TerminationSettings)
    budget: BudgetSettings = Field(default_factory=lambda: BudgetSettings(trials=300))
    postprocessing: PostprocessingSettings = Field(default_factory=PostprocessingSettings)
    verdict: VerdictSettings = Field(default_factory=VerdictSettings)
    machine: MachineSettings = Field(default_factory=MachineSettings)
    log: tuple[str, ...] = ()

    def to_yaml(self) -> str:
        """The text of ``run.yaml``."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def parse_settings(values: Mapping[str, Any]) -> RunSettings:
    """Checked settings from plain values.

    Raises:
        SettingsError: a name or a value is wrong; the message gives the dotted name and what was expected.
    """
    try:
        return RunSettings.model_validate(values)
    except ValidationError as error:
        raise unusable(error.errors()) from None


def unusable(errors: Sequence[ErrorDetails]) -> SettingsError:
    """What to raise of settings that pydantic refused: names, values, and what was expected."""
    lines = [f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in errors]
    return SettingsError("These settings cannot be used:\n  " + "\n  ".join(lines))


def read_settings(path: Path) -> RunSettings:
    """The settings in a ``run.yaml``.

    Raises:
        RunError: the file is missing, unreadable, no YAML, or a setting in it is wrong.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}). Is {path.parent} a run folder?") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise RunError(f"{path} is damaged: {error}. Restore it from a copy, or start a new run.") from None
    if not isinstance(values, dict):
        raise RunError(f"{path} is damaged: expected a table of settings, found {type(values).__name__}.")
    try:
        return parse_settings({name: value for name, value in values.items() if name != MADE_WITH})
    except SettingsError as error:
        raise RunError(f"{path} is damaged. {error}") from None


def override(values: Mapping[str, Any], assignments: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested settings with dotted names set: ``{"training.epochs": 5}``.

    A new ``space.name`` or ``strategy.name`` leaves the options of the old one behind. Options of ``space`` and
    ``strategy`` are checked later, by their makers.

    Raises:
        SettingsError: no setting has that name; the nearest names are given.
    """
    result: dict[str, Any] = _copied(values)
    for name, value in sorted(assignments.items(), key=lambda item: not item[0].endswith(".name")):
        *parents, last = name.split(".")
        place = tuple(parents)
        table: Any = result
        for parent in parents:
            if isinstance(table, dict) and place in _OPTIONAL_TABLES and table.get(parent) is None:
                table[parent] = {}
            table = table.get(parent) if isinstance(table, dict) else None
        known = isinstance(table, dict) and (last in table or place in (*_OPEN_TABLES, *_OPTIONAL_TABLES))
        if not known:
            raise SettingsError(_unknown_name(name, values))
        if name == "objective" and isinstance(value, str):
            value = ObjectiveSettings(metric=value).model_dump(mode="json")
        if place in _FAMILIES and last == "name" and value != table["name"]:
            table.clear()  # options belong to the member that is replaced
        table[last] = value
    return result


def read_assignments(texts: list[str]) -> dict[str, Any]:
    """``key=value`` texts as a table, values read as YAML (numbers, true, lists).

    Raises:
        SettingsError: a text has no ``=``, or its value is no YAML.
    """
    result: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise SettingsError(
                f"--set expects key=value (for example training.learning_rate=0.002), got {text!r}."
            )
        try:
            result[name.strip()] = _number(yaml.safe_load(value))
        except yaml.YAMLError:
            raise SettingsError(
                f"--set {name}: the value {value!r} cannot be read; quote texts with ':'."
            ) from None
    return result


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as a text; people mean the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _copied(values: Any) -> Any:
    return {k: _copied(v) for k, v in values.items()} if isinstance(values, Mapping) else values


def _names(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for key, value in values.items():
        names += _names(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [prefix + key]
    return names


def _unknown_name(name: str, values: Mapping[str, Any]) -> str:
    known = _names(values)
    last = name.rsplit(".", 1)[-1]
    near = [k for k in known if k.rsplit(".", 1)[-1] == last]
    near += [k for k in difflib.get_close_matches(name, known, n=NEAREST, cutoff=0.0) if k not in near]
    return f"There is no setting {name!r}. Did you mean {' or '.join(near[:NEAREST])}? All: docs/settings.md."
