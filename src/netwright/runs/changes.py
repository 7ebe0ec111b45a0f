"""A changed space in the middle of a run: a new study with the trials that still fit, and places for the others.

Optuna allows no other distributions within a study, so the trials are written anew, each with its number. The study
before stays in the database as it was. The run has the new one from the moment at which ``run.yaml`` names it, which is
one renaming: a kill before that leaves the run as it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from netwright.runs.place import STUDY_NAME
from netwright.runs.trials import ENDED

CHANGES = "space_changes"
"""The study attribute with the changes of the run's space so far, as `SpaceChange` has them."""
_LATER = re.compile(rf"{STUDY_NAME}-(\d+)")


@dataclass(frozen=True)
class SpaceChange:
    """A change of a run's space.

    Args:
        time: when, in seconds since 1970.
        dimensions: what each dimension that has changed was, and what it is, in words; empty: there was, or is, none.
        trials: how many trials there were.
        fitted: how many of them fit.
        left_out: how many do not, by the reason.
        assumed: what trials that lack a dimension are taken to have in it, in words.
        tested: whether the test cases had been opened.
    """

    time: float
    dimensions: Mapping[str, tuple[str, str]]
    trials: int
    fitted: int
    left_out: Mapping[str, int]
    assumed: tuple[str, ...] = ()
    tested: bool = False

    def words(self) -> tuple[str, ...]:
        """What has changed, for each dimension: ``n: 4 to 8, now 4 to 12``."""
        return tuple(
            f"{name}: new, {now}" if not was else f"{name}: {was}, now {now or 'not searched'}"
            for name, (was, now) in self.dimensions.items()
        )


def changes_of(attributes: Mapping[str, Any]) -> tuple[SpaceChange, ...]:
    """The changes of a run's space, from the attributes of its study."""
    return tuple(
        SpaceChange(
            **{
                **kept,
                "dimensions": {name: (was, now) for name, (was, now) in kept["dimensions"].items()},
                "assumed": tuple(kept["assumed"]),
            }
        )
        for kept in attributes.get(CHANGES, ())
    )


def next_study(name: str) -> str:
    """The name of the study after a change of the space.

    >>> next_study("search"), next_study("search-2")
    ('search-2', 'search-3')
    """
    return f"{STUDY_NAME}-{_place(name) + 1}"


def _place(name: str) -> int:
    """The place of a study in the order of changes; 0: it is none of them."""
    later = _LATER.fullmatch(name)
    return int(later[1]) if later else int(name == STUDY_NAME)


def remove_abandoned(storage: BaseStorage, study: str) -> None:
    """Removes the study of a change that was killed before the run had it.

    Args:
        storage: of the run.
        study: the name of the run's study.
    """
    for one in storage.get_all_studies():
        if _place(one.study_name) > _place(study) > 0:
            storage.delete_study(one._study_id)


def store(
    storage: BaseStorage,
    name: str,
    before: optuna.Study,
    trials: Sequence[FrozenTrial],
    change: SpaceChange,
) -> None:
    """Writes the study after a change. The run does not have it yet.

    Args:
        storage: of the run.
        name: of the new study.
        before: the study before.
        trials: of the new study, in order.
        change: what changes.
    """
    study = optuna.create_study(storage=storage, study_name=name, directions=before.directions)
    for key, value in before.user_attrs.items():
        if key != ENDED:
            study.set_user_attr(key, value)
    earlier = [asdict(one) for one in changes_of(before.user_attrs)]
    study.set_user_attr(CHANGES, [*earlier, asdict(change)])
    study.add_trials(trials)
