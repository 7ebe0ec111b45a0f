"""What the command line and Python have in common: from a dataset and a recipe to a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.api.run import Run
from netwright.api.runner import OnStatus, conduct
from netwright.comparison.contestants import require_references, require_rival
from netwright.comparison.postprocessing import require_postprocessing
from netwright.comparison.retrain import require_retraining
from netwright.data.images.dataset import ImageSet
from netwright.data.images.prepared import PreparedImages
from netwright.data.layouts.images import IMAGES
from netwright.data.open import IMAGE_FORMATS, inspect_any, recognise, split_any
from netwright.data.splits import Splits
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.prepared import Prepared
from netwright.errors import DatasetError, SettingsError
from netwright.execution.guard import leaving_nothing, require_guard
from netwright.execution.resources import available_cores, default_workers, memory_share_mb
from netwright.planning.cost import Plan, make_plan, measuring_seconds, plan_by_hours
from netwright.planning.data_settings import (
    PICTURES_WITH_MASKS,
    fit_settings,
    is_flat,
    kind_of,
    needs_start,
    require_guess,
    require_validated,
    with_termination,
)
from netwright.planning.exploration import warn_of_exploration
from netwright.planning.measurements import Measurement, measure_start
from netwright.planning.one_shot_cost import SharedPlan, plan_shared
from netwright.planning.space_settings import suit_format, suit_inpainting, suit_space
from netwright.planning.time_share import with_time_share
from netwright.recipes import RECIPES, find_recipe
from netwright.runs.data import open_own, prepare_own
from netwright.runs.folder import create_run_folder, default_output, open_run_folder, require_new_folder
from netwright.runs.trust import remember_code, require_trusted
from netwright.searches.components import problem_of, require_parts
from netwright.searches.one_shot import require_searchable, require_shared, shared_budget, suit_shared
from netwright.settings import RunSettings, override, parse_settings
from netwright.spaces import make_space
from netwright.strategies.makers import make_sampler
from netwright.training.device import resolve_device
from netwright.training.outcome import Status

PLAN_SECONDS = 60.0
"""In which ``netwright plan`` answers."""


@dataclass(frozen=True)
class Wishes:
    """What a user says beyond dataset and recipe; None: the recipe's, or chosen from the data and the machine.

    ``repeat``: the settings of a run to repeat, in place of the recipe's. ``trust_code``: whether the code that it
    names is run though no search of this user ran it; what ``assignments`` name is.
    """

    trials: int | None = None
    hours: float | None = None
    verdict_hours: float | None = None
    workers: int | None = None
    epochs: int | None = None
    seed: int | None = None
    format: str | None = None
    map_label: Mapping[int, int] | None = None
    assignments: Mapping[str, Any] | None = None
    repeat: RunSettings | None = None
    trust_code: bool = False


def search(
    dataset: Path | str,
    recipe: str | None = None,
    *,
    output: Path | str | None = None,
    trials: int | None = None,
    hours: float | None = None,
    verdict_hours: float | None = None,
    workers: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    on_status: OnStatus | None = None,
) -> Run:
    """Search a network for a dataset, compare it with what one would have taken without a search, and report.

    In a script, call it below ``if __name__ == "__main__":``, since worker processes import the script.

    Args:
        dataset: the folder (or ``.npz`` file) of a dataset, to be segmented, classified or restored.
        recipe: a name in `netwright.recipes`; by default one that suits the data, or the user's own network.
        output: the run folder, new or empty; by default ``runs/<dataset>-<recipe>``, numbered where it exists.
        trials: candidates at most.
        hours: wall time of the search at most. Without ``epochs``, each candidate then gets an equal share of it.
        verdict_hours: wall time of the final comparison; half of the search's by default, 0 for none.
        workers: candidates that train at once; by default one a core.
        epochs: of each candidate; the recipe's by default.
        seed: all random numbers come from it.
        settings: any other setting by its dotted name, for example ``{"training.learning_rate": 2e-3}``.
        on_status: called about twice a second with where the run stands.

    Raises:
        DatasetError: the dataset cannot be used; nothing was trained.
        SettingsError: a setting has a wrong name or value.
        RunError: ``output`` holds something already, or no candidate could be trained.
        KeyboardInterrupt: the user ended it (Ctrl-C, SIGTERM, SIGHUP); `Run.resume` goes on.
    """
    require_guard()
    wishes = Wishes(trials, hours, verdict_hours, workers, epochs, seed, assignments=settings)
    run = create_run(Path(dataset), recipe, wishes, None if output is None else Path(output))
    with leaving_nothing(run.folder.root):
        conduct(run.folder, on_status)
    return run


def open_run(path: Path | str, *, trust_code: bool = False) -> Run:
    """A run on disk, running or not.

    ``trust_code``: whether code that the run names, and that no search of yours ran, is run where it is needed: see
    `Run.code`.

    Raises:
        RunError: there is none.
    """
    return Run(open_run_folder(Path(path)), trust_code=trust_code)


def create_run(
    dataset: Path,
    recipe: str | None,
    wishes: Wishes,
    output: Path | None,
    on_stage: Callable[[str], None] = lambda text: None,
) -> Run:
    """Check everything, prepare the data, resolve every setting, and make the run folder; nothing is searched yet.

    ``on_stage`` is told in a few words what is being done.

    Warns:
        SettingsWarning: the search is shorter than its strategy's exploration.
    """
    settings = resolve(dataset, recipe, wishes)
    _require_trusted(settings, wishes, on_stage)
    require_parts(settings)
    require_shared(settings)
    require_references(settings)
    if wishes.repeat is None:
        require_guess(settings, said_by(wishes))
    folder = output if output is not None else default_output(dataset, settings.recipe)
    require_new_folder(folder)
    settings, prepared, splits = _prepared(settings, wishes, on_stage)
    require_searchable(settings, problem_of(settings, prepared).task, len(splits.training))
    make_sampler(settings.strategy, make_space(settings.space), settings.seed)
    require_rival(settings)
    if wishes.repeat is None:
        settings = _measured(settings, prepared, splits, said_by(wishes), on_stage)
    warn_of_exploration(settings)
    remember_code(settings.space)
    folder_of_run = create_run_folder(folder, settings, splits, numbered=output is None)
    return Run(folder_of_run, trust_code=wishes.trust_code)


def _require_trusted(settings: RunSettings, wishes: Wishes, on_stage: Callable[[str], None]) -> None:
    """Refuse code that a run to be repeated names, unless the user ran it before, or trusts it; what the user names now
    is the user's own say.

    Raises:
        UntrustedCode: as `require_trusted`.
    """
    if wishes.repeat is None or "space.network" in (wishes.assignments or {}):
        return
    told = require_trusted(settings.space, trust_code=wishes.trust_code)
    if told is not None:
        on_stage(told)


def _measured(
    settings: RunSettings,
    prepared: Prepared | PreparedImages,
    splits: Splits,
    said: Collection[str],
    on_stage: Callable[[str], None],
) -> RunSettings:
    """The settings with what depends on how fast the starting candidate is here."""
    timed = settings.budget.hours is not None and settings.training.seconds is None
    timed = timed and settings.supernet is None
    timed = timed and "training.epochs" not in said
    seconds, batch_seconds = None, None
    if timed or needs_start(settings, said):
        on_stage("measuring the starting candidate")
        seconds, batch_seconds = measure_start(settings, prepared, *_cases(prepared, splits), required=timed)
    settings = with_termination(settings, problem_of(settings, prepared).task, batch_seconds, said)
    return with_time_share(settings, seconds, said) if timed and seconds is not None else settings


def resolve(dataset: Path, recipe: str | None, wishes: Wishes) -> RunSettings:
    """The recipe's settings with the user's wishes, and what depends on the machine filled in.

    Raises:
        SettingsError: a name or a value is wrong.
    """
    assignments = dict(wishes.assignments or {})
    named = {name: value for name, value in _asked(wishes).items() if value is not None}
    settings = parse_settings(override(_base(dataset, recipe, wishes), {**named, **assignments}))
    own = RECIPES[settings.recipe].values["space"]["name"] if settings.recipe in RECIPES else ""
    settings = suit_format(settings, settings.space.name, own)
    said = {*named, *assignments}
    settings = suit_shared(settings, said, own)
    machine, device = settings.machine, settings.training.device
    resolve_device(device)
    filled: dict[str, Any] = {}
    if settings.supernet is not None:
        repeats = wishes.repeat is not None
        filled |= shared_budget(settings, {*said, *said_by(wishes)}, repeats=repeats, epochs=wishes.epochs)
    if "training.epochs" in said and "training.steps" not in said:
        filled["training.steps"] = None
    if settings.verdict.rival is not None:
        filled["verdict.rival"] = str(settings.verdict.rival.expanduser().resolve())
    if "machine.workers" not in said and wishes.repeat is None:
        filled["machine.workers"] = default_workers(device, machine.threads)
    if "machine.memory_limit_mb" not in said:
        filled["machine.memory_limit_mb"] = memory_share_mb(
            device, filled.get("machine.workers", machine.workers)
        )
    resolved = parse_settings(override(settings.model_dump(mode="json"), filled))
    require_retraining(resolved)
    return resolved


def _base(dataset: Path, recipe: str | None, wishes: Wishes) -> dict[str, Any]:
    """The settings before the user's wishes: of the recipe, or of the run to repeat."""
    place: dict[str, Any] = {"path": str(dataset.resolve())}
    place |= {"format": wishes.format} if wishes.format else {}
    place |= {"map_label": dict(wishes.map_label)} if wishes.map_label else {}
    if wishes.repeat is None:
        found = find_recipe(recipe or _suitable_recipe(dataset, wishes))
        return parse_settings({**found.values, "dataset": place}).model_dump(mode="json")
    if recipe is not None:
        raise SettingsError(
            "Give --recipe, or --settings of a run to repeat, which names its own recipe; not both."
        )
    values = wishes.repeat.model_dump(mode="json")
    values["dataset"] |= place
    if "space.network" in (wishes.assignments or {}):
        values["space"].pop("folder", None)  # that of another network
    return values


