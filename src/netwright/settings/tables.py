"""The tables of a run's settings.

Each field's description stands in docs/settings.md (`netwright.settings.page`) and in the completion of ``--set``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.images.settings import ImageSettings
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.data.volumes.regions import with_numbers
from netwright.data.volumes.slices import SliceSettings
from netwright.objective import ObjectiveSettings
from netwright.settings.machine import MachineSettings
from netwright.settings.race import RaceSettings
from netwright.settings.start_from import StartFromSettings
from netwright.settings.storage import StorageSettings
from netwright.supernet.settings import SupernetSettings
from netwright.training.config import Schedule, TrainingProtocol


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DatasetSettings(_Model):
    """Where the data lies, and how it is read."""

    path: Path = Field(description="the dataset's folder, or `.npz` file")
    format: str | None = Field(
        default=None,
        description="layout of the dataset: `msd`, `nnunet`, `acdc`, `brats`, `kits`, `btcv`, `volume-pairs`, "
        "`cine`, `image-masks`, `image-folder`, `class-table`, `label-table` (several labels a picture), `images` "
        "(pictures without classes), `idx`, `npz`, `cifar`, `cifar-coarse`, `svhn`, `svhn-extra`, `svhn-numbers`, "
        "`svhn-numbers-extra`, `stanford-cars`, `celeba` or `imagenet`; `null`: it is recognised, except for `cine`, "
        "`cifar-coarse`, `svhn-extra` and `svhn-numbers-extra`. A space "
        "for inpainting alone makes it `images`; `--format`",
    )
    map_label: Annotated[dict[int, int], BeforeValidator(with_numbers)] = Field(
        default_factory=dict,
        description="label values that are read as others, for example `{255: 1}`, or `{255: ignore}` for voxels that "
        "are not used; `--map-label`",
    )
    regions: dict[str, tuple[int, ...]] = Field(
        default_factory=dict,
        description="unions of labels that are learned and scored in place of the labels, in the order in which they "
        "are written, for example `{whole: [1, 2], core: [2]}`; empty: those of a `dataset.json`, if it has any; "
        "`--region`",
    )
    split_file: Path | None = Field(
        default=None,
        description="CSV or JSON file with the part of each case, in place of official and of drawn parts; a run has "
        "its own `splits.json` here. `null`: none; `--split-file`",
    )
    fold: int | None = Field(
        default=None,
        ge=0,
        description="which fold of a `split_file` with several is meant, such as nnU-Net's `splits_final.json`, "
        "counted from 0; `null`: the first; `--fold`",
    )


class SpecSettings(BaseModel):
    """A component by its name, with its options beside the name: a `netwright.spec.Spec`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = Field(description="its name; see `netwright recipes --parts`")

    @property
    def options(self) -> dict[str, Any]:
        """All but the name."""
        return dict(self.model_extra or {})


class BudgetSettings(_Model):
    """When the search ends: after ``trials`` or ``hours``, whichever comes first.

    ``fewest_epochs`` is of Iranfar et al. 2022, Section VI-A.
    """

    trials: int | None = Field(
        default=None, ge=1, description="the most candidates, as in the paper; `--trials`"
    )
    hours: float | None = Field(
        default=None, gt=0, description="the longest wall time of the search; `--hours`"
    )
    count: Literal["all", "distinct"] = Field(
        default="all",
        description="which candidates count: `all`, as in the paper, or only `distinct` networks, which were not "
        "trained before. Always `distinct` in a search limited in hours",
    )
    retries: int = Field(
        default=2,
        ge=0,
        description="how often a candidate is trained again if it crashed or lost its worker",
    )
    fewest_epochs: int | None = Field(
        default=None,
        ge=1,
        description="the fewest epochs of a candidate. The first ones train for `training.epochs`; later ones for as "
        "many epochs as the quickest so far needed to bring its loss under the threshold of early "
        "termination. `null`: all train for `training.epochs`, as always in a search limited in hours",
    )

    @model_validator(mode="after")
    def _ends(self) -> BudgetSettings:
        if self.trials is None and self.hours is None:
            raise ValueError("give a number of trials or of hours, else the search never ends")
        return self


