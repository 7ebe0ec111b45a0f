"""What nnU-Net reached: its ``summary.json`` with the scores of each case, which it writes beside its predictions.

Of nnunetv2 2.8 (``nnunetv2/evaluation/evaluate_predictions.py``): ``metric_per_case`` has for each case the name of its
``prediction_file``, and for each label ("1") or region ("(1, 2)") of ``metrics`` its ``Dice``, NaN where the label is
absent from truth and prediction.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from netwright.data.io.formats import VOLUME_ENDINGS
from netwright.errors import SettingsError
from netwright.report.results import Contestant
from netwright.training.outcome import Status

NNUNET = "nnU-Net"

BACKGROUND = "0"
"""Left out of means, as nnU-Net does."""

_MODEL = re.compile(r"(?P<trainer>[^_].*?)__(?P<plans>.+?)__(?P<configuration>.+)")
"""The folder of a model: ``nnUNetTrainer__nnUNetPlans__3d_fullres``."""


@dataclass(frozen=True)
class NNUNetSummary:
    """The scores of one network, or of all folds together.

    Args:
        path: of the file.
        title: what it is called: summaries with one title are of one network, such as those of several folds.
        scores: case -> label -> Dice, NaN where it is not defined.
        labels: the labels, or regions, as the file names them.
    """

    path: Path
    title: str
    scores: Mapping[str, Mapping[str, float]]
    labels: tuple[str, ...]

    @property
    def contestant(self) -> Contestant:
        """It as a network of a comparison, of which size and time are not known."""
        return Contestant(
            name=self.title,
            title=self.title,
            description="",
            status=Status.COMPLETE,
            reason="",
            parameters=None,
            train_seconds=float("nan"),
            epochs=0,
            inference_ms=None,
            scores=self.scores,
        )


def read_summary(path: Path) -> NNUNetSummary:
    """The scores in a ``summary.json`` of nnU-Net.

    Raises:
        SettingsError: the file cannot be read, or is none of nnU-Net's. The message says what is missing.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}). Change the path.") from None
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"no JSON ({error})") from None
    cases = values.get("metric_per_case") if isinstance(values, Mapping) else None
    if not isinstance(cases, list) or not cases:
        raise _refused(path, "no metric_per_case" if cases is None else "metric_per_case without cases")
    scores: dict[str, dict[str, float]] = {}
    for number, case in enumerate(cases):
        name, found = _case(path, number, case)
        if name in scores:
            raise _refused(path, f"the case {name} twice")
        scores[name] = found
    return NNUNetSummary(path, _title(path), scores, tuple(next(iter(scores.values()))))


def _case(path: Path, number: int, case: Any) -> tuple[str, dict[str, float]]:
    """The name of a case, which is that of its file without the ending, and the Dice of its labels."""
    try:
        name = PureWindowsPath(case["prediction_file"]).name  # knows both kinds of separators
        ending = next((e for e in VOLUME_ENDINGS if name.lower().endswith(e)), PureWindowsPath(name).suffix)
        scores = {
            str(label): float(metrics["Dice"])
            for label, metrics in case["metrics"].items()
            if str(label) != BACKGROUND
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _refused(path, f"metric_per_case[{number}] with {error!r}") from None
    if not scores:
        raise _refused(path, f"metric_per_case[{number}] without labels")
    return name.removesuffix(name[len(name) - len(ending) :]), scores


def _title(path: Path) -> str:
    """``nnU-Net 3d_fullres (nnUNetTrainer, nnUNetPlans)`` of a folder of results, else the folder's own name."""
    folders = path.resolve().parent
    for folder in (folders, *folders.parents):
        if (found := _MODEL.fullmatch(folder.name)) is not None:
            return f"{NNUNET} {found['configuration']} ({found['trainer']}, {found['plans']})"
    return f"{NNUNET} ({folders.name})"


def _refused(path: Path, found: str) -> SettingsError:
    return SettingsError(
        f"{path} is not understood: expected nnU-Net's summary.json, with the Dice of each case in metric_per_case, "
        f"found {found}. It is written by nnUNetv2_evaluate_folder, and by nnUNetv2_train at its end."
    )
