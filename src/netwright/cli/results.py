"""The verbs that use the results of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from netwright.cli.completion import complete_export
from netwright.cli.conduct import stage
from netwright.cli.console import err, located_run, opened_run, out, print_json, print_lines
from netwright.cli.front import print_front
from netwright.cli.option_groups import values_of, with_groups
from netwright.cli.options import (
    DatasetArgument,
    EpochsOption,
    FormatOption,
    JsonOption,
    MapLabelOption,
    MaxPixelsOption,
    NoCRFOption,
    RunArgument,
    RunOrNoneArgument,
    StorageOption,
    StudyOption,
    TrialOption,
    TrustOption,
    finite,
)
from netwright.cli.reading import read_label_map
from netwright.errors import DatasetWarning, SettingsError

_SHOWN_WARNINGS = 5


def train(
    run: RunArgument,
    trial: TrialOption = None,
    epochs: EpochsOption = None,
    hours: Annotated[
        float | None, typer.Option(callback=finite, help="Hours of training instead of a number of epochs.")
    ] = None,
    pareto: Annotated[
        bool,
        typer.Option("--pareto", help="Train every network of the Pareto front that is not trained yet."),
    ] = False,
    max_pixels: MaxPixelsOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Train the network of a trial with the full protocol, on the training cases."""
    from netwright.cli.display import TrainingLines
    from netwright.cli.inspected import command
    from netwright.cli.tables import metric_lines, postprocessing_line
    from netwright.comparison.retrain import ON_ALL

    opened = opened_run(run, trust_code=trust_code)
    if pareto:
        if trial is not None:
            raise SettingsError("--trial and --pareto were given: expected one of them. Leave the other out.")
        print_front(opened, run, epochs, hours)
        return
    lines = TrainingLines(out, str(opened.settings.objective.metric))
    number, outcome = opened.train(trial, epochs=epochs, hours=hours, on_epoch=lines.show)
    trained = f"{outcome.epochs} epoch{'s' * (outcome.epochs != 1)}"
    seen = ", on which it was trained, too" * (opened.settings.train.cases == ON_ALL)
    out.print(f"trained    trial {number}, {trained}; on the validation cases{seen}:")
    print_lines(metric_lines(outcome.metrics))
    fitted = opened.postprocessing(number)
    if fitted is not None:
        out.print(postprocessing_line(fitted), markup=False)
    use = command("predict", run, "/path/to/images", "--trial", number, "-o", "/path/to/output")
    out.print(f"use it     {use}", markup=False)


@contextmanager
def _telling(console: Console) -> Iterator[None]:
    """Collect the warnings about data that is read within, and print the first few of them at the end."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DatasetWarning)
        yield
    told = [str(one.message) for one in caught if issubclass(one.category, DatasetWarning)]
    for text in told[:_SHOWN_WARNINGS]:
        console.print(f"warning    {text}", markup=False)
    if (rest := len(told) - _SHOWN_WARNINGS) > 0:
        console.print(f"warning    and {rest} more such", markup=False)


def evaluate(
    run: RunArgument,
    dataset: DatasetArgument,
    trial: TrialOption = None,
    no_crf: NoCRFOption = False,
    as_json: JsonOption = False,
    format: FormatOption = None,
    map_label: MapLabelOption = None,
    max_pixels: MaxPixelsOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Test a run's network on a labelled dataset: Dice, accuracy, average precision or PSNR."""
    from netwright.cli.tables import evaluation_lines

    opened = opened_run(run, trust_code=trust_code)
    with _telling(err if as_json else out):
        evaluation = opened.evaluate(
            dataset,
            trial=trial,
            format=format,
            map_label=read_label_map(map_label) or None,
            postprocessing=not no_crf,
        )
    if as_json:
        print_json(evaluation.to_dict())
        return
    print_lines(evaluation_lines(evaluation))


@dataclass(frozen=True)
class AdditionalOptions:
    """What is written beside label maps."""

    probabilities: Annotated[
        bool,
        typer.Option("--probabilities", help="Write the probabilities of all classes beside label maps."),
    ] = False
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Write the entropy of the probabilities beside label maps: 0 where they are certain, 1 at most.",
        ),
    ] = False
    volumes: Annotated[
        bool,
        typer.Option("--volumes", help="Write a table of the voxels and ml of each label, volumes.csv."),
    ] = False


