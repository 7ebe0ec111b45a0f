"""The state of a search on disk: whole or not at all, and read without running anything of it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from netwright.errors import RunError, StorageError

_VALUES = "values"


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write tensors and plain JSON values as one safetensors file.

    Raises:
        StorageError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    partial = path.with_name(path.name + ".partial")
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    try:
        save_file(contiguous, partial, metadata={_VALUES: json.dumps(values)})
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StorageError(
            f"{path} cannot be written: {error}. Make room or mend the folder, then resume; the search goes on from "
            "the checkpoint before."
        ) from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_checkpoint` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            values = json.loads((file.metadata() or {})[_VALUES])
            return {name: file.get_tensor(name) for name in file.keys()}, values  # noqa: SIM118  no mapping
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise RunError(
            f"{path} cannot be read: {error}. Restore it from a copy, or remove it: the search then begins again."
        ) from None
