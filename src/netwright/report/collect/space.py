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
    space: Space,
    records: Sequence[TrialRecord],
    used: TrialRecord | None,
    task: NetworkTask,
    title: str,
    together: int = 1,
) -> tuple[Section, ...]:
    """The sections of a space.

    Args:
        space: that the run searches.
        records: its trials.
        used: the one whose network is used, or else the best.
        task: that the networks are for.
        title: what its network is called.
        together: with how many networks it is used, itself among them.
    """
    diagrams = () if used is None else space.diagrams(used.choice, task)
    note = ""
    if used is not None and together > 1:
        note = f"The network of trial {used.number}, the first of the {together} that are used together."
    return (
        layers_section(layer_choices(space, records), None if used is None else used.number),
        network_section(diagrams, network_table(space, used, task.classes), title, note),
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
    """A trial's network layer by layer; None where the space does not describe layers.

    Args:
        space: of the run.
        best: the trial.
        classes: of the network's output.
    """
    if best is None or not isinstance(space, Tabled):
        return None
    return NetworkTable(space.table_columns, space.table(best.choice, classes))
