"""The state of a search as its database tells it, against the same from all trials."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from netwright.errors import RunError
from netwright.runs.folder import RunFolder, open_run_folder
from netwright.runs.own_databases import remember_database
from netwright.runs.place import place_of
from netwright.runs.postgresql import register_run
from netwright.runs.status import read_status
from netwright.runs.storage import open_storage
from netwright.runs.summary import read_summary, summary_of
from netwright.runs.trials import STOPPED, load_search, record_of
from netwright.training.fidelity import Fidelity
from netwright.training.outcome import Cost, Outcome, Status
from postgresql_server import PostgreSQL
from processes import run

SETTINGS = """
recipe: segnas4
dataset: {path: /nowhere}
space: {name: segnas4}
strategy: {name: random}
objective: {metric: dice}
"""
REWARDS = (0.25, 0.5, 0.5, -3.0, float("inf"), float("-inf"))
"""Some are equal, so that the earliest counts."""


def any_trial(rng: np.random.Generator, number: int) -> FrozenTrial:
    """A trial as some search, version or kill may have left it."""
    state = TrialState[rng.choice(["RUNNING", "WAITING", "COMPLETE", "COMPLETE", "PRUNED", "FAIL"])]
    attributes: dict[str, object] = {"words": f"network {number}", "network": f'{{"n": {number}}}'}
    if state.is_finished() and rng.random() < 0.8:
        status = str(rng.choice([*Status, STOPPED])) if state != TrialState.COMPLETE else "complete"
        outcome = Outcome(Status.COMPLETE, metrics={"dice": 0.5}, cost=Cost(parameters=number))
        outcome = replace(outcome, fidelity=Fidelity("epochs", 3.0))
        attributes |= {"status": status, "reason": "because", "outcome": outcome.to_dict()}
        if rng.random() < 0.3:
            attributes["cached_from"] = int(rng.integers(0, number + 1))
    if rng.random() < 0.3:
        attributes["another"] = 'status": "crashed'
    begun = datetime(2026, 1, 1) + timedelta(seconds=number)
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=float(rng.choice(REWARDS)) if state == TrialState.COMPLETE else None,
        datetime_start=None if state == TrialState.WAITING else begun,
        datetime_complete=begun if state.is_finished() else None,
        params={} if state == TrialState.WAITING else {"n": number % 4 + 1, "kind": "a"},
        distributions={}
        if state == TrialState.WAITING
        else {"n": IntDistribution(1, 4), "kind": CategoricalDistribution(["a", "b"])},
        user_attrs=attributes,
        system_attrs={},
        intermediate_values={},
    )


def fill(folder: RunFolder, seed: int, trials: int) -> None:
    """Stores a study beside another one, whose trials are not to be counted."""
    storage, study, rng = open_storage(folder), place_of(folder).study, np.random.default_rng(seed)
    assert isinstance(storage, RDBStorage)
    for name in (study, "another"):
        made = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], name)
        for number in range(trials):
            storage.create_new_trial(made, any_trial(rng, number))
        storage.set_study_user_attr(made, "seconds_spent", 12.5 if name == study else 99.0)
    storage.engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of settings alone."""
    (tmp_path / "run.yaml").write_text(SETTINGS)
    return open_run_folder(tmp_path)


def require_same_as_from_all_trials(folder: RunFolder) -> None:
    trials, seconds = load_search(folder)
    whole = summary_of(map(record_of, trials), race=False)
    summary, told = read_summary(folder, folder.settings())
    assert (summary, told) == (whole, seconds)
    assert list(summary.counts) == list(whole.counts)


@pytest.mark.parametrize(("seed", "trials"), [(0, 24), (1, 1), (2, 0)])
def test_what_the_database_tells_is_what_all_trials_say(folder: RunFolder, seed: int, trials: int) -> None:
    fill(folder, seed, trials)
    before = folder.database.read_bytes()
    require_same_as_from_all_trials(folder)
    assert folder.database.read_bytes() == before
    if trials == 24:
        summary, seconds = read_summary(folder, folder.settings())
        assert (summary.counts["total"], seconds) == (24, 12.5)
        assert summary.best is not None
        assert summary.best.reward == float("inf")
        assert 0 < len(summary.running) < 24


def test_a_server_s_database_tells_the_same(folder: RunFolder, postgresql: PostgreSQL) -> None:
    postgresql.execute("CREATE DATABASE summary")
    url = postgresql.url("summary")
    (folder.root / "run.yaml").write_text(f"{SETTINGS}storage: {{url: '{url}', study: hearts}}\n")
    remember_database(url)
    register_run(place_of(folder), SETTINGS, "{}")
    fill(folder, 0, 24)
    require_same_as_from_all_trials(folder)


def test_before_the_first_trial_there_is_nothing(folder: RunFolder) -> None:
    summary, seconds = read_summary(folder, folder.settings())
    assert (summary.counts["total"], summary.best, summary.running, seconds) == (0, None, (), 0.0)
    assert not folder.database.exists()


def test_a_damaged_database_is_still_named(folder: RunFolder) -> None:
    fill(folder, 0, 5)
    with folder.database.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(8 * 4096))
    with pytest.raises(RunError, match=r"study\.db is damaged|study\.db cannot be opened"):
        read_status(folder)


def test_what_a_killed_search_was_storing_does_not_count(folder: RunFolder) -> None:
    """It left a journal, which SQLite must roll back before it reads, and a reader must not write to the run."""
    fill(folder, 0, 24)
    before, _ = read_summary(folder, folder.settings())
    writing = "PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; DELETE FROM trial_user_attributes;"
    code = f"import os, sqlite3; d = sqlite3.connect({str(folder.database)!r}, isolation_level=None)\n"
    code += f"for words in {writing.split(';')!r}: d.execute(words)\nos._exit(0)"
    assert run([sys.executable, "-c", code]).returncode == 0
    journal = folder.database.with_name("study.db-journal")
    assert journal.exists()
    after, _ = read_summary(folder, folder.settings())
    assert (after, journal.exists()) == (before, True)


def test_status_loads_no_torch(folder: RunFolder) -> None:
    fill(folder, 0, 5)
    code = "import sys; from netwright.cli import main\nsys.argv = ['netwright', 'status', sys.argv[1]]\n"
    code += "try: main()\nexcept SystemExit as ended: assert not ended.code\n"
    code += "sys.exit(bool({'torch', 'monai'} & sys.modules.keys()))"
    done = run([sys.executable, "-c", code, str(folder.root)])
    assert done.returncode == 0, done.stderr
    assert "segnas4 on nowhere" in done.stdout
