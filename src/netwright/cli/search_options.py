"""The options that `plan` and `search` share, in groups, and those of searches alone.

The fields of the groups are the options, in the order of the help; `read_user_settings` takes them by these names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from netwright.cli.completion import complete_setting
from netwright.cli.options import (
    CompareOption,
    EpochsOption,
    FormatOption,
    MapLabelOption,
    RegionOption,
    WorkersOption,
    finite,
)

RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        "-r",
        help="A name from 'netwright recipes'; by default auto, or with trials or epochs the task's published one.",
    ),
]
VerdictOption = Annotated[
    float | None,
    typer.Option(help="Hours for the final comparison; by default half of the search's, 0: no comparison."),
]
LogOption = Annotated[
    list[str] | None,
    typer.Option("--log", metavar="NAME", help="Also log trials and epochs as jsonl, tensorboard or mlflow."),
]
SplitsOption = Annotated[
    int | None,
    typer.Option(
        "--splits",
        min=2,
        help="So many runs, each with its own seed and division of the data and with all of --hours, and a table of "
        "their means.",
    ),
]
FoldsOption = Annotated[
    int | None,
    typer.Option(
        "--folds",
        min=2,
        help="Cross-validation: so many runs, each with all of --hours and with other cases held out; in the end their "
        "networks are used as one.",
    ),
]


@dataclass(frozen=True)
class PartsOptions:
    """Which space is searched with which strategy, and for what."""

    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            metavar="NAME",
            help="Search space instead of the recipe's: see 'netwright recipes --parts'; or yours, module:Class.",
        ),
    ] = None
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="Search strategy instead of the recipe's: see 'netwright recipes --parts'; or yours, module:Class.",
        ),
    ] = None
    objective: Annotated[
        str | None,
        typer.Option(
            "--objective", metavar="METRIC", help="One metric instead of the recipe's objective, e.g. dice."
        ),
    ] = None
    maximize: Annotated[
        list[str] | None,
        typer.Option(
            "--maximize", metavar="METRIC", help="With --minimize: a metric of a search for a Pareto front."
        ),
    ] = None
    minimize: Annotated[
        list[str] | None,
        typer.Option(
            "--minimize",
            metavar="COST",
            help="Search a Pareto front: a cost beside the metric, e.g. parameters, flops or inference_ms.",
        ),
    ] = None


@dataclass(frozen=True)
class BudgetOptions:
    """How long a search may be."""

    trials: Annotated[int | None, typer.Option(min=1, help="Maximum number of candidates.")] = None
    hours: Annotated[float | None, typer.Option(help="Maximum wall time of the search, in hours.")] = None


@dataclass(frozen=True)
class CandidateOptions:
    """How many candidates are trained at once, and how long."""

    workers: WorkersOption = None
    epochs: EpochsOption = None


@dataclass(frozen=True)
class MachineOptions:
    """Where candidates are trained."""

    executor: Annotated[
        str | None,
        typer.Option("--executor", metavar="NAME", help="Where candidates train: local, by default, or ray."),
    ] = None
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            metavar="ADDRESS",
            help="The Ray cluster, auto or HOST:PORT; by default Ray is started here.",
        ),
    ] = None
    gpus_per_trial: Annotated[
        float | None,
        typer.Option(
            "--gpus-per-trial", min=0, callback=finite, help="GPUs of a candidate on Ray, e.g. 0.5."
        ),
    ] = None
    cpus_per_trial: Annotated[
        int | None, typer.Option("--cpus-per-trial", min=1, help="Cores that a candidate asks Ray for.")
    ] = None


@dataclass(frozen=True)
class WishOptions:
    """What the search starts from, what its networks must meet, and any other setting."""

    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="PACKAGE.MODULE:FACTORY",
            help="Your own network, adapted layer by layer (recipe marl).",
        ),
    ] = None
    from_plans: Annotated[
        Path | None,
        typer.Option(
            "--from-plans",
            metavar="FILE",
            help="nnU-Net's plans (nnUNetPlans.json): spacing, normalisation, patch and batch size are theirs, and "
            "their network is the default that a search with auto starts from.",
        ),
    ] = None
    plans_configuration: Annotated[
        str, typer.Option("--plans-configuration", metavar="NAME", help="Which configuration of these plans.")
    ] = "3d_fullres"
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--start-from",
            metavar="RUN",
            help="Start from another run's best choices, and from its weights where they fit; or a safetensors file of "
            "weights alone, e.g. for --network.",
        ),
    ] = None
    limits: Annotated[
        list[str] | None,
        typer.Option(
            "--limit", metavar="LIMIT", help="A condition that a network must meet, e.g. 'parameters<=2e6'."
        ),
    ] = None
    single: Annotated[
        bool, typer.Option("--single", help="One network in the end, not several together (recipe auto).")
    ] = False
    compare: CompareOption = None
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Train each network of the final comparison so many times, with other seeds, within --verdict-hours.",
        ),
    ] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting by its dotted name, e.g. training.epochs=20.",
            autocompletion=complete_setting,
        ),
    ] = None


@dataclass(frozen=True)
class DataOptions:
    """How the dataset is read and divided."""

    format: FormatOption = None
    map_label: MapLabelOption = None
    region: RegionOption = None
    split_file: Annotated[
        Path | None,
        typer.Option("--split-file", metavar="FILE", help="CSV or JSON file with the part of each case."),
    ] = None
    fold: Annotated[
        int | None,
        typer.Option("--fold", min=0, help="Which fold of the split file, from 0; by default the first."),
    ] = None
