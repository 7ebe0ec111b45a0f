"""The plans of nnU-Net for a network: ``plans.json`` and ``dataset.json`` as nnunetv2 2.8 reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.errors import ExportError

PLANS, CONFIGURATION = "netwrightPlans", "3d_fullres"
_RESAMPLING = "resample_data_or_seg_to_shape"
_SCHEMES = {"zscore": "ZScoreNormalization", "minmax": "RescaleTo01Normalization", "none": "NoNormalization"}


def dataset_json(description: Mapping[str, Any]) -> dict[str, Any]:
    """``dataset.json`` of the model.

    Args:
        description: from `netwright.models.export.description`.
    """
    return {
        "channel_names": {str(channel): "image" for channel in range(description["input"]["shape"][1])},
        "labels": {name: index for index, name in enumerate(description["labels"])},
        "numTraining": 0,
        "file_ending": ".nii.gz",
    }


def plans(description: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """``plans.json`` of the model. Its axes are z, y, x of an image in RAS axes.

    Args:
        description: from `netwright.models.export.description`.
        batch_size: of a training.

    Raises:
        ExportError: nnU-Net cannot use such a network, or prepare its images.
    """
    settings = _settings(description)
    _, channels, *size = description["input"]["shape"]
    spacing, patch = list(settings.spacing)[::-1], size[::-1]
    schemes, properties = _normalisation(settings, channels)
    orders = {"order_z": 0, "force_separate_z": False}
    configuration = {
        "data_identifier": f"{PLANS}_{CONFIGURATION}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": batch_size,
        "patch_size": patch,
        "median_image_size_in_voxels": [float(length) for length in patch],
        "spacing": spacing,
        "normalization_schemes": schemes,
        "use_mask_for_norm": [settings.foreground == "nonzero"] * channels,
        "resampling_fn_data": _RESAMPLING,
        "resampling_fn_seg": _RESAMPLING,
        "resampling_fn_probabilities": _RESAMPLING,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 1, **orders},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **orders},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **orders},
        "architecture": {
            "network_class_name": "nnUNetTrainerNetwright.ExportedNetwork",
            "arch_kwargs": {},
            "_kw_requires_import": [],
        },
        "batch_dice": False,
    }
    return {
        "dataset_name": "Dataset000_Netwright",
        "plans_name": PLANS,
        "original_median_spacing_after_transp": spacing,
        "original_median_shape_after_transp": patch,
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
        "experiment_planner_used": description["made_by"],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": properties,
    }


def _settings(description: Mapping[str, Any]) -> PreprocessingSettings:
    """Those of the training, if nnU-Net can do as they say."""
    if description["task"] != "segmentation" or len(description["input"]["shape"]) != 5:
        raise _refused(f"sees {'slices' if description['task'] == 'segmentation' else 'no volumes'}")
    if "writing" in description:
        raise _refused("has regions as outputs")
    if "channels" in description:
        raise _refused("has a first stage, which sees the surroundings of each window")
    values = description["label_values"]
    if values != list(range(len(values))):
        raise _refused(f"has the label values {', '.join(map(str, values))}, and nnU-Net counts them from 0")
    if "ignore" in description["labels"]:
        raise _refused("has a label named ignore, which nnU-Net takes for voxels without a label")
    settings = PreprocessingSettings.from_dict(description["preprocessing"])
    if isinstance(settings.spacing, str) or settings.resize:
        raise _refused(
            "was trained on volumes of different voxel sizes (preprocessing.spacing=native, or resize)"
        )
    if settings.normalise == "minmax" and settings.foreground == "nonzero":
        raise _refused("was trained on images scaled to the range of their voxels that are not zero")
    return settings


def _normalisation(
    settings: PreprocessingSettings, channels: int
) -> tuple[list[str], dict[str, dict[str, float]]]:
    """The scheme of each channel, and what is known of the intensities of each."""
    schemes, properties = [], {}
    for channel in range(channels):
        ct = settings.intensities_of(channel)
        low, high, centre, width = ct or (0.0, 0.0, 0.0, 1.0)
        known = {"max": high, "mean": centre, "median": centre, "min": low}
        properties[str(channel)] = {**known, "percentile_00_5": low, "percentile_99_5": high, "std": width}
        usual = _SCHEMES.get(settings.normalise, "ZScoreNormalization")
        schemes.append("CTNormalization" if ct is not None else usual)
    return schemes, properties


def _refused(why: str) -> ExportError:
    return ExportError(
        f"nnU-Net cannot have this network: it {why}. Expected a segmentation network for volumes of one voxel size. "
        "Nothing was written. Choose another format."
    )
