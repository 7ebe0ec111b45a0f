"""The verbs of runs that go on: resume and status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netwright.cli.conduct import conduct, resume_series, tell_finished
from netwright.cli.console import err, located_run, opened_run, out, print_json, print_lines, study_of
from netwright.cli.option_groups import values_of, with_groups
from netwright.cli.options import (
    CompareOption,
    JsonOption,
    MaxPixelsOption,
    RunOrNoneArgument,
    StorageOption,
    StudyOption,
    TrustOption,
    WorkersOption,
    finite,
)
from netwright.cli.search_options import MachineOptions
from netwright.errors import SettingsError, StudyFinished

if TYPE_CHECKING:
    from netwright.api.changed_space import Changed
    from netwright.planning.changed_space import Wanted


@with_groups
def resume(
    run: RunOrNoneArgument = None,
    *,
    hours: Annotated[
        float | None,
        typer.Option(
            "--hours",
            callback=finite,
            help="More wall time, for auto: the best trainings go on, also of a finished run.",
        ),
    ] = None,
    compare: CompareOption = None,
    changed: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change the space of the run: space.OPTION=VALUE. Trials that still fit are kept, others left out.",
        ),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--given",
            help="With --set: what earlier trials have in a dimension that is new, DIMENSION=VALUE.",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="With --set: more candidates.")
    ] = None,
    max_pixels: MaxPixelsOption = None,
    trust_code: TrustOption = False,
    storage: StorageOption = None,
    study: StudyOption = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="With --study: run folder, new or empty.")
    ] = None,
    workers: WorkersOption = None,
    machine: MachineOptions,
) -> None:
    """Continue a run, or a series of runs, that was stopped or killed; or take part in a study of a database."""
    from netwright.api.changed_space import changed_run
    from netwright.api.joining import join_study
    from netwright.runs.folder import open_run_folder
    from netwright.runs.series import is_series
    from netwright.runs.studies import study_at

    named = study_of(run, storage, study)
    given_here = values_of(machine) | {"workers": workers}
    own = {f"machine.{name}": value for name, value in given_here.items() if value is not None}
    wanted = _wanted(changed, given, trials, hours)
    if wanted is not None and (named is not None or (run is not None and is_series(run)) or compare):
        raise SettingsError(
            "--set changes the space of a single run with a folder of its own: expected its folder, and no --study and "
            "no --compare. Name one, or start a new search with the other space."
        )
    if named is not None:
        try:
            joined = join_study(study_at(*named), output, own, trust_code=trust_code)
        except StudyFinished as finished:
            if hours is not None or compare is not None:
                raise
            tell_finished(finished)
            return
        out.print(f"run        {joined.folder.root}", markup=False)
        conduct(joined, hours, compare)
        return
    assert run is not None
    if output is not None or own:
        raise SettingsError(
            "--output, --workers, --executor and the options of Ray are in resume for a new run folder of a --study. "
            "Leave them out: a run folder keeps its own."
        )
    if is_series(run):
        resume_series(run, hours, compare, trust_code=trust_code)
        return
    if wanted is not None:
        print_lines(_change_lines(changed_run(open_run_folder(run), wanted, trust_code=trust_code)))
        hours = None
    opened = opened_run(run, trust_code=trust_code, searching=True)
    told = opened.other_versions()
    if told is not None:
        err.print(f"versions   {told}.", markup=False)
    conduct(opened, hours, compare)


def _wanted(
    changed: list[str] | None, given: list[str] | None, trials: int | None, hours: float | None
) -> Wanted | None:
    """The change of the space that the user wants; None where there is none.

    Raises:
        SettingsError: an option belongs to a change, but there is none.
    """
    from netwright.planning.changed_space import Wanted
    from netwright.settings import read_assignments

    if changed:
        return Wanted(read_assignments(changed), read_assignments(given or [], "--given"), trials, hours)
    alone = "--given" if given else "--trials" if trials is not None else None
    if alone is not None:
        raise SettingsError(f"{alone} is for a changed space: expected --set space.OPTION=VALUE, too.")
    return None


def _change_lines(changed: Changed) -> Iterator[str]:
    """What a change of the space has come to."""
    change = changed.change
    yield from (f"space      {words}" for words in change.words())
    yield from (f"           trials that lack it have {words}" for words in change.assumed)
    left = change.trials - change.fitted
    yield f"trials     {change.fitted} of {change.trials} fit and count; {left} left out"
    yield from (f"           {count}: {why}" for why, count in change.left_out.items())
    yield f"strategy   {changed.learns}"


def status(
    run: RunOrNoneArgument = None,
    as_json: JsonOption = False,
    storage: StorageOption = None,
    study: StudyOption = None,
) -> None:
    """Show the progress of a run, or of a series of runs, also while it runs."""
    from netwright.cli.status_lines import status_lines
    from netwright.runs.series import is_series, run_folders
    from netwright.runs.status import read_status

    if study_of(run, storage, study) is not None:
        with located_run(run, storage, study) as folder:
            seen = replace(read_status(folder), run=f"study {study} of {storage}")
        if as_json:
            print_json(seen.to_dict())
        else:
            print_lines(status_lines(seen))
        return
    assert run is not None
    found = [read_status(folder) for folder in run_folders(run)]
    if as_json:
        print_json([one.to_dict() for one in found] if is_series(run) else found[0].to_dict())
        return
    for one in found:
        print_lines(status_lines(one))
