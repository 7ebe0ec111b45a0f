"""What the command line and Python have in common: from a dataset and a recipe to a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.data.classification.dataset import ImageSet
from netwright.data.classification.prepared import PreparedImages
from netwright.data.dataset import Dataset
from netwright.data.inpainting.folder import IMAGES
from netwright.data.opening import IMAGE_FORMATS, inspect_any, recognise, split_any
from netwright.data.prepared import Prepared
from netwright.data.splits import Splits
from netwright.errors import DatasetError, SettingsError
from netwright.recipes import RECIPES, find_recipe
from netwright.settings import RunSettings, override, parse_settings
from netwright.study.conduct import OnStatus, conduct
from netwright.study.exploration import warn_of_exploration
from netwright.study.fitting import (
    PICTURES_WITH_MASKS,
    fit_settings,
    is_flat,
    kind_of,
    needs_start,
    require_guess,
    require_validated,
    with_termination,
)
from netwright.study.folder import create_run_folder, open_run_folder, require_new_folder
from netwright.study.machine import available_cores, default_workers, memory_share_mb
from netwright.study.material import open_own, prepare_own
from netwright.study.parts import make_sampler, make_space, problem_of, require_parts
from netwright.study.plan import Plan, make_plan, measure_start, plan_by_hours
from netwright.study.postprocessing import require_postprocessing
from netwright.study.retraining import require_retraining
from netwright.study.run import Run
from netwright.study.shared import require_searchable, require_shared, shared_budget, suit_shared
from netwright.study.shared_plan import SharedPlan, plan_shared
from netwright.study.suiting import suit_format, suit_inpainting, suit_space
from netwright.study.verdict import require_references, require_rival

CANDIDATES_AN_HOUR = 40
"""Candidates that a search limited in hours aims at, for each hour of each worker."""
FEWEST_CANDIDATES = 12
SHORTEST_SHARE_SECONDS = 10.0
EPOCHS_A_SHARE = 3


@dataclass(frozen=True)
class Wishes:
    """What a user says beyond dataset and recipe; None: the recipe's, or chosen from the data and the machine.

    ``repeat``: the settings of a run to repeat, in place of the recipe's.
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
        KeyboardInterrupt: the user ended it; `Run.resume` goes on.
    """
    wishes = Wishes(trials, hours, verdict_hours, workers, epochs, seed, assignments=settings)
    run = create_run(Path(dataset), recipe, wishes, None if output is None else Path(output))
    conduct(run.folder, on_status)
    return run


def open_run(path: Path | str) -> Run:
    """A run on disk, running or not.

    Raises:
        RunError: there is none.
    """
    return Run(open_run_folder(Path(path)))


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
    require_parts(settings)
    require_shared(settings)
    require_references(settings)
    if wishes.repeat is None:
        require_guess(settings, said_by(wishes))
    folder = output if output is not None else default_output(dataset, settings.recipe)
    require_new_folder(folder)
    settings, prepared, splits = _prepared(settings, wishes, on_stage)
    require_searchable(settings, problem_of(settings, prepared).task, len(splits.training))
    make_sampler(settings, make_space(settings.space))
    require_rival(settings)
    if wishes.repeat is None:
        settings = _measured(settings, prepared, splits, said_by(wishes), on_stage)
    warn_of_exploration(settings)
    return Run(create_run_folder(folder, settings, splits))


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
        seconds, batch_seconds = measure_start(settings, prepared, *_cases(prepared, splits))
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
    dataset: Path, recipe: str | None, wishes: Wishes, on_stage: Callable[[str], None] = lambda text: None
) -> Plan | SharedPlan:
    """What a search would cost here, measured; of one inside one training a plan of its own kind.

    Raises:
        DatasetError: the dataset cannot be used.
        SettingsError: a setting has a wrong name or value.
    """
    settings = resolve(dataset, recipe, wishes)
    require_parts(settings)
    require_shared(settings)
    settings, prepared, splits = _prepared(settings, wishes, on_stage)
    if settings.supernet is not None:
        require_searchable(settings, problem_of(settings, prepared).task, len(splits.training))
        on_stage("measuring steps of the search")
        return plan_shared(settings, prepared, *_cases(prepared, splits))
    on_stage("measuring candidates")
    found = make_plan(settings, prepared, *_cases(prepared, splits))
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


def with_time_share(settings: RunSettings, epoch_seconds: float, said: Collection[str] = ()) -> RunSettings:
    """Settings of a search limited in hours: an equal share of wall time for each candidate.

    A fixed number of epochs would be a promise that a time limit cannot keep. The share is what lets about
    `CANDIDATES_AN_HOUR` candidates finish in each hour of each worker, yet long enough for a few epochs of the
    starting candidate. The learning rate then falls along a cosine, so that a short training ends settled. Networks
    met before cost no time, and do not count. What the user ``said``, by dotted names, stays.

    The paper's population of 10 (n + 1) members would be all that such a search gets to: a controlled random search
    whose population is not set gets 2 (n + 1), kept at the centres of their cells, which is better at every budget
    up to the paper's 300 on two objectives (``benchmarks/crs_population.py``).
    """
    hours = settings.budget.hours
    if hours is None:
        return settings
    machine_seconds = hours * 3600.0 * settings.machine.workers
    most = settings.budget.trials or math.inf
    candidates = min(most, max(FEWEST_CANDIDATES, CANDIDATES_AN_HOUR * hours * settings.machine.workers))
    share = max(machine_seconds / candidates, EPOCHS_A_SHARE * epoch_seconds, SHORTEST_SHARE_SECONDS)
    changes = {
        "training.seconds": round(share, 1),
        "training.schedule": "cosine",
        "training.patience": None,  # it would end a training before its learning rate has fallen
        "budget.count": "distinct",
    }
    if settings.verdict.schedule == "recipe":
        # What the share of time takes from the candidates is kept for the networks of the comparison.
        kept = {"schedule": settings.training.schedule, "patience": settings.training.patience}
        changes |= {f"train.{name}": getattr(settings.train, name) or value for name, value in kept.items()}
    if settings.objective.per_epoch:
        # Shares of time, not epochs, make episodes alike.
        changes |= {"objective.per_epoch": False, "budget.fewest_epochs": None}
    strategy = settings.strategy
    if strategy.name == "controlled-random-search" and "population" not in strategy.options:
        dimensions = len(make_space(settings.space).distributions())
        changes |= {"strategy.population": 2 * (dimensions + 1), "strategy.cell_centres": True}
    chosen = {name: value for name, value in changes.items() if name not in said}
    return parse_settings(override(settings.model_dump(mode="json"), chosen))


def default_output(dataset: Path, recipe: str) -> Path:
    """A new folder for a run: ``runs/<dataset>-<recipe>``, with a number where that exists."""
    base = Path("runs") / f"{dataset.resolve().name}-{recipe}"
    candidates = [base, *(base.with_name(f"{base.name}-{i}") for i in range(2, 1000))]
    return next(path for path in candidates if not path.exists())
