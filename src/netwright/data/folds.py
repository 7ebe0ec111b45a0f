"""Divides cases into folds for a cross-validation: every case is held out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netwright.data.base import Divisible
from netwright.data.given_parts import GivenParts
from netwright.data.splits import (
    Splits,
    draw_groups,
    groups_by_class,
    in_order_of_seed,
    members_of,
    require_fractions,
    shared_groups,
)
from netwright.errors import DatasetError


def folds_of(
    dataset: Divisible,
    count: int,
    seed: int,
    fractions: tuple[float, float, float],
    given: GivenParts | None = None,
    strata: Mapping[str, int] | None = None,
) -> tuple[Splits, ...]:
    """The parts of the cases in each fold.

    Where there are test cases, official or given, they are those of all folds, and the held-out cases are for
    validation. Else these are the test cases, and validation cases are drawn from the others. Official validation
    cases are divided like training cases. A group, such as a patient, is never divided, and each class is spread
    evenly over the folds.

    Args:
        dataset: the cases.
        count: how many folds, two or more.
        seed: another seed gives other folds.
        fractions: of training, validation and test; the first two count where validation cases are drawn.
        given: parts that the user gave, in place of official ones; the cases that they leave out lie in no fold.
        strata: the class of each case; None: there are no classes.

    Raises:
        DatasetError: there are fewer groups than folds, or too few to leave some for training and validation; or an
            official test part has only some cases of a group.
        SettingsError: the fractions are not three positive numbers that sum to 1.
    """
    require_fractions(fractions)
    parts = dict(zip(dataset.names, dataset.parts, strict=True)) if given is None else given.parts
    groups = dataset.groups if given is None else given.groups
    left_out = () if given is None else given.left_out
    test = tuple(sorted(name for name, part in parts.items() if part == "test"))
    pool = [name for name, part in parts.items() if part != "test"]
    if divided := sorted(members_of(pool, groups).keys() & members_of(test, groups).keys()):
        raise DatasetError(
            f"The patient (group) {divided[0]} has official test cases and others, as {len(divided)} in all: expected "
            "all cases of a patient in one part, as every other case is held out once. Name the test cases in a file "
            "of parts (--split-file)."
        )
    fewest = count if test or count > 2 else 4  # of one half, some train and some validate
    dealt = _dealt(pool, groups, count, seed, strata, fewest)
    shared = shared_groups(parts, groups)
    folds = []
    for number, held_out in enumerate(dealt, 1):
        rest = [name for name in pool if name not in held_out]
        words = f"fold {number} of {count} is held out for"
        if test:
            origin = f"{words} validation; the test cases are the same in all"
            training, validation, tested = rest, sorted(held_out), test
        else:
            drawn = draw_groups(rest, groups, seed, ("train", "val"), fractions, strata)
            if not drawn["val"]:  # each class has too few cases for all parts
                drawn = draw_groups(rest, groups, seed, ("train", "val"), fractions)
            origin = f"{words} testing"
            training, validation, tested = drawn["train"], drawn["val"], tuple(sorted(held_out))
        folds.append(
            Splits(tuple(sorted(training)), tuple(sorted(validation)), tested, shared, origin, left_out)
        )
    return tuple(folds)


def _dealt(
    names: Sequence[str],
    groups: Mapping[str, str],
    count: int,
    seed: int,
    strata: Mapping[str, int] | None,
    fewest: int,
) -> list[set[str]]:
    """The cases of each fold. Groups are dealt class by class, so that folds differ by at most one group in all and,
    in each class, by one.
    """
    members = members_of(names, groups)
    if len(members) < fewest:
        of = f" of {len(members)} patients (groups)" if len(members) < len(names) else ""
        raise DatasetError(
            f"{len(names)} cases{of} cannot be divided into {count} folds: expected at least {fewest}"
            f"{' patients' if of else ''}. Take fewer folds, or label more cases."
        )
    folds: list[set[str]] = [set() for _ in range(count)]
    alike = groups_by_class(members, strata)
    order = [group for stratum in sorted(alike) for group in in_order_of_seed(alike[stratum], seed)]
    for turn, group in enumerate(order):
        folds[turn % count].update(members[group])
    return folds
