"""Gives each trial of the page its note and its pictures.

The notes and artifacts of optuna-dashboard are attributes in the study's storage, which a viewer does not write to. To
find the note of a trial it looks through the notes of all others, which takes minutes for thousands. So they are put
into its answer for the page, and pictures are answered here, to no other page than its own.
"""

from __future__ import annotations

import json
import re
from typing import Any

from netwright.dashboard.copies import StudyCopy
from netwright.dashboard.notes import trial_note
from netwright.dashboard.pictures import FILE_NAMES, Drawn, TrialPictures, type_of
from netwright.runs.folder import RunFolder
from netwright.runs.status import describer
from netwright.settings import RunSettings

META = "/api/meta"
OUTCOME = "outcome"
"""The attribute with all that is known of a trial, in one line wider than the page. The note has it in words."""
_STUDY = re.compile(r"/api/studies/(\d+)")
_PICTURE = re.compile(r"/artifacts/(\d+)/(\d+)/([0-9a-f-]+)")
_TRIALS = ("trials", "best_trials")


class ShownTrials:
    """What the page shows of each trial beside its values.

    Args:
        folder: of the run.
        settings: of the run.
    """

    def __init__(self, folder: RunFolder, settings: RunSettings) -> None:
        self._settings = settings
        self._describe = describer(settings)
        self._pictures = TrialPictures(folder, settings)

    def completed(self, path: str, body: bytes, copy: StudyCopy) -> bytes:
        """An answer of optuna-dashboard, with notes and pictures if it tells of trials.

        Args:
            path: that was asked for.
            body: its answer.
            copy: of the study, that the answer was made from.
        """
        if path == META:
            return _json({**json.loads(body), "artifact_is_available": True})
        match = _STUDY.fullmatch(path)
        if match is None or int(match[1]) != copy.study:
            return body
        page = json.loads(body)
        for trial in (trial for name in _TRIALS for trial in page.get(name, ())):
            trial.update(self._shown(copy, int(trial["number"])))
            trial["user_attrs"] = [a for a in trial["user_attrs"] if a["key"] != OUTCOME]
        return _json(page)

    def picture(self, path: str, copy: StudyCopy) -> Drawn | None:
        """The picture that is asked for; None: this is no address of one.

        Args:
            path: that was asked for.
            copy: of the study.
        """
        match = _PICTURE.fullmatch(path)
        number = None if match is None else self._pictures.number_of(match[3])
        record = None if number is None else copy.record(number)
        if match is None or record is None or not self._pictures.shows(match[3], record):
            return None
        return self._pictures.draw(match[3], record)

    def _shown(self, copy: StudyCopy, number: int) -> dict[str, Any]:
        record = copy.record(number)
        if record is None:
            return {}
        artifacts = [
            {"artifact_id": picture, "filename": FILE_NAMES[picture[0]], "mimetype": type_of(picture)}
            for picture in self._pictures.of(record)
        ]
        note = trial_note(record, self._settings, self._describe)
        return {"note": {"version": 1, "body": note}, "artifacts": artifacts}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
