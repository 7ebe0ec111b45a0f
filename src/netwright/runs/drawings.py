"""Stores how a space that is made by a user's own code looks, so that a run can be shown without that code.

The storage has each trial in words. Beside that, ``space.json`` holds the dimensions and layers, and the folder of each
trial that was the best so far holds a drawing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from torch import nn

from netwright.errors import InfeasibleArchitecture, NetwrightError, RunError, SettingsError
from netwright.files import read_json, write_json
from netwright.runs.folder import RunFolder
from netwright.runs.place import SQLITE, STUDY_NAME, place_of
from netwright.runs.trials import TrialRecord, best_of, copied_study, network_key, path_of
from netwright.runs.trust import names_code
from netwright.settings import RunSettings, first_choices
from netwright.spaces import make_space
from netwright.spaces.base import AgentGraph, Choice, Diagram, Edge, Layered, Node, Space, TaskShape, Value
from netwright.strategies.makers import make_sampler
from netwright.strategies.own import code_of

SPACE = "space.json"
DRAWING = "drawing.json"
NOT_STORED = "not described: its search stored no words for it"
WITHOUT_DRAWINGS = (
    "This run was made before searches stored descriptions and drawings of a user's own network, which a report does "
    "not make by running that network's code: the layers of the winner, the choices of each layer and what its agents "
    "learned are missing here."
)

WITHOUT_STRATEGY = (
    "The strategy {} is a user's own. A report does not run its code, so it has no section of the strategy."
)


@dataclass(frozen=True)
class StoredSpace:
    """A space as its search stored it. It describes and draws the stored choices, and builds no network.

    The keys of ``words`` and ``drawings`` are those of `network_key`. ``start`` is where the search started; None: it
    was not stored.
    """

    name: str
    dimensions: Mapping[str, BaseDistribution]
    words: Mapping[str, str]
    drawings: Mapping[str, tuple[Diagram, ...]] = field(default_factory=dict)
    start: Mapping[str, Value] | None = None

    def distributions(self) -> dict[str, BaseDistribution]:
        """The dimensions, in a fixed order."""
        return dict(self.dimensions)

    def canonical(self, choice: Choice) -> dict[str, Value]:
        """The values of the stored dimensions."""
        return {name: choice[name] for name in self.dimensions if name in choice}

    def describe(self, choice: Choice) -> str:
        """The choice in the words of the search."""
        return self.words.get(network_key(self.canonical(choice)), NOT_STORED)

    def diagrams(self, choice: Choice, task: TaskShape) -> tuple[Diagram, ...]:
        """The drawings that the search stored of the choice; empty where there are none."""
        return self.drawings.get(network_key(self.canonical(choice)), ())

    def build(self, choice: Choice, task: TaskShape) -> nn.Module:
        """Cannot build: the code is not there.

        Raises:
            InfeasibleArchitecture: always.
        """
        raise InfeasibleArchitecture(f"{self.name}: the network is made by code that is not run here.")

    def starting_choice(self) -> dict[str, Value]:
        """Where the search started.

        Raises:
            SettingsError: it is not stored.
        """
        if self.start is None:
            raise SettingsError(f"{self.name}: the starting network is not stored.")
        return dict(self.start)


@dataclass(frozen=True)
class StoredLayers(StoredSpace):
    """A `StoredSpace` that has layers."""

    graph: AgentGraph = field(default_factory=lambda: AgentGraph((), (), ()))
    original: Mapping[str, Value] = field(default_factory=dict)

    def agent_graph(self) -> AgentGraph:
        """The layers and the edges between them."""
        return self.graph

    def original_choice(self) -> dict[str, Value]:
        """The network as the user made it."""
        return dict(self.original)


class Drawer:
    """Stores the space of a search and its best trials so far, if that is ``needed``: if a user's code makes them."""

    def __init__(self, folder: RunFolder, settings: RunSettings, space: Space, task: TaskShape) -> None:
        self._folder = folder
        self._space = space
        self._task = task
        self.needed = names_code(settings.space)
        file = space_file(folder, place_of(folder).study)
        if self.needed and not file.exists():
            write_space(file, space)

    def keep_best(self, records: Iterable[TrialRecord]) -> None:
        """Draws the best trial, if it has not been drawn yet."""
        best = best_of(records) if self.needed else None
        if best is None:
            return
        path = path_of(self._folder, best) / DRAWING
        if path.exists():
            return
        try:
            drawn = self._space.diagrams(best.choice, self._task)
        except NetwrightError:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, [asdict(diagram) for diagram in drawn])


def space_to_show(folder: RunFolder, settings: RunSettings, records: Iterable[TrialRecord]) -> Space:
    """The run's space, to be shown. A space that a user's code makes is read from the run folder; its code is not run.

    Args:
        folder: of the run.
        settings: of the run.
        records: of its trials.

    Raises:
        RunError: what was stored is damaged.
        SettingsError: the space cannot be searched with these settings.
    """
    if not names_code(settings.space):
        return make_space(settings.space)
    if settings.supernet is not None:
        raise SettingsError(f"supernet: the networks of the space {settings.space.name!r} share no weights.")
    return _Reading(folder, settings.space.name, tuple(records)).space()


