"""Official parts that text files list: ``train.txt``, ``val.txt`` and ``test.txt`` with a picture a line; or that the
names of pictures begin with: ``train_1``, ``testA_1``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from netwright.data.files import read_text
from netwright.data.io.images import is_picture
from netwright.data.issues import Problem, UnusableFile
from netwright.data.layouts.mask_pairs import WITHOUT_MASKS, Arrangement, Pair
from netwright.data.layouts.part_names import PARTS
from netwright.data.layouts.picture_tables import LISTS, LISTS_ADVICE, absent_names, words_of_line
from netwright.data.splits import Part

UNLISTED = "is in none of the lists of parts"
"""A reason to leave a picture out."""

_VOC = Path("ImageSets", "Segmentation")
_NAMED_AFTER = re.compile(rf"({'|'.join(PARTS)})[a-z]?[ _-]?\d+", re.IGNORECASE)
"""GlaS: ``train_1``, ``testA_1``, ``testB_1``."""

_BOTH = "trainval"
"""The list of PASCAL VOC and of Oxford pets for training and validation."""


def with_listed_parts(found: Arrangement) -> Arrangement:
    """The images and masks with the parts that lists give them. Pictures in no list are left out.

    Lists are looked for in the dataset's folder, beside the folders of images and of masks, and in
    ``ImageSets/Segmentation``. Where folders name parts, and where no list names a picture, they are not read. Where no
    list says parts, the names of all pictures may.
    """
    if any(pair.named.part for pair in found.pairs):
        return found
    by_stem: dict[str, list[Pair]] = defaultdict(list)
    for pair in found.pairs:
        for stem in {pair.named.path.stem, pair.named.bare}:
            by_stem[stem].append(pair)
    for home in _homes(found):
        lists = _lists(home)
        listed = {path: _read(path, by_stem, found.root) for path in lists}
        if any(named for named, _ in listed.values()):
            return _parted(found, lists, listed)
    return _named_after_parts(found)


def _named_after_parts(found: Arrangement) -> Arrangement:
    """The images and masks with the parts that all of their names begin with; as they are, where not all do."""
    named = [_NAMED_AFTER.fullmatch(pair.named.path.stem) for pair in found.pairs if pair.image]
    parts = [PARTS[name[1].lower()] for name in named if name]
    if len(parts) < len(found.pairs) or "train" not in parts or len(set(parts)) == 1:
        return found
    return replace(found, pairs=tuple(map(_in_part, found.pairs, parts)))


def _homes(found: Arrangement) -> Iterator[Path]:
    """Where lists may lie, the more particular first."""
    paths = [one.path for pair in found.pairs for one in (*filter(None, [pair.image]), *pair.masks)]
    beside = dict.fromkeys(path.parent.parent for path in dict.fromkeys(paths))
    homes = [home for home in dict.fromkeys([found.root, *beside]) if home.is_relative_to(found.root)]
    yield from (home / _VOC for home in homes)
    yield from homes


def _lists(home: Path) -> dict[Path, Part]:
    """The lists in a folder. That for both training and validation counts where there is none for training."""
    there = sorted(home.glob("*.txt")) if home.is_dir() else []
    lists = {path: PARTS[path.stem.lower()] for path in there if path.stem.lower() in PARTS}
    if "train" not in lists.values():
        lists |= {path: "train" for path in there if path.stem.lower() == _BOTH}
    return lists if "train" in lists.values() else {}


def _read(path: Path, by_stem: Mapping[str, Sequence[Pair]], root: Path) -> tuple[list[Pair], list[str]]:
    """The pictures that a list names, and the names of those that are not there."""
    try:
        lines = [line.strip() for line in read_text(path, "the name of a picture a line").splitlines()]
    except UnusableFile:
        return [], []  # it is no list
    pairs: list[Pair] = []
    absent: list[str] = []
    for line in filter(None, lines):
        of_line = next((of for word in words_of_line(line) if (of := _named(word, by_stem, root))), None)
        if of_line:
            pairs += of_line
        else:
            absent.append(line)
    return pairs, absent


def _named(word: str, by_stem: Mapping[str, Sequence[Pair]], root: Path) -> Sequence[Pair]:
    """The picture that a word names, as a stem, a file or a path; of several of one stem that of the path."""
    path = PurePosixPath(word)
    if is_picture(Path(word)):
        path = path.with_suffix("")
    pairs = by_stem.get(path.name, ())
    if len(pairs) < 2:
        return pairs
    return [
        pair
        for pair in pairs
        if _ends_alike(path.parts, pair.named.path.relative_to(root).with_suffix("").parts)
    ]


def _ends_alike(one: Sequence[str], other: Sequence[str]) -> bool:
    length = min(len(one), len(other))
    return one[-length:] == other[-length:]


def _parted(
    found: Arrangement, lists: Mapping[Path, Part], listed: Mapping[Path, tuple[list[Pair], list[str]]]
) -> Arrangement:
    part_of: dict[Path, Path] = {}  # picture to its list
    problems: list[Problem] = []
    for path, (pairs, absent) in listed.items():
        other = ""
        for pair in pairs:
            first = part_of.setdefault(pair.named.path, path)
            if lists[first] != lists[path]:
                other = other or f"{pair.named.path.name} also in {first.name}"
        if other:
            problems.append(_in_two_lists(path, other))
        if absent:
            problems.append(absent_names(path, absent))
    chosen = [
        _in_part(pair, lists[part_of[pair.named.path]]) for pair in found.pairs if pair.named.path in part_of
    ]
    unlisted = [pair.named.path for pair in found.pairs if pair.named.path not in part_of]
    labelled = {pair.named.part for pair in chosen if pair.masks}
    without = [pair.named.path for pair in chosen if pair.named.part not in labelled]
    left_out = {**found.left_out, UNLISTED: tuple(unlisted)}
    left_out[WITHOUT_MASKS] = (*found.left_out.get(WITHOUT_MASKS, ()), *without)
    taken = tuple(pair for pair in chosen if pair.named.part in labelled)
    return replace(found, pairs=taken, left_out=left_out, problems=tuple(problems))


def _in_part(pair: Pair, part: Part) -> Pair:
    image = replace(pair.image, part=part) if pair.image else None
    return Pair(image, tuple(replace(mask, part=part) for mask in pair.masks))


def _in_two_lists(path: Path, other: str) -> Problem:
    return Problem(
        "error",
        str(path),
        "names a picture of another part",
        expected="each in one list",
        found=other,
        advice=LISTS_ADVICE,
        kind=LISTS,
    )
