"""The pictures of a trial: its network, the curves of its training, and what its network makes of validation cases.

Each is drawn from the run's files when somebody looks at it. Nothing is written into the run.
"""

from __future__ import annotations

import base64
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from netwright.errors import NetwrightError
from netwright.files import file_stamp
from netwright.report.draw.files import curves_file, diagrams_file, text_file
from netwright.report.metrics import metric_named
from netwright.report.sections import Case, Gallery, Section
from netwright.runs.data import RunData, open_run_data
from netwright.runs.drawings import space_to_show
from netwright.runs.folder import RunFolder
from netwright.runs.left_out import LEFT_OUT
from netwright.runs.status import read_curves
from netwright.runs.trials import RUNNING, TrialRecord, path_of
from netwright.runs.trust import names_code
from netwright.searches.components import problem_of
from netwright.settings import RunSettings
from netwright.tasks import task_of_metric
from netwright.training.files import CURVES, WEIGHTS

DRAWING, TRAINING, OVERLAY = "d", "c", "e"
"""The kinds of pictures, as letters of a hexadecimal number, of which their ids are made."""

FILE_NAMES = {DRAWING: "network.svg", TRAINING: "curves.svg", OVERLAY: "validation.png"}
KEPT = 64
"""So many pictures that were drawn last are kept in memory."""

PICTURES_SHOWN = 32
"""On so many validation pictures a network is shown; of volumes on one."""

SVG, PNG = "image/svg+xml", "image/png"
_ID = re.compile(r"([dce])-([0-9a-f]+)-([0-9a-f]+)")


def type_of(picture: str) -> str:
    """The type of the picture with an id, if it can be drawn."""
    return PNG if picture.startswith(OVERLAY) else SVG


@dataclass(frozen=True)
class Drawn:
    """A picture as a file: its type and contents."""

    type: str
    contents: bytes


class TrialPictures:
    """The pictures of a run's trials. Several threads may ask for them; one at a time draws.

    Args:
        folder: of the run.
        settings: of the run.
    """

    def __init__(self, folder: RunFolder, settings: RunSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._drawing = threading.Lock()
        self._kept: OrderedDict[str, Drawn] = OrderedDict()
        self._own_code = names_code(settings.space)

    def of(self, record: TrialRecord) -> list[str]:
        """The ids of a trial's pictures. An id changes with its picture, which browsers keep by its address."""
        if not record.choice or self._settings.supernet is not None:
            return []
        number, path = record.number, path_of(self._folder, record)
        # What is left out may not be a choice of the space.
        undrawn = record.status == LEFT_OUT or (record.status == RUNNING and not record.words)
        found = [] if undrawn else [f"{DRAWING}-{number:x}-0"]
        for kind, name in ((TRAINING, CURVES), (OVERLAY, WEIGHTS)):
            stamp = file_stamp(path / name)
            if stamp is not None and not (
                kind == OVERLAY and (self._own_code or record.status in (RUNNING, LEFT_OUT))
            ):
                found.append(f"{kind}-{number:x}-{hash(stamp) & 0xFFFFFFFF:x}")
        return found

    def number_of(self, picture: str) -> int | None:
        """The trial of a picture; None: it is no id of one."""
        match = _ID.fullmatch(picture)
        return None if match is None else int(match[2], 16)

    def shows(self, picture: str, record: TrialRecord) -> bool:
        """Whether a trial has a picture of this kind, now or in a page that is older than the file it is drawn from.

        Others are not drawn, as any page can make a browser ask for them: some would need code that a run names.

        Args:
            picture: the id.
            record: of the trial.
        """
        return picture[0] in {own[0] for own in self.of(record)}

    def draw(self, picture: str, record: TrialRecord) -> Drawn:
        """A picture, or in its place the reason in words why there is none.

        Args:
            picture: one of the ids from `of`.
            record: of its trial.
        """
        with self._drawing:
            if picture in self._kept:
                self._kept.move_to_end(picture)
                return self._kept[picture]
            make = {DRAWING: self._network, TRAINING: self._curves, OVERLAY: self._overlay}[picture[0]]
            try:
                drawn = make(record)
            except (NetwrightError, OSError, ValueError, RuntimeError) as error:
                return Drawn(SVG, text_file(f"No picture: {error}"))
            self._kept[picture] = drawn
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return drawn

    def _network(self, record: TrialRecord) -> Drawn:
        space = space_to_show(self._folder, self._settings, [record])
        task = problem_of(self._settings, self._data.prepared).task
        diagrams = [diagram for diagram in space.diagrams(record.choice, task) if diagram.nodes]
        if not diagrams:
            return Drawn(SVG, text_file("This space has no drawing of the network."))
        return Drawn(SVG, diagrams_file(diagrams))

    def _curves(self, record: TrialRecord) -> Drawn:
        metric = str(self._settings.objective.metric or "dice").partition(".")[0]
        curves = read_curves(path_of(self._folder, record))[1]
        return Drawn(SVG, curves_file(curves, metric_named(task_of_metric(metric).metric).axis))

    def _overlay(self, record: TrialRecord) -> Drawn:
        """The network of the trial on validation cases, drawn as its task draws test cases in a report."""
        from netwright.dashboard.validation import validation_sections

        with tempfile.TemporaryDirectory(prefix="netwright-") as folder:
            sections = validation_sections(
                self._folder, self._settings, self._data, record, Path(folder), PICTURES_SHOWN
            )
        for uri in _pictures(sections):
            head, _, body = uri.partition(",")
            return Drawn(head.removeprefix("data:").removesuffix(";base64"), base64.b64decode(body))
        return Drawn(SVG, text_file("There is nothing to show of this network's validation cases."))

    @cached_property
    def _data(self) -> RunData:
        return open_run_data(self._folder, self._settings)


def _pictures(sections: Sequence[Section]) -> Iterator[str]:
    """The pictures of cases in sections of a report, as data URIs."""
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Case):
                yield block.picture.uri
            elif isinstance(block, Gallery):
                yield from (captioned.picture.uri for captioned in block.pictures)