def _suitable_recipe(dataset: Path, wishes: Wishes) -> str:
    """The recipe that is taken where none is named: by the user's network or space, or by what the dataset holds.

    Where that cannot be told it is the first one; what is wrong with the dataset is said when it is opened, after
    what is wrong with the settings.
    """
    if "space.network" in (wishes.assignments or {}):
        return "marl"
    space = (wishes.assignments or {}).get("space.name")
    own = [name for name, recipe in RECIPES.items() if recipe.values["space"]["name"] == space]
    if own:
        return own[0]
    try:
        format = wishes.format or recognise(dataset)
    except DatasetError:
        return "segnas4"
    if format == IMAGES:
        return "pdas-inpainting"
    if format in IMAGE_FORMATS:
        return "marl-vgg16"
    return "marl-unet" if format == PICTURES_WITH_MASKS else "segnas4"


def _asked(wishes: Wishes) -> dict[str, Any]:
    return {
        "seed": wishes.seed,
        "budget.trials": wishes.trials,
        "budget.hours": wishes.hours,
        "verdict.hours": wishes.verdict_hours,
        "training.epochs": wishes.epochs,
        "machine.workers": wishes.workers,
    }


def plan_search(
    dataset: Path,
    recipe: str | None,
    wishes: Wishes,
    on_stage: Callable[[str], None] = lambda text: None,
    seconds: float | None = None,
) -> Plan | SharedPlan:
    """What a search would cost here, measured; of one inside one training a plan of its own kind.

    ``on_stage`` is told in a few words what is being done. ``seconds``: of wall time from now on, in which it answers
    with what it has, if reading the data leaves enough of them; None: it measures all.

    Raises:
        DatasetError: the dataset cannot be used.
        SettingsError: a setting has a wrong name or value.
    """
    begun = time.monotonic()

    def tell(found: Measurement) -> None:
        on_stage(
            f"measured {found.name}" if found.status == Status.COMPLETE else f"{found.name}: {found.status}"
        )

    settings = resolve(dataset, recipe, wishes)
    _require_trusted(settings, wishes, on_stage)
    require_parts(settings)
    require_shared(settings)
    settings, prepared, splits = _prepared(settings, wishes, on_stage)
    left = None if seconds is None else measuring_seconds(seconds - (time.monotonic() - begun))
    if settings.supernet is not None:
        require_searchable(settings, problem_of(settings, prepared).task, len(splits.training))
        on_stage("measuring steps of the search")
        return plan_shared(settings, prepared, *_cases(prepared, splits), seconds=left, on_done=tell)
    on_stage("measuring candidates")
    found = make_plan(settings, prepared, *_cases(prepared, splits), seconds=left, on_done=tell)
    start = found.measurements[0].seconds_an_epoch
    said = said_by(wishes)
    if settings.budget.hours is None or "training.epochs" in said or start is None:
        return found
    return plan_by_hours(found, with_time_share(settings, start, said))