@with_groups
def predict(
    run: RunArgument,
    images: Annotated[list[Path], typer.Argument(help="Volumes, cines or pictures, or folders of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")],
    *,
    trial: TrialOption = None,
    no_crf: NoCRFOption = False,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="For pictures to restore: a folder of masks with the same names, white where the picture is missing."
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace files that predict wrote there before, and no others."),
    ] = False,
    format: Annotated[
        str | None,
        typer.Option(
            help="Format of label maps: nifti, nrrd, mha, png, tiff or dicom-seg (of DICOM); by default that of each "
            "image."
        ),
    ] = None,
    additional: AdditionalOptions,
    max_pixels: MaxPixelsOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Segment images (each on its own grid), classify pictures (in a table), or restore pictures."""
    from netwright.cli.predicting import PredictionLines
    from netwright.tasks import task_of_metric

    opened = opened_run(run, trust_code=trust_code)
    lines = PredictionLines(stage)
    with _telling(out):
        written = opened.predict(
            images,
            output,
            trial=trial,
            postprocessing=not no_crf,
            masks=masks,
            overwrite=overwrite,
            format=format,
            additional=[name for name, wanted in values_of(additional).items() if wanted],
            on_case=lines.on_case,
            on_part=lines.on_part,
        )
    task = task_of_metric(str(opened.settings.objective.metric))
    out.print(f"predicted  {task.predicted_words(written, output)}")


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of finished runs, or of series of runs, on the same data, and files summary.json of nnU-Net."
        ),
    ],
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="SETTING",
            help="Draw figures over a setting in which the searches differ, such as strategy.epsilon_decay; by default "
            "over the only one.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Also write a page with figures, and its numbers as CSV, into a folder."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put runs side by side: means and deviations over runs of one search, sizes, times, paired differences."""
    from netwright.api.series import runs_in
    from netwright.cli.compared import compared_lines
    from netwright.report.collect.compared_page import write_compared
    from netwright.report.collect.nnunet_summary import read_summary
    from netwright.report.collect.runs import compare_runs

    summaries = [read_summary(path) for path in dict.fromkeys(runs) if path.is_file()]
    folders = [run.folder for run in runs_in([path for path in runs if not path.is_file()])]
    compared = compare_runs(folders, by, summaries)
    page = None if output is None else write_compared(compared, output)
    if as_json:
        print_json(compared.to_dict())
        return
    print_lines(compared_lines(compared))
    if page is not None:
        out.print(f"page       {page}", markup=False)


def export(
    run: RunArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="File or folder to write, or a folder for it; by default the name of the run, here.",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="torch-export, a file that torch reads alone (the default), onnx, source, monai-bundle or nnunet.",
            autocompletion=complete_export,
        ),
    ] = None,
    trial: TrialOption = None,
    quantise: Annotated[
        bool,
        typer.Option(
            "--quantise",
            help="Also in whole numbers of 8 bits (format onnx), with its loss and speed on the validation cases.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export if there is one.")
    ] = False,
    trust_code: TrustOption = False,
) -> None:
    """Write a run's network as a file or folder that is used without netwright."""
    from netwright.models.export import DEFAULT

    opened = opened_run(run, trust_code=trust_code)
    told: list[str] = []
    written = opened.export(
        output,
        format=format or DEFAULT,
        trial=trial,
        overwrite=overwrite,
        quantise=quantise,
        tell=lambda name, text: told.append(f"{name:<10} {text}"),
    )
    out.print(f"exported   {written}", markup=False)
    for line in told:
        out.print(line, markup=False)
    fitted = opened.postprocessing(trial)
    if fitted is not None and fitted.kept and not any(line.startswith("without") for line in told):
        name, _ = fitted.words
        out.print(f"without    {name}: the file has the network's own output", markup=False)


def report(
    run: RunOrNoneArgument = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="File or folder for the report; by default the run's folder, or for a study the current folder.",
        ),
    ] = None,
    storage: StorageOption = None,
    study: StudyOption = None,
) -> None:
    """Write the report of a run, or of a series of runs, also before its end."""
    from netwright.api.series import open_series
    from netwright.runs.series import is_series

    if run is not None and is_series(run):
        written = open_series(run).report(output)
    else:
        from netwright.api.run import Run

        with located_run(run, storage, study) as folder:
            written = Run(folder).report(output if run is not None else output or Path())
    out.print(f"report     {written}", markup=False)


def dashboard(
    run: RunOrNoneArgument = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    storage: StorageOption = None,
    study: StudyOption = None,
) -> None:
    """Show a run's trials live in the browser (optuna-dashboard, on this machine only)."""
    from netwright.dashboard.server import serve

    with located_run(run, storage, study) as folder:
        serve(folder, port, lambda url: out.print(f"dashboard  {url} (Ctrl-C ends it)"))
