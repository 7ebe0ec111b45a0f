"""The verbs that begin with a dataset: plan and search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netwright.cli.conduct import conduct, conduct_series, stage, tell_finished, warnings_of_settings
from netwright.cli.console import err, out, print_json, print_lines
from netwright.cli.option_groups import values_of, with_groups
from netwright.cli.options import (
    DatasetArgument,
    JsonOption,
    MaxPixelsOption,
    SeedOption,
    StorageOption,
    StudyOption,
    TrustOption,
    finite,
)
from netwright.cli.reading import given_options, read_user_settings, recipe_for
from netwright.cli.search_options import (
    BudgetOptions,
    CandidateOptions,
    DataOptions,
    FoldsOption,
    LogOption,
    MachineOptions,
    PartsOptions,
    RecipeOption,
    SplitsOption,
    VerdictOption,
    WishOptions,
)
from netwright.errors import SettingsError, StudyFinished


@with_groups
def plan(
    context: typer.Context,
    dataset: DatasetArgument,
    *,
    recipe: RecipeOption = None,
    parts: PartsOptions,
    budget: BudgetOptions,
    candidates: CandidateOptions,
    seed: SeedOption = 0,
    machine: MachineOptions,
    wishes: WishOptions,
    as_json: JsonOption = False,
    data: DataOptions,
    max_pixels: MaxPixelsOption = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=1, callback=finite, help="Time for measuring, in seconds; 60 by default."),
    ] = None,
) -> None:
    """Measure what candidates cost on this machine, and estimate the time of the whole search."""
    from netwright import api
    from netwright.cli.tables import plan_lines

    recipe = recipe_for(recipe, wishes.from_plans)
    given = values_of(parts, budget, candidates, machine, wishes, data)
    user = read_user_settings(**given, seed=seed)
    with warnings_of_settings() as told:
        result = api.plan(dataset, recipe, user, on_stage=stage, seconds=seconds or api.PLAN_SECONDS)
    print_lines(told, console=err if as_json else out)
    if as_json:
        print_json(result.to_dict())
        return
    print_lines(plan_lines(result, dataset, given_options(context, "recipe", "seconds", "as_json")))


@with_groups
def search(
    dataset: DatasetArgument,
    *,
    recipe: RecipeOption = None,
    parts: PartsOptions,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Run folder, new or empty.")] = None,
    budget: BudgetOptions,
    verdict_hours: VerdictOption = None,
    candidates: CandidateOptions,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all random numbers; 0 by default.")] = None,
    machine: MachineOptions,
    wishes: WishOptions,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="Repeat a run: a run.yaml whose settings replace a recipe."),
    ] = None,
    data: DataOptions,
    max_pixels: MaxPixelsOption = None,
    logs: LogOption = None,
    splits: SplitsOption = None,
    folds: FoldsOption = None,
    storage: StorageOption = None,
    study: StudyOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Search a network, compare it with a default or with standard networks, and write a report."""
    from netwright.api import create_run
    from netwright.settings import read_settings

    recipe = recipe_for(recipe, wishes.from_plans)
    user = read_user_settings(
        **values_of(parts, budget, candidates, machine, wishes, data),
        verdict_hours=verdict_hours,
        seed=seed,
        logs=logs,
        storage=storage,
        study=study,
        repeat=None if settings is None else read_settings(settings),
        trust_code=trust_code,
    )
    if splits is not None and folds is not None:
        raise SettingsError("--splits and --folds were given: expected one of them. Leave the other out.")
    if splits is not None or folds is not None:
        conduct_series(dataset, recipe, user, output, splits=splits, folds=folds)
        return
    try:
        with warnings_of_settings() as told:
            run = create_run(dataset, recipe, user, output, on_stage=stage)
    except StudyFinished as finished:
        tell_finished(finished)
        return
    print_lines(told)
    conduct(run)