def _cases(prepared: Prepared | PreparedImages, splits: Splits) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the training and of the validation cases: what is measured leaves the test cases closed, too."""
    return prepared.indices(splits.training), prepared.indices(splits.validation)


def said_by(wishes: Wishes) -> set[str]:
    """The dotted names of the settings that the user gave in person, where data or a time limit would choose them;
    of a table also the names in it.
    """
    given = wishes.assignments or {}
    inner = {f"{name}.{key}" for name, table in given.items() if isinstance(table, Mapping) for key in table}
    return set(given) | inner | ({"training.epochs"} if wishes.epochs is not None else set())


def _prepared(
    settings: RunSettings, wishes: Wishes, on_stage: Callable[[str], None]
) -> tuple[RunSettings, Prepared | PreparedImages, Splits]:
    """The data, inspected, prepared and split; and the settings with what was chosen from the data."""
    on_stage(f"inspecting {settings.dataset.path}")
    opened = open_own(settings)
    _require_suited(settings, opened, said_by(wishes))
    settings = suit_space(settings, opened, said_by(wishes))
    settings = suit_inpainting(settings, opened, said_by(wishes), repeats=wishes.repeat is not None)
    require_postprocessing(settings, kind_of(opened))
    inspect_any(opened, workers=available_cores()).require_usable(_reading(settings))
    many = f"{len(opened.records)} pictures" if isinstance(opened, ImageSet) else f"{len(opened.cases)} cases"
    on_stage(f"preparing {many}")
    prepared = prepare_own(opened, settings)
    settings = fit_settings(settings, opened, prepared, said_by(wishes))
    splits = split_any(prepared, settings.seed, settings.split)
    require_validated(settings, prepared, splits.validation)
    return settings, prepared, splits


def _require_suited(settings: RunSettings, dataset: Dataset | ImageSet, said: Collection[str]) -> None:
    """Refuse a recipe for another task, or for volumes where there are pictures.

    Where the space is not the recipe's, or one that the user ``said``, `suit_space` looks at that space instead.

    Raises:
        SettingsError: with those that suit.
    """
    kind, flat = kind_of(dataset), is_flat(dataset)
    suited = [
        name
        for name, recipe in RECIPES.items()
        if kind in recipe.kind.tasks and not (flat and recipe.kind.dimensions == (3,))
    ]
    if settings.recipe not in RECIPES or settings.recipe in suited:
        return
    if "space.name" in said or settings.space.name != RECIPES[settings.recipe].values["space"]["name"]:
        return
    task = f"{kind}{' of pictures' * flat}"
    raise SettingsError(
        f"{settings.recipe} is for {RECIPES[settings.recipe].task}, but {dataset.root} is for {task}. "
        f"Recipes for it: {', '.join(suited)}."
    )


def _reading(settings: RunSettings) -> str:
    """The options of the command with which the dataset is read, as a text to put behind a command."""
    place = settings.dataset
    texts = [f" --format {place.format}"] if place.format else []
    return "".join([*texts, *(f" --map-label {old}={new}" for old, new in (place.map_label or {}).items())])
