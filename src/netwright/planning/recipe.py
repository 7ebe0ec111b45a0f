"""Which recipe a run begins with, and whether it suits the data."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from netwright.data.recognition import recognise, task_of_format
from netwright.errors import DatasetError, SettingsError
from netwright.execution.notes import say_once
from netwright.objective import COSTS, read_limit
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.planning.objectives import ONE, asks_for_front, named_objectives
from netwright.planning.user_settings import UserSettings
from netwright.recipes import RECIPES, find_recipe
from netwright.runs.folder import open_run_folder
from netwright.settings.old_names import warn_of_old_names
from netwright.spaces import SPACES, filled_in_options
from netwright.spaces.kinds import KINDS
from netwright.tasks import TASKS

AUTO = "auto"
PUBLISHED = (
    "budget.count",
    "budget.fewest_epochs",
    "budget.trials",
    "inpainting",
    "slices",
    "space",
    "strategy",
    "supernet",
    "termination",
    "train",
    "training",
    "verdict",
)
"""Settings and tables of settings for searches that train each candidate once. A user who sets one and names no recipe
gets the published recipe of the task."""


def first_draft(dataset: Path, recipe: str | None, user: UserSettings) -> Draft:
    """The settings of the recipe, or of the run to repeat, with those that the user gave.

    Args:
        dataset: where it lies.
        recipe: its name; None: one that suits what the user set, or the dataset.
        user: what the user set.

    Warns:
        SettingsWarning: the user gave a setting by its old name.

    Raises:
        SettingsError: a name or a value is wrong.
    """
    warn_of_old_names(user.assignments or {})
    draft = Draft.begin(_begin_with(dataset, recipe, user), user.user_set())
    _require_race(draft)
    if any(named_objectives(user)):
        draft.choose(ONE)
    draft.change(user.values())
    return draft


def _require_race(draft: Draft) -> None:
    """Refuse settings of `race` where each candidate is trained once: one of them alone would make another search."""
    given = sorted(name for name in draft.user_set if name.startswith("race."))
    if draft.race is not None or "race" in draft.user_set or not given:
        return
    option = {"race.single": " (--single)", "race.compare": " (--compare)"}.get(given[0], "")
    raise SettingsError(
        f"{given[0]}{option} is for trainings that go on, but the recipe {draft.recipe} trains each candidate once. "
        "Give --recipe auto, or leave it out."
    )


def _begin_with(dataset: Path, recipe: str | None, user: UserSettings) -> dict[str, Any]:
    source: dict[str, Any] = {"path": str(dataset.resolve())}
    source |= {"format": user.format} if user.format else {}
    source |= {"map_label": dict(user.map_label)} if user.map_label else {}
    source |= {"regions": dict(user.regions)} if user.regions else {}
    if user.repeat is None:
        return {**find_recipe(recipe or _suitable_recipe(dataset, user)).values, "dataset": source}
    if recipe is not None:
        raise SettingsError(
            "Give --recipe, or --settings of a run to repeat, which names its own recipe; not both."
        )
    values = user.repeat.model_dump(mode="json")
    values["dataset"] |= source
    values["storage"]["study"] = None  # that is the other run's
    values["preprocessing"]["ct_intensities"] = None  # perhaps of cases that are for testing now
    if not user.user_set().isdisjoint({"space.network", "space.code"}):
        values["space"].pop("folder", None)  # that of another network
    if "strategy.code" in user.user_set():
        values["strategy"] = {"name": values["strategy"]["name"]}  # the rest is of another class
    return values


def _suitable_recipe(dataset: Path, user: UserSettings) -> str:
    """The recipe if the user named none: it follows from the user's network or space, or from the dataset.

    It is `auto` where that has a space for the task, unless the user set something of a search that trains each
    candidate once: then it is the task's own, and a note says why. A dataset that cannot be recognised gets the first
    recipe. The error is raised later, when the dataset is opened, so that errors in the settings come first.
    """
    if "space.network" in user.user_set():
        return "marl"
    start = user.values().get("start_from.path")
    if start is not None and (Path(str(start)).expanduser() / "run.yaml").is_file():
        return open_run_folder(Path(str(start)).expanduser()).settings().recipe
    space = user.values().get("space.name")
    same_space = [
        name
        for name, recipe in RECIPES.items()
        if space in (recipe.values["space"]["name"], *recipe.spaces.values())
    ]
    if same_space:
        return same_space[0]
    try:
        format = user.format or recognise(dataset)
    except DatasetError:
        return "segnas4"
    task, dimensions = task_of_format(format or "")
    published = TASKS[task].recipe(dimensions)
    if TASKS[task].networks not in RECIPES[AUTO].spaces:
        return published
    reason = _reason_for_published(user, RECIPES[AUTO].spaces[TASKS[task].networks])
    if reason is None:
        return AUTO
    other = "" if asks_for_front(user) else f" For trainings that go on, give --recipe {AUTO}."
    say_once(f"The recipe is {published}, since {reason}.{other}")
    return published


def _reason_for_published(user: UserSettings, space: str) -> str | None:
    """What the user set that `auto` does not have; None: nothing.

    That is several objectives, a setting of `PUBLISHED` that is no option of its space, or a limit on a metric.
    """
    if asks_for_front(user):
        return "there are several objectives"
    limits = user.values().get("objective.limits", ())
    for limit in limits if isinstance(limits, list | tuple) else ():
        if read_limit(str(limit)).name not in COSTS:
            return f"the limit {limit} is on a metric"
    own = inspect.signature(SPACES[space]).parameters.keys() - filled_in_options(space)
    given = sorted(
        name
        for name in user.user_set()
        for table in PUBLISHED
        if f"{name}.".startswith(f"{table}.")
        and not (table == "space" and name.partition(".")[2].partition(".")[0] in own)
    )
    return f"{given[0]} was set" if given else None


def recipes_space(draft: Draft) -> str:
    """The space of the run's recipe; "" if the recipe no longer exists."""
    name: str = RECIPES[draft.recipe].values["space"]["name"] if draft.recipe in RECIPES else ""
    return name


