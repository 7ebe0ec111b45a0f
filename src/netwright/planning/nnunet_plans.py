"""Settings from the plans of nnU-Net: ``nnUNetPlans.json`` of nnunetv2 2.8 (``utilities/plans_handling``).

Spacing, normalisation, patch and batch size are taken over. Its network becomes the starting choice of the space
`encoder-decoder`, which is the default that a search with the recipe `auto` is compared with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netwright.errors import SettingsError

CONFIGURATION = "3d_fullres"
BATCHES = (2, 16)
"""The smallest and largest batch of the space."""

_SCHEMES = {
    "ZScoreNormalization": "zscore",
    "CTNormalization": "modality",
    "RescaleTo01Normalization": "minmax",
    "NoNormalization": "none",
}
_MEASURED = ("percentile_00_5", "percentile_99_5", "mean", "std")
_BLOCKS = {
    "PlainConvUNet": ("plain", "n_conv_per_stage"),
    "ResidualEncoderUNet": ("residual", "n_blocks_per_stage"),
}
"""For each network of nnU-Net: the blocks of the space, and what says how many there are."""
_NORMS = {"InstanceNorm3d": "instance", "BatchNorm3d": "batch"}
_ACTIVATIONS = {"LeakyReLU": "leaky_relu", "ReLU": "relu", "SiLU": "silu"}


def assignments_of_plans(path: Path, configuration: str = CONFIGURATION) -> dict[str, Any]:
    """Settings by dotted name, as a user would set them.

    Args:
        path: of the plans.
        configuration: which of the plans; one of three dimensions.

    Raises:
        SettingsError: the file cannot be read, or something in the plans is not understood. The message names it.
    """
    try:
        plans = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}). Change --from-plans.") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is no JSON ({error}). Change --from-plans.") from None
    known = plans.get("configurations") if isinstance(plans, Mapping) else None
    if not isinstance(known, Mapping):
        raise _unknown(path, "configurations", "those of nnU-Net's version 2", "none")
    if configuration not in known:
        raise _unknown(
            path, "configurations", configuration, f"{', '.join(known)}; choose with --plans-configuration"
        )
    try:
        values = _inherited(path, known, configuration)
        axes = list(plans["transpose_backward"])
        size = _along_axes(path, values["patch_size"], axes, f"{configuration}.patch_size")
        spacing = _along_axes(path, values["spacing"], axes, f"{configuration}.spacing")
        return {
            "preprocessing.spacing": [float(edge) for edge in spacing],
            "preprocessing.size": [int(length) for length in size],
            "preprocessing.low_resolution": None,
            **_normalisation(path, plans, values),
            "space.name": "encoder-decoder",
            "space.start": {
                **_network(path, values, configuration),
                "batch": _batch(int(values["batch_size"])),
            },
        }
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SettingsError(
            f"{path}: {configuration} is not understood ({error!r}): expected the plans of nnunetv2 2.2 or later. Plan "
            "the dataset anew with nnUNetv2_plan_experiment."
        ) from None


def _inherited(path: Path, known: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it inherits from others."""
    own, seen = dict(known[name]), {name}
    while (parent := own.pop("inherits_from", None)) is not None:
        if parent in seen or parent not in known:
            raise _unknown(path, f"{name}.inherits_from", "another configuration", str(parent))
        seen.add(parent)
        own = {**known[parent], **own}
    return own


def _along_axes(path: Path, values: Sequence[float], backward: Sequence[int], name: str) -> list[float]:
    """Values along x, y and z of the files; plans have them along z, y and x, with the axes transposed."""
    if len(values) != 3 or sorted(backward) != [0, 1, 2]:
        raise _unknown(path, name, "three numbers (a configuration of three dimensions)", str(list(values)))
    return [values[axis] for axis in backward][::-1]


def _normalisation(path: Path, plans: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    schemes, masked = values["normalization_schemes"], values["use_mask_for_norm"]
    unknown = [name for name in schemes if name not in _SCHEMES]
    if unknown:
        raise _unknown(path, "normalization_schemes", f"of {', '.join(_SCHEMES)}", unknown[0])
    kinds = {_SCHEMES[name] for name in schemes}
    if kinds == {"modality", "zscore"} or kinds == {"modality"}:
        found = plans["foreground_intensity_properties_per_channel"]
        measured = [
            [float(found[str(channel)][name]) for name in _MEASURED]
            if _SCHEMES[scheme] == "modality"
            else None
            for channel, scheme in enumerate(schemes)
        ]
        kind = {"preprocessing.normalise": "modality", "preprocessing.ct_intensities": measured}
    elif len(kinds) == 1:
        kind = {"preprocessing.normalise": kinds.pop()}
    else:
        raise _unknown(
            path, "normalization_schemes", "one for all channels, or CT beside z-scores", ", ".join(schemes)
        )
    if len(set(masked)) > 1:
        raise _unknown(path, "use_mask_for_norm", "one value for all channels", str(masked))
    return {**kind, "preprocessing.foreground": "nonzero" if masked[0] else "all"}


def _network(path: Path, values: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """The starting choice: the network of the plans, or the nearest to it that the space has."""
    where = f"{configuration}.architecture"
    if "architecture" not in values:
        raise _unknown(path, where, "the network (nnunetv2 2.5 or later writes it)", "none")
    name = values["architecture"]["network_class_name"].rpartition(".")[2]
    given = values["architecture"]["arch_kwargs"]
    if name not in _BLOCKS:
        raise _unknown(path, f"{where}.network_class_name", f"one of {', '.join(_BLOCKS)}", name)
    block, counted = _BLOCKS[name]
    norm, activation = (_short(given[key]) for key in ("norm_op", "nonlin"))
    for key, word, words in (("norm_op", norm, _NORMS), ("nonlin", activation, _ACTIVATIONS)):
        if word not in words:
            raise _unknown(path, f"{where}.arch_kwargs.{key}", f"one of {', '.join(words)}", word)
    if given.get("dropout_op") is not None:
        raise _unknown(path, f"{where}.arch_kwargs.dropout_op", "none", _short(given["dropout_op"]))
    # A stage begins with the convolution that makes it smaller, a stage of the decoder with the one that joins.
    first = 1 if block == "plain" else 0
    return {
        "width": int(given["features_per_stage"][0]),
        "levels": int(given["n_stages"]),
        "stem": 1,
        "blocks": max(1, _middle(given[counted]) - first),
        "decoder_blocks": max(1, _middle(given["n_conv_per_stage_decoder"]) - 1),
        "block": block,
        "kernel": max(width for stage in given["kernel_sizes"] for width in stage),
        "norm": _NORMS[norm],
        "activation": _ACTIVATIONS[activation],
        "downsampling": "convolution",
        "upsampling": "transposed",
        "join": "concatenate",
        "supervision": 2,
    }


def _short(name: str) -> str:
    return str(name).rpartition(".")[2]


def _middle(counts: Sequence[int] | int) -> int:
    """The median of numbers of layers, the lower of two."""
    ordered = [counts] if isinstance(counts, int) else sorted(counts)
    return int(ordered[(len(ordered) - 1) // 2])


def _batch(size: int) -> int:
    """The power of two that is nearest from below, of those that the space has."""
    low, high = BATCHES
    return max(low, min(high, 1 << (size.bit_length() - 1)))


def _unknown(path: Path, name: str, expected: str, found: str) -> SettingsError:
    return SettingsError(f"{path}: {name} is not understood: expected {expected}, found {found}.")
