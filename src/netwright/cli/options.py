"""The arguments and options that several verbs share, and the settings made from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netwright.cli.completion import complete_setting
from netwright.errors import SettingsError

if TYPE_CHECKING:
    from netwright.planning.user_settings import UserSettings

DatasetArgument = Annotated[Path, typer.Argument(help="Folder (or .npz file) of images.")]
RunArgument = Annotated[Path, typer.Argument(help="Folder of a run, as given to search -o.")]
RunOrNoneArgument = Annotated[
    Path | None, typer.Argument(help="Folder of a run, as given to search -o; or give --storage and --study.")
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="Database for the trials, postgresql+psycopg://USER@HOST/DATABASE, which several searches may use.",
    ),
]
StudyOption = Annotated[
    str | None, typer.Option("--study", metavar="NAME", help="Name of the study in that database.")
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        "-r",
        help="A name from 'netwright recipes'; by default auto, or with trials or epochs the task's published one.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="Format of the dataset; recognised by default.")
]
MapLabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map-label",
        metavar="OLD=NEW",
        help="Read label value OLD as NEW; OLD=ignore: its voxels are not used.",
    ),
]
RegionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--region",
        metavar="NAME=LABELS",
        help="Learn and score labels as one region, e.g. whole=1,2,4; larger regions first.",
    ),
]
MaxPixelsOption = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        metavar="NUMBER",
        callback=lambda value: _allow_pixels(value),
        help="The largest pictures (in pixels) and volumes (in voxels) to read.",
    ),
]
SplitFileOption = Annotated[
    Path | None,
    typer.Option("--split-file", metavar="FILE", help="CSV or JSON file with the part of each case."),
]
FoldOption = Annotated[
    int | None,
    typer.Option("--fold", min=0, help="Which fold of the split file, from 0; by default the first."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting by its dotted name, e.g. training.epochs=20.",
        autocompletion=complete_setting,
    ),
]


def finite(value: float | None) -> float | None:
    """A number from the user; infinite numbers and NaN are refused.

    Raises:
        typer.BadParameter: it is infinite or NaN.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


TrialsOption = Annotated[int | None, typer.Option(min=1, help="Maximum number of candidates.")]
HoursOption = Annotated[float | None, typer.Option(help="Maximum wall time of the search, in hours.")]
VerdictOption = Annotated[
    float | None,
    typer.Option(help="Hours for the final comparison; by default half of the search's, 0: no comparison."),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Candidates trained at once; by default one per GPU, else one per core."),
]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Epochs of each candidate.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
TrialOption = Annotated[int | None, typer.Option(min=0, help="Number of a trial; by default the winner.")]
SingleOption = Annotated[
    bool, typer.Option("--single", help="One network in the end, not several together (recipe auto).")
]
CompareOption = Annotated[
    str | None,
    typer.Option(
        "--compare",
        metavar="full",
        help="Then train the default alone for as many hours, to see what the search was worth (recipe auto).",
    ),
]
NoCRFOption = Annotated[
    bool, typer.Option("--no-crf", help="Do not apply the CRF that was kept for the network.")
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust-code", help="Run the code of the run's network, even if no search of yours ran it before."
    ),
]
FromPlansOption = Annotated[
    Path | None,
    typer.Option(
        "--from-plans",
        metavar="FILE",
        help="nnU-Net's plans (nnUNetPlans.json): spacing, normalisation, patch and batch size are theirs, and their "
        "network is the default that a search with auto starts from.",
    ),
]
PlansConfigurationOption = Annotated[
    str, typer.Option("--plans-configuration", metavar="NAME", help="Which configuration of these plans.")
]
NetworkOption = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="PACKAGE.MODULE:FACTORY",
        help="Your own network, adapted layer by layer (recipe marl).",
    ),
]
SpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="NAME",
        help="Search space instead of the recipe's; see 'netwright recipes --parts'.",
    ),
]
StrategyOption = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        metavar="NAME",
        help="Search strategy instead of the recipe's; see 'netwright recipes --parts'.",
    ),
]
ObjectiveOption = Annotated[
    str | None,
    typer.Option(
        "--objective", metavar="METRIC", help="One metric instead of the recipe's objective, e.g. dice."
    ),
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--limit", metavar="LIMIT", help="A condition that a network must meet, e.g. 'parameters<=2e6'."
    ),
]

ExecutorOption = Annotated[
    str | None,
    typer.Option("--executor", metavar="NAME", help="Where candidates train: local, by default, or ray."),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="ADDRESS",
        help="The Ray cluster, auto or HOST:PORT; by default Ray is started here.",
    ),
]
GPUsOption = Annotated[
    float | None,
    typer.Option("--gpus-per-trial", min=0, callback=finite, help="GPUs of a candidate on Ray, e.g. 0.5."),
]
CPUsOption = Annotated[
    int | None, typer.Option("--cpus-per-trial", min=1, help="Cores that a candidate asks Ray for.")
]

LogOption = Annotated[
    list[str] | None,
    typer.Option("--log", metavar="NAME", help="Also log trials and epochs as jsonl, tensorboard or mlflow."),
]


SplitsOption = Annotated[
    int | None,
    typer.Option(
        "--splits",
        min=2,
        help="So many runs, each with its own seed and division of the data and with all of --hours, and a table of "
        "their means.",
    ),
]
FoldsOption = Annotated[
    int | None,
    typer.Option(
        "--folds",
        min=2,
        help="Cross-validation: so many runs, each with all of --hours and with other cases held out; in the end their "
        "networks are used as one.",
    ),
]


