"""What a run's space shows of its networks: drawings and layers of the winner, and the choices for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netwright.report.draw.layers import LayerChoices, layers_section
from netwright.report.draw.network import NetworkTable, network_section
from netwright.report.sections import Section
from netwright.runs.left_out import LEFT_OUT
from netwright.runs.trials import TrialRecord
from netwright.spaces.base import Layered, Space, Tabled
from netwright.training.problem import NetworkTask


def space_sections(
    space: Space, records: Sequence[TrialRecord], best: TrialRecord | None, task: NetworkTask
) -> tuple[Section, ...]:
    """The sections of a space.

    Args:
        space: that the run searches.
        records: its trials.
        best: the best of them.
        task: that the networks are for.
    """
    diagrams = () if best is None else space.diagrams(best.choice, task)
    return (
        layers_section(layer_choices(space, records), None if best is None else best.number),
        network_section(diagrams, network_table(space, best, task.classes)),
    )


def layer_choices(space: Space, records: Sequence[TrialRecord]) -> LayerChoices | None:
    """The choices for each layer in each trial; None where the space does not tune layers."""
    if not isinstance(space, Layered):
        return None
    graph = space.agent_graph()
    tried = [record for record in records if record.choice and record.status != LEFT_OUT]
    values: dict[str, Any] = {}
    for layer, dimensions in enumerate(graph.agents):
        for dimension in dimensions:
            rows = values.setdefault(
                dimension.rpartition(".")[2], np.full((len(graph.agents), len(tried)), np.nan)
            )
            rows[layer] = [float(record.choice.get(dimension, np.nan)) for record in tried]
    trials = tuple(record.number for record in tried)
    named = {name.replace("_", " "): rows for name, rows in values.items()}
    return LayerChoices(layers=graph.names, trials=trials, values=named)


def network_table(space: Space, best: TrialRecord | None, classes: int) -> NetworkTable | None:
    """The best trial layer by layer; None where the space does not describe layers.

    Args:
        space: of the run.
        best: the best trial.
        classes: of the network's output.
    """
    if best is None or not isinstance(space, Tabled):
        return None
    return NetworkTable(space.table_columns, space.table(best.choice, classes))