class VerdictSettings(_Model):
    """The final comparison of the network that was found with others."""

    hours: float | None = Field(
        default=None,
        ge=0,
        description="wall time of the whole final comparison, in equal shares for its networks; `null`: half of the "
        "search's; 0: no comparison; `--verdict-hours`",
    )
    epochs: int | None = Field(
        default=None,
        ge=1,
        description="epochs of each network, in place of an equal share of the time. The comparison then has no time "
        "limit",
    )
    seeds: int = Field(
        default=1,
        ge=1,
        description="how many times each network of the final comparison is trained, each time with another seed and "
        "an equal share of the time; `--seeds`",
    )
    schedule: Literal["cosine", "recipe"] = Field(
        default="cosine",
        description="learning rate over time in the final comparison: `cosine` falls to zero by the end of each "
        "network's training, whatever the recipe; `recipe` trains as the paper does, with the schedule "
        "and the patience of `train` and `training`, within the time or the epochs of the comparison",
    )
    references: tuple[str, ...] | None = Field(
        default=None,
        description="hand-made networks in the final comparison: `unet3d`, `vnet`, `monai-unet` for volumes; "
        "`unet2d`, `monai-unet` for slices, pictures with masks and pictures to be restored; `resnet20`, "
        "`vgg16` for labelled pictures. `null`: all that suit the task, with two exceptions: spaces of a "
        "network's layers are compared with the original network, and autoencoders with a network like "
        "RED-Net that is as deep as the winner",
    )
    random_choices: int = Field(
        default=1, ge=0, description="how many random networks of the same space are in the final comparison"
    )
    rival: Path | None = Field(
        default=None,
        description="folder of another run on the same space, for example a random search; its best network is in "
        "the final comparison",
    )


class TrainSettings(_Model):
    """How a network that was found is trained, where that differs from a candidate."""

    cases: Literal["training", "training+validation"] = Field(
        default="training",
        description="cases on which `netwright train` and the final comparison train their networks; "
        "`training+validation`: all but the test cases. Refused with patience or a CRF, which need the "
        "validation cases",
    )
    epochs: int | None = Field(
        default=None,
        ge=1,
        description="epochs of `netwright train`, or the most epochs if it has patience; `null`: as in `training`; "
        "`--epochs`",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="patience of `netwright train`, and of the final comparison with `verdict.schedule=recipe`; "
        "`null`: `training.patience`. Not used by `train --hours`",
    )
    schedule: Schedule | None = Field(
        default=None,
        description="schedule of the learning rate wherever `train.patience` is used; `null`: `training.schedule`",
    )


class TerminationSettings(_Model):
    """The thresholds of early termination (Iranfar et al. 2022, Fig. 7) where they are measured, not given.

    From them ``training.early`` is made when a run begins. The paper gives no values.
    """

    slower_than_start: float | None = Field(
        default=None,
        gt=0,
        description="`training.early.batch_seconds` becomes this many times the seconds that a batch of the starting "
        "network takes here; `null`: no such threshold",
    )
    batches: int = Field(default=10, ge=1, description="becomes `training.early.batches`")
    loss_of_guess: float | None = Field(
        default=None,
        gt=0,
        description="`training.early.loss` becomes this share of the loss of a guess. That is the logarithm of the "
        "number of classes for `cross_entropy`, 1 for `dice`, the weighted sum of both for "
        "`dice_cross_entropy`, the logarithm of 2 for `binary_cross_entropy`; it is not known for "
        "`exponential_logarithmic` and `mse`. `null`: no such threshold, as in inpainting unless you set "
        "it",
    )
    epochs: int = Field(default=3, ge=1, description="becomes `training.early.loss_epochs`")