def _allow_pixels(most: int | None) -> int | None:
    """Raise or lower the limit for everything that the command reads."""
    if most is not None:
        from netwright.data.io.bounds import set_max_pixels

        set_max_pixels(most)
    return most


def given_options(context: typer.Context, *without: str) -> list[str]:
    """The options that the user gave a verb, to be given again, without the names in ``without``."""
    words: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        option = next((text for text in parameter.opts if text.startswith("--")), None)
        if option is None or name in without or source is None or source.name != "COMMANDLINE":
            continue
        given = context.params[name]
        for value in given if isinstance(given, list | tuple) else [given]:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            words += [option] if isinstance(value, bool) else [option, text]
    return words


def read_user_settings(
    *,
    map_label: Sequence[str] | None,
    region: Sequence[str] | None = None,
    assignments: Sequence[str] | None,
    space: str | None = None,
    strategy: str | None = None,
    objective: str | None = None,
    network: str | None = None,
    limits: Sequence[str] | None = None,
    single: bool = False,
    compare: str | None = None,
    logs: Sequence[str] | None = None,
    split_file: Path | None = None,
    fold: int | None = None,
    storage: str | None = None,
    study: str | None = None,
    executor: str | None = None,
    ray_address: str | None = None,
    gpus_per_trial: float | None = None,
    cpus_per_trial: int | None = None,
    from_plans: Path | None = None,
    plans_configuration: str = "",
    **options: Any,
) -> UserSettings:
    """The settings that the options ask for, checked as far as texts can be.

    Raises:
        SettingsError: a text cannot be read.
    """
    from netwright.planning.nnunet_plans import assignments_of_plans
    from netwright.planning.user_settings import UserSettings
    from netwright.settings import read_assignments

    parts = {
        "space.name": space,
        "strategy.name": strategy,
        "objective": objective,
        "dataset.split_file": None if split_file is None else str(split_file),
        "dataset.fold": fold,
        "storage.url": storage,
        "storage.study": study,
        "machine.executor": executor,
        "machine.ray_address": ray_address,
        "machine.gpus_per_trial": gpus_per_trial,
        "machine.cpus_per_trial": cpus_per_trial,
    }
    named: dict[str, Any] = {}
    if from_plans is not None:
        named |= assignments_of_plans(from_plans, plans_configuration)
    named |= {name: value for name, value in parts.items() if value is not None}
    named |= read_assignments(list(assignments or []))
    if network is not None:
        named["space.network"] = network
    if limits:
        named["objective.limits"] = list(limits)
    if single:
        named["race.single"] = True
    if compare is not None:
        named["race.compare"] = compare
    if logs:
        named["log"] = list(dict.fromkeys(logs))
    return UserSettings(
        map_label=read_label_map(map_label), regions=read_regions(region), assignments=named, **options
    )


def recipe_for(recipe: str | None, from_plans: Path | None) -> str | None:
    """The recipe of a search; with the plans of nnU-Net auto, whose default their network becomes.

    Args:
        recipe: that the user named; None: none.
        from_plans: the plans; None: there are none.

    Raises:
        SettingsError: plans with another recipe.
    """
    if from_plans is None:
        return recipe
    if recipe not in (None, "auto"):
        raise SettingsError(
            f"--from-plans was given with --recipe {recipe}: expected auto, which starts from the plans' network. "
            "Leave one of them out."
        )
    return "auto"


def read_label_map(texts: Sequence[str] | None) -> dict[int, int]:
    """``OLD=NEW`` texts as a table; ``OLD=ignore`` as `IGNORE`.

    Raises:
        SettingsError: a text has another form, or two texts give one value different labels.

    >>> read_label_map(["2=1", "3=1", "255=ignore"])
    {2: 1, 3: 1, 255: -1}
    """
    from netwright.data.volumes.regions import IGNORE, IGNORED_WORD, meant_as

    result: dict[int, int] = {}
    for text in ",".join(texts or []).split(",") if texts else ():
        old, equals, new = text.partition("=")
        ignored = new.strip() == IGNORED_WORD
        if not (equals and old.strip().lstrip("-").isdigit() and (ignored or new.strip().isdigit())):
            raise SettingsError(
                f"--map-label expects OLD=NEW with whole numbers, for example 255=1, or OLD=ignore; got {text!r}."
            )
        meant = IGNORE if ignored else int(new)
        if result.setdefault(int(old), meant) != meant:
            both = [meant_as(one) for one in (result[int(old)], meant)]
            raise SettingsError(
                f"--map-label reads {int(old)} as {both[0]} and as {both[1]}: expected one. Leave the other out."
            )
    return result


def read_regions(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """``NAME=LABELS`` texts as a table, in their order.

    Raises:
        SettingsError: a text has another form, or two have one name.

    >>> read_regions(["whole tumour=1,2,4", "core=1,4"])
    {'whole tumour': (1, 2, 4), 'core': (1, 4)}
    """
    result: dict[str, tuple[int, ...]] = {}
    for text in texts or ():
        name, _, listed = text.rpartition("=")
        labels = [label.strip() for label in listed.split(",")]
        if not name.strip() or not all(label.isdigit() for label in labels):
            raise SettingsError(
                f"--region expects NAME=LABELS with label values between commas, for example whole=1,2,4; got {text!r}."
            )
        if name.strip() in result:
            raise SettingsError(
                f"--region names {name.strip()!r} twice: expected a name for each. Rename one."
            )
        result[name.strip()] = tuple(map(int, labels))
    return result
