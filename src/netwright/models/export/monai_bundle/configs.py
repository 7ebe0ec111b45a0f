"""The configuration of a bundle, from the description of how a network is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.errors import ExportError
from netwright.models.export.description import not_applied
from netwright.training.windows import OVERLAP

WINDOWS_AT_ONCE = 1
SLICES_AT_ONCE = 8
_PACKAGES = ("monai", "torch", "numpy", "nibabel")
_RUNNERS = {"fire": "0.7", "pytorch-ignite": "0.5"}
"""What ``monai.bundle run`` and its evaluator need; MONAI does not install them."""


def inference(description: Mapping[str, Any]) -> dict[str, Any]:
    """``configs/inference.json``.

    Args:
        description: from `netwright.models.export.description`.

    Raises:
        ExportError: the network needs what a bundle does not have.
    """
    _require_expressible(description)
    transforms = [
        {"_target_": "LoadImaged", "keys": "image", "reader": "NibabelReader", "ensure_channel_first": True},
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "labels": None},
        *_normalisation(_settings(description)),
        {"_target_": "scripts.transforms.ToNetworkGridd", "keys": "image", **_grid(description)},
    ]
    labels = {
        "_target_": "scripts.transforms.ToLabelsd",
        "keys": "pred",
        "image_key": "image",
        "label_values": description["label_values"],
        "overlap": _overlaps(description),
    }
    saving = {
        "_target_": "scripts.transforms.SaveLabelsd",
        "keys": "pred",
        "output_dir": "@output_dir",
        "dtype": "uint8" if max(description["label_values"]) < 256 else "int32",
    }
    return {
        "imports": ["$import torch", "$from scripts.files import find_images"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/labels'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": "scripts.network.ExportedNetwork",
            "file": "$@bundle_root + '/models/model.pt2'",
            "output": "sigmoid" if _overlaps(description) else "softmax",
            "device": "@device",
        },
        "preprocessing": {"_target_": "Compose", "transforms": transforms},
        "dataset": {
            "_target_": "Dataset",
            "data": f"$find_images(@dataset_dir, {description['input']['shape'][1]})",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": _inferer(description),
        "postprocessing": {"_target_": "Compose", "transforms": [labels, saving]},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "amp": False,
        },
        "run": ["$@evaluator.run()"],
    }


def metadata(description: Mapping[str, Any]) -> dict[str, Any]:
    """``configs/metadata.json``; the whole description is in ``configs/netwright.json``."""
    _, channels, *size = description["input"]["shape"]
    installed = {name: version(name).partition("+")[0] for name in _PACKAGES}
    outputs = {str(index): _plain(name) for index, name in enumerate(description["labels"])}
    return {
        "version": "0.1.0",
        "changelog": {"0.1.0": f"exported by {description['made_by']}"},
        "monai_version": installed["monai"],
        "pytorch_version": installed["torch"],
        "numpy_version": installed["numpy"],
        "required_packages_version": {"nibabel": installed["nibabel"], **_RUNNERS},
        "name": "Segmentation network",
        "task": f"Segmentation of {', '.join(description['labels'])}",
        "description": f"A network found and trained by {description['made_by']}.",
        "authors": "",
        "copyright": "",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "num_channels": channels,
                    "spatial_shape": size,
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {str(channel): "image" for channel in range(channels)},
                }
            },
            "outputs": {
                "pred": {
                    "type": "probabilities",
                    "format": "segmentation",
                    "num_channels": len(outputs),
                    "spatial_shape": size,
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": True,
                    "channel_def": outputs,
                }
            },
        },
        "not_applied": not_applied(description),
    }


def _plain(name: str) -> str:
    """The name of a label, such that MONAI takes it for no expression, macro or reference, which it would run."""
    return f"label {name}" if name.startswith(("$", "%", "@")) else name


def readme(description: Mapping[str, Any]) -> str:
    """``docs/README.md``: how the bundle is run."""
    missing = "".join(f"- {one}\n" for one in not_applied(description))
    return (
        "# Segmentation network\n\n"
        f"Segments {', '.join(description['labels'])} in NIfTI files. Made by {description['made_by']}.\n\n"
        '```console\n$ pip install "monai[fire,ignite,nibabel]"\n'
        "$ python -m monai.bundle run --config_file BUNDLE/configs/inference.json --bundle_root BUNDLE \\\n"
        "    --dataset_dir IMAGES --output_dir LABELS\n```\n\n"
        "`scripts/` has what MONAI's transforms do otherwise than the training did: where voxels lie after "
        "resampling.\n" + (f"\nNot applied:\n\n{missing}" if missing else "")
    )


def _require_expressible(description: Mapping[str, Any]) -> None:
    if description["task"] != "segmentation":
        raise ExportError(
            f"A MONAI bundle segments volumes, and this network is for {description['task']}. Expected a network of a "
            "segmentation run. Nothing was written. Choose another format."
        )
    if "channels" in description:
        raise ExportError(
            "A MONAI bundle cannot have this network: its first stage sees the surroundings of each window at low "
            "resolution, and no inferer of MONAI gives them. Nothing was written. Choose another format, or search "
            "with --set preprocessing.low_resolution=null."
        )


def _settings(description: Mapping[str, Any]) -> PreprocessingSettings:
    """Those of the training; of older runs with the values that they stand for."""
    return PreprocessingSettings.from_dict(description["preprocessing"])


def _normalisation(settings: PreprocessingSettings) -> list[dict[str, Any]]:
    """MONAI's transforms that normalise as `netwright.data.volumes.preprocessing.normalised` does."""
    kind, nonzero = settings.normalise, settings.foreground == "nonzero"
    measured = (settings.ct_intensities or ()) if kind == "modality" else []
    ct = [one for one in measured if one is not None]
    if ct:
        if len(measured) > 1:
            raise ExportError(
                "A MONAI bundle cannot have this network: it sees several channels of which some are CT, and no "
                "transform of MONAI normalises each of them by its own bounds. Nothing was written. Choose another "
                "format."
            )
        low, high, centre, width = ct[0]
        ends = {"b_min": (low - centre) / width, "b_max": (high - centre) / width}
        scaled = {
            "_target_": "ScaleIntensityRanged",
            "keys": "image",
            "a_min": low,
            "a_max": high,
            "clip": True,
        }
        return [{**scaled, **ends}]
    if kind == "minmax" and nonzero:
        raise ExportError(
            "A MONAI bundle cannot have this network: its images are scaled to the range of their voxels that are not "
            "zero (preprocessing.normalise=minmax with foreground=nonzero), which no transform of MONAI does. Nothing "
            "was written. Choose another format."
        )
    if kind == "minmax":
        return [{"_target_": "ScaleIntensityd", "keys": "image", "channel_wise": True}]
    if kind == "none":
        return []
    return [{"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": nonzero, "channel_wise": True}]


