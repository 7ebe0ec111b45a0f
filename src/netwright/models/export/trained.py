"""Exports a trained network of a run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from netwright.errors import SettingsError, StorageError
from netwright.files import require_writable_parent
from netwright.models.export import exporter_of
from netwright.models.store import load_trained, saved_network, saved_task
from netwright.settings import RunSettings

SEED = 0
"""Of the images with which an export is checked."""


def export_path(path: Path, name: str, format: str, *, overwrite: bool) -> Path:
    """Where an export is written, looked at before any work is done. Its folder is made where it does not exist.

    Args:
        path: the file, or a folder that exists.
        name: of a file in that folder, without its ending.
        format: a name from `netwright.models.export.EXPORTERS`.
        overwrite: whether a file that exists may be replaced.

    Raises:
        SettingsError: there is no such format, or its files end otherwise.
        StorageError: the file exists, or cannot be written.
    """
    exporter = exporter_of(format)
    path = path.expanduser()
    if path.is_dir():
        path /= f"{name}{exporter.suffix}"
    if path.suffix != exporter.suffix:
        raise SettingsError(
            f"{path} is not a name for {format}: expected a file that ends in {exporter.suffix}. Change -o."
        )
    if path.is_dir():
        raise StorageError(f"{path} is a folder: expected a new file. Give another one with -o.")
    if os.path.lexists(path) and not overwrite:
        raise StorageError(
            f"{path} already exists, and is kept. Give another file with -o, or replace it with --overwrite."
        )
    require_writable_parent(path, "Change -o.")
    return path


def export_trained(folder: Path, settings: RunSettings, path: Path, format: str) -> None:
    """Write the network in a folder to a file, whole or not at all.

    Args:
        folder: of the network.
        settings: of the run, whose space makes the network.
        path: of the file, from `export_path`.
        format: a name from `netwright.models.export.EXPORTERS`.

    Raises:
        ExportError: the format cannot express the network.
        RunError: a file of the network is missing or damaged.
        SettingsError: a package that the format needs is not installed.
        StorageError: the file cannot be written.
    """
    import torch

    from netwright.models.export.description import describe_use
    from netwright.models.export.logits import Logits

    exporter, trained = exporter_of(format), load_trained(folder, settings, "cpu")
    images = torch.randn(
        (2, trained.task.channels, *trained.task.size), generator=torch.Generator().manual_seed(SEED)
    )
    description = describe_use(saved_task(folder), saved_network(folder))
    network = Logits(trained.network).eval()
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
        exporter.write(network, images, description, partial / path.name)
        (partial / path.name).replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror or error}). Change -o.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
