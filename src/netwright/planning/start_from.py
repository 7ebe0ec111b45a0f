"""A search starts from another run, or from weights: what fits is taken over, and it is said what that is."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from netwright.data.base import AnyDataset
from netwright.data.given_parts import GivenParts
from netwright.data.splits import FRACTIONS, PARTS, Part, Splits, draw_groups
from netwright.errors import RunError, SettingsError, SettingsWarning
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.planning.other_run import OtherRun, read_other_run
from netwright.runs.data import KnownCases, known_cases
from netwright.runs.start import digest_of, found_again
from netwright.spaces import make_space, space_maker
from netwright.spaces.base import Layered
from netwright.training.files import WEIGHTS

if TYPE_CHECKING:
    from netwright.training.initial_weights import Fit

SUFFIX = Path(WEIGHTS).suffix
ALIKE = 0.03
"""Voxels whose edges differ by less than this share are taken for the same."""
PATH = "start_from.path"
LEAK = "Leak: "


def find_start(draft: Draft, context: Context) -> None:
    """Read the run, or find the weights, to start from. A run that is repeated begins with the same weights as before.

    Raises:
        RunError: the run is damaged, or a run to be repeated began with weights that are gone.
        SettingsError: there is nothing to start from, or the search cannot start from it.
    """
    if draft.start_from is None:
        return
    if context.repeats and PATH not in draft.user_set:
        context.start_weights = found_again(draft)
        return
    if draft.start_from.path is None:
        raise SettingsError(
            "start_from is set without start_from.path (--start-from): expected the folder of a finished run, or "
            f"weights as a {SUFFIX} file. Give it, or set start_from=null."
        )
    if draft.supernet is not None:
        raise SettingsError(
            "--start-from is for searches that train candidates, but here all networks share one training. Set "
            "supernet=null, or leave it out."
        )
    path = draft.start_from.path.expanduser().absolute()
    draft.change({PATH: str(path)})
    _drop_earlier(draft, context)
    if path.is_dir():
        context.other = read_other_run(path)
    elif path.suffix != SUFFIX or not path.is_file():
        found = (
            "nothing is there"
            if not path.exists()
            else f"got a file that ends in {path.suffix or path.name!r}"
        )
        raise SettingsError(
            f"--start-from {path}: expected the folder of a finished run, or weights as a {SUFFIX} file; {found}. "
            "safetensors.torch.save_file(network.state_dict(), path) writes weights; pickled objects are never read, "
            "since they can run code."
        )


def _drop_earlier(draft: Draft, context: Context) -> None:
    """Drop what a run to be repeated had taken over from another one: this search starts from something else."""
    repeated = context.user.repeat
    earlier = None if repeated is None else repeated.start_from
    if earlier is None:
        return
    if "start" in draft.space.options and "space.start" not in draft.user_set:
        draft.change({"space.start": earlier.own_start})
    draft.change({"start_from.choices": [], "start_from.file": None, "start_from.digest": None})


def keep_parts(draft: Draft, context: Context) -> None:
    """Give the cases that the other run has, too, the parts that they have there, so that no test case was ever seen.

    The others are drawn. Where the parts are the user's or official, they stay, and `take_over` warns.

    Raises:
        SettingsError: the run is of another task.
    """
    other = context.other
    if other is None:
        return
    dataset = context.dataset
    if other.task.name != dataset.task:
        raise SettingsError(
            f"--start-from {other.folder.root}: the run is for {other.task.name}, but {dataset.root} is for "
            f"{dataset.task}: expected a run of the same task. Leave it out, or name another run."
        )
    context.on_stage(f"looking for cases that {other.name} has")
    context.known = known_cases(dataset, other.settings, other.folder.splits())
    if (
        not context.known.parts
        or context.given is not None
        or any(part is not None for part in dataset.parts)
    ):
        return
    groups = dict(dataset.groups)
    parts: dict[str, Part | None] = dict(context.known.parts)
    of_groups = {groups[name]: part for name, part in context.known.parts.items() if name in groups}
    new = [name for name in dataset.names if name not in parts]
    parts |= {name: of_groups[groups[name]] for name in new if groups.get(name) in of_groups}
    new = [name for name in new if name not in parts]
    drawn = {} if not new else _drawn(new, groups, draft)
    parts |= {name: part for part, names in drawn.items() for name in names}
    kept = f"{len(parts) - len(new)} cases have the part that they have in {other.name}"
    origin = f"{kept}; {len(new)} others are drawn" if new else kept
    context.given = GivenParts({name: parts[name] for name in dataset.names}, groups, origin)
    draft.change({"dataset.split_file": str(other.folder.splits_file)})  # in the run it is its own


def _drawn(names: list[str], groups: Mapping[str, str], draft: Draft) -> Mapping[Part, list[str]]:
    """New cases by the proportions of the run; where there are too few for three parts they are for training."""
    if len({groups.get(name, name) for name in names}) < len(PARTS):
        return {"train": names}
    return draw_groups(names, groups, draft.seed, PARTS, draft.split or FRACTIONS)


def take_over(draft: Draft, context: Context) -> None:
    """Take over choices and weights, as far as they fit, and note it in words.

    Warns:
        SettingsWarning: the other run has seen test cases of this one, or nothing is known of the weights.

    Raises:
        SettingsError: nothing fits.
    """
    start, other = draft.start_from, context.other
    if start is None:
        return
    if other is None and context.repeats and PATH not in draft.user_set:
        _tell_leaks_again(draft, context)
        return
    told: list[str] = []
    own = draft.space.options.get("start")
    draft.change({"start_from.own_start": None if own is None else dict(own)})
    if other is not None:
        told += _take_choices(draft, other)
    file = start.path if other is None else other.weights
    if start.weights or other is None:
        told += _take_weights(draft, context, file)
    told += _preparation_words(draft, other)
    _tell(draft, told, list(_leak_words(context)) if other is not None else [_unknown_cases()])


def _tell(draft: Draft, told: list[str], leaks: list[str]) -> None:
    for leak in leaks:
        warnings.warn(leak, SettingsWarning, stacklevel=5)
    draft.change({"start_from.told": [*told, *leaks]})


def _tell_leaks_again(draft: Draft, context: Context) -> None:
    """Tell the leaks of a run that repeats another one: it may have other parts, as the folds of a cross-validation.

    Where the run that both started from is gone, what was told of the first stays.
    """
    start = draft.start_from
    if start is None or start.path is None or not start.path.is_dir():
        return
    try:
        context.other = other = read_other_run(start.path)
    except (RunError, SettingsError):
        return
    context.known = known_cases(context.dataset, other.settings, other.folder.splits())
    _tell(draft, [words for words in start.told if not words.startswith(LEAK)], list(_leak_words(context)))


def leaks_of_folds(dataset: AnyDataset, other: OtherRun, folds: Iterable[Splits]) -> str | None:
    """Which test cases of a cross-validation another run has seen, in words; None: none of them.

    Args:
        dataset: that is divided.
        other: the run that all folds start from.
        folds: the parts of each.
    """
    known = known_cases(dataset, other.settings, other.folder.splits())
    tested = {name for fold in folds for name in fold.test}
    seen = _seen(known, dataset.groups, tested)
    if not seen:
        return None
    return (
        f"{LEAK}over all folds, {len(seen)} of the {len(tested)} test cases are training or validation cases of "
        f"{other.name}, or of their patients: the test is too good. Each fold tells its own"
    )


def _take_choices(draft: Draft, other: OtherRun) -> Iterable[str]:
    """Make the other run's best choice the first, and its next best the ones after it."""
    theirs, size = other.settings.space, other.settings.space.options.get("size")
    own_size = draft.space.options.get("size")
    if theirs.name != draft.space.name:
        code = theirs.options.get("code")  # a space of the user's own, which no recipe names
        named = f"--space {code}" if code else f"--recipe {other.settings.recipe} or --space {theirs.name}"
        raise SettingsError(
            f"--start-from {other.folder.root}: the run searched the space {theirs.name!r}, this one searches "
            f"{draft.space.name!r}: expected one space. Give {named}, or name a safetensors file of the run, to begin "
            "with its weights alone."
        )
    if size is not None and own_size is not None and len(size) != len(own_size):
        raise SettingsError(
            f"--start-from {other.folder.root}: its networks are for images of {len(size)} dimensions, here they have "
            f"{len(own_size)}: expected the same. Name another run."
        )
    space = make_space(draft.space)
    distributions, usual = space.distributions(), space.starting_choice()
    choices: list[dict[str, Any]] = []
    changed: dict[str, None] = {}
    for theirs_choice in other.choices:
        choice, moved = fitted_choice(theirs_choice, distributions, usual)
        if not choices:
            changed = dict.fromkeys(moved)
        if choice not in choices:
            choices.append(choice)
    if distributions and len(changed) == len(distributions):
        raise SettingsError(
            f"--start-from {other.folder.root}: its best choice has no value for any dimension of this space "
            f"({', '.join(distributions)}): expected the same space. Name a safetensors file of the run, to begin with "
            "its weights alone."
        )
    if "start" in inspect.signature(space_maker(draft.space)).parameters:
        draft.change({"space.start": {**(draft.space.options.get("start") or {}), **choices[0]}})
    draft.change({"start_from.choices": choices})
    count = "its best choice is" if len(choices) == 1 else f"its {len(choices)} best choices are"
    words = make_space(draft.space).describe(choices[0])
    yield f"{other.name}: {count} tried first; the best, with which this search begins, is {words}"
    if changed:
        yield (
            f"its best choice has no value that this space knows for {', '.join(changed)}: the nearest number is "
            "taken, or the usual value"
        )


