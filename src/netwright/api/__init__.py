"""The functions that the command line and Python share: from a dataset and a recipe to a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from netwright.api.joining import begin_study, find_study, join_study
from netwright.api.run import Run
from netwright.api.runner import OnStatus, conduct
from netwright.execution.guard import leaving_nothing, require_guard
from netwright.own_code.loading import folder_of
from netwright.planning.candidate_time import share_hours
from netwright.planning.context import Context
from netwright.planning.cost import Plan, make_plan, measuring_seconds, plan_by_hours
from netwright.planning.draft import Draft
from netwright.planning.one_shot_cost import OneShotPlan, plan_one_shot
from netwright.planning.probe import Measurement
from netwright.planning.recipe import first_draft
from netwright.planning.resolve import PLAN, Chapter, take_steps
from netwright.planning.user_settings import UserSettings
from netwright.runs.folder import create_run_folder, default_output, open_run_folder
from netwright.runs.shared_trials import make_shared_trials
from netwright.runs.trust import codes_of, remember_code
from netwright.training.outcome import Status

PLAN_SECONDS = 60.0
"""The time in which ``netwright plan`` answers."""


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
    """Searches a network for a dataset, compares it with networks that one would use without a search, and reports.

    In a script, call it below ``if __name__ == "__main__":``, because worker processes import the script.

    Args:
        dataset: the folder (or ``.npz`` file) of a dataset to segment, classify or restore.
        recipe: a name in `netwright.recipes`; by default `auto`; with the user's own network, for pictures to restore,
            or where a setting belongs to a search that trains each candidate once, a published one.
        output: the run folder, new or empty; by default ``runs/<dataset>-<recipe>``, numbered where it exists.
        trials: the most candidates.
        hours: the wall time, with `auto` of all of it, an hour by default; with other recipes of the search, where
            without ``epochs`` each candidate gets an equal share of it.
        verdict_hours: the wall time of the final comparison, which `auto` does not have; half of the search's by
            default, 0 for none.
        workers: how many candidates train at once; by default one for each core.
        epochs: of each candidate; the recipe's by default.
        seed: all random numbers come from it.
        settings: any other setting by its dotted name, for example ``{"training.learning_rate": 2e-3}``.
        on_status: called about twice a second with the state of the run.

    Raises:
        DatasetError: the dataset cannot be used; nothing was trained.
        SettingsError: a setting has a wrong name or value.
        RunError: ``output`` holds something already, or no candidate could be trained.
        KeyboardInterrupt: the user stopped it (Ctrl-C, SIGTERM, SIGHUP); `Run.resume` goes on.

    Example:
        >>> run = search("Task04_Hippocampus", recipe="segnas4", hours=2, output="run")  # doctest: +SKIP
        >>> run.best.choice, run.best.reward  # doctest: +SKIP
    """
    require_guard()
    user = UserSettings(trials, hours, verdict_hours, workers, epochs, seed, assignments=settings)
    run = create_run(Path(dataset), recipe, user, None if output is None else Path(output))
    run.code(searching=True)
    with leaving_nothing(run.folder.root):
        conduct(run.folder, on_status)
    return run


def open_run(path: Path | str, *, trust_code: bool = False) -> Run:
    """Opens a run on disk, running or not.

    ``trust_code`` allows to run code that the run names, even if none of your searches ran it before: see `Run.code`.

    Raises:
        RunError: there is none.

    Example:
        >>> run = open_run("run")  # doctest: +SKIP
        >>> run.predict("scans", "labels")  # doctest: +SKIP
        >>> run.evaluate("other-hospital").metrics["dice"]  # doctest: +SKIP
    """
    return Run(open_run_folder(Path(path)), trust_code=trust_code)


def create_run(
    dataset: Path,
    recipe: str | None,
    user: UserSettings,
    output: Path | None,
    on_stage: Callable[[str], None] = lambda text: None,
) -> Run:
    """Checks everything, prepares the data, resolves every setting, and makes the run folder. Does not search yet.

    Args:
        dataset: the path of the dataset.
        recipe: its name; None: one that fits the data.
        user: what the user set.
        output: the run folder, new or empty; None: a new one is chosen.
        on_stage: called with a few words about what is being done.

    Warns:
        SettingsWarning: the search is shorter than its strategy's exploration, or there are too few validation cases.
    """
    draft, context = first_draft(dataset, recipe, user), Context(user, output, on_stage)
    folder = output or default_output(draft.dataset.path, draft.recipe)
    named = "storage.url" in draft.user_set
    there = find_study(draft.storage, folder, named=named)
    if there is None:
        take_steps(draft, context, *Chapter)
        settings = draft.finished()
        for code in codes_of(settings):
            remember_code(code)
        own = "storage.folder" in draft.user_set
        begun = begin_study(settings, context.splits, context.folder, named=own)
        if begun is not None:
            made = create_run_folder(
                context.folder,
                begun,
                context.splits,
                numbered=output is None,
                weights=context.start_weights,
            )
            make_shared_trials(begun.storage.trials)
            return Run(made, trust_code=user.trust_code)
        there = find_study(settings.storage, context.folder, named=named)
    assert there is not None
    on_stage(f"taking part in the study {there.study}")
    run = join_study(there, output, _given(draft, recipe, user), trust_code=user.trust_code)
    for code in codes_of(run.settings):
        if code.setting in draft.user_set:
            remember_code(code)
    return run


def _given(draft: Draft, recipe: str | None, user: UserSettings) -> dict[str, Any]:
    """What the user gave of the settings of a study, by dotted name; folders of own code are where it is found here.

    Of a run to repeat it is what makes another search.
    """
    source = draft.dataset
    given = user.values() | {"dataset.path": str(source.path)}
    given |= {} if recipe is None else {"recipe": recipe}
    given |= {} if user.format is None else {"dataset.format": source.format}
    given |= {"dataset.map_label": dict(source.map_label)} if user.map_label else {}
    given |= {"dataset.regions": dict(source.regions)} if user.regions else {}
    if "start_from.path" in given:
        given["start_from.path"] = str(Path(given["start_from.path"]).expanduser().absolute())
    if user.repeat is not None:
        strategy = draft.strategy.model_dump(mode="json")
        given |= {"recipe": draft.recipe, "space.name": draft.space.name, "strategy": strategy}
    for code in codes_of(draft):
        if code.setting in draft.user_set:
            given[f"{code.table}.folder"] = folder_of(code)
    return given


def plan(
    dataset: Path,
    recipe: str | None,
    user: UserSettings,
    on_stage: Callable[[str], None] = lambda text: None,
    seconds: float | None = None,
) -> Plan | OneShotPlan:
    """Measures what a search would cost here. A search inside one training has its own kind of plan.

    Args:
        dataset: the path of the dataset.
        recipe: its name; None: one that fits the data.
        user: what the user set.
        on_stage: called with a few words about what is being done.
        seconds: the wall time, from now on, in which it answers with what it has, if reading the data leaves enough of
            it; None: it measures everything.

    Raises:
        DatasetError: the dataset cannot be used.
        SettingsError: a setting has a wrong name or value.
    """
    begun = time.monotonic()

    def tell(measured: Measurement) -> None:
        complete = measured.status == Status.COMPLETE
        on_stage(f"measured {measured.name}" if complete else f"{measured.name}: {measured.status}")

    draft, context = first_draft(dataset, recipe, user), Context(user, on_stage=on_stage)
    take_steps(draft, context, *PLAN)
    settings = draft.finished()
    left = math.inf if seconds is None else measuring_seconds(seconds - (time.monotonic() - begun))
    if settings.supernet is not None:
        on_stage("measuring steps of the search")
        shared = plan_one_shot(settings, context.prepared, *context.cases, seconds=left, on_done=tell)
        return replace(shared, test_cases=len(context.splits.test), parts=context.splits.origin)
    on_stage("measuring candidates")
    result = make_plan(settings, context.prepared, *context.cases, seconds=left, on_done=tell)
    result = replace(result, test_cases=len(context.splits.test), parts=context.splits.origin)
    start = result.measurements[0].seconds_an_epoch
    if (
        settings.race is not None
        or settings.budget.hours is None
        or "training.epochs" in draft.user_set
        or start is None
    ):
        return result
    share_hours(draft, start)
    return plan_by_hours(result, draft)
