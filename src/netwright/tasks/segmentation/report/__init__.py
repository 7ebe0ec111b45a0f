"""The report of a segmentation: surface distances, the CRF, and test cases."""

from __future__ import annotations

from dataclasses import replace

from netwright.report.results import Contestant
from netwright.report.run import ReportedRun
from netwright.report.sections import Section
from netwright.tasks.segmentation.data import prepared_volumes
from netwright.tasks.segmentation.postprocessing import read_fitted
from netwright.tasks.segmentation.report.cases import cases_section, overlays
from netwright.tasks.segmentation.report.crf import CRF, crf_section
from netwright.tasks.segmentation.report.distances import distances_section


def report_sections(run: ReportedRun) -> tuple[Section, ...]:
    """The sections of the task.

    Raises:
        RunError: the result of fitting a CRF is damaged.
    """
    contestants = tuple(map(with_fitted_crf, run.comparison.contestants))
    return (
        distances_section(run.comparison),
        crf_section(replace(run.comparison, contestants=contestants)),
        cases_section(overlays(run), run.comparison, prepared_volumes(run.prepared).label_names),
    )


def with_fitted_crf(contestant: Contestant) -> Contestant:
    """The contestant with the result of fitting a CRF to it, among its details."""
    fitted = None if contestant.folder is None else read_fitted(contestant.folder)
    return replace(contestant, details={**contestant.details, CRF: fitted})
