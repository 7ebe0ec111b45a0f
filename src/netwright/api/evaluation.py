"""How well a trained network does on a labelled dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from netwright.data.base import OnCase
from netwright.data.open import open_any
from netwright.errors import DatasetError, RunError
from netwright.execution.resources import available_cores
from netwright.models.store import saved_task
from netwright.runs.data import note_of, nothing_unseen, unseen_cases
from netwright.runs.folder import RunFolder
from netwright.settings import RunSettings
from netwright.tasks.predictor import Predictor, Scores
from netwright.user_cache import cache_root

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


def evaluate_unseen(
    run: RunFolder,
    settings: RunSettings,
    network: Path,
    predictor: Predictor,
    dataset: Path | str,
    *,
    format: str | None,
    map_label: Mapping[int, int] | None,
    chosen: bool,
    on_case: OnCase | None,
) -> Evaluation:
    """Tests a network of a run on the cases of a dataset that the run's networks were not made with.

    Args:
        run: its folder.
        settings: of the run.
        network: the folder of the network.
        predictor: the network.
        dataset: the folder of the dataset.
        format: of the dataset; None: the usual one of the task.
        map_label: as for a search; None: that of the run.
        chosen: whether a user chose the trial of the network.
        on_case: called with the number of cases done and of all cases.

    Raises:
        DatasetError: the dataset cannot be used, or the network has seen all its cases.
        MemoryShortage: the postprocessing needs more memory than there is.
        RunError: the output of the network is not finite.
    """
    task = saved_task(network)
    opened = open_any(
        Path(dataset),
        format=format or task.format,
        map_label=settings.dataset.map_label if map_label is None else map_label,
    )
    task.require_testable(opened)
    unseen = unseen_cases(opened, settings, run.splits())
    if not unseen.names:
        raise DatasetError(nothing_unseen(dataset, unseen))
    prepared = predictor.prepare(opened, cache_root(), available_cores())
    try:
        results = predictor.results(task.test_cases(opened, prepared, unseen.names), on_case=on_case)
    except FloatingPointError as error:
        raise RunError(str(error)) from error
    return Evaluation(
        network=str(network),
        dataset=str(dataset),
        metrics=predictor.means(results),
        cases=results["scores"],
        note=note_of(unseen, chosen=chosen),
        details={name: scores for name, scores in results.items() if name != "scores"},
        postprocessed=predictor.is_postprocessed,
        remarks=task.remarks(results, postprocessed=predictor.is_postprocessed),
    )
