"""Traces a network, writes it, and looks whether what was written gives the network's outputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from netwright.errors import ExportError
from netwright.models.export.base import Exportable, require_same_outputs, sizes_to_try
from netwright.models.export.tracing import Traced, traces

if TYPE_CHECKING:
    from torch import Tensor


def written(
    exportable: Exportable,
    save: Callable[[Traced], Callable[[Tensor], Tensor]],
    layer: Callable[[Traced, Tensor], str | None],
) -> Traced:
    """Writes a network that takes images of several sizes, or else one for its own size, and tells the user.

    Args:
        exportable: the network.
        save: writes a trace of it, in place of an earlier one, and returns the network as it is read back.
        layer: names the first layer of the written network that differs for some images.

    Returns:
        The trace that was kept.

    Raises:
        ExportError: it cannot be traced, or none gives the network's outputs.
    """
    import torch

    network, images = exportable.network, exportable.images
    failure: ExportError | None = None
    for traced in traces(network, images):
        try:
            read = save(traced)
            output = exportable.output
            largest = require_same_outputs(network, read, images, partial(layer, traced), output)
            if traced.multiples is not None:
                size = sizes_to_try(images.shape[2:], traced.multiples)
                require_same_outputs(network, read, torch.randn(2, images.shape[1], *size), output=output)
        except ExportError as error:
            failure = error
            continue
        except Exception:
            if traced.multiples is None:
                raise
            continue
        kind = "random images" if exportable.data is None else "real images"
        exportable.tell("checked", f"on {len(images)} {kind}; outputs differ by at most {largest:.1g}")
        return traced
    assert failure is not None
    raise failure


def described(exportable: Exportable, traced: Traced) -> dict[str, Any]:
    """The description with the sides of images that the trace takes."""
    free = None if traced.multiples is None else list(traced.multiples)
    return {**exportable.description, "sides": {"multiples_of": free}}
