"""What `predict` writes, and what it must never write over: an input, or a file that it did not write itself.

The files that it has written into a folder are listed there, in `MANIFEST`: one JSON object a line, the name within the
folder and a digest of the content. So a file that was changed since, a label map corrected by hand, is the user's own.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from netwright.data.base import OnCase
from netwright.data.files import content_digest
from netwright.data.issues import enumerate_words
from netwright.data.layouts.unlabelled import tell_unusable
from netwright.data.layouts.volume_files import MANIFEST
from netwright.errors import DatasetError, SettingsError, StorageError

T = TypeVar("T")

PROBABILITIES, UNCERTAINTY, VOLUMES = ADDITIONAL = ("probabilities", "uncertainty", "volumes")
"""What can be written beside label maps."""

_HEADER = {"netwright": "files written by predict"}


@dataclass(frozen=True)
class Outputs:
    """The files that one prediction may write, each of which was looked at beforehand: ``paths``, in order."""

    folder: Path
    paths: tuple[Path, ...]

    def put(self, path: Path, write: Callable[[Path], None]) -> None:
        """Have a file written, and put it on the list in its folder.

        It is written under another name, listed, and only then put into its place: whenever a kill comes, what is
        there is known for predict's own.

        Args:
            path: one of ``paths``.
            write: makes the file at the place that it is given, whose name ends as that of ``path``.

        Raises:
            StorageError: the file or the list cannot be written.
        """
        made = path.with_name(f".netwright-{path.name}")
        write(made)
        try:
            self._list(path, content_digest(made))
            made.replace(path)
        except OSError as error:
            raise StorageError(f"{path} cannot be written ({error.strerror or error}).") from error

    def _list(self, path: Path, digest: str) -> None:
        lines = [{"file": path.relative_to(self.folder).as_posix(), "digest": digest}]
        manifest = self.folder / MANIFEST
        if not manifest.exists():
            lines.insert(0, _HEADER)
        torn = manifest.exists() and not manifest.read_bytes().endswith(b"\n")  # by a kill
        with manifest.open("a", encoding="utf-8") as file:
            file.writelines(["\n" * torn, *(f"{json.dumps(line)}\n" for line in lines)])


@dataclass(frozen=True)
class Reading:
    """What a prediction reads.

    ``files``: all input files; ``folders``: those in which such were found, and not files that were given by name.
    """

    files: Sequence[Path]
    folders: Sequence[Path]


def plan_outputs(
    folder: Path,
    names: Sequence[str],
    sources: Sequence[Path],
    reading: Reading,
    *,
    overwrite: bool,
    what: str = "images would be segmented",
    apart: bool = True,
) -> Outputs:
    """Look at everything that a prediction is about to write, before it writes anything.

    Args:
        folder: where to write.
        names: of the files within it, with ``/`` between folders.
        sources: the input that each of them is made of.
        reading: what is read.
        overwrite: whether what `predict` wrote there before may be replaced.
        what: what happens to which inputs, for messages.
        apart: whether what is written would be read as an input the next time, if it lay among the inputs.

    Raises:
        DatasetError: two inputs lead to one name.
        StorageError: a file would be lost, something is in the way, or the folder cannot be written to; the message
            names it.
    """
    folder = folder.expanduser()
    paths = tuple(folder / name for name in names)
    _require_own_names(paths, sources, what)
    _require_folders(folder, paths)
    inputs = {_identity(file): file for file in reading.files}
    inputs.pop(None, None)
    there = [path for path in paths if os.path.lexists(path)]
    for path in there:
        if (key := _identity(path)) in inputs:
            raise StorageError(
                f"{path} would overwrite {inputs[key]}, which is read: inputs are never replaced. Choose another "
                "folder with -o; nothing was written."
            )
    if apart:
        _require_apart(folder, paths, reading)
    _require_own(folder, there, overwrite)
    _require_writable(folder)
    return Outputs(folder, paths)


def refuse_masks(masks: Path | None, metric: str) -> None:
    """Refuse masks that are given to a network that restores nothing.

    Raises:
        SettingsError: there are some.
    """
    if masks is not None:
        raise SettingsError(
            f"Masks are for networks that restore pictures; this one is judged by {metric}. Leave them out."
        )


def refuse_format(format: str | None, metric: str) -> None:
    """Refuse a format of label maps for a network that makes none.

    Raises:
        SettingsError: one is given.
    """
    if format is not None:
        raise SettingsError(
            f"The format {format!r} is one of label maps; this network is judged by {metric} and makes none. Leave it "
            "out."
        )


def refuse_additional(additional: Collection[str], metric: str) -> None:
    """Refuse what is written beside label maps for a network that makes none.

    Raises:
        SettingsError: something is asked for.
    """
    if additional:
        raise SettingsError(
            f"{enumerate_words(sorted(additional))}: written beside label maps; this network is judged by {metric} and "
            "makes none. Leave that out."
        )


def require_additional(additional: Collection[str]) -> None:
    """Refuse unknown things to be written beside label maps.

    Raises:
        SettingsError: there is one.
    """
    if unknown := sorted(set(additional) - set(ADDITIONAL)):
        raise SettingsError(
            f"additional: expected some of {enumerate_words(list(ADDITIONAL))}, got {unknown[0]!r}."
        )


def each_usable(inputs: Sequence[T], use: Callable[[T], None], on_case: OnCase | None) -> None:
    """Use every input that can be used: another one does not keep it from being used.

    Args:
        inputs: the inputs in order.
        use: called with each of them.
        on_case: called with the number of inputs done and of all inputs.

    Warns:
        DatasetWarning: an input cannot be used.

    Raises:
        DatasetError: none can be used; it is the first one's.
    """
    unusable = []
    for number, item in enumerate(inputs, 1):
        try:
            use(item)
        except DatasetError as error:
            unusable.append(error)
        if on_case is not None:
            on_case(number, len(inputs))
    if unusable and len(unusable) == len(inputs):
        raise unusable[0]
    for problem in unusable:
        tell_unusable(problem)


def _require_own_names(paths: Sequence[Path], sources: Sequence[Path], what: str) -> None:
    """Refuse two paths of one name, also where they differ in capitals or in the form of accents alone, which many
    file systems do not tell apart.
    """
    known: dict[str, tuple[Path, Path]] = {}
    for path, source in zip(paths, sources, strict=True):
        plain = unicodedata.normalize("NFC", str(path)).casefold()
        if plain in known:
            other, first = known[plain]
            alike = "" if other == path else f" and {other}, which many file systems take for one name"
            raise DatasetError(
                f"Two {what} as {path}{alike}: {first} and {source}. Expected another name for each. Rename one, or "
                "predict them into folders of their own; nothing was written."
            )
        known[plain] = path, source


def _require_folders(folder: Path, paths: Sequence[Path]) -> None:
    homes = {folder, *(home for path in paths for home in path.parents if home.is_relative_to(folder))}
    for home in sorted(homes):
        if os.path.lexists(home) and not home.is_dir():
            raise StorageError(
                f"{home} is a file: expected a folder to write to. Choose another folder with -o; nothing was written."
            )


def _require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be written to before anything is computed for it."""
    home = next(home for home in (folder, *folder.absolute().parents) if home.exists())
    if not os.access(home, os.W_OK | os.X_OK):
        raise StorageError(
            f"{home} cannot be written to: expected a folder of yours. Choose another one with -o."
        )