def choose_space(draft: Draft, context: Context) -> None:
    """Take the recipe's space for the task of the data, where it has several and the user set none.

    Options of the space that the user set are those of the new one.
    """
    spaces = RECIPES[draft.recipe].spaces if draft.recipe in RECIPES else {}
    name = spaces.get(TASKS[context.dataset.task].networks)
    if name is None or context.repeats or "space.name" in draft.user_set:
        return
    if draft.space.name in spaces.values() and draft.space.name != name:
        options = {
            option: value
            for option, value in draft.space.options.items()
            if f"space.{option}" in draft.user_set
        }
        draft.change({"space": {**options, "name": name}})


def read_without_classes(draft: Draft, _: Context) -> None:
    """Read pictures without their classes if the space of the run, or of its recipe, is for inpainting alone.

    A space that is for a single task gets the format of that task, if it has one.
    """
    spaces = [KINDS[name] for name in (draft.space.name, recipes_space(draft)) if name in KINDS]
    formats = [TASKS[kind.tasks[0]].format for kind in spaces if len(kind.tasks) == 1]
    wanted = next((format for format in formats if format is not None), None)
    if draft.dataset.format is None and wanted is not None:
        draft.change({"dataset.format": wanted})


def require_recipe(draft: Draft, context: Context) -> None:
    """Refuse a recipe for another task, or one for volumes if the data is pictures.

    If the user named a space, or the space is not the recipe's, `choose_slices` checks that space instead.

    Raises:
        SettingsError: it names the recipes that suit.
    """
    task = TASKS[context.dataset.task]
    masks = context.dataset.sliceable and context.dataset.dimensions == 2
    suitable = [
        name
        for name, recipe in RECIPES.items()
        if any(
            task.networks in kind.tasks and not (masks and kind.dimensions == (3,)) for kind in recipe.kinds
        )
    ]
    if draft.recipe not in RECIPES or draft.recipe in suitable:
        return
    if "space.name" in draft.user_set or draft.space.name != recipes_space(draft):
        return
    words = f"{task.name}{' of pictures' * masks}"
    raise SettingsError(
        f"{draft.recipe} is for {RECIPES[draft.recipe].task}, but {context.dataset.root} is for {words}. "
        f"Recipes for it: {', '.join(suitable)}."
    )
