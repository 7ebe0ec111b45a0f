"""The settings that the texts of options ask for, and these texts again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from netwright.errors import SettingsError

if TYPE_CHECKING:
    from netwright.planning.user_settings import UserSettings


def recipe_for(recipe: str | None, from_plans: Path | None) -> str | None:
    """The recipe of a search; with the plans of nnU-Net auto, whose default their network becomes.

    Args:
        recipe: that the user named; None: none.
        from_plans: the plans; None: there are none.

    Raises:
        SettingsError: plans with another recipe.
    """
    if from_plans is None:
        return recipe
    if recipe not in (None, "auto"):
        raise SettingsError(
            f"--from-plans was given with --recipe {recipe}: expected auto, which starts from the plans' network. "
            "Leave one of them out."
        )
    return "auto"


def read_user_settings(
    *,
    map_label: Sequence[str] | None,
    region: Sequence[str] | None = None,
    assignments: Sequence[str] | None,
    space: str | None = None,
    strategy: str | None = None,
    objective: str | None = None,
    maximize: Sequence[str] | None = None,
    minimize: Sequence[str] | None = None,
    network: str | None = None,
    limits: Sequence[str] | None = None,
    single: bool = False,
    compare: str | None = None,
    seeds: int | None = None,
    logs: Sequence[str] | None = None,
    split_file: Path | None = None,
    fold: int | None = None,
    storage: str | None = None,
    study: str | None = None,
    executor: str | None = None,
    ray_address: str | None = None,
    gpus_per_trial: float | None = None,
    cpus_per_trial: int | None = None,
    from_plans: Path | None = None,
    plans_configuration: str = "",
    start_from: Path | None = None,
    **options: Any,
) -> UserSettings:
    """The settings that the options ask for, checked as far as texts can be.

    Raises:
        SettingsError: a text cannot be read.
    """
    from netwright.planning.nnunet_plans import assignments_of_plans
    from netwright.planning.user_settings import UserSettings
    from netwright.settings import read_assignments

    objective, maximize = _one_way(objective, maximize, minimize)
    named: dict[str, Any] = {}
    if from_plans is not None:
        named |= assignments_of_plans(from_plans, plans_configuration)
    named |= _given(
        {
            **_component("space", space),
            **_component("strategy", strategy),
            "objective": objective,
            "dataset.split_file": None if split_file is None else str(split_file),
            "dataset.fold": fold,
            "storage.url": storage,
            "storage.study": study,
            "verdict.seeds": seeds,
            "machine.executor": executor,
            "machine.ray_address": ray_address,
            "machine.gpus_per_trial": gpus_per_trial,
            "machine.cpus_per_trial": cpus_per_trial,
            "start_from.path": None if start_from is None else str(start_from),
        }
    )
    named |= read_assignments(list(assignments or []))
    named |= _given(
        {
            "space.network": network,
            "objective.maximize": list(maximize or []) or None,
            "objective.minimize": list(minimize or []) or None,
            "objective.limits": list(limits or []) or None,
            "race.single": single or None,
            "race.compare": compare,
            "log": list(dict.fromkeys(logs or [])) or None,
        }
    )
    return UserSettings(
        map_label=read_label_map(map_label), regions=read_regions(region), assignments=named, **options
    )


def _one_way(
    objective: str | None, maximize: Sequence[str] | None, minimize: Sequence[str] | None
) -> tuple[str | None, Sequence[str] | None]:
    """``--objective`` and ``--maximize``, of which one is left: beside ``--minimize`` an objective is maximised."""
    if objective is not None and maximize:
        raise SettingsError(
            "--objective and --maximize were given: expected one of them. Leave the other out."
        )
    if objective is not None and minimize:
        return None, [objective]
    return objective, maximize


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Without those that are None."""
    return {name: value for name, value in values.items() if value is not None}


def _component(table: str, named: str | None) -> dict[str, str | None]:
    """The settings of a space or strategy by its name; one of the user's own is named ``package.module:Class``."""
    if named is not None and ":" in named:
        return {f"{table}.name": "own", f"{table}.code": named}
    return {f"{table}.name": named}


def read_label_map(texts: Sequence[str] | None) -> dict[int, int]:
    """``OLD=NEW`` texts as a table; ``OLD=ignore`` as `IGNORE`.

    Raises:
        SettingsError: a text has another form, or two texts give one value different labels.

    >>> read_label_map(["2=1", "3=1", "255=ignore"])
    {2: 1, 3: 1, 255: -1}
    """
    from netwright.data.volumes.regions import IGNORE, IGNORED_WORD, meant_as

    result: dict[int, int] = {}
    for text in ",".join(texts or []).split(",") if texts else ():
        old, equals, new = text.partition("=")
        ignored = new.strip() == IGNORED_WORD
        if not (equals and old.strip().lstrip("-").isdigit() and (ignored or new.strip().isdigit())):
            raise SettingsError(
                f"--map-label expects OLD=NEW with whole numbers, for example 255=1, or OLD=ignore; got {text!r}."
            )
        meant = IGNORE if ignored else int(new)
        if result.setdefault(int(old), meant) != meant:
            both = [meant_as(one) for one in (result[int(old)], meant)]
            raise SettingsError(
                f"--map-label reads {int(old)} as {both[0]} and as {both[1]}: expected one. Leave the other out."
            )
    return result


def read_regions(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """``NAME=LABELS`` texts as a table, in their order.

    Raises:
        SettingsError: a text has another form, or two have one name.

    >>> read_regions(["whole tumour=1,2,4", "core=1,4"])
    {'whole tumour': (1, 2, 4), 'core': (1, 4)}
    """
    result: dict[str, tuple[int, ...]] = {}
    for text in texts or ():
        name, _, listed = text.rpartition("=")
        labels = [label.strip() for label in listed.split(",")]
        if not name.strip() or not all(label.isdigit() for label in labels):
            raise SettingsError(
                f"--region expects NAME=LABELS with label values between commas, for example whole=1,2,4; got {text!r}."
            )
        if name.strip() in result:
            raise SettingsError(
                f"--region names {name.strip()!r} twice: expected a name for each. Rename one."
            )
        result[name.strip()] = tuple(map(int, labels))
    return result


def given_options(context: typer.Context, *without: str) -> list[str]:
    """The options that the user gave a verb, to be given again, without the names in ``without``."""
    words: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        option = next((text for text in parameter.opts if text.startswith("--")), None)
        if option is None or name in without or source is None or source.name != "COMMANDLINE":
            continue
        given = context.params[name]
        for value in given if isinstance(given, list | tuple) else [given]:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            words += [option] if isinstance(value, bool) else [option, text]
    return words
