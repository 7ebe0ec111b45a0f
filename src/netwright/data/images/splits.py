"""Training, validation and test pictures. Official parts are kept; missing parts are drawn class by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from netwright.data.given_parts import GivenParts, given_splits
from netwright.data.images.dataset import Label, classes_of
from netwright.data.issues import enumerate_words
from netwright.data.splits import (
    FRACTIONS,
    MINIMUM_CASES,
    PARTS,
    Part,
    Splits,
    dealt,
    drawn_parts,
    official_words,
    require_fractions,
)
from netwright.errors import DatasetError


class DivisiblePictures(Protocol):
    """Pictures that are divided into parts, before and after they are prepared."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the pictures."""

    @property
    def labels(self) -> Sequence[Label]:
        """The class or the labels of each picture."""

    @property
    def parts(self) -> tuple[Part | None, ...]:
        """The official part of each picture, None where there is none."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes."""


def image_splits(
    pictures: DivisiblePictures,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
    given: GivenParts | None = None,
) -> Splits:
    """The names of the pictures of each part.

    Official parts stay as they are. A missing part is drawn at random from the training part, or from all pictures
    where there are no parts. It gets its share of ``fractions`` (training, validation, test) among the parts that are
    drawn from the same pictures, for each class alike; for pictures with several labels see `strata`. As in
    `netwright.data.splits`, the order is that of a hash of seed and name.

    Args:
        pictures: a dataset, or prepared pictures.
        seed: another seed gives another division.
        fractions: of training, validation and test.
        given: parts that the user gave, in place of the official ones.

    Raises:
        DatasetError: there are fewer than three pictures, or too few to give every part one; or a class lies in other
            parts, but not in the training part that was given.
        SettingsError: the fractions are not three positive numbers that sum to 1.
    """
    require_fractions(fractions)
    if given is not None:
        return _as_given(pictures, seed, fractions, given)
    official: dict[Part, list[str]] = {part: [] for part in PARTS}
    shared: dict[int, list[str]] = {}
    for name, label, part in zip(pictures.names, strata(pictures.labels), pictures.parts, strict=True):
        if part in ("val", "test"):
            official[part].append(name)
        else:
            shared.setdefault(label, []).append(name)
    wanted = drawn_parts(pictures.parts)
    shares = [fractions[PARTS.index(part)] for part in wanted]
    # Not `shares_of`: three shares are divided, too, and the last bit could change the parts of earlier runs.
    shares = [share / sum(shares) for share in shares]
    for label in sorted(shared):
        for part, names in zip(wanted, dealt(shared[label], seed, shares), strict=True):
            official[part] += names
    empty = [part for part, names in official.items() if not names]
    if empty:
        raise DatasetError(
            f"{len(pictures.names)} pictures leave none for {' and '.join(empty)}: expected at least {MINIMUM_CASES} "
            "of some class. Add pictures."
        )
    training, validation, test = (tuple(sorted(official[part])) for part in PARTS)
    return Splits(training, validation, test, origin=official_words(pictures.parts))


def _as_given(
    pictures: DivisiblePictures, seed: int, fractions: tuple[float, float, float], given: GivenParts
) -> Splits:
    splits = given_splits(given, seed, fractions, strata_by_name(pictures))
    labels = dict(zip(pictures.names, pictures.labels, strict=True))
    learned, others = (
        {index for name in names for index in classes_of(labels[name])}
        for names in (splits.training, (*splits.validation, *splits.test))
    )
    if unknown := sorted(others - learned):
        names = pictures.class_names
        raise DatasetError(
            f"The training part that was given has no picture of {enumerate_words([names[one] for one in unknown])}: "
            "expected some of every class that is validated or tested. Move some there."
        )
    return splits


def strata_by_name(pictures: DivisiblePictures) -> dict[str, int]:
    """`strata` by the name of each picture."""
    return dict(zip(pictures.names, strata(pictures.labels), strict=True))


def strata(labels: Sequence[Label]) -> list[int]:
    """The class that each picture counts as when parts are drawn class by class.

    A picture with several labels counts as its rarest label, and as -1 without any. So a rare label is missing in no
    part, if there are enough pictures for all parts.

    >>> strata([0, 2, 2]), strata([(1, 1), (1, 0), (0, 0)])
    ([0, 2, 2], [1, 0, -1])
    """
    pictures = Counter(index for label in labels for index in classes_of(label))
    return [
        min(classes_of(label), key=lambda index: (pictures[index], index), default=-1) for label in labels
    ]
