"""Where the code of a user's own network lies, and what it is: told from the files, without running any of it."""

from __future__ import annotations

import ast
import hashlib
import os
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
from importlib.util import find_spec
from pathlib import Path

INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders whose packages every Python of an environment finds."""

Digest = tuple[str, str]
"""Of a file as it is, and of what Python reads in it: the second stays where comments or spaces change."""


@dataclass(frozen=True)
class Source:
    """The code that a network's name stands for. ``file``: its module's; ``place``: the folder in which the module was
    found, None where it is installed; ``files``: every file of that folder that it imports, directly or not, by its
    path there; of what is installed the module and its packages, by their dotted names.
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
        """Files of modules below the folder that the network does not import by a name in its source: whatever else is
        imported could find them first.
        """
        if self.place is None:
            return []
        place = Path(self.place)
        found = (path.relative_to(place).as_posix() for path in _modules_below(place))
        return sorted(name for name in found if name not in self.files)


def place_of(module: str, folder: str | None) -> str | None:
    """The folder to be searched first for a module (``package.module``): ``folder`` where it lies there, else the
    current directory where it lies there; None where it is installed, or nowhere.
    """
    top = module.partition(".")[0]
    here = os.getcwd()
    for place in (here,) if folder is None else (folder, here):
        spec = _spec(top, place)
        if spec is None:
            continue
        if spec.loader is not None or (not _regular(top) and _files_of(module, Path(place))):
            return place
    return None


def source_of(network: str, folder: str | None) -> Source | None:
    """The code of a network of this name, ``package.module:factory``; None where there is no such module."""
    module = network.partition(":")[0]
    place = place_of(module, folder)
    if place is None:
        return _installed(module)
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


def _installed(module: str) -> Source | None:
    """The code of a module that Python finds by itself, be it built in, or found by another package."""
    top = module.partition(".")[0]
    try:
        spec = PathFinder.find_spec(top) or find_spec(top)
    except ValueError:  # of a module that was made while Python runs, as is the one that was started
        spec = ModuleSpec(top, None, origin="started")
    if spec is None:
        return None
    files = dict(_chain(module, spec))
    if not files:
        if spec.origin is None:
            return None
        return Source(f"the {spec.origin} module {top}", None, {top: ("", "")})
    return Source(str(list(files.values())[-1]), None, {name: _digest(path) for name, path in files.items()})


def import_from_source(place: str) -> None:
    """Let modules of a folder be found before any others, and be compiled from their source: what lies compiled beside
    a source need not be what the source says.
    """
    if _hook not in sys.path_hooks:
        sys.path_hooks.insert(0, _hook)
    if place not in _PLACES:
        _PLACES.append(place)
        for path in [path for path in sys.path_importer_cache if Path(path).is_relative_to(place)]:
            del sys.path_importer_cache[path]
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
    own = any(
        Path(path).is_relative_to(place) and not INSTALLED & set(Path(path).relative_to(place).parts)
        for place in _PLACES
    )
    if not own or not os.path.isdir(path):
        raise ImportError(path)
    return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES))


def _spec(name: str, place: str) -> ModuleSpec | None:
    """What Python would find of this name in a folder; None where there is nothing, or no such folder."""
    return PathFinder.find_spec(name, [place]) if os.path.isdir(place) else None


def _regular(top: str) -> bool:
    """Whether Python finds a module or package of this name by itself, which goes before folders that only have it."""
    spec = PathFinder.find_spec(top)
    return spec is not None and spec.loader is not None


def _files_of(module: str, place: Path) -> list[Path]:
    """The files that importing a dotted name runs, those of its packages first; as far as they lie in the folder."""
    spec = PathFinder.find_spec(module.partition(".")[0], [str(place)])
    found = [] if spec is None else [path for _, path in _chain(module, spec)]
    return [path for path in found if path.is_relative_to(place)]


def _chain(module: str, spec: ModuleSpec | None) -> Iterator[tuple[str, Path]]:
    """The packages of a dotted name and its module, by their dotted names, with their files; from ``spec``, that of the
    first, on.
    """
    name, *parts = module.split(".")
    while spec is not None:
        if spec.origin is not None and spec.loader is not None and Path(spec.origin).is_file():
            yield name, Path(spec.origin)
        if not parts or spec.submodule_search_locations is None:
            return
        name = f"{name}.{parts.pop(0)}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))


def _modules_below(place: Path) -> Iterator[Path]:
    """The files of modules in a folder, and in all folders of it whose modules have a dotted name."""
    for folder, folders, files in os.walk(place):
        names = [name for name in folders if name.isidentifier() and name != "__pycache__"]
        top = Path(folder) == place
        folders[:] = [name for name in names if not (top and _spec_is_bare(name, place) and _regular(name))]
        for name in files:
            if name.endswith((*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)):
                yield Path(folder) / name


def _spec_is_bare(name: str, place: Path) -> bool:
    """Whether a folder is no package of its own, so that a module or package found elsewhere goes before it."""
    spec = _spec(name, str(place))
    return spec is None or spec.loader is None


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
