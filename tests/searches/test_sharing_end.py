"""Searches that share a study on a real PostgreSQL server: none begins a training while another one makes the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from answering import Answering, trained
from answering import settings_of as settings_of_search
from netwright.api.runner import compare
from netwright.data.splits import Splits
from netwright.errors import RunError
from netwright.runs import postgresql as backend
from netwright.runs.data import SearchData
from netwright.runs.drivers import END
from netwright.runs.folder import RunFolder, create_run_folder
from netwright.runs.leases import LeasingDriver
from netwright.runs.own_databases import remember_database
from netwright.runs.place import Place
from netwright.searches.components import open_study
from netwright.searches.loop import Search
from netwright.searches.multi_fidelity import MultiFidelitySearch
from netwright.searches.race_trials import GONE
from netwright.spaces import make_space
from postgresql_server import PostgreSQL
from processes import wait_until
from simulated_race import Simulated, settings_of

pytest.importorskip("psycopg")
WAITING = "SELECT FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock'"


@pytest.fixture
def place(database: str) -> Place:
    """A study in a database of its own."""
    place = Place(database, "study")
    backend.register_run(place, "", "")
    return place


@pytest.fixture
def drivers(place: Place) -> Iterator[tuple[LeasingDriver, LeasingDriver]]:
    """One that makes trials, and one that makes the end."""
    with backend.driving(place, "a") as making, backend.driving(place, "b") as ending:
        assert isinstance(making, LeasingDriver)
        assert isinstance(ending, LeasingDriver)
        yield making, ending


def study_of(driver: LeasingDriver) -> optuna.Study:
    return optuna.create_study(
        storage=driver.storage,
        study_name="study",
        sampler=optuna.samplers.RandomSampler(seed=0),
        direction="maximize",
        load_if_exists=True,
    )


def test_who_makes_the_end_sees_a_trial_that_was_being_made(
    drivers: tuple[LeasingDriver, LeasingDriver], place: Place, postgresql: PostgreSQL
) -> None:
    """The end is asked for when the trial is leased, and its transaction is not committed yet."""
    making, ending = drivers
    made, seen = study_of(making), []
    study = study_of(ending)

    def end() -> None:
        assert ending.reserve(END) is None
        seen.extend(trial.number for trial in study.get_trials())

    thread = threading.Thread(target=end)

    def lease(session: Any, trial: Any) -> None:
        making.on_creation(session, trial)
        thread.start()
        query = WAITING.format(place.url.rpartition("/")[2])
        wait_until(lambda: not thread.is_alive() or postgresql.execute(query) != [])

    making.storage.on_creation = lease
    trial = making.ask(made, 0)
    thread.join(60)
    assert trial is not None
    assert seen == [trial.number], "it waits for the commit, and then sees the trial"


def test_no_trial_is_made_once_another_driver_makes_the_end_or_has_made_it(
    drivers: tuple[LeasingDriver, LeasingDriver],
) -> None:
    making, ending = drivers
    study = study_of(making)
    born = optuna.trial.create_trial(state=TrialState.RUNNING)
    assert ending.reserve(END) is None
    assert making.ask(study, 0) is None
    assert making.ask(study, 0, born) is None
    ending.leave()  # as when it was killed, and its lease has lapsed
    assert making.ask(study, 0) is not None
    ending.finish()
    assert making.ask(study, 1) is None
    assert making.reserve(END) is None
    assert len(study.get_trials()) == 1


@pytest.mark.parametrize("race", [False, True])
def test_a_search_ends_whose_next_trial_is_overtaken_by_the_end(
    race: bool, drivers: tuple[LeasingDriver, LeasingDriver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making, ending = drivers
    study, ask = study_of(making), making.ask

    def overtaken(study: optuna.Study, known: int, *born: Any) -> optuna.Trial | None:
        """It has looked, and nobody made the end; now somebody does."""
        if known == 1:
            assert ending.reserve(END) is None
        return ask(study, known, *born)

    monkeypatch.setattr(making, "ask", overtaken)
    folder, data = RunFolder(tmp_path), SearchData(tmp_path, (0, 1), (2,))
    if race:
        settings, executor = settings_of(tmp_path, budget={"hours": 0.25}), Simulated()
        space = make_space(settings.space)
        MultiFidelitySearch(folder, settings, data, study, space, executor, 20.0, executor.now, making).run()
    else:
        settings = settings_of_search(tmp_path, budget={"hours": 1.0, "trials": 4})
        space = make_space(settings.space)
        Search(folder, settings, data, study, space, Answering(lambda job: trained(0.5)), making).run()
    (trial,) = study.get_trials()
    assert trial.state == TrialState.COMPLETE


def test_a_final_comparison_first_ends_what_processes_that_are_gone_have_left(
    drivers: tuple[LeasingDriver, LeasingDriver], place: Place, tmp_path: Path
) -> None:
    gone, ending = drivers
    settings = settings_of_search(tmp_path, storage={"url": place.url, "study": place.study})
    remember_database(place.url)
    folder = create_run_folder(tmp_path / "run", settings, Splits(("a", "b"), ("c",), ("d",)))
    study = open_study(folder, settings, gone.storage)
    assert gone.ask(study, 0) is not None
    gone.leave()
    with pytest.raises(RunError, match="no trained candidate to compare"):
        compare(folder, settings, None, None, None, None, ending)
    (trial,) = study.get_trials()
    assert (trial.state, trial.user_attrs["reason"]) == (TrialState.FAIL, GONE)
