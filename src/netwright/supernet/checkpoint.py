"""The state of a search on disk: whole or not at all, and read without running anything of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from netwright.errors import RunError
from netwright.evaluation.weights import write_tensors

_VALUES = "values"


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write tensors and plain JSON values as one safetensors file.

    Raises:
        StorageError: it cannot be written; the one before is as it was.
    """
    write_tensors(path, tensors, {_VALUES: json.dumps(values)})


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
