"""Which layer of an export is the first to give something else than the network's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netwright.models.export.base import TOLERANCE, share_of_largest

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram


def first_different_layer(network: nn.Module, program: ExportedProgram, images: Tensor) -> str | None:
    """The name of the first layer whose output in the program differs from that in the network.

    A layer that the network computes several times is compared the last time. None: no layer without parts differs,
    so that it is something that is computed between them.

    Args:
        network: in evaluation mode.
        program: what it was traced as.
        images: (N, C, *size) for which the outputs differ.
    """
    import torch

    wanted: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                wanted[name] = output.clone()

        return hook

    leaves = [(name, module) for name, module in network.named_modules() if not list(module.children())]
    hooks = [module.register_forward_hook(keep(name)) for name, module in leaves]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    given = _outputs_by_layer(program, images)
    for name in wanted:  # in the order of the computation
        if name in given and not _alike(given[name], wanted[name]):
            return name
    return None


def layer_of(metadata: Mapping[str, Any]) -> str:
    """The name of the layer that a node of a traced program is of. ``metadata``: of the node."""
    stack = metadata.get("nn_module_stack") or {}
    names = [str(path) for path, _ in stack.values()]
    return names[-1].partition("@")[0] if names else ""


def _outputs_by_layer(program: ExportedProgram, images: Tensor) -> dict[str, Tensor]:
    import torch

    outputs: dict[str, Tensor] = {}

    class Recorder(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            result = super().run_node(n)
            if isinstance(result, torch.Tensor) and (name := layer_of(n.meta)):
                outputs[name] = result.clone()
            return result

    with torch.no_grad():
        Recorder(program.module()).run(images)
    return outputs


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(share_of_largest(one, other) <= TOLERANCE)
