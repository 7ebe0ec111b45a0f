"""Where the code of a user's own network lies, and what it is: told from the files, without running any of it."""

from __future__ import annotations

import ast
import hashlib
import os
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from pathlib import Path

INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders whose packages every Python of an environment finds."""

Digest = tuple[str, str]
"""Of a file as it is, and of what Python reads in it: the second stays where comments or spaces change."""


@dataclass(frozen=True)
class Source:
    """The code that a network's name stands for. ``file``: its module's; ``place``: the folder in which the module was
    found, None where it is installed; ``files``: every file of that folder that it imports, directly or not, by its
    path there.
    """

    file: str
    place: str | None
    files: Mapping[str, Digest]

    def same_code(self, files: Mapping[str, Digest]) -> bool:
        """Whether other files of these names hold the same code."""
        return self.files.keys() == files.keys() and all(
            mine[0] == files[name][0] or mine[1] == files[name][1] for name, mine in self.files.items()
        )

    def others_beside(self) -> list[str]:
        """Modules and packages in the folder that the network does not import itself: whatever else is imported could
        find them first.
        """
        if self.place is None:
            return []
        own = {name.partition("/")[0].partition(".")[0] for name in self.files}
        return sorted(module.name for module in pkgutil.iter_modules([self.place]) if module.name not in own)


def place_of(module: str, folder: str | None) -> str | None:
    """The folder to be searched first for a module (``package.module``): ``folder`` where it lies there, else the
    current directory where it lies there; None where it is installed, or nowhere.
    """
    top = module.partition(".")[0]
    here = os.getcwd()
    for place in (here,) if folder is None else (folder, here):
        spec = _spec(top, place)
        if spec is not None and (spec.loader is not None or PathFinder.find_spec(top) is None):
            return place
    return None


def source_of(network: str, folder: str | None) -> Source | None:
    """The code of a network of this name, ``package.module:factory``; None where there is no such module."""
    module = network.partition(":")[0]
    place = place_of(module, folder)
    if place is None:
        spec = PathFinder.find_spec(module.partition(".")[0])
        if spec is None or spec.origin is None:
            return None
        return Source(spec.origin, None, {"": _digest(Path(spec.origin))})
    found = _files_of(module, Path(place))
    waiting, files = list(found), {path: _digest(path) for path in found}
    while waiting:
        for imported in _imports(waiting.pop(), Path(place)):
            for path in _files_of(imported, Path(place)):
                if path not in files:
                    files[path] = _digest(path)
                    waiting.append(path)
    named = {path.relative_to(place).as_posix(): digest for path, digest in files.items()}
    return Source(str(found[-1] if found else place), place, named)


def import_from_source(place: str) -> None:
    """Let modules of a folder be found before any others, and be compiled from their source: what lies compiled beside
    a source need not be what the source says.
    """
    if _hook not in sys.path_hooks:
        sys.path_hooks.insert(0, _hook)
    if place not in _PLACES:
        _PLACES.append(place)
        sys.path_importer_cache.pop(place, None)
    if place in sys.path:
        sys.path.remove(place)
    sys.path.insert(0, place)  # stays: what the factory imports later lies there too


_PLACES: list[str] = []


class _FromSource(SourceFileLoader):
    """Neither reads nor writes compiled files."""

    def path_stats(self, path: str) -> Mapping[str, float]:
        """There are none: Python then compiles the source."""
        raise OSError(f"{path} is compiled anew")


def _hook(path: str) -> FileFinder:
    """The finder of a folder that was given to `import_from_source`, or of a package in it."""
    parts = Path(path).parts
    inside = any(Path(path).is_relative_to(place) for place in _PLACES)
    if not inside or INSTALLED & set(parts) or not os.path.isdir(path):
        raise ImportError(path)
    return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES))


def _spec(name: str, place: str) -> ModuleSpec | None:
    """What Python would find of this name in a folder; None where there is nothing, or no such folder."""
    return PathFinder.find_spec(name, [place]) if os.path.isdir(place) else None


def _files_of(module: str, place: Path) -> list[Path]:
    """The files that importing a dotted name runs, those of its packages first; as far as they lie in the folder."""
    found: list[Path] = []
    search, name = [str(place)], ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, search)
        if spec is None:
            break
        if spec.origin is not None and spec.loader is not None and Path(spec.origin).is_file():
            found.append(Path(spec.origin))
        if spec.submodule_search_locations is None:
            break
        search = list(spec.submodule_search_locations)
    return [path for path in found if path.is_relative_to(place)]


def _imports(file: Path, place: Path) -> Iterator[str]:
    """The dotted names that a source file imports, wherever in it; what is imported from a name may be a module."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    package = file.relative_to(place).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *([node.module] if node.module else [])))
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _digest(file: Path) -> Digest:
    try:
        content = file.read_bytes()
    except OSError:
        return "", ""
    whole = hashlib.sha256(content).hexdigest()
    try:
        read = ast.dump(ast.parse(content))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return whole, whole
    return whole, hashlib.sha256(read.encode()).hexdigest()
