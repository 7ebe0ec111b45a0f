"""Parts that the user gives, in place of official and of drawn ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netwright.data.splits import PARTS, Part, Splits, draw_groups, part_words, shared_groups
from netwright.errors import DatasetError


@dataclass(frozen=True)
class GivenParts:
    """The part of each case as the user gives it.

    Args:
        parts: the part of each case; None: it is drawn.
        groups: the group of a case, such as the patient. A case without an entry is a group by itself.
        origin: where the parts come from, in words.
        left_out: the cases that lie in no part.
    """

    parts: Mapping[str, Part | None]
    groups: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, splits: Splits) -> GivenParts:
        """The parts of a run. None is left to be drawn."""
        named = zip(PARTS, (splits.training, splits.validation, splits.test), strict=True)
        parts: dict[str, Part | None] = {name: part for part, names in named for name in names}
        return cls(parts, splits.groups, splits.origin, splits.left_out)

    def names_of(self, part: Part | None) -> list[str]:
        """The cases of a part, or those to be drawn."""
        return [name for name, own in self.parts.items() if own == part]

    @property
    def draws_test(self) -> bool:
        """Whether the test part is drawn from the training cases, because there are no other cases for it."""
        return not self.names_of("test") and not self.names_of(None)


def given_splits(
    given: GivenParts,
    seed: int,
    fractions: tuple[float, float, float],
    strata: Mapping[str, int] | None = None,
) -> Splits:
    """The parts that the user gave. Cases without a part are drawn: to the parts without a case, and to training.

    If there is no test case and nothing else to draw one from, test cases are drawn from the training cases.

    Args:
        given: the parts.
        seed: another seed gives another division of what is drawn.
        fractions: of training, validation and test. Those of the parts that are drawn count.
        strata: as in `draw_groups`.

    Raises:
        DatasetError: there are too few cases to draw from, or a part stays empty.
    """
    filled: dict[Part, list[str]] = {part: given.names_of(part) for part in PARTS}
    pool, origin = given.names_of(None), given.origin
    if given.draws_test:
        pool, filled["train"] = filled["train"], []
        origin += "; test is drawn from its training part"
    elif pool:
        origin += f"; {len(pool)} cases without a part are drawn"
    if pool:
        wanted: list[Part] = ["train", *(part for part in PARTS[1:] if not filled[part])]
        for part, drawn in draw_groups(pool, given.groups, seed, wanted, fractions, strata).items():
            filled[part] += drawn
    empty: list[Part] = [part for part in PARTS if not filled[part]]
    if empty:
        raise DatasetError(
            f"The parts that were given leave no case for {part_words(empty)}: expected at least one for each part. "
            "Give it cases, or leave more cases without a part."
        )
    training, validation, test = (tuple(sorted(filled[part])) for part in PARTS)
    groups = shared_groups(given.parts, given.groups)
    return Splits(training, validation, test, groups, origin.removeprefix("; "), given.left_out)
