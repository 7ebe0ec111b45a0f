"""Channels that look like CT and are not called so, and are therefore normalised case by case."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from netwright.data.issues import Problem, enumerate_words
from netwright.data.volumes.dataset import Dataset
from netwright.data.volumes.fingerprint import CaseFacts
from netwright.data.volumes.intensities import is_ct

_AIR = (-1100, -900)
_SOFT_TISSUE = (-200, 300)
"""In Hounsfield units, with noise: air is -1000, fat -100, water 0, muscle and blood up to 80, with contrast 300."""

_MOST = 4096
"""Above is no tissue, only metal."""

_LEAST_AIR = 0.005
_LEAST_SOFT_TISSUE = 0.05
_MOSTLY = 0.9
_NEARLY_ALL = 0.999

_NAMED_BY_USER = ("msd", "nnunet", "volume-pairs")
"""The layouts whose channels have the names that a ``dataset.json`` gives."""


def unnamed_ct(dataset: Dataset, facts: Sequence[CaseFacts]) -> list[Problem]:
    """A warning where channels hold Hounsfield units in most cases, and are not called CT.

    Args:
        dataset: the cases.
        facts: of each of them.
    """
    told = any(problem.kind == "modalities" for problem in dataset.problems)
    cases = [case.channels for case in facts if len(case.channels) == len(dataset.channels)]
    if told or not cases or dataset.format not in _NAMED_BY_USER:
        return []
    looks = [
        number
        for number, name in enumerate(dataset.channels)
        if not is_ct(name)
        and sum(_is_hounsfield(case[number].sample) for case in cases) >= _MOSTLY * len(cases)
    ]
    if not looks:
        return []
    names = {str(number): "CT" if number in looks else name for number, name in enumerate(dataset.channels)}
    low = min(case[looks[0]].minimum for case in cases)
    high = max(case[looks[0]].maximum for case in cases)
    return [
        Problem(
            "warning",
            str(dataset.root),
            f"looks like CT in the channel{'s' * (len(looks) > 1)} "
            f"{enumerate_words([dataset.channels[number] for number in looks])}",
            expected="the name CT for a channel in Hounsfield units",
            found=f"values from {low:.0f} to {high:.0f}, with air near -1000",
            advice="Under another name it is normalised case by case, though its values mean the same in all scans. "
            f"If it is CT, put {_description(dataset, names)} into {dataset.root / 'dataset.json'}; --set "
            "preprocessing.normalise=modality, which `auto` has, then normalises it as CT.",
            kind="unnamed-ct",
        )
    ]


def _is_hounsfield(sample: NDArray[np.float32]) -> bool:
    """Whether these voxels are those of a CT: some of air, many of soft tissue, and little below but one number for
    what is outside the scan."""

    def share(low: float, high: float) -> float:
        return float(np.mean((sample >= low) & (sample <= high)))

    below = sample[sample < _AIR[0]]
    outside = below.size == 0 or np.mean(below == below.min()) >= _MOSTLY
    tissue = share(*_AIR) >= _LEAST_AIR and share(*_SOFT_TISSUE) >= _LEAST_SOFT_TISSUE
    return bool(outside and tissue and share(-np.inf, _MOST) > _NEARLY_ALL)


def _description(dataset: Dataset, names: dict[str, str]) -> str:
    """What a ``dataset.json`` needs for channels of these names: the labels as well, unless it names them already."""
    labels = {} if dataset.naming == "dataset.json" else {"labels": dataset.labels}
    return json.dumps({"channel_names": names, **labels})