def _grid(description: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `ToNetworkGridd`."""
    settings = _settings(description)
    _, channels, *size = description["input"]["shape"]
    window: list[int | None] = list(size)
    if (normal := _normal(description)) is not None:
        window.insert(normal, None)
    return {
        "channels": channels,
        "size": settings.size,
        "window": window,
        "spacing": None if isinstance(settings.spacing, str) else settings.spacing,
        "pad": settings.pad,
        "resize": settings.resize,
        "air": settings.pad_value == "air",
        "zero_background": settings.foreground == "nonzero",
    }


def _inferer(description: Mapping[str, Any]) -> dict[str, Any]:
    normal = _normal(description)
    shared = {
        "roi_size": description["input"]["shape"][2:],
        "sw_batch_size": WINDOWS_AT_ONCE if normal is None else SLICES_AT_ONCE,
        "overlap": OVERLAP,
        "mode": "gaussian",
    }
    if normal is None:
        return {"_target_": "SlidingWindowInferer", **shared}
    return {"_target_": "SliceInferer", "spatial_dim": normal, **shared}


def _normal(description: Mapping[str, Any]) -> int | None:
    """The canonical axis that the slices are normal to which a network of two dimensions sees; None: volumes."""
    seen = description["axes"]
    return next((axis for axis, name in enumerate("xyz") if name not in seen), None)


def _overlaps(description: Mapping[str, Any]) -> bool:
    return "writing" in description
