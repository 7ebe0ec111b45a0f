"""Weights on disk, as safetensors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.errors import RunError, StorageError
from netwright.files import PARTIAL

if TYPE_CHECKING:
    from torch import Tensor, nn


def save_weights(network: nn.Module, path: Path) -> None:
    """Writes the weights and buffers of a network.

    Raises:
        StorageError: the file cannot be written.
    """
    # Weights that two modules share are written twice.
    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    write_tensors(path, state)


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors and metadata to a file, whole or not at all.

    Args:
        path: of the file.
        tensors: by name.
        metadata: texts by name.

    Raises:
        StorageError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # safetensors makes temporary files, which remain if the process is killed. The next writing removes them.
    folder = path.with_name(path.name + PARTIAL)
    partial = folder / path.name
    placed = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        save_file(placed, partial, metadata=None if metadata is None else dict(metadata))
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        folder.rmdir()
    except (OSError, SafetensorError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise StorageError(
            f"{path} cannot be written: {error}. Make room or mend the folder, then resume."
        ) from error


def is_readable(path: Path) -> bool:
    """Whether a file of weights is there and whole, without reading all of it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy"):
            return True
    except (OSError, SafetensorError):
        return False


def load_weights(network: nn.Module, path: Path) -> None:
    """Reads into a network, on whatever device it is, what `save_weights` wrote.

    Raises:
        RunError: the file is missing or damaged, or belongs to another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{path} cannot be read: {error}. Train again, or restore the file from a copy."
        ) from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            f"{path} does not hold the weights of this network: {reason} If the network was changed after its "
            "training, restore it, or train again."
        ) from None
