"""One Python file with the network, its weights beside it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from netwright.errors import ExportError, NetwrightError, first_line
from netwright.files import write_json, write_text
from netwright.models.export.base import Exportable, require_same_outputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

SOURCE = "network.py"
WEIGHTS = "weights.safetensors"
DESCRIPTION = "inference.json"

FILE = '''"""A trained network, made by {made_by}: {purpose}.

It needs torch and safetensors.

    from network import load
    outputs = load()(images)  # {output}

Images are (batch, {shape}), float32; inference.json says how they are prepared.
"""

from __future__ import annotations

{imports}


{definitions}


def make() -> nn.Module:
    """The network without its weights."""
    return {expression}


def load(weights: Path = Path(__file__).with_name("{weights}")) -> nn.Module:
    """The trained network, in evaluation mode."""
    network = make()
    network.load_state_dict(load_file(weights))
    return network.eval()
'''


class SourceExport:
    """A folder with ``network.py``, the weights and a description."""

    name: ClassVar[str] = "source"
    suffix: ClassVar[str] = ""
    marker: ClassVar[str] = DESCRIPTION

    def write(self, exportable: Exportable, path: Path) -> None:
        """See `netwright.models.export.base.Exporter.write`."""
        from netwright.models.export.source.made import noted
        from netwright.training.weights import save_weights

        if exportable.rebuilt is None:
            raise ExportError(
                "The network is of no run: expected one, as its source is that of the run's space."
            )
        with noted():
            network = exportable.rebuilt()
        save_weights(network, path / WEIGHTS)
        write_text(path / SOURCE, source_of(network, exportable.description))
        write_json(path / DESCRIPTION, exportable.description)
        difference = require_same_outputs(
            exportable.network, _loaded(path / SOURCE), exportable.images, output=exportable.output
        )
        kind = "random images" if exportable.data is None else "real images"
        exportable.tell(
            "checked", f"on {len(exportable.images)} {kind}; outputs differ by at most {difference:.1g}"
        )


def source_of(network: nn.Module, description: Any) -> str:
    """The text of ``network.py``.

    Args:
        network: built within `netwright.models.export.source.made.noted`.
        description: of its use.

    Raises:
        ExportError: its source cannot be written.
    """
    from netwright.models.export.source.definitions import Definitions
    from netwright.models.export.source.expressions import expression

    definitions = Definitions()
    made = expression(network, definitions)
    for module, names in {"pathlib": "Path", "safetensors.torch": "load_file", "torch": "nn"}.items():
        definitions.imports.setdefault(module, set()).add(names)
    shape = ", ".join(map(str, description["input"]["shape"][1:]))
    return FILE.format(
        made_by=description["made_by"],
        purpose=description["task"],
        output=description["output"],
        shape=shape,
        imports=definitions.header(),
        definitions="\n\n\n".join(definitions.texts),
        expression=made,
        weights=WEIGHTS,
    )


def _loaded(path: Path) -> Callable[[Tensor], Tensor]:
    """The network that the file makes, as a program would that imports it."""
    spec = importlib.util.spec_from_file_location("netwright_exported_network", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for dataclasses
    try:
        spec.loader.exec_module(module)
        network: nn.Module = module.load()
    except NetwrightError:
        raise
    except Exception as error:
        raise ExportError(
            f"The source of the network cannot be run: {first_line(error)}. Nothing was written. Choose --format "
            "torch-export or onnx."
        ) from error
    finally:
        del sys.modules[spec.name]
    return network
