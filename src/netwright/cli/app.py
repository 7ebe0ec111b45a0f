"""The verbs of the ``netwright`` command."""

from __future__ import annotations

import errno
import logging
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from netwright import __version__
from netwright.cli.completion import complete_sample
from netwright.cli.conduct import stage
from netwright.cli.console import err, out, print_json, print_lines
from netwright.cli.options import (
    DatasetArgument,
    FormatOption,
    JsonOption,
    MapLabelOption,
    MaxPixelsOption,
    RegionOption,
    SeedOption,
    finite,
)
from netwright.cli.reading import given_options, read_label_map, read_regions
from netwright.cli.results import compare, dashboard, evaluate, export, predict, report, train
from netwright.cli.running import resume, status
from netwright.cli.searching import plan, search
from netwright.cli.serving import serve
from netwright.errors import NetwrightError, SettingsError
from netwright.execution.notes import LOGGER
from netwright.execution.signals import INTERRUPTED, ended_by_signals

app = typer.Typer(
    name="netwright",
    help="Designs a convolutional network for your data.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run a verb. The exit code is 0, 1 (failed), 2 (wrong usage) or 130 (ended by Ctrl-C)."""
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore")
    try:
        with ended_by_signals():
            app()
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        _stopped()
    except SettingsError as error:
        _fail(error, 2)
    except NetwrightError as error:
        _fail(error, 1)
    except OSError as error:
        _fail(_describe(error), 1)
    except KeyboardInterrupt:
        _stopped()


def _version(asked: bool) -> None:
    if asked:
        out.print(f"netwright {__version__}", markup=False)
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Print more messages.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Designs a convolutional network for your data."""
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s")
    logging.getLogger(LOGGER).setLevel(logging.WARNING)
    if verbose:
        warnings.resetwarnings()


@app.command()
def sample(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write, new or empty.")],
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="volumes: 3D phantoms with label maps; masks: pictures with masks; classes: pictures of one class "
            "each; labels: of several labels each; cardiac: heart scans, as ACDC; images: pictures alone. Small "
            "made-up copies in published layouts: brats, brats-2018, brats-2023, kits, amos, btcv, nnunet, brains, "
            "isic, carvana, data-science-bowl, voc, cityscapes, mnist, cifar-10, cifar-100, medmnist, chestmnist, "
            "svhn, svhn-numbers, stanford-cars, celeba, ham10000, imagenet; in file formats: cine, nrrd, metaimage, "
            "dicom, tiff, ome-tiff.",
            autocompletion=complete_sample,
        ),
    ] = "volumes",
    cases: Annotated[
        int | None,
        typer.Option(
            min=4, help="Number of cases or pictures; with classes: per class; with hearts: patients."
        ),
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Write a built-in sample dataset."""
    from netwright.cli.inspected import command
    from netwright.data.samples import SAMPLES, write_kind

    if output.exists() and not output.is_dir():
        raise NetwrightError(
            f"{output} is a file: expected a folder, new or empty. Name another one with -o."
        )
    if output.exists() and any(output.iterdir()):
        raise NetwrightError(f"{output} already contains files. Give a new folder with -o.")
    out.print(f"sample     {write_kind(kind, output, cases, seed)} in {output}", markup=False)
    out.print(f"next       {command('inspect', output, *SAMPLES[kind].options)}", markup=False)


@app.command()
def inspect(
    context: typer.Context,
    dataset: DatasetArgument,
    as_json: JsonOption = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="List every problem, not only the first of each kind.")
    ] = False,
    format: FormatOption = None,
    map_label: MapLabelOption = None,
    region: RegionOption = None,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """List what a dataset contains, and its problems (exit code 1 if search would refuse it)."""
    from netwright.cli.inspected import inspection_lines
    from netwright.data.open import inspect_any, open_any
    from netwright.data.parallel import now_and_then
    from netwright.execution.resources import available_cores

    opened = open_any(
        dataset, format=format, map_label=read_label_map(map_label), regions=read_regions(region)
    )
    told = now_and_then(stage, "inspected")
    inspection = inspect_any(opened, workers=available_cores(), on_case=told)
    if as_json:
        print_json(inspection.to_dict())
    else:
        options = given_options(context, "as_json", "show_all")
        print_lines(inspection_lines(dataset, inspection, show_all=show_all, options=options))
    if any(problem.severity == "error" for problem in inspection.problems):
        raise typer.Exit(1)


@app.command()
def doctor(
    dataset: Annotated[
        Path | None, typer.Argument(metavar="[dataset]", help="Also say what a search on it would cost.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, callback=finite, help="Time for measuring a search, in seconds.")
    ] = 20.0,
) -> None:
    """Say what this machine can do: cores, memory, GPU, bfloat16, extras.

    The exit code is 1 where a search cannot run.
    """
    from netwright.cli.doctor import cost_lines, machine_lines, troubles

    found = troubles()
    print_lines(machine_lines())
    if dataset is not None and not found:
        print_lines(cost_lines(dataset, seconds))
    print_lines((f"problem    {text}" for text in found), console=err)
    raise typer.Exit(1 if found else 0)


for verb in (
    plan,
    search,
    resume,
    status,
    train,
    evaluate,
    predict,
    export,
    compare,
    report,
    dashboard,
    serve,
):
    app.command()(verb)


@app.command()
def recipes(
    parts: Annotated[
        bool, typer.Option("--parts", help="List the spaces and strategies, which can be combined freely.")
    ] = False,
) -> None:
    """List the recipes: the published systems."""
    from netwright.recipes import RECIPES

    if parts:
        from netwright.cli.tables import parts_lines

        print_lines(parts_lines())
        return
    for recipe in RECIPES.values():
        out.print(f"{recipe.name:<16} {recipe.title}", markup=False)
        out.print(f"{'':<16} {recipe.paper}; {recipe.task}", markup=False)


def _stopped() -> None:
    err.print("stopped")
    sys.exit(INTERRUPTED)


def _fail(error: object, code: int) -> None:
    err.print(f"error  {error}", markup=False)
    sys.exit(code)


def _describe(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = error.filename or "the output"
        return f"The disk of {where} is full. Make room and try again; nothing that was finished is lost."
    if isinstance(error, NotADirectoryError | FileExistsError):
        return f"{error.filename}: expected a folder, but a file has this name. Choose another one."
    return f"{error.filename or ''}: {error.strerror or error}"
