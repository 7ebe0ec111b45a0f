"""Which networks of a final comparison begin with the weights of the run that the search started from."""

from concurrent.futures import Future

import pytest

from netwright.comparison.contestants import Entry
from netwright.comparison.retrain import FinalComparison
from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder
from netwright.runs.results import training_name
from netwright.settings import parse_settings
from netwright.training.files import WEIGHTS
from netwright.training.outcome import Outcome, Status


class Recorder:
    """Trains nothing, and keeps the jobs."""

    def __init__(self):
        self.weights = {}

    def submit(self, function, job):
        self.weights[job.candidate.folder] = job.candidate.weights
        future = Future()
        future.set_result({"outcome": Outcome(Status.COMPLETE).to_dict(), "scores": {}})
        return future


@pytest.mark.parametrize(("choices", "begin"), [(({"n": 3},), {"searched"}), ((), {"searched", "original"})])
def test_only_what_was_searched_begins_with_them_and_an_original_of_ones_own(tmp_path, choices, begin):
    """A run is no part of what one has without a search; weights of one's own are."""
    settings = parse_settings(
        {
            "recipe": "segnas4",
            "dataset": {"path": "."},
            "space": {"name": "segnas4"},
            "strategy": {"name": "random"},
            "start_from": {"path": "other", "choices": list(choices), "digest": "0"},
        }
    )
    weights = tmp_path / "start" / WEIGHTS
    weights.parent.mkdir()
    weights.touch()
    for folder in ("winner", "verdict/original", "verdict/random", "verdict/unet3d"):
        (tmp_path / folder / "seed-2").mkdir(parents=True)
    names = ("searched", "original", "random", "unet3d")
    entries = [
        Entry(training_name(name, seed), name, {}, "unet3d" if name == "unet3d" else None)
        for name in names
        for seed in (1, 2)
    ]
    executor, folder = Recorder(), RunFolder(tmp_path)
    FinalComparison(folder, settings, SearchData(tmp_path, (0, 1), (2,)), (), 1.0).run(entries, executor)
    assert executor.weights == {
        folder.contestant(training_name(name, seed)): weights if name in begin else None
        for name in names
        for seed in (1, 2)
    }
