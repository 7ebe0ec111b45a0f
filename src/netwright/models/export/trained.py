"""Exports a trained network of a run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from netwright.errors import SettingsError, StorageError
from netwright.files import require_writable_parent
from netwright.models.export.base import Exportable, ExportData, Exporter, silent
from netwright.models.store import load_trained, saved_network, saved_task
from netwright.settings import RunSettings


def export_path(path: Path, name: str, exporter: Exporter, *, overwrite: bool) -> Path:
    """Where an export is written, looked at before any work is done. Its folder is made where it does not exist.

    Args:
        path: the file or folder to write, or a folder that exists, to write into.
        name: of what is written in such a folder, without its ending.
        exporter: of the format.
        overwrite: whether an earlier export may be replaced.

    Raises:
        SettingsError: the files of the format end otherwise.
        StorageError: something is there already, or it cannot be written.
    """
    path = path.expanduser()
    if path.is_dir() and not _is_earlier(path, exporter):
        path /= f"{name}{exporter.suffix or f'-{exporter.name}'}"
    if path.suffix != exporter.suffix and (exporter.suffix or path.suffix in _SUFFIXES):
        expected = f"file that ends in {exporter.suffix}" if exporter.suffix else "folder, without an ending"
        raise SettingsError(f"{path} is not a name for {exporter.name}: expected a {expected}. Change -o.")
    if path.is_dir() and not _is_earlier(path, exporter):
        raise StorageError(
            f"{path} is a folder: expected a new {'file' if exporter.suffix else 'one'}. Give another one with -o."
        )
    if os.path.lexists(path) and not overwrite:
        raise StorageError(
            f"{path} already exists, and is kept. Give another name with -o, or replace it with --overwrite."
        )
    require_writable_parent(path, "Change -o.")
    return path


_SUFFIXES = (".onnx", ".py", ".zip", ".pt", ".pt2", ".json", ".ts", ".safetensors")
"""Of names that are meant as files."""


def _is_earlier(path: Path, exporter: Exporter) -> bool:
    """Whether a folder is an export, known by the description that `describe_use` made. One without a name is none."""
    if not exporter.marker or path.name in ("", ".."):
        return False
    try:
        described = json.loads((path / exporter.marker).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(described, dict) and str(described.get("made_by", "")).startswith("netwright")


def _require_nothing_else(path: Path, target: Path) -> None:
    """Refuses to replace an earlier export into which somebody has put other files, such as a bundle's label maps.

    Raises:
        StorageError: it names one of the files.
    """
    from netwright.models.export.quantised import QUANTISED

    own = {file.relative_to(target) for file in target.rglob("*")} | {Path(QUANTISED)}
    inside = sorted(file.relative_to(path) for file in path.rglob("*") if not file.is_dir())
    others = [file for file in inside if file not in own and file.parent.name != "__pycache__"]
    if others:
        raise StorageError(
            f"{path} also has {others[0]}, which this export would not write: expected an earlier export alone. "
            "Nothing was replaced. Move it elsewhere, or give another name with -o."
        )


def export_trained(
    folder: Path,
    settings: RunSettings,
    path: Path,
    exporter: Exporter,
    data: ExportData | None = None,
    tell: Callable[[str, str], None] = silent,
) -> None:
    """Write the network in a folder to a file or a folder, whole or not at all.

    Args:
        folder: of the network.
        settings: of the run, whose space makes the network.
        path: of the file or folder, from `export_path`.
        exporter: of the format.
        data: of the run, on which the export is checked; None: on random images.
        tell: tells the user something, by a name and a text.

    Raises:
        ExportError: the format cannot express the network.
        RunError: a file of the network is missing or damaged.
        SettingsError: a package that the format needs is not installed.
        StorageError: the file cannot be written.
    """
    from netwright.models.export.description import describe_use
    from netwright.models.export.inputs import random_images, real_images
    from netwright.models.export.logits import Logits

    trained, saved = load_trained(folder, settings, "cpu"), saved_network(folder)
    exportable = Exportable(
        network=Logits(trained.network).eval(),
        images=random_images(trained.task) if data is None else real_images(data),
        description=describe_use(saved_task(folder), saved),
        output=trained.task.output,
        saved=saved,
        settings=settings,
        data=data,
        tell=tell,
        rebuilt=lambda: load_trained(folder, settings, "cpu").network,
    )
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    target = partial / path.name
    try:
        partial.mkdir()
        if not exporter.suffix:
            target.mkdir()
        exporter.write(exportable, target)
        if path.is_dir():  # an earlier export, which a folder cannot be moved onto
            _require_nothing_else(path, target)
            path.rename(partial / "earlier")
        target.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror or error}). Change -o.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
