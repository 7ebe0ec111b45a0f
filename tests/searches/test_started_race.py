"""A search whose trainings go on, started from another run."""

import math
import time
from concurrent.futures import Future

from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder
from netwright.searches.components import open_study
from netwright.searches.multi_fidelity import MultiFidelitySearch
from netwright.settings import parse_settings
from netwright.spaces import make_space
from netwright.training.checkpoint import save_checkpoint
from netwright.training.fidelity import Fidelity
from netwright.training.files import CHECKPOINT, WEIGHTS
from netwright.training.outcome import Cost, Outcome, Status

SPACE = {"name": "encoder-decoder", "channels": 1, "classes": 3, "size": [40, 56, 40]}


class NoTime:
    """Trains nothing, on a clock of its own, and says that it did. The score rises with the seconds."""

    def __init__(self):
        self.jobs, self.seconds = [], time.monotonic()

    def submit(self, function, job):
        self.jobs.append(job)
        self.seconds += job.protocol.seconds
        job.folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(job.folder / CHECKPOINT, {}, {"seconds": job.protocol.seconds})
        outcome = Outcome(
            Status.COMPLETE,
            metrics={"dice": 1 - math.exp(-job.protocol.seconds / 100)},
            cost=Cost(parameters=10),
            epochs=1,
            seconds=job.protocol.seconds,
            fidelity=Fidelity(job.protocol.seconds, "seconds"),
        )
        future = Future()
        future.set_result(outcome.to_dict())
        return future

    def shutdown(self):
        pass


def test_the_best_of_another_run_begin_a_race_with_its_weights(tmp_path):
    """Its best is the default of this race. The weights go to every part, which read them only where they begin."""
    usual = make_space(parse_settings({**_settings(tmp_path), "space": SPACE}).space).starting_choice()
    choices = [{**usual, "width": width, "rate": 0.3} for width in (32, 24, 40)]
    settings = parse_settings(
        {
            **_settings(tmp_path),
            "space": {**SPACE, "start": choices[0]},
            "start_from": {"path": "other", "choices": choices, "digest": "0"},
        }
    )
    weights = tmp_path / "start" / WEIGHTS
    weights.parent.mkdir()
    weights.touch()
    folder, executor, data = RunFolder(tmp_path), NoTime(), SearchData(tmp_path, (0, 1), (2,))
    search = MultiFidelitySearch(
        *(folder, settings, data, open_study(folder, settings), make_space(settings.space), executor),
        kept_seconds=60.0,
        now=lambda: executor.seconds,
    )
    search.run()
    candidates = search.candidates()
    assert [candidate.choice for candidate in candidates[:3]] == choices
    assert [candidate.number for candidate in candidates if candidate.default] == [0]
    assert all(candidate.choice not in choices for candidate in candidates[3:])
    assert len(candidates) == 5
    assert {job.weights for job in executor.jobs} == {weights}
    assert any(job.resume_from is not None for job in executor.jobs)


def _settings(tmp_path):
    return {
        "recipe": "auto",
        "dataset": {"path": str(tmp_path)},
        "strategy": {"name": "prior", "first": "start", "suggestions": "space"},
        "objective": "dice",
        "budget": {"hours": 0.5, "trials": 5},
        "race": {"first_seconds": 30},
    }
