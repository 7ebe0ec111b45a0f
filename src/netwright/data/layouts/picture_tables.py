"""Tables beside pictures, and the pictures that their values name."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, zip_longest
from pathlib import Path

from netwright.data.files import read_text, reading
from netwright.data.io.images import PICTURE_ENDINGS
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.layouts.part_names import part_among, part_in, words_of
from netwright.data.splits import Part
from netwright.errors import DatasetError

_ENDINGS = (".csv", ".tsv", ".tab")
_OURS = ("boxes.csv", "predictions.csv")
_SUBMISSION = re.compile(r".*submission.*", re.IGNORECASE)
_DELIMITERS = (",", ";", "\t")
_FOLDERS = 20
_SEPARATOR = re.compile(r"[,;\t]")
_COUNT = re.compile(r"0|[1-9]\d*")

LISTS = "lists-of-parts"
"""The kind of a problem of texts that list the pictures of a part."""

LISTS_ADVICE = "Correct the list, or give parts of your own with --split-file."

_PEEKED = 1_000_000
"""In about so many values of a table the name of a picture is looked for, as those of the first may be elsewhere."""

_BLOCK = 1000
"""So many rows are looked at together: many more than a pixel has different values."""


@dataclass(frozen=True)
class Table:
    """Tables with the same columns, as one: ``rows`` are (table, line, value by column)."""

    paths: tuple[Path, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[Path, int, Mapping[str, str]], ...]


class Pictures:
    """The pictures of a folder, found by what a table calls them.

    Args:
        paths: of the pictures, by name within the folder.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.paths = paths

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.paths:
            file = name.rpartition("/")[2]
            for key in {file, bare(file)}:
                found[key].append(name)
        return found

    @cached_property
    def _by_small_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.paths:
            found[bare(name.rpartition("/")[2]).casefold()].append(name)
        return found

    @cached_property
    def _folders(self) -> dict[str, frozenset[str]]:
        """The names of the folders around pictures, in lower case, by the path of the last one."""
        of_home: dict[str, frozenset[str]] = {}
        for name in self.paths:
            home = name.rpartition("/")[0]
            of_home.setdefault(home, frozenset(home.casefold().split("/")))
        return of_home

    @cached_property
    def _known_folders(self) -> frozenset[str]:
        return frozenset().union(*self._folders.values())

    def _in_other_case(self, file: str) -> list[str]:
        """The picture with a name that differs in small and capital letters alone, if it is the only one."""
        found = self._by_small_name.get(bare(file).casefold(), [])
        return found if len(found) == 1 else []

    def called(self, value: str, part: Part | None = None) -> list[str]:
        """The pictures that a value of a table may mean: by path within the folder (or within one around it), by file
        name, or by stem. If the value names folders that are there, its name alone means pictures in these.

        Args:
            value: of the table.
            part: of the table; of several pictures, those in folders of it are meant.
        """
        value = value.replace("\\", "/")
        folders = value.split("/")
        for first in range(len(folders)):
            if (path := "/".join(folders[first:])) in self.paths:
                return [path]
        file = folders[-1]
        found = self._by_name.get(file) or self._by_name.get(bare(file)) or self._in_other_case(file)
        if around := self._known_folders.intersection(value.casefold().split("/")[:-1]):
            found = [name for name in found if around <= self._folders[name.rpartition("/")[0]]]
        within = [name for name in found if part_of_folders(name) == part] if part and len(found) > 1 else []
        return within or found


def bare(file: str) -> str:
    """The name of a file without the ending of a picture."""
    ending = next((one for one in PICTURE_ENDINGS if file.lower().endswith(one)), "")
    return file[: len(file) - len(ending)]


def plain(name: str) -> str:
    """The letters of a column's name, in lower case: ``Finding Labels`` -> findinglabels."""
    return re.sub("[^a-z]", "", name.lower())


def part_of_folders(name: str) -> Part | None:
    """The part that the folders of a picture's name tell."""
    return next(filter(None, map(part_in, name.split("/")[:-1])), None)


def part_of_table(path: Path) -> Part | None:
    """The part in the name of a table: ``train.csv``, ``ISIC2018_Task3_Training_GroundTruth.csv``."""
    return part_among(words_of(path.stem))


def listed_parts(root: Path, pictures: Pictures, problems: list[Problem] | None = None) -> dict[str, Part]:
    """The parts of pictures that texts list, by the name of a picture: NIH's ``test_list.txt``.

    Args:
        root: the folder of the texts.
        pictures: that they may list.
        problems: gets a warning of each list with pictures that are not there, and of each text that is no list,
            although some of its lines name pictures.

    Raises:
        DatasetError: a picture is in the lists of two parts, or a line of a list may name several.
    """
    list_of: dict[str, tuple[Part, Path]] = {}
    for path in sorted(root.glob("*.txt")):
        if (part := part_of_table(path)) is None:
            continue
        for name in _listed(pictures, path, [] if problems is None else problems):
            other, first = list_of.setdefault(name, (part, path))
            if other != part:
                raise DatasetError(
                    f"{root} has the picture {name} in {first.name} and in {path.name}: expected each picture in one "
                    "list. Remove it from one of them, or the lists from the folder."
                )
    return {name: part for name, (part, _) in list_of.items()}