class PostprocessingSettings(_Model):
    """What becomes of segmentations after the network."""

    crf: bool | Literal["always"] = Field(
        default=False,
        description="fit a fully connected CRF to every network of the final comparison and of `netwright train`, "
        "and keep it if it helps on the validation cases; `always`: keep it in any case, as papers do",
    )
    cases: int = Field(
        default=20,
        ge=1,
        description="the most validation cases to fit the CRF on; large volumes: fewer",
    )
    minutes: float = Field(
        default=20.0,
        gt=0,
        description="the longest wall time to fit the CRF to one network; then the best weights so far are taken. In a "
        "search whose trainings go on all CRFs together get a tenth of the hours at most, unless you set it",
    )
    iterations: int = Field(default=5, ge=1, description="iterations of the CRF's mean field")

    @property
    def most_seconds(self) -> float | None:
        """What fitting adds to the time of a network at most; None where nothing is fitted."""
        return 60.0 * self.minutes if self.crf else None


class RunSettings(_Model):
    """Everything that a run depends on."""

    recipe: str = Field(description="the recipe that the run was made with; `--recipe`")
    dataset: DatasetSettings = Field(description="where the data lies")
    seed: int = Field(default=0, ge=0, description="all random numbers come from it; `--seed`")
    split: tuple[float, float, float] = Field(
        default=(0.5, 0.2, 0.3),
        description="shares of training, validation and test cases. Official parts are kept, and missing ones are "
        "drawn from the training part in these proportions",
    )
    preprocessing: PreprocessingSettings = Field(
        default_factory=PreprocessingSettings,
        description="preparation of volumes, and of pictures with masks",
    )
    images: ImageSettings = Field(
        default_factory=ImageSettings,
        description="preparation of pictures with a class each, and of those to be restored",
    )
    slices: SliceSettings | None = Field(
        default=None, description="2D networks on slices of volumes; `null`: networks get whole volumes"
    )
    inpainting: MaskSettings | None = Field(
        default=None,
        description="what is missing in pictures that are restored; filled in for this task, `null` for all others",
    )
    space: SpecSettings = Field(description="the networks to choose from")
    strategy: SpecSettings = Field(description="how candidates are proposed")
    objective: ObjectiveSettings = Field(
        default_factory=ObjectiveSettings, description="what the search maximises"
    )
    training: TrainingProtocol = Field(
        default_factory=TrainingProtocol, description="how a candidate is trained"
    )
    train: TrainSettings = Field(
        default_factory=TrainSettings, description="how a network that was found is trained"
    )
    supernet: SupernetSettings | None = Field(
        default=None,
        description="the search inside one training with shared weights; `null`: each candidate has a training of "
        "its own. `--set supernet=null` turns it off for a recipe that has it",
    )
    race: RaceSettings | None = Field(
        default=None,
        description="a search whose trainings go on; `null`: each candidate is trained once",
    )
    start_from: StartFromSettings | None = Field(
        default=None, description="another run, or weights, to start from; `null`: the search begins anew"
    )
    termination: TerminationSettings = Field(
        default_factory=TerminationSettings, description="thresholds of early termination that are measured"
    )
    budget: BudgetSettings = Field(
        default_factory=lambda: BudgetSettings(trials=300), description="when the search ends"
    )
    postprocessing: PostprocessingSettings = Field(
        default_factory=PostprocessingSettings, description="post-processing of segmentations"
    )
    verdict: VerdictSettings = Field(default_factory=VerdictSettings, description="the final comparison")
    machine: MachineSettings = Field(
        default_factory=MachineSettings, description="what of this machine a run may use"
    )
    storage: StorageSettings = Field(
        default_factory=StorageSettings, description="where the trials are stored"
    )
    log: tuple[str, ...] = Field(
        default=(),
        description="where trials and epochs are logged, beside the run folder: `jsonl`, `tensorboard`, `mlflow`; "
        "`--log`, as often as you like",
    )

    def to_yaml(self) -> str:
        """The text of ``run.yaml``."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
