"""ONNX: a folder with the network, a description of its use, and a script that uses it without netwright or torch.

The script, ``infer.py``, needs onnxruntime, numpy and nibabel (for pictures Pillow). The task has its template, and the
graphs of what is done before and after the network.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from netwright.errors import ExportError, SettingsError
from netwright.files import json_text, write_json
from netwright.models.export.base import TOLERANCE, Exportable
from netwright.models.export.checked import described, written
from netwright.models.export.differences import first_different_layer, layer_of
from netwright.models.export.script import DESCRIPTION, write_use
from netwright.models.export.tracing import Traced
from netwright.tasks.base import GraphSample

if TYPE_CHECKING:
    import onnxruntime
    from torch import Tensor
    from torch.onnx import ONNXProgram

NETWORK = "network.onnx"
PACKAGES = ("onnx", "onnx_ir", "onnxscript", "onnxruntime")
ROUNDED = 1e-3
"""The share of numbers before and after a network that may differ: two labels as likely, or half a grey level."""
KEPT_METADATA = "pkg.torch.onnx.name_scopes"
"""The layer that a node is of. What else torch writes of nodes names files of this machine."""


@dataclass(frozen=True)
class OnnxExport:
    """A folder: see above. The batch may have any size, and images where the network allows it.

    ``quantise``: also the network in whole numbers of 8 bits, see `netwright.models.export.quantised`.
    """

    name: ClassVar[str] = "onnx"
    suffix: ClassVar[str] = ""
    marker: ClassVar[str] = DESCRIPTION

    quantise: bool = False

    def quantised(self) -> OnnxExport:
        """The same with a quantised network."""
        return replace(self, quantise=True)

    def write(self, exportable: Exportable, path: Path) -> None:
        """See `netwright.models.export.base.Exporter.write`."""
        require_onnx()
        programs: list[ONNXProgram] = []

        def save(traced: Traced) -> Callable[[Tensor], Tensor]:
            programs.append(converted(traced, exportable.description))
            programs[-1].save(path / NETWORK)
            return runner(path / NETWORK)

        def layer(traced: Traced, images: Tensor) -> str | None:
            return converted_otherwise(programs[-1], images) or first_different_layer(
                exportable.network, traced.program, images
            )

        traced = written(exportable, save, layer)
        use = {**described(exportable, traced), "network": NETWORK}
        if self.quantise:
            from netwright.models.export.quantised import quantise

            use["quantised"] = quantise(exportable, path / NETWORK)
        if exportable.saved is None:
            write_json(path / DESCRIPTION, use)
            return
        script = write_use(exportable.saved, use, path)
        for sample in script.samples():
            require_same_graph(sample, path)
        for text in script.lacks:
            exportable.tell("without", text)


def require_onnx() -> None:
    """Refuses to write ONNX where a package is missing.

    Raises:
        SettingsError: it names the package.
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise SettingsError(
                f"Exports to ONNX need {package}, which is not installed. Run pip install 'netwright[onnx]', or choose "
                "--format torch-export."
            )


def converted(traced: Traced, description: Mapping[str, Any]) -> ONNXProgram:
    """The program as ONNX, with a description in its metadata."""
    import torch

    with _quiet():
        program = torch.onnx.export(
            traced.program, dynamo=True, input_names=["images"], output_names=["outputs"], verbose=False
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        kept = node.metadata_props.get(KEPT_METADATA)
        node.metadata_props.clear()
        if kept is not None:
            node.metadata_props[KEPT_METADATA] = kept
    program.model.metadata_props["description"] = json_text(description)
    return program


def opened(path: Path) -> onnxruntime.InferenceSession:
    """A session of onnxruntime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, and warnings of no use to whoever exports
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def runner(path: Path) -> Callable[[Tensor], Tensor]:
    """The network in a file, as onnxruntime computes it on the CPU."""
    import torch

    session = opened(path)

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": images.contiguous().numpy()})[0])

    return run


def require_same_graph(sample: GraphSample, folder: Path) -> None:
    """Refuse a graph that gives something else than netwright computes.

    Args:
        sample: of the graph.
        folder: of the export.

    Raises:
        ExportError: more than `ROUNDED` of an output's numbers differ by more than `TOLERANCE`, those above 1 by more
            than so much of themselves, or its shape does.
    """
    import numpy as np

    names = list(sample.outputs)
    given = opened(folder / f"{sample.graph}.onnx").run(names, dict(sample.inputs))
    for name, found in zip(names, given, strict=True):
        expected, what = sample.outputs[name], f"{sample.graph}.onnx gives other {name} than netwright"
        advice = "Nothing was written. Choose another format, and report it."
        if found.shape != expected.shape:
            raise ExportError(
                f"{what}: {found.shape}, expected {expected.shape}, for a made-up image. {advice}"
            )
        wanted = expected.astype(np.float64)
        alike = abs(found - wanted) <= TOLERANCE * np.maximum(1, abs(wanted))
        differing = 1 - alike.mean()
        if differing > ROUNDED:
            raise ExportError(
                f"{what} for a made-up image: {differing:.2g} of the numbers differ by more than {TOLERANCE:g} "
                f"(above 1: of themselves), expected at most {ROUNDED:g}. {advice}"
            )


def converted_otherwise(program: ONNXProgram, images: Tensor) -> str | None:
    """The layer of the first node that onnxruntime computes otherwise than torch; None if all of them agree."""
    from torch.onnx.verification import verify_onnx_program

    assert program.exported_program is not None
    layers = {node.name: layer_of(node.meta) for node in program.exported_program.graph.nodes}
    with _quiet():
        nodes = verify_onnx_program(program, (images,), compare_intermediates=True)
    differing = (
        node.name for node in nodes if node.max_abs_diff > TOLERANCE and node.max_rel_diff > TOLERANCE
    )
    return next((layers[name] for name in differing if layers.get(name)), None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch and onnxscript tell of their own work."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