def _listed(pictures: Pictures, path: Path, problems: list[Problem]) -> list[str]:
    """The pictures that a text lists; none where fewer than half of its lines name pictures, there or not.

    Raises:
        DatasetError: a line may name several.
    """
    try:
        text = read_text(path, "the name of a picture a line")
    except UnusableFile:
        return []
    named = {line: _named(pictures, line) for line in filter(None, map(str.strip, text.split("\n")))}
    some = [line for line, names in named.items() if names]
    absent = [line for line, names in named.items() if not names]
    if 2 * (len(some) + sum(map(_says_picture, absent))) < len(named):
        if some:
            problems.append(_no_list(path, len(some), len(named)))
        return []
    if absent:
        problems.append(absent_names(path, absent))
    for line in some:
        if len(named[line]) > 1:
            first, second = named[line][:2]
            raise DatasetError(
                f"{path} lists {line}, which may be {first} or {second}: expected one picture a line, such as "
                f"{first}. Write the folders of the pictures, too, or remove the list from the folder."
            )
    return [named[line][0] for line in some]


def words_of_line(line: str) -> tuple[str, ...]:
    """What may be a name in a line of a list: all of it, what is before a comma, semicolon or tab, and the first
    word."""
    words = dict.fromkeys([line, _SEPARATOR.split(line)[0].strip(), line.split()[0]])
    return tuple(filter(None, words))


def _words(line: str) -> list[str]:
    """What may be a name in a line, without a number that something follows, as the epoch in the log of a training. One
    that begins with 0 is none."""
    return [word for word in words_of_line(line) if word == line or not _COUNT.fullmatch(word)]


def _named(pictures: Pictures, line: str) -> list[str]:
    """The pictures that a line may name; of several those whose folders end as the line tells."""
    for word in _words(line):
        found = pictures.called(word)
        if len(found) > 1 and "/" in word:
            ending = f"/{bare(word)}"
            found = [name for name in found if f"/{bare(name)}".endswith(ending)]
        if found:
            return found
    return []


def _says_picture(line: str) -> bool:
    return any(word.lower().endswith(PICTURE_ENDINGS) for word in _words(line))


def absent_names(path: Path, absent: Sequence[str]) -> Problem:
    """A warning of lines of a list that name no picture."""
    some = enumerate_words(absent[:3]) + ", ..." * (len(absent) > 3)
    return Problem(
        "warning",
        str(path),
        "names pictures that are not there",
        expected="all of them",
        found=f"no {some}",
        advice=LISTS_ADVICE,
        kind=LISTS,
    )


def _no_list(path: Path, some: int, lines: int) -> Problem:
    return Problem(
        "warning",
        str(path),
        "is not taken for a list of a part, although some of its lines name pictures",
        expected="a picture in most lines",
        found=f"one in {some} of {lines} lines",
        advice=LISTS_ADVICE,
        kind=LISTS,
    )


def tables_in(root: Path) -> list[Path]:
    """The tables beside the pictures of a folder, and those in its folders, sorted."""
    folders = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and folder.name[0] != "."]
    homes = [root, *folders[:_FOLDERS]]
    return [path for home in homes for path in sorted(home.iterdir()) if _is_table(path)]


def _is_table(path: Path) -> bool:
    name = path.name.lower()
    ending = name.endswith(_ENDINGS) or (not path.suffix and name.endswith("_metadata"))
    return (
        ending and name[0] != "." and name not in _OURS and not _SUBMISSION.fullmatch(name) and path.is_file()
    )


def read_tables(paths: Sequence[Path]) -> list[Table]:
    """The tables, those with the same columns joined.

    Raises:
        UnusableFile: one cannot be read.
    """
    alike: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for path in paths:
        alike[head_of(path)].append(path)
    return [
        Table(
            tuple(files),
            head,
            tuple((file, line, row) for file in files for line, row in _rows(file, head)),
        )
        for head, files in alike.items()
    ]


def tables_that_name(pictures: Pictures, paths: Sequence[Path]) -> list[Table]:
    """The tables of which some of the first rows name pictures. What cannot be read is no such table."""
    try:
        return read_tables([path for path in paths if _names_some(pictures, path)])
    except UnusableFile:
        return []


def _names_some(pictures: Pictures, path: Path) -> bool:
    """Whether a column of mostly different values, as pixels are not, names a picture in the first rows of a table."""
    lines = islice(_lines(path), 1, None)
    looked_at = 0
    names: set[int] | None = None
    try:
        while looked_at < _PEEKED and (rows := [values for _, values in islice(lines, _BLOCK)]):
            looked_at += sum(map(len, rows))
            values_of = dict(enumerate(zip_longest(*rows, fillvalue="")))
            if names is None:
                names = {column for column, values in values_of.items() if _mostly_differ(values)}
            values = {value for column in names for value in values_of.get(column, ()) if value}
            if any(map(pictures.called, values)):
                return True
    except UnusableFile:
        pass
    return False


def _mostly_differ(values: Sequence[str]) -> bool:
    filled = list(filter(None, values))
    return 2 * len(set(filled)) >= len(filled)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    with (
        reading(path, "a table in UTF-8", "Save it again as CSV in UTF-8."),
        path.open(encoding="utf-8-sig", newline="") as file,
    ):
        first = file.readline()
        file.seek(0)
        lines = csv.reader(file, delimiter=max(_DELIMITERS, key=first.count), strict=True)
        for row in lines:
            if any(row):
                yield lines.line_num, [value.strip() for value in row]


def head_of(path: Path) -> tuple[str, ...]:
    """The names of the columns of a table.

    Raises:
        UnusableFile: it cannot be read.
    """
    return tuple(next(iter(_lines(path)), (0, []))[1])


def _rows(path: Path, head: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and values of each row below the first; what goes beyond the named columns is left out."""
    for line, values in islice(_lines(path), 1, None):
        filled = [*values, *[""] * (len(head) - len(values))]
        yield line, {name: value for name, value in zip(head, filled, strict=False) if name}
