"""The verbs of runs that go on: resume and status."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from netwright.cli.conduct import conduct, resume_series
from netwright.cli.console import err, located_run, opened_run, out, print_json, print_lines, study_of
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
from netwright.errors import SettingsError


def resume(
    run: RunOrNoneArgument = None,
    hours: Annotated[
        float | None,
        typer.Option(
            "--hours",
            callback=finite,
            help="More wall time, for auto: the best trainings go on, also of a finished run.",
        ),
    ] = None,
    compare: CompareOption = None,
    max_pixels: MaxPixelsOption = None,
    trust_code: TrustOption = False,
    storage: StorageOption = None,
    study: StudyOption = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="With --study: run folder, new or empty.")
    ] = None,
    workers: WorkersOption = None,
) -> None:
    """Continue a run, or a series of runs, that was stopped or killed; or take part in a study of a database."""
    from netwright.api.joining import join_study
    from netwright.runs.series import is_series
    from netwright.runs.studies import study_at

    given = study_of(run, storage, study)
    if given is not None:
        own = {} if workers is None else {"machine.workers": workers}
        joined = join_study(study_at(*given), output, own, trust_code=trust_code)
        out.print(f"run        {joined.folder.root}", markup=False)
        conduct(joined, hours, compare)
        return
    assert run is not None
    if output is not None or workers is not None:
        raise SettingsError(
            "--output and --workers of resume are for a new run folder of a --study. Leave them out."
        )
    if is_series(run):
        resume_series(run, hours, compare, trust_code=trust_code)
        return
    opened = opened_run(run, trust_code=trust_code, searching=True)
    told = opened.other_versions()
    if told is not None:
        err.print(f"versions   {told}.", markup=False)
    conduct(opened, hours, compare)


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
