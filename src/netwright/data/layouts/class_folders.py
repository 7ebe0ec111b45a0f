"""Image folders: ``train/<class>/*`` and ``test/<class>/*`` (and ``val``), or one folder for each class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from netwright.data.images.dataset import Depth, ImageSet, Label, Record
from netwright.data.io.images import PICTURE_ENDINGS, PictureHead, channel_names, is_picture, read_head
from netwright.data.issues import Problem, UnusableFile, enumerate_words
from netwright.data.layouts.description import DESCRIPTION
from netwright.data.layouts.part_names import PARTS, is_contents, part_in
from netwright.data.layouts.picture_tables import Pictures, listed_parts
from netwright.data.parallel import many_in_order
from netwright.data.splits import Part
from netwright.errors import DatasetError

LOOKED_FOR = (
    "folders `train/<class>` and `test/<class>` (and `val/<class>`) with pictures, or one folder of pictures "
    "for each class"
)

ONE_CLASS = "one-class"
"""The kind of a problem that does not matter to a trained network, which knows its classes already."""

_SORT = (
    "Sort the pictures into a folder for each class; for segmentation, put `images` beside `masks`; for pictures to be "
    "restored (inpainting), which need no classes, say --format images."
)
Entry = tuple[str, int, Part | None, Path]
"""Name, class, part and path of a picture."""

_READERS = 4
_DEPTHS: tuple[Depth, ...] = ("float32", "uint16", "uint8")
"""The widest first."""


def matches(root: Path) -> bool:
    """Whether a folder has folders with pictures, of classes or of parts."""
    return root.is_dir() and any(first_picture(folder) for folder in folders_in(root))


def read(root: Path) -> ImageSet:
    """The pictures in ``root``, their headers read; whether they can be decoded is not looked at.

    Raises:
        DatasetError: there are no classes to tell apart, or parts without a training part.
    """
    parts = parts_of(root)
    training = parts.get("train", root)
    if not parts and (inner := next(filter(_is_dataset, folders_in(root)), None)) is not None:
        raise DatasetError(
            f"{root} holds the folder {inner.name}, which is a dataset itself: expected one dataset. Name it: {inner}."
        )
    classes = tuple(folder.name for folder in folders_in(training))
    if not classes:
        raise DatasetError(
            f"{training} has no class folder: expected at least two to tell apart, each with its pictures. {_SORT}"
        )
    pictures: list[Entry] = []
    problems = [*([_one_class(training)] if len(classes) == 1 else []), *not_in_parts(root, parts)]
    for part, home in homes_of(root, parts):
        pictures += _pictures_of(root, part, home, classes, problems)
    problems += _folders_below(root, pictures, depth=2 if parts else 1)
    pictures = pictures if parts else _with_listed_parts(root, pictures, problems)
    return image_set(root, "image-folder", classes, pictures, problems)


def _with_listed_parts(root: Path, pictures: list[Entry], problems: list[Problem]) -> list[Entry]:
    """The pictures with the parts of lists in texts; as they are, where there are no such lists. What is in no list is
    for training.

    Raises:
        DatasetError: a picture is in the lists of two parts, or a line may name several.
    """
    part_of = listed_parts(root, Pictures({name: path for name, _, _, path in pictures}), problems)
    if not {"val", "test"} & set(part_of.values()):
        return pictures
    return [(name, label, part_of.get(name, "train"), path) for name, label, _, path in pictures]


def image_set(
    root: Path,
    format: str,
    classes: tuple[str, ...],
    pictures: Sequence[tuple[str, Label, Part | None, Path]],
    problems: Sequence[Problem],
) -> ImageSet:
    """The ``pictures``, given by name, label, part and path, as a dataset in order of name. Their headers are read.

    Args:
        root: of the dataset.
        format: the name of the layout.
        classes: their names.
        pictures: name, label, part and path of each.
        problems: that were found.
    """
    pictures = sorted(pictures, key=lambda entry: entry[0])
    heads = list(many_in_order(_head, [path for *_, path in pictures], _READERS))
    known = [head for head in heads if head is not None]
    records = tuple(
        Record(name, label, part, path, size=head.size if head else None)
        for (name, label, part, path), head in zip(pictures, heads, strict=True)
    )
    return ImageSet(
        name=root.resolve().name,
        root=root,
        format=format,
        channels=channel_names(max((head.channels for head in known), default=1)),
        classes=classes,
        records=records,
        depth=next((depth for depth in _DEPTHS if any(head.depth == depth for head in known)), "uint8"),
        problems=tuple(problem.relative_to(root) for problem in problems),
    )


def parts_of(root: Path) -> dict[Part, Path]:
    """The folders of the parts in ``root``, such as ``train``, ``train_images`` or ``train2017``; empty where it has
    none.

    Folders that are called like a part among other words have to have pictures.

    Raises:
        DatasetError: two for one part, or none for training beside others.
    """
    parts: dict[Part, Path] = {}
    for folder in folders_in(root):
        part = PARTS.get(folder.name.lower())
        if part is None and (part := part_in(folder.name)) is not None and first_picture(folder) is None:
            part = None
        if part is None:
            continue
        if part in parts:
            raise DatasetError(
                f"{root} has {parts[part].name} and {folder.name}: expected one folder for each part. Join the two."
            )
        parts[part] = folder
    if parts and "train" not in parts:
        raise DatasetError(
            f"{root} has the part {enumerate_words([folder.name for folder in parts.values()])} but no `train`: "
            "expected `train` beside it. Add the training pictures, or move what is in the folder up."
        )
    return parts


def beside_parts(root: Path, parts: Mapping[Part, Path]) -> list[Path]:
    """The folders with pictures beside those of the parts, which are left out; none where there are no parts."""
    others = [folder for folder in folders_in(root) if folder not in parts.values()] if parts else []
    return [folder for folder in others if first_picture(folder)]


def not_in_parts(root: Path, parts: Mapping[Part, Path]) -> list[Problem]:
    """The warnings of pictures that lie in ``root`` beside the parts: loose ones, and those in other folders."""
    loose = [picture for picture in list_pictures(root) if parts]
    others = [first_picture(folder) or folder for folder in beside_parts(root, parts)]
    expected = "a picture in the folder of its part"
    return [
        ignored_file(found[0], len(found), what, expected)
        for found, what in ((loose, "lies in no part"), (others, "lies in a folder beside the parts"))
        if found
    ]


def homes_of(root: Path, parts: Mapping[Part, Path]) -> list[tuple[Part | None, Path]]:
    """The folders with pictures: each part and its folder, or None and ``root``."""
    return [*parts.items()] if parts else [(None, root)]


def _is_dataset(folder: Path) -> bool:
    """Whether a folder that would be a class looks like a whole dataset."""
    names = {entry.name.lower() for entry in folder.iterdir() if entry.is_dir()}
    return (folder / DESCRIPTION).is_file() or not names.isdisjoint(PARTS) or names >= {"images", "masks"}


def _pictures_of(
    root: Path, part: Part | None, home: Path, classes: Sequence[str], problems: list[Problem]
) -> Iterator[Entry]:
    """Name, class, part and path of the pictures of a part; what does not belong there becomes a problem."""
    if loose := list_pictures(home):
        problems.append(
            ignored_file(
                loose[0], len(loose), "lies in no class folder", "a picture in the folder of its class"
            )
        )
    for folder in folders_in(home):
        if folder.name not in classes:
            problems.append(_unknown_class(folder, classes))
            continue
        label = classes.index(folder.name)
        count = 0
        for name, path in pictures_below(root, folder, problems):
            count += 1
            yield name, label, part, path
        if not count and part in (None, "train"):
            problems.append(_empty_class(folder))


def _folders_below(root: Path, pictures: Sequence[Entry], depth: int) -> list[Problem]:
    """A warning where classes have several folders of pictures, which may be patients (BreakHis) or classes (MURA).

    Args:
        root: of the dataset.
        pictures: name, class, part and path of each.
        depth: of the folders of classes below ``root``.
    """
    below: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for name, *_ in pictures:
        folders = tuple(name.split("/")[:-1])
        if len(folders) > depth:
            below.setdefault(folders[:depth], set()).add(folders)
    found = [folders for inner in below.values() if len(inner) > 1 for folders in sorted(inner)]
    if not found:
        return []
    home = "/".join(found[0][:depth])
    return [
        Problem(
            "warning",
            str(root.joinpath(*found[0])),
            "is a folder below that of a class, and counts for nothing",
            expected="pictures in the folder of their class",
            found=f"{len(found)} such folders",
            advice=f"All pictures in {home} are taken for one class. If the folders below are patients, parts that are "
            "drawn do not keep a patient's pictures together: give --split-file a table with the columns case, part "
            "(empty) and group (the patient). If they are the classes, give the folder around them.",
            kind="folders-below",
        )
    ]


def pictures_below(
    root: Path, folder: Path, problems: list[Problem], known: Sequence[str] = ()
) -> Iterator[tuple[str, Path]]:
    """Name within ``root`` and path of every picture below a folder; what does not belong there becomes a problem.

    Args:
        root: of the dataset.
        folder: in which to search.
        problems: gets the problems that are found.
        known: names within ``root`` of files that are no pictures and may be there.
    """
    others: list[Path] = []
    for path in files_below(folder):
        name = path.relative_to(root).as_posix()
        if not is_picture(path):
            others += [path] if name not in known else []
        elif not name.isprintable():
            problems.append(_unreadable_name(path))
        else:
            yield name, path
    if others:
        expected = f"pictures that end in {enumerate_words(PICTURE_ENDINGS, 'or')}"
        problems.append(ignored_file(others[0], len(others), "is no picture", expected))


def folders_in(home: Path) -> list[Path]:
    """The folders within, sorted, without those that systems and tools leave."""
    return sorted(
        entry
        for entry in home.iterdir()
        if entry.is_dir() and entry.name[0] != "." and entry.name != "__MACOSX"
    )


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, without hidden ones."""
    for home, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in sorted(files):
            if name[0] != "." and name != "Thumbs.db":
                yield Path(home, name)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder itself, sorted, without hidden files."""
    if not folder.is_dir():
        return []
    return sorted(
        file for file in folder.iterdir() if is_picture(file) and file.name[0] != "." and file.is_file()
    )


def first_picture(folder: Path) -> Path | None:
    """A picture below a folder, None where there is none."""
    return next((path for path in files_below(folder) if is_picture(path)), None)


def _head(path: Path) -> PictureHead | None:
    """The header of a picture, None where it cannot be read: inspection says why."""
    try:
        return read_head(path)
    except UnusableFile:
        return None


def _one_class(training: Path) -> Problem:
    (folder,) = folders_in(training)
    inner = sum(first_picture(one) is not None for one in folders_in(folder))
    within = inner > 1 and not list_pictures(folder)
    return Problem(
        "error",
        str(training),
        "has one class folder",
        expected="at least two to tell apart, each with its pictures",
        found=folder.name,
        advice=f"Are the {inner} folders in {folder} the classes? Then name that folder."
        if within
        else _SORT,
        kind=ONE_CLASS,
    )


def _empty_class(folder: Path) -> Problem:
    return Problem(
        "error",
        str(folder),
        "is a class with no image",
        expected="pictures of it to learn from",
        found="none",
        advice="Look whether they were copied; or remove the folder, if there is no such class.",
        kind="empty-class",
    )


def _unknown_class(folder: Path, classes: Sequence[str]) -> Problem:
    named = enumerate_words([*classes[:5], f"{len(classes) - 5} more"] if len(classes) > 6 else classes)
    return Problem(
        "error",
        str(folder),
        "is a class that training lacks",
        expected=f"the classes of the training part ({named})",
        found=folder.name,
        advice="The name says what lies in it, and is no class: sort the pictures into folders of their classes, as a "
        "table or list may tell them; or move the folder elsewhere."
        if is_contents(folder.name)
        else "Nobody can learn what is never shown: add pictures of it to training, or remove the folder. Look "
        "whether the name is spelled alike.",
        kind="unknown-class",
    )


def ignored_file(file: Path, count: int, what: str, expected: str) -> Problem:
    """A file that is left out, one of ``count`` such.

    Args:
        file: the first of its kind.
        count: how many there are.
        what: what is wrong with it.
        expected: what should be there.
    """
    return Problem(
        "warning",
        str(file),
        what,
        expected=expected,
        found=f"{count} file{'s' * (count != 1)} of this sort in its folder",
        advice="It is left out. Move or convert it if it belongs to the dataset.",
        kind="ignored-file",
    )


def _unreadable_name(path: Path) -> Problem:
    return Problem(
        "error",
        str(path).encode("utf-8", "backslashreplace").decode(),
        "has a name that cannot be read",
        expected="a name of printable Unicode characters",
        found=repr(path.name),
        advice="Another system wrote it in another encoding: rename the file.",
        kind="unreadable-name",
    )