def fitted_choice(
    choice: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], usual: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A choice of another run in the dimensions of this one, and the dimensions that took another value.

    A number beyond the bounds is moved to the nearer one. Other values that this space does not have, and dimensions
    that the other one did not have, become the usual ones.

    Args:
        choice: of the other run.
        distributions: of this space.
        usual: its starting choice.
    """
    fitted, changed = {}, []
    for name, distribution in distributions.items():
        value = choice.get(name, usual[name])
        numeric = isinstance(distribution, IntDistribution | FloatDistribution)
        if numeric and isinstance(value, int | float) and not isinstance(value, bool):
            value = min(max(value, distribution.low), distribution.high)  # type: ignore[attr-defined]
        if not _contains(distribution, value):
            value = usual[name]
        if name not in choice or value != choice[name]:
            changed.append(name)
        fitted[name] = value
    return fitted, tuple(changed)


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False


def _take_weights(draft: Draft, context: Context, file: Path | None) -> Iterable[str]:
    """Check what of the weights fits the network that the search begins with."""
    assert draft.start_from is not None
    if file is None:
        yield "it has no weights any more: all networks begin anew"
        return
    which, fit = _fit(draft, context, file)
    if fit.tensors == 0 and context.other is None:
        raise SettingsError(
            f"--start-from {file}: none of its tensors has the name and the shape of one in "
            f"{which}, which has {fit.of_tensors}. Expected the state_dict of such a network."
        )
    if fit.tensors == 0:
        yield "none of its weights fits: all networks begin anew"
        return
    context.start_weights = file
    draft.change({"start_from.file": str(file), "start_from.digest": digest_of(file)})
    yield f"{which} begins with its weights: {fit.words()}; other networks as far as they fit, all else anew"


def _fit(draft: Draft, context: Context, file: Path) -> tuple[str, Fit]:
    """A network that may begin with the weights, in words, and how much of it fits."""
    import torch

    from netwright.training.initial_weights import fitting, stored_shapes

    space = make_space(draft.space)
    start = draft.start_from
    which, choice = "the starting network", space.starting_choice()
    if start is not None and start.choices:
        which, choice = "the network that is tried first", dict(start.choices[0])
    elif isinstance(space, Layered):
        which, choice = "the original network", space.original_choice()
    with torch.device("meta"):
        network = space.build(choice, context.task)
    return which, fitting(network, stored_shapes(file))[1]


def _preparation_words(draft: Draft, other: OtherRun | None) -> Iterable[str]:
    """In what the images are prepared differently: weights suit images like those that they were trained on."""
    if other is None:
        return
    for table in ("preprocessing", "slices"):
        theirs, ours = getattr(other.settings, table), getattr(draft, table)
        if theirs is None or ours is None:
            continue
        there, here = asdict(theirs), asdict(ours)
        for name in ("spacing", "size", "normalise", "foreground", "low_resolution"):
            if name in there and not _alike(there[name], here.get(name)):
                value = yaml.safe_dump(_plain(there[name]), default_flow_style=True).split("\n")[0]
                yield f"images are prepared otherwise than there: --set {table}.{name}='{value}' makes them alike"


def _alike(one: Any, other: Any) -> bool:
    """Whether two settings are the same, numbers within a few per cent."""
    if isinstance(one, tuple | list) and isinstance(other, tuple | list) and len(one) == len(other):
        return all(_alike(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=ALIKE)
    return bool(one == other)


def _plain(value: Any) -> Any:
    return (
        [round(v, 4) if isinstance(v, float) else v for v in value]
        if isinstance(value, tuple | list)
        else value
    )


def _leak_words(context: Context) -> Iterable[str]:
    """Which cases of this run the other knows, where that makes a test too good."""
    other, known, splits = context.other, context.known, context.splits
    assert other is not None
    assert known is not None
    tested = _seen(known, context.dataset.groups, splits.test)
    learned = {*splits.training, *splits.validation}
    reverse = {name for name, part in known.parts.items() if part == "test"} & learned
    by = " by name" if known.by_name else ""
    if tested:
        yield (
            f"{LEAK}{len(tested)} of the {len(splits.test)} test cases are{by} training or validation cases of "
            f"{other.name}, or of their patients: the test is too good. Give these cases to training (--split-file)"
        )
    if reverse:
        yield (
            f"{LEAK}{len(reverse)} test cases of {other.name} are{by} training or validation cases here: they no "
            "longer test what this run finds"
        )


def _seen(known: KnownCases, groups: Mapping[str, str], tested: Iterable[str]) -> set[str]:
    """Test cases that another run was trained or validated on, or whose patients it was."""
    seen = {name for name, part in known.parts.items() if part != "test"}
    patients = {groups[name] for name in seen if name in groups}
    return {name for name in tested if name in seen or groups.get(name) in patients}


def _unknown_cases() -> str:
    return (
        "It is not known which cases the weights were trained on: if test cases of this run are among them, the test "
        "is too good"
    )
