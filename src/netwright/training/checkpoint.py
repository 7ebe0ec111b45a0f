"""The state of a search on disk: whole or not at all, and read without running anything of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from netwright.errors import RunError
from netwright.training.weights import write_tensors

_VALUES, _CHANNELS_LAST = "values", "channels_last"


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write tensors and plain JSON values as one safetensors file.

    The file is for contiguous tensors. What is laid out channels last is written that way, as its copy in another order
    would take the memory of all weights once more.

    Raises:
        StorageError: it cannot be written; the one before is as it was.
    """
    turned = {
        name
        for name, value in tensors.items()
        if value.ndim > 2 and not value.is_contiguous() and value.movedim(1, -1).is_contiguous()
    }
    written = {name: value.movedim(1, -1) if name in turned else value for name, value in tensors.items()}
    write_tensors(path, written, {_VALUES: json.dumps(values), _CHANNELS_LAST: json.dumps(sorted(turned))})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_checkpoint` wrote.

    Raises:
        RunError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            values, turned = json.loads(metadata[_VALUES]), set(json.loads(metadata[_CHANNELS_LAST]))
            read = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
            return {n: value.movedim(-1, 1) if n in turned else value for n, value in read.items()}, values
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise RunError(
            f"{path} cannot be read: {error}. Restore it from a copy, or remove it: the search then begins again."
        ) from None
