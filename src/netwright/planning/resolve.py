"""Makes the settings of a run from a recipe and what the user set, in one pass over the list `STEPS`.

A step changes the `Draft` of the settings, or refuses it. Data and measurements are in the `Context`. The order of the
steps is the order in which a user meets errors.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from netwright.comparison.contestants import require_references, require_rival
from netwright.comparison.retrain import require_repeatable, require_retraining
from netwright.logs import require_logs
from netwright.own_code.loading import folder_of
from netwright.planning.candidate_cost import measure_start
from netwright.planning.candidate_time import choose_candidate_time, has_time_share
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.planning.early_termination import choose_early_termination, needs_batch_seconds, require_guess
from netwright.planning.exploration_length import warn_of_exploration
from netwright.planning.from_data import (
    choose_low_resolution,
    keep_preparation,
    limit_cutout,
    require_own_training,
    require_validation_labels,
    shape_space,
)
from netwright.planning.machine import choose_cluster, choose_memory_limit, choose_workers, require_device
from netwright.planning.objectives import choose_objectives
from netwright.planning.one_shot_settings import (
    choose_one_shot_length,
    drop_foreign_space_options,
    drop_supernet,
)
from netwright.planning.open_data import (
    find_task,
    open_dataset,
    prepare_dataset,
    read_parts,
    require_usable,
    split_dataset,
)
from netwright.planning.patches import choose_patches
from netwright.planning.race import (
    choose_crf_minutes,
    choose_first_part,
    choose_only_default,
    count_planning,
    require_race,
)
from netwright.planning.recipe import choose_space, read_without_classes, require_recipe
from netwright.planning.slices import choose_slices, choose_slices_of_masks
from netwright.planning.start_from import find_start, keep_parts, take_over
from netwright.planning.task_settings import (
    choose_loss,
    choose_metric,
    choose_task_settings,
    finish_task_settings,
    require_loss,
)
from netwright.runs.folder import default_output, require_new_folder
from netwright.runs.trust import codes_of, require_trusted
from netwright.searches.components import require_components
from netwright.searches.one_shot import require_searchable, require_shared
from netwright.settings import first_choices
from netwright.spaces import make_space
from netwright.strategies.makers import make_sampler
from netwright.strategies.own import code_of

Step = Callable[[Draft, Context], None]


class Chapter(StrEnum):
    """Steps that belong together. A plan takes some chapters, a search all of them."""

    SETTINGS = "user, recipe and machine"
    CODE = "space, strategy and code"
    RUN = "the run to be made"
    DATA = "the data"
    SEARCH = "the search, with what is measured"


PLAN = (Chapter.SETTINGS, Chapter.CODE, Chapter.DATA)
"""The chapters for ``netwright plan``."""


def drop_steps(draft: Draft, _: Context) -> None:
    """Drop the recipe's steps if the user set epochs."""
    if "training.epochs" in draft.user_set:
        draft.choose({"training.steps": None})


def find_rival(draft: Draft, _: Context) -> None:
    """Make the path of the rival's folder absolute, because the run may be resumed from another folder."""
    if draft.verdict.rival is not None:
        draft.change({"verdict.rival": str(draft.verdict.rival.expanduser().resolve())})


def require_trusted_code(draft: Draft, context: Context) -> None:
    """Refuse code that a run to be repeated names, unless the user ran it before or trusts it.

    Code that the user names now may be run.

    Raises:
        UntrustedCode: as `require_trusted`.
    """
    for code in codes_of(draft) if context.repeats else ():
        note = None
        if code.setting not in draft.user_set:
            note = require_trusted(code, trust_code=context.user.trust_code)
        if note is not None:
            context.on_stage(note)


def keep_folder(draft: Draft, _: Context) -> None:
    """Keep the folder of the user's own strategy. That of a network or a space is kept with its shape.

    Raises:
        SettingsError: there is no such code.
    """
    code = code_of(draft.strategy)
    if code is not None:
        draft.change({"strategy.folder": folder_of(code)})


def choose_folder(draft: Draft, context: Context) -> None:
    """Choose the folder of the run, which must be new.

    Raises:
        RunError: it holds something already.
    """
    folder = context.output
    context.folder = folder if folder is not None else default_output(draft.dataset.path, draft.recipe)
    require_new_folder(context.folder)