def _require_apart(folder: Path, paths: Sequence[Path], reading: Reading) -> None:
    """Refuse to write among the inputs, where what is written would be read as an input the next time."""
    for read in reading.folders:
        homes = {_identity(file.parent) for file in reading.files if file.is_relative_to(read)}
        if any(path.parent.exists() and _identity(path.parent) in homes for path in paths):
            raise StorageError(
                f"{folder} lies among what is read from {read}: what is written there would be read as an input the "
                "next time. Choose another folder with -o; nothing was written."
            )


def _require_own(folder: Path, there: Sequence[Path], overwrite: bool) -> None:
    """Refuse files that `predict` did not write, and without ``overwrite`` also those that it did."""
    listed: dict[str, set[Any]] = {}
    for name, digest in _listed(folder / MANIFEST):
        listed.setdefault(name, set()).add(digest)
    foreign: list[Path] = []
    changed: list[Path] = []
    own: list[Path] = []
    for path in there:
        digests = listed.get(path.relative_to(folder).as_posix(), set())
        if not digests or not path.is_file() or path.is_symlink():
            foreign.append(path)
        else:
            (own if content_digest(path) in digests else changed).append(path)
    end = "Move it away, or choose another folder with -o; nothing was written."
    if foreign:
        raise StorageError(
            f"{_named(foreign)} there already, not written by predict: expected a folder with nothing of that name. "
            f"{end}"
        )
    if changed:
        raise StorageError(
            f"{_named(changed)} there already, changed since predict wrote it: it is kept. {end}"
        )
    if own and not overwrite:
        raise StorageError(
            f"{_named(own)} there already, written by predict before. Replace what predict wrote with --overwrite, in "
            "Python overwrite=True, or choose another folder with -o; nothing was written."
        )


def _named(paths: Sequence[Path]) -> str:
    if len(paths) == 1:
        return f"{paths[0]} is"
    more = [f"{len(paths) - 1} more" if len(paths) > 2 else paths[1].name]
    return f"{enumerate_words([paths[0], *more])} are"


def _listed(manifest: Path) -> Iterator[tuple[str, Any]]:
    """Name and digest of every file on a list, as often as it was written; a line that a kill has torn is passed over.

    Raises:
        StorageError: the file is no such list, or cannot be read.
    """
    if not os.path.lexists(manifest):
        return
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{manifest} cannot be read ({error}). Move it away.") from error
    values = list(_objects(lines))
    if values[:1] != [_HEADER]:
        raise StorageError(
            f"{manifest} is no list of what predict wrote, but has its name. Move it away, or choose another folder "
            "with -o; nothing was written."
        )
    for value in values[1:]:
        if "file" in value and "digest" in value:
            yield str(value["file"]), value["digest"]


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file, the same whatever path or link leads to it; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
