"""The arguments and options that several verbs share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

DatasetArgument = Annotated[Path, typer.Argument(help="Folder (or .npz file) of images.")]
RunArgument = Annotated[Path, typer.Argument(help="Folder of a run, as given to search -o.")]
RunOrNoneArgument = Annotated[
    Path | None, typer.Argument(help="Folder of a run, as given to search -o; or give --storage and --study.")
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="Database for the trials, postgresql+psycopg://USER@HOST/DATABASE, which several searches may use; or "
        "journal:///PATH, a file on a disk that they share.",
    ),
]
StudyOption = Annotated[
    str | None, typer.Option("--study", metavar="NAME", help="Name of the study in that database.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="Format of the dataset; recognised by default.")
]
MapLabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map-label",
        metavar="OLD=NEW",
        help="Read label value OLD as NEW; OLD=ignore: its voxels are not used.",
    ),
]
RegionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--region",
        metavar="NAME=LABELS",
        help="Learn and score labels as one region, e.g. whole=1,2,4; larger regions first.",
    ),
]
MaxPixelsOption = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        metavar="NUMBER",
        callback=lambda value: _allow_pixels(value),
        help="The largest pictures (in pixels) and volumes (in voxels) to read.",
    ),
]


def finite(value: float | None) -> float | None:
    """A number from the user; infinite numbers and NaN are refused.

    Raises:
        typer.BadParameter: it is infinite or NaN.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Candidates trained at once; by default one per GPU, else one per core."),
]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Epochs of each candidate.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
TrialOption = Annotated[int | None, typer.Option(min=0, help="Number of a trial; by default the winner.")]
CompareOption = Annotated[
    str | None,
    typer.Option(
        "--compare",
        metavar="full",
        help="Then train the default alone for as many hours, to see what the search was worth (recipe auto).",
    ),
]
NoCRFOption = Annotated[
    bool, typer.Option("--no-crf", help="Do not apply the CRF that was kept for the network.")
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Run the code that the run names (network, space, strategy), even if no search of yours ran it before.",
    ),
]


def _allow_pixels(most: int | None) -> int | None:
    """Raise or lower the limit for everything that the command reads."""
    if most is not None:
        from netwright.data.io.bounds import set_max_pixels

        set_max_pixels(most)
    return most
