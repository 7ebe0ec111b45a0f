"""A network in whole numbers of 8 bits, by static quantisation after the training (Jacob et al., CVPR 2018).

onnxruntime chooses the scales of activations by their range on training cases, those of weights for each channel. What
is lost is measured on the validation cases.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

from torch import nn

from netwright.errors import ExportError, SettingsError
from netwright.models.export.base import Exportable, ExportData
from netwright.models.export.inputs import inputs_of
from netwright.models.export.onnx import runner

if TYPE_CHECKING:
    from torch import Tensor

    from netwright.settings import RunSettings

QUANTISED = "network-int8.onnx"
CALIBRATION = 32
"""Images of training cases that the ranges of activations are measured on."""
REPEATS = 5
"""How often each network is timed, in turns."""


def quantise(exportable: Exportable, network: Path) -> dict[str, Any]:
    """Write the quantised network beside the one in a file, and tell what it loses and gains.

    Args:
        exportable: with the data of its run.
        network: the ONNX file of the network.

    Returns:
        The file's name, the metrics of both networks on the validation cases, and how many times as fast it is.

    Raises:
        ExportError: onnxruntime cannot quantise the network.
        SettingsError: there is no data, or no training case.
    """
    data, settings = exportable.data, exportable.settings
    if data is None or settings is None or not data.training:
        raise SettingsError(
            "--quantise measures a network on the run's training and validation cases, which cannot be read: expected "
            "the run's dataset. Put it back, or leave --quantise out."
        )
    target = network.with_name(QUANTISED)
    _write(network, target, inputs_of(data, data.training[:CALIBRATION], CALIBRATION))
    full, whole = _metrics(network, data, settings), _metrics(target, data, settings)
    speed = _speed(network, target, exportable.images[:2])
    metric = data.problem.task.metric
    if data.validation:
        change = whole[metric] - full[metric]
        text = f"{metric} {whole[metric]:.3f} on {len(data.validation)} validation cases, {change:+.3f}"
    else:
        text = "there are no validation cases, on which its loss could be measured"
    size = target.stat().st_size / network.stat().st_size
    exportable.tell("8 bits", f"{text}; {speed:.2g} times as fast here, {size:.2g} times the size")
    return {
        "network": QUANTISED,
        "calibrated_on": min(len(data.training), CALIBRATION),
        "validation_cases": len(data.validation),
        "metrics": {"float32": full, "int8": whole},
        "times_as_fast": speed,
    }


def _write(network: Path, target: Path, images: Tensor) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Cases(CalibrationDataReader):  # type: ignore[misc]
        """One image at a time."""

        def __init__(self) -> None:
            self._images = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self._images, None)
            return None if image is None else {"images": image[None].numpy()}

    prepared = target.with_suffix(".prepared")
    logging.getLogger("onnxruntime.quantization").setLevel(logging.ERROR)
    try:
        quant_pre_process(network, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            Cases(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ForceQuantizeNoInputCheck": False},
        )
    except Exception as error:  # those of onnxruntime have no base in common
        raise ExportError(
            f"onnxruntime cannot quantise the network: {error}. Nothing was written. Leave --quantise out."
        ) from error
    finally:
        prepared.unlink(missing_ok=True)


class _Runtime(nn.Module):
    """A network in an ONNX file, as a module."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._run = runner(path)

    def forward(self, images: Tensor) -> Tensor:
        return self._run(images)


def _metrics(path: Path, data: ExportData, settings: RunSettings) -> Mapping[str, float]:
    """Of a network on the validation cases; empty where there are none."""
    import torch

    if not data.validation:
        return {}
    scores = data.problem.scores(_Runtime(path), data.validation, settings.training, torch.device("cpu"))
    return data.problem.metrics(scores)


def _speed(network: Path, quantised: Path, images: Tensor) -> float:
    """How many times as fast the quantised network is, by the processor time of the fastest of some runs."""
    seconds: dict[Path, float] = {}
    runs = {path: runner(path) for path in (network, quantised)}
    for path, run in [*runs.items()] * (1 + REPEATS):
        start = process_time()
        run(images)
        taken = process_time() - start
        seconds[path] = min(taken, seconds.get(path, taken))
    return seconds[network] / max(seconds[quantised], 1e-9)
