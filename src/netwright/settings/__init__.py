"""A run's settings: every resolved value, enough to repeat the run.

A recipe gives the defaults, ``--set key=value`` overrides one of them by its dotted name, and the result stands in
the run folder as ``run.yaml``.
"""

from netwright.settings.assignments import override, read_assignments
from netwright.settings.machine import MachineSettings
from netwright.settings.race import RaceSettings
from netwright.settings.reading import MADE_WITH, parse_settings, parse_text, read_settings, unusable
from netwright.settings.start_from import StartFromSettings, first_choices
from netwright.settings.storage import StorageSettings
from netwright.settings.tables import (
    BudgetSettings,
    DatasetSettings,
    PostprocessingSettings,
    RunSettings,
    SpecSettings,
    TerminationSettings,
    TrainSettings,
    VerdictSettings,
)

__all__ = [
    "MADE_WITH",
    "BudgetSettings",
    "DatasetSettings",
    "MachineSettings",
    "PostprocessingSettings",
    "RaceSettings",
    "RunSettings",
    "SpecSettings",
    "StartFromSettings",
    "StorageSettings",
    "TerminationSettings",
    "TrainSettings",
    "VerdictSettings",
    "first_choices",
    "override",
    "parse_settings",
    "parse_text",
    "read_assignments",
    "read_settings",
    "unusable",
]
