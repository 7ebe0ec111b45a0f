"""The code of a user's own network: its files and their contents, read without running any of it."""

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
"""Folders whose packages are importable everywhere in a Python environment."""

Digest = tuple[str, str]
"""Two digests of a file: of its text, and of its syntax tree, which does not change with comments or spaces."""


@dataclass(frozen=True)
class Source:
    """The code behind a network's name.

    ``file``: the module's file. ``folder``: the folder where the module is; None if it is installed. ``files``: every
    file of that folder that it imports, directly or not, by its path there; for an installed module, that module and
    its packages, by their dotted names.
    """

    file: str
    folder: str | None
    files: Mapping[str, Digest]

    def same_code(self, files: Mapping[str, Digest]) -> bool:
        """Whether other files with these names contain the same code."""
        return self.files.keys() == files.keys() and all(
            mine[0] == files[name][0] or mine[1] == files[name][1] for name, mine in self.files.items()
        )

    def others_beside(self) -> list[str]:
        """Module files below the folder that the network's source does not import by name.

        Other imports could find these files first.
        """
        if self.folder is None:
            return []
        folder = Path(self.folder)
        names = (path.relative_to(folder).as_posix() for path in _modules_below(folder))
        return sorted(name for name in names if name not in self.files)


def source_folder(module: str, folder: str | None) -> str | None:
    """The folder to search first for a module (``package.module``).

    It is ``folder`` if the module is there, else the current directory if it is there; None if the module is installed
    or nowhere.
    """
    top = module.partition(".")[0]
    here = os.getcwd()
    for candidate in (here,) if folder is None else (folder, here):
        spec = _spec(top, candidate)
        if spec is None:
            continue
        if spec.loader is not None or (not _regular(top) and _files_of(module, Path(candidate))):
            return candidate
    return None


def source_of(network: str, folder: str | None) -> Source | None:
    """The code of the network with this name, ``package.module:factory``; None if there is no such module."""
    module = network.partition(":")[0]
    root = source_folder(module, folder)
    if root is None:
        return _installed(module)
    own_files = _files_of(module, Path(root))
    waiting, files = list(own_files), {path: _digest(path) for path in own_files}
    while waiting:
        for imported in _imports(waiting.pop(), Path(root)):
            for path in _files_of(imported, Path(root)):
                if path not in files:
                    files[path] = _digest(path)
                    waiting.append(path)
    named = {path.relative_to(root).as_posix(): digest for path, digest in files.items()}
    return Source(str(own_files[-1] if own_files else root), root, named)


def _installed(module: str) -> Source | None:
    """The code of a module that Python finds by itself, whether built in or provided by another package."""
    top = module.partition(".")[0]
    try:
        spec = PathFinder.find_spec(top) or find_spec(top)
    except ValueError:  # a module made at run time, such as the one that Python was started with
        spec = ModuleSpec(top, None, origin="started")
    if spec is None:
        return None
    files = dict(_chain(module, spec))
    if not files:
        if spec.origin is None:
            return None
        return Source(f"the {spec.origin} module {top}", None, {top: ("", "")})
    return Source(str(list(files.values())[-1]), None, {name: _digest(path) for name, path in files.items()})


def import_from_source(folder: str) -> None:
    """Import modules of a folder before any others, and compile them from their source.

    A compiled file next to a source may not match that source.
    """
    if _hook not in sys.path_hooks:
        sys.path_hooks.insert(0, _hook)
    if folder not in _SOURCE_FOLDERS:
        _SOURCE_FOLDERS.append(folder)
        for path in [path for path in sys.path_importer_cache if Path(path).is_relative_to(folder)]:
            del sys.path_importer_cache[path]
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)  # stays, because the factory may import more from there later


_SOURCE_FOLDERS: list[str] = []


class _FromSource(SourceFileLoader):
    """A loader that neither reads nor writes compiled files."""

    def path_stats(self, path: str) -> Mapping[str, float]:
        """Always an error, which makes Python compile the source."""
        raise OSError(f"{path} is compiled anew")


def _hook(path: str) -> FileFinder:
    """The finder for a folder that was given to `import_from_source`, or for a package in it."""
    own = any(
        Path(path).is_relative_to(folder) and not INSTALLED & set(Path(path).relative_to(folder).parts)
        for folder in _SOURCE_FOLDERS
    )
    if not own or not os.path.isdir(path):
        raise ImportError(path)
    return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES))


def _spec(name: str, folder: str) -> ModuleSpec | None:
    """What Python would find with this name in a folder; None if there is nothing, or no such folder."""
    return PathFinder.find_spec(name, [folder]) if os.path.isdir(folder) else None


def _regular(top: str) -> bool:
    """Whether Python finds an ordinary module or package with this name, which takes precedence over bare folders."""
    spec = PathFinder.find_spec(top)
    return spec is not None and spec.loader is not None


def _files_of(module: str, folder: Path) -> list[Path]:
    """The files in the folder that run when a dotted name is imported, those of its packages first."""
    spec = PathFinder.find_spec(module.partition(".")[0], [str(folder)])
    files = [] if spec is None else [path for _, path in _chain(module, spec)]
    return [path for path in files if path.is_relative_to(folder)]


def _chain(module: str, spec: ModuleSpec | None) -> Iterator[tuple[str, Path]]:
    """The packages of a dotted name and its module, by their dotted names, with their files.

    ``spec`` is that of the first package.
    """
    name, *parts = module.split(".")
    while spec is not None:
        if spec.origin is not None and spec.loader is not None and Path(spec.origin).is_file():
            yield name, Path(spec.origin)
        if not parts or spec.submodule_search_locations is None:
            return
        name = f"{name}.{parts.pop(0)}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))


def _modules_below(root: Path) -> Iterator[Path]:
    """The module files in a folder and in all its subfolders whose modules have a dotted name."""
    for folder, folders, files in os.walk(root):
        names = [name for name in folders if name.isidentifier() and name != "__pycache__"]
        top = Path(folder) == root
        folders[:] = [name for name in names if not (top and _spec_is_bare(name, root) and _regular(name))]
        for name in files:
            if name.endswith((*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)):
                yield Path(folder) / name


def _spec_is_bare(name: str, folder: Path) -> bool:
    """Whether a folder is not a regular package, so that a module or package elsewhere takes precedence."""
    spec = _spec(name, str(folder))
    return spec is None or spec.loader is None


def _imports(file: Path, folder: Path) -> Iterator[str]:
    """The dotted names that a source file imports, anywhere in it. A name imported from a module may be a module."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    package = file.relative_to(folder).parent.parts
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