def measure_starting_candidate(draft: Draft, context: Context) -> None:
    """Measure the starting candidate if its times are needed.

    Raises:
        RunError: it cannot be trained on this machine.
    """
    required = has_time_share(draft) or draft.race is not None
    if context.repeats or not (required or needs_batch_seconds(draft)):
        return
    context.on_stage("measuring the starting candidate")
    times = measure_start(draft, context.prepared, *context.cases, required=required)
    context.epoch_seconds, context.batch_seconds = times.epoch, times.batch
    context.validation_seconds, context.flops = times.validation, times.flops


STEPS: dict[Chapter, tuple[tuple[str, Step], ...]] = {
    Chapter.SETTINGS: (
        ("pictures are read without classes for a space that restores", read_without_classes),
        ("another space leaves the recipe's one-shot options behind", drop_foreign_space_options),
        ("another space or strategy may share no weights", drop_supernet),
        ("several objectives", choose_objectives),
        ("some task has the loss", require_loss),
        ("the cluster, and what candidates ask for", choose_cluster),
        ("the device is there", require_device),
        ("length of a one-shot search", choose_one_shot_length),
        ("epochs in place of steps", drop_steps),
        ("the rival's folder", find_rival),
        ("what to start from", find_start),
        ("workers", choose_workers),
        ("memory of a worker", choose_memory_limit),
        ("a search whose trainings go on has a limit of time", require_race),
        ("time for the CRF of such a search", choose_crf_minutes),
        ("no case both trains and judges", lambda draft, _: require_retraining(draft)),
        ("what is trained with several seeds is trained", lambda draft, _: require_repeatable(draft)),
    ),
    Chapter.CODE: (
        ("code is trusted", require_trusted_code),
        ("where the strategy's code is", keep_folder),
        ("space and strategy are known", lambda draft, _: require_components(draft)),
        ("a one-shot search is possible", lambda draft, _: require_shared(draft)),
        ("logs can be written", lambda draft, _: require_logs(draft.log)),
    ),
    Chapter.RUN: (
        ("reference networks are known", lambda draft, _: require_references(draft)),
        ("the loss of a guess is known", require_guess),
        ("the folder is new", choose_folder),
    ),
    Chapter.DATA: (
        ("the dataset is opened", open_dataset),
        ("parts that the user gives", read_parts),
        ("cases of another run keep their parts", keep_parts),
        ("the space for the task", choose_space),
        ("the recipe is for such data", require_recipe),
        ("volumes or slices", choose_slices),
        ("what the task needs", choose_task_settings),
        ("the dataset is usable", require_usable),
        ("a first stage at low resolution", choose_low_resolution),
        ("the dataset is prepared", prepare_dataset),
        ("how it was prepared", keep_preparation),
        ("pictures with masks are slices", choose_slices_of_masks),
        ("what is the task's own", finish_task_settings),
        ("the task", find_task),
        ("cutout", limit_cutout),
        ("shape of the space", shape_space),
        ("sizes of patches", choose_patches),
        ("training that the space chooses", require_own_training),
        ("loss", choose_loss),
        ("metric", choose_metric),
        ("training, validation and test cases", split_dataset),
        ("what another run has found is taken over", take_over),
        ("labels of the objective can be validated", require_validation_labels),
        ("all hours to the default where cases are too few to tell a difference", choose_only_default),
        (
            "a one-shot search can take its first step",
            lambda draft, at: require_searchable(draft, at.task, len(at.splits.training)),
        ),
    ),
    Chapter.SEARCH: (
        ("the strategy fits the space", lambda draft, _: _require_sampler(draft)),
        ("the rival can take part", lambda draft, at: require_rival(draft, at.splits)),
        ("the starting candidate is measured", measure_starting_candidate),
        ("early termination", choose_early_termination),
        ("time of a candidate", choose_candidate_time),
        ("first part of a candidate", choose_first_part),
        ("the search is long enough for its strategy", lambda draft, _: warn_of_exploration(draft)),
        ("the planning is part of the hours", count_planning),
    ),
}


def take_steps(draft: Draft, context: Context, *chapters: Chapter) -> None:
    """Go through the steps of some chapters, in the order of `STEPS`.

    Raises:
        NetwrightError: a step refuses the settings.
    """
    for chapter, steps in STEPS.items():
        if chapter in chapters:
            for _, step in steps:
                step(draft, context)


def _require_sampler(draft: Draft) -> None:
    make_sampler(draft.strategy, make_space(draft.space), draft.seed, first_choices(draft.start_from))