def study_to_show(folder: RunFolder, settings: RunSettings, space: Space) -> optuna.Study | None:
    """A copy of the run's study, for reading; None where it has no trial yet.

    It has the run's sampler, if the space tells what the sampler needs, and if the strategy is not a user's own: its
    code is not run.

    Args:
        folder: of the run.
        settings: of the run.
        space: of the run.

    Raises:
        RunError: the database is damaged.
    """
    return copied_study(
        folder,
        None
        if lacks_drawings(space) or code_of(settings.strategy) is not None
        else make_sampler(settings.strategy, space, settings.seed, first_choices(settings.start_from)),
    )


def lacks_drawings(space: Space) -> bool:
    """Whether the run was made by a version that did not store its space."""
    return isinstance(space, StoredSpace) and space.start is None


def left_out(settings: RunSettings, space: Space) -> tuple[str, ...]:
    """What a report lacks because it runs no code of a user's, in sentences."""
    strategy = code_of(settings.strategy)
    drawings = (WITHOUT_DRAWINGS,) if lacks_drawings(space) else ()
    return drawings if strategy is None else (*drawings, WITHOUT_STRATEGY.format(strategy.name))


@dataclass(frozen=True)
class _Reading:
    """What a run folder holds of its space."""

    folder: RunFolder
    name: str
    records: tuple[TrialRecord, ...]

    @property
    def _file(self) -> Path:
        return space_file(self.folder, place_of(self.folder).study)

    def space(self) -> Space:
        words = {self._key(r): r.words for r in self.records if r.choice and r.words}
        file = self._file
        if not file.exists():
            return StoredSpace(self.name, self._dimensions, words)
        stored = read_json(file)
        try:
            graph, start = stored["graph"], dict(stored["start"])
            if graph is None:
                return StoredSpace(self.name, self._dimensions, words, self._drawings(), start)
            return StoredLayers(
                self.name,
                self._dimensions,
                words,
                self._drawings(),
                start,
                AgentGraph(
                    tuple(map(str, graph["names"])),
                    tuple(tuple(map(str, names)) for names in graph["agents"]),
                    tuple((int(i), int(j)) for i, j in graph["edges"]),
                ),
                dict(stored["original"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"{file} is damaged ({error}). Restore it from a copy.") from None

    @cached_property
    def _dimensions(self) -> dict[str, BaseDistribution]:
        file = self._file
        if not file.exists():
            return {name: dist for r in self.records for name, dist in r.distributions.items()}
        try:
            stored = read_json(file)["distributions"]
            return {str(name): json_to_distribution(text) for name, text in stored.items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"{file} is damaged ({error}). Restore it from a copy.") from None

    def _key(self, record: TrialRecord) -> str:
        return network_key({name: record.choice[name] for name in self._dimensions if name in record.choice})

    def _drawings(self) -> dict[str, tuple[Diagram, ...]]:
        best = best_of(self.records)
        if best is None:
            return {}
        file = path_of(self.folder, best) / DRAWING
        if not file.exists():
            return {}
        try:
            return {self._key(best): tuple(map(_diagram, read_json(file)))}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"{file} is damaged ({error}). Restore it from a copy.") from None


def space_file(folder: RunFolder, study: str) -> Path:
    """Where the space of a run's study is stored: another one after each change of the space.

    Args:
        folder: of the run.
        study: the name of the study.
    """
    first = study == STUDY_NAME or not place_of(folder).url.startswith(SQLITE)
    return folder.root / (SPACE if first else f"space-{study}.json")


def write_space(file: Path, space: Space) -> None:
    """Stores a space that is made by a user's own code."""
    write_json(file, _stored(space))


def _stored(space: Space) -> dict[str, Any]:
    """The dimensions and the start of a space, and its layers where it has some."""
    layers = space if isinstance(space, Layered) else None
    return {
        "distributions": {name: distribution_to_json(d) for name, d in space.distributions().items()},
        "graph": None if layers is None else asdict(layers.agent_graph()),
        "original": None if layers is None else layers.original_choice(),
        "start": space.starting_choice(),
    }


def _diagram(values: Mapping[str, Any]) -> Diagram:
    """A drawing from plain values. Values from an untrusted file are taken as text and whole numbers only."""
    nodes = tuple(
        Node(str(n["name"]), str(n["label"]), int(n["column"]), int(n["row"]), str(n["detail"]))
        for n in values["nodes"]
    )
    known = {node.name for node in nodes}
    edges = tuple(
        Edge(str(e["source"]), str(e["target"]), str(e["label"]), bool(e["dashed"])) for e in values["edges"]
    )
    for edge in edges:
        if not {edge.source, edge.target} <= known:
            raise ValueError(f"there is no box {edge.source} or {edge.target}")
    return Diagram(str(values["title"]), nodes, edges)
