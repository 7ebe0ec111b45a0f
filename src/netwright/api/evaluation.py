"""How well a trained network does on a labelled dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from netwright.tasks.base import Scores

DISTANCES = "hausdorff_95_mm"


@dataclass(frozen=True)
class Evaluation:
    """The scores of a trained network on labelled cases.

    Args:
        network: which network.
        dataset: which dataset.
        metrics: the task's: "dice" (mean over labels and cases) and "dice.<label>", "accuracy" and "accuracy.<class>",
            "mean_average_precision" and "macro_f1" and those of each label, or "psnr" and "ssim".
        cases: case -> label -> Dice (NaN where the label is absent from truth and prediction); case -> its class -> 1
            where it was recognised, else 0; case -> label -> its share of the average precision, of which the mean over
            cases is the metric; or case -> metric -> its value.
        note: what a reader must know about the cases.
        details: what else the task measures, each like ``cases``: for segmentation "hausdorff_95_mm", the 95 %
            Hausdorff distance (infinite where a label is in only one of truth and prediction); for several labels
            "macro_f1".
        postprocessed: whether something that was fitted to the network, such as a CRF, was applied to its output.
        remarks: what a reader must know about the results, a line each.
    """

    network: str
    dataset: str
    metrics: dict[str, float]
    cases: Scores
    note: str
    details: Mapping[str, Scores] = field(default_factory=dict)
    postprocessed: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def distances(self) -> Scores:
        """The former name of ``details["hausdorff_95_mm"]``; empty where nothing is segmented."""
        return self.details.get(DISTANCES, {})

    @property
    def crf(self) -> bool:
        """The former name of ``postprocessed``."""
        return self.postprocessed

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, with the former names, too; NaN and infinities as None."""
        named = {**asdict(self), "distances": self.distances, "crf": self.crf}
        values: dict[str, Any] = json.loads(json.dumps(named, default=str), parse_constant=lambda _: None)
        return values
