"""A search for a Pareto front: what is stored, what a kill keeps, and what its state says, beside Optuna's front."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from answering import Answering, settings_of
from netwright.objective import ObjectiveSettings
from netwright.pareto import hypervolume
from netwright.runs.data import SearchData
from netwright.runs.folder import RunFolder
from netwright.runs.front import dominated_share, front_of
from netwright.runs.own_databases import remember_database
from netwright.runs.place import place_of
from netwright.runs.postgresql import register_run
from netwright.runs.summary import read_summary, summary_of
from netwright.runs.trials import best_of, copied_study, load_trials, record_of
from netwright.searches.components import open_study
from netwright.searches.jobs import CandidateJob
from netwright.searches.loop import Search
from netwright.spaces import make_space
from netwright.training.outcome import Cost, Outcome, Status
from postgresql_server import PostgreSQL

OBJECTIVE = {"metric": "dice", "minimize": ["parameters"]}


def answer(job: CandidateJob) -> Any:
    """Larger networks are better, up to chance; some need too much memory."""
    rng = np.random.default_rng(int(job.folder.name))
    if int(job.folder.name) == 3:
        return Outcome(Status.OUT_OF_MEMORY, "too large").to_dict()
    size = int(rng.integers(1, 50)) * 1000
    metrics = {"dice": round(size / 60_000 + 0.2 * float(rng.random()), 2)}
    return Outcome(Status.COMPLETE, metrics=metrics, cost=Cost(parameters=size), epochs=1).to_dict()


def run(folder: Path, strategy: dict[str, Any], executor: Answering) -> optuna.Study:
    settings = settings_of(folder, strategy=strategy, objective=OBJECTIVE)
    study = open_study(RunFolder(folder), settings)
    data = SearchData(folder, (0, 1), (2,))
    Search(RunFolder(folder), settings, data, study, make_space(settings.space), executor).run()
    return study


@pytest.mark.parametrize(
    "strategy",
    [
        {"name": "nsga-ii", "population_size": 4},
        {"name": "tpe", "n_startup_trials": 4},
        {"name": "q-learning", "first": 4},
    ],
    ids=lambda strategy: strategy["name"],
)
def test_the_front_is_optunas_and_a_kill_keeps_it(tmp_path: Path, strategy: dict[str, Any]) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()

    def killing(job: CandidateJob) -> Any:
        if len(killer.jobs) == 5:
            raise KeyboardInterrupt
        return answer(job)

    killer = Answering(killing)
    with pytest.raises(KeyboardInterrupt):
        run(folder.root, strategy, killer)
    before = [t for t in load_trials(folder) if t.state.is_finished()]
    study = run(folder.root, strategy, Answering(answer))
    objective = settings_of(tmp_path, objective=OBJECTIVE).objective
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    frozen = load_trials(folder)
    assert len(frozen) == 12
    assert [frozen[t.number].values for t in before] == [t.values for t in before]
    records = [record_of(trial) for trial in frozen]
    front = front_of(records, objective)
    kept = {t.number for t in study.best_trials if "cached_from" not in t.user_attrs}
    assert {record.number for record in front} == kept
    best = best_of(records)
    assert best == front[0]
    copy = copied_study(folder)
    assert copy is not None
    assert copy.directions == study.directions

    settings = settings_of(tmp_path, strategy=strategy, objective=OBJECTIVE)
    asked, _ = read_summary(folder, settings)  # by questions to the database
    told = summary_of(records, race=False, objective=objective)
    assert (asked.front, asked.best) == (told.front, told.best) == (len(front), best)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_dominated_share_is_the_scaled_hypervolume(rows: list[tuple[int, int]]) -> None:
    objective = ObjectiveSettings(metric="dice", minimize=("parameters",))
    shares = dominated_share(rows, objective)
    score, size = np.array(rows, dtype=float).T
    spans = np.ptp(score), np.ptp(size)
    assert len(shares) == len(rows)
    assert shares == sorted(shares)
    if all(spans):
        costs = np.column_stack([(score.max() - score) / spans[0], (size - size.min()) / spans[1]])
        for number, share in enumerate(shares, start=1):
            assert share == pytest.approx(hypervolume(costs[:number], (1.1, 1.1)) / 1.1**2)


def test_the_ends_of_a_front_count() -> None:
    """The best of one objective is the worst of the other, and yet better than without it."""
    objective = ObjectiveSettings(metric="dice", minimize=("parameters",))
    first, second = dominated_share([(0.7, 1000), (0.5, 500)], objective)
    assert 0 < first < second


def test_a_server_tells_the_same_front(tmp_path: Path, postgresql: PostgreSQL) -> None:
    postgresql.execute("CREATE DATABASE front")
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    settings = settings_of(
        tmp_path, objective=OBJECTIVE, storage={"url": postgresql.url("front"), "study": "hearts"}
    )
    (folder.root / "run.yaml").write_text(settings.to_yaml())
    remember_database(postgresql.url("front"))
    register_run(place_of(folder), settings.to_yaml(), "{}")
    study = run(folder.root, {"name": "optuna-random"}, Answering(answer))
    study._storage._backend.engine.dispose()
    records = [record_of(trial) for trial in load_trials(folder)]
    asked, _ = read_summary(folder, settings)
    told = summary_of(records, race=False, objective=settings.objective)
    assert (
        (asked.front, asked.best)
        == (told.front, told.best)
        == (len(front_of(records, settings.objective)), best_of(records))
    )
    copy = copied_study(folder)
    assert copy is not None
    assert len(copy.directions) == 2
