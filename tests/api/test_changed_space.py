"""The space of a run is changed in the middle: what is kept, what is refused, and a kill at every step."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
import torch
import yaml

from answering import Answering, trained
from disk import commit_at_once
from netwright.api import create_run
from netwright.api.changed_space import change_space
from netwright.api.race import end_race, extend, keep_best
from netwright.comparison.finish import ENSEMBLE
from netwright.errors import NetwrightError, RunError, SettingsError
from netwright.files import write_json
from netwright.logs.follow import following
from netwright.models.store import ARCHITECTURE, describe_trained, load_trained
from netwright.planning.changed_space import require_changeable
from netwright.planning.fitting_trials import SAMPLE, ChangedSpace
from netwright.planning.user_settings import UserSettings
from netwright.report.collect.race import final_choice_of
from netwright.runs.candidates import candidates_of
from netwright.runs.data import open_run_data
from netwright.runs.folder import RunFolder
from netwright.runs.left_out import left_out
from netwright.runs.marks import COMPARING, FINISHED, has_mark, write_mark
from netwright.runs.place import place_of
from netwright.runs.results import RESULT, read_results
from netwright.runs.status import read_status
from netwright.runs.storage import driving
from netwright.runs.trials import TrialRecord, best_of, load_trials, network_key, record_of
from netwright.searches.components import open_study, problem_of
from netwright.searches.jobs import CandidateJob
from netwright.searches.loop import Search
from netwright.searches.multi_fidelity import MultiFidelitySearch
from netwright.settings import override, parse_settings
from netwright.spaces import make_space
from netwright.strategies.makers import PROPOSERS
from netwright.strategies.own import OWN
from netwright.training.files import CHECKPOINT, WEIGHTS
from netwright.training.weights import save_weights
from simulated_race import Simulated
from tabulated import reward_of

TRIALS = 8
WIDER = {"space.n": [3, 12]}
"""In place of 2 to 5."""


def searched(folder: RunFolder, jobs: list[CandidateJob] | None = None) -> list[TrialRecord]:
    """The trials of a run when its search has ended; a table says what its trainings give."""
    settings, space = folder.settings(), make_space(folder.settings().space)
    executor = Answering(lambda job: trained(reward_of(job.choice)))
    with driving(folder) as driver:
        study = open_study(folder, settings, driver.storage)
        data = open_run_data(folder, settings).data
        Search(folder, settings, data, study, space, executor, driver).run()
    if jobs is not None:
        jobs += executor.jobs
    return records(folder)


def records(folder: RunFolder) -> list[TrialRecord]:
    return [record_of(one) for one in load_trials(folder)]


@pytest.fixture(scope="module")
def made(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunFolder]:
    """Makes runs that have searched, by their settings; each is made once."""
    assignments = {"space.n": [2, 6], "space.p": [1, 3]}
    user = UserSettings(TRIALS, epochs=1, workers=1, verdict_hours=0, seed=3, assignments=assignments)
    begun = create_run(dataset, "segnas4", user, tmp_path_factory.mktemp("begun") / "run").folder
    there: dict[str, RunFolder] = {}

    def make(search: Callable[[RunFolder], Any] = searched, **changes: Any) -> RunFolder:
        name = repr(sorted(changes.items()))
        if name not in there:
            there[name] = RunFolder(shutil.copytree(begun.root, tmp_path_factory.mktemp("made") / "run"))
            values = yaml.safe_load(begun.settings_file.read_text())
            there[name].settings_file.write_text(yaml.safe_dump(override(values, changes), sort_keys=False))
            search(there[name])
        return there[name]

    return make


def raced(folder: RunFolder) -> Simulated:
    """What has trained the candidates of a race, on a clock of its own, when the race has ended."""
    settings, space, executor = folder.settings(), make_space(folder.settings().space), Simulated()
    with driving(folder) as driver:
        study = open_study(folder, settings, driver.storage)
        data = open_run_data(folder, settings).data
        search = MultiFidelitySearch(
            folder, settings, data, study, space, executor, 60.0, executor.now, driver
        )
        search.run()
    return executor


@pytest.fixture
def race(made: Callable[..., RunFolder], tmp_path: Path) -> RunFolder:
    """A run whose trainings go on, of an hour."""
    changes = {
        "strategy": {"name": "controlled-random-search", "population": 6, "first": "start"},
        "budget.hours": 1.0,
        "budget.trials": None,
        "race": {"first_seconds": 30.0},
    }
    return RunFolder(shutil.copytree(made(raced, **changes).root, tmp_path / "race"))


@pytest.fixture
def run(made: Callable[..., RunFolder], tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(made().root, tmp_path / "run"))


def test_trials_that_fit_stay_and_the_search_goes_on_in_the_changed_space(run: RunFolder) -> None:
    before = records(run)
    narrow = [record.number for record in before if record.choice["n"] < 3]
    assert 0 < len(narrow) < TRIALS
    change = change_space(run.root, WIDER, trials=6)
    assert (change.trials, change.fitted) == (TRIALS, TRIALS - len(narrow))
    assert dict(change.dimensions) == {"n": ("2 to 5", "3 to 11")}
    assert sum(change.left_out.values()) == len(narrow)
    kept = records(run)
    for was, now in zip(before, kept, strict=True):
        if was.number in narrow:
            assert (now.status, now.reward, now.choice) == ("left_out", None, was.choice)
        else:
            assert now == was
    assert read_status(run).counted == TRIALS - len(narrow)
    after = searched(run)
    assert after[:TRIALS] == kept
    assert len(after) == TRIALS + 6 + len(narrow), "what is left out counts against no budget"
    assert all(3 <= record.choice["n"] < 12 for record in after[TRIALS:])
    assert any(record.choice["n"] > 5 for record in after[TRIALS:])
    status = read_status(run)
    assert (status.counted, status.trials["left_out"]) == (TRIALS + 6, len(narrow))
    assert status.best is not None
    best = best_of(after)
    assert best is not None
    assert status.best["trial"] == best.number


def test_the_best_is_not_one_that_is_left_out(run: RunFolder) -> None:
    before = records(run)
    best = best_of(before)
    assert best is not None
    value = best.choice["n"]
    bounds = [value + 1, 9] if value < 5 else [2, 5]
    change_space(run.root, {"space.n": bounds}, trials=1)
    now = best_of(records(run))
    assert now is not None
    assert now.number != best.number
    assert now.reward == max(r.reward or 0 for r in before if bounds[0] <= r.choice["n"] < bounds[1])


def test_a_change_back_brings_back_what_was_left_out(run: RunFolder) -> None:
    before = records(run)
    change_space(run.root, WIDER, trials=1)
    change = change_space(run.root, {"space.n": [2, 6]}, trials=1)
    assert change.fitted == change.trials == TRIALS
    assert records(run) == before
    assert place_of(run).study == "search-3"


def test_a_fixed_dimension_keeps_the_trials_with_its_value(run: RunFolder) -> None:
    change_space(run.root, {"space.res": 1}, trials=2)
    after = searched(run)
    for record in after[:TRIALS]:
        assert (record.status == "left_out") == (record.choice.get("res", 1) != 1)
    assert all("res" not in record.choice for record in after if record.status != "left_out")


def test_the_result_of_an_equal_network_that_is_left_out_is_reused(run: RunFolder) -> None:
    settings = run.settings()
    study = open_study(run, settings)
    best = best_of(records(run))
    assert best is not None
    twin = study.get_trials()[best.number]
    again = optuna.create_study(storage=optuna.storages.InMemoryStorage(), direction="maximize")
    again.add_trial(left_out(twin, "depth = 9 is not searched any more", best.network))
    again.enqueue_trial(best.choice)
    again.ask(make_space(settings.space).distributions())
    settings = settings.model_copy(update={"budget": settings.budget.model_copy(update={"trials": 1})})
    executor = Answering(lambda job: trained(0.0))
    data = open_run_data(run, settings).data
    Search(run, settings, data, again, make_space(settings.space), executor).run()
    assert executor.jobs == []
    out, reused = map(record_of, again.get_trials())
    assert (reused.cached_from, reused.reward) == (0, best.reward)
    assert out.status == "left_out"


def test_a_dimension_that_shapes_no_network_leaves_none_out(
    made: Callable[..., RunFolder], tmp_path: Path
) -> None:
    """With one pooling, supervision makes no difference."""
    run = RunFolder(shutil.copytree(made(**{"space.p": 1, "space.n": [2, 6]}).root, tmp_path / "run"))
    before = records(run)
    assert {record.choice["sup"] for record in before} == {0, 1}
    change = change_space(run.root, {"space.sup": 0, "space.p": [1, 3]}, trials=1)
    assert change.fitted == TRIALS
    assert [record.reward for record in records(run)] == [record.reward for record in before]


@pytest.mark.parametrize("strategy", sorted({*PROPOSERS} - {"gp", OWN}))
def test_every_strategy_goes_on_with_the_trials_that_fit(
    strategy: str, made: Callable[..., RunFolder], tmp_path: Path
) -> None:
    """What a strategy has noted with its proposals is of the space before, where levels may be others."""
    root = made(strategy={"name": strategy}).root
    run = RunFolder(shutil.copytree(root, tmp_path / "run"))
    change = change_space(run.root, {"space.n": [3, 20], "space.p": [1, 4]}, trials=5)
    assert 0 < change.fitted <= TRIALS
    after = searched(run)
    assert all(3 <= r.choice["n"] < 20 and r.choice["p"] < 4 for r in after if r.status != "left_out")
    assert sum(r.status == "complete" for r in after) == TRIALS + 5


NARROWER = {"space.n": [3, 6]}
"""In place of 2 to 5. The default, which has the largest n, stays."""


def test_trainings_of_a_race_that_fit_go_on_from_their_checkpoints(race: RunFolder) -> None:
    before = candidates_of(records(race))
    out = [c for c in before if c.choice["n"] < 3]
    assert 0 < len(out) < len(before)
    left = [race.trial(c.latest.number) / CHECKPOINT for c in out if c.latest is not None]
    contents = [file.read_bytes() for file in left]
    change = change_space(race.root, NARROWER, hours=3.0)  # in the last half none begins
    assert change.trials - change.fitted >= len(out)
    kept = candidates_of(records(race))
    assert kept == tuple(c for c in before if c not in out)
    executor = raced(race)
    after = {c.number: c for c in candidates_of(records(race))}
    grown = [c for c in kept if after[c.number].seconds > c.seconds]
    assert grown
    sources = [job.resume_from for job in executor.jobs]
    for c in grown:
        assert c.latest is not None
        assert race.trial(c.latest.number) / CHECKPOINT in sources
    assert [c.number for c in after.values() if c.default] == [c.number for c in before if c.default]
    assert all(3 <= c.choice["n"] < 6 for c in after.values())
    assert len(after) > len(kept), "the changed space has others to try"
    assert [file.read_bytes() for file in left] == contents
    change_space(race.root, {"space.n": [2, 6]}, hours=0.5)
    assert {c.number for c in candidates_of(records(race))} == {*after, *(c.number for c in out)}


def test_a_race_is_not_changed_without_its_default_or_time(race: RunFolder) -> None:
    before = race.settings_file.read_text(), records(race)
    with pytest.raises(
        SettingsError, match=r"default of the changed space .* was not trained .* --start-from"
    ):
        change_space(race.root, {"space.n": [2, 9]}, hours=0.5)
    with pytest.raises(SettingsError, match=r"no time left .* at least --hours 0\.\d+") as refused:
        change_space(race.root, NARROWER)
    assert (race.settings_file.read_text(), records(race)) == before
    change_space(race.root, NARROWER, hours=float(str(refused.value).split()[-1].rstrip(".")))
    trials = len(records(race))
    raced(race)
    assert len(records(race)) > trials


def ended(race: RunFolder) -> None:
    """Leaves what the end of a race leaves: a mark, what was chosen, and the results of the test."""
    entries = {"entries": ["searched", "default"], "share_seconds": None}
    write_mark(race, COMPARING, {"trial": 0, "hours": 0.0, "epochs": None, **entries})
    chosen = {"name": "0", "weight": 1.0, "alone": 0.5, "without": None}
    write_json(
        race.root / ENSEMBLE,
        {"members": [chosen], "mirror_axes": [], "selection": {"reason": "the best"}, "reward": 0.5},
    )
    race.winner.mkdir()
    write_json(race.winner / RESULT, {"name": "searched", "scores": {"a": {"ball": 0.5}}})
    assert final_choice_of(race) is not None
    assert len(read_results(race)) == 1


def test_the_end_of_a_race_is_of_the_space_before(race: RunFolder) -> None:
    ended(race)
    assert change_space(race.root, NARROWER, hours=0.5).tested
    assert final_choice_of(race) is None
    assert read_results(race) == []
    assert read_status(race).comparison is None


def test_more_hours_do_not_bring_the_end_of_the_space_before_back(race: RunFolder) -> None:
    ended(race)
    change_space(race.root, NARROWER, hours=0.5)
    extend(race, compare="full")
    assert final_choice_of(race) is None
    assert read_results(race) == []
    settings = race.settings()
    keep_best(race, settings, open_run_data(race, settings))
    assert (race.winner / ARCHITECTURE).exists(), "the best network of the changed space is kept"


def test_more_hours_keep_the_end_of_the_same_space(race: RunFolder) -> None:
    ended(race)
    extend(race, compare="full")
    assert final_choice_of(race) is not None
    assert len(read_results(race)) == 1


class Stopped:
    """An executor that is stopped at its first job."""

    def submit(self, function: Callable[..., Any], argument: Any) -> Any:
        raise KeyboardInterrupt

    def shutdown(self) -> None:
        pass


def test_while_the_end_is_chosen_there_is_none_of_the_space_before(race: RunFolder) -> None:
    ended(race)
    change_space(race.root, NARROWER, hours=0.5)
    settings = race.settings()
    with (
        driving(race) as driver,
        following(race.root, settings.log) as follower,
        pytest.raises(KeyboardInterrupt),
    ):
        end_race(race, settings, open_run_data(race, settings), Stopped(), follower, None, driver)
    assert has_mark(race, COMPARING)
    assert final_choice_of(race) is None
    assert read_results(race) == []


def test_weights_and_checkpoints_of_trials_that_are_left_out_stay(run: RunFolder) -> None:
    before = records(run)
    files = [
        run.trial(r.number) / name
        for r in before
        for name in ("weights.safetensors", "checkpoint.safetensors")
    ]
    narrow = [file for file, r in zip(files[::2], before, strict=True) if r.choice["n"] < 3]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("kept")
    change_space(run.root, WIDER, trials=1)
    searched(run)
    for file in narrow:
        assert file.read_text() == "kept"
        assert file.with_name("checkpoint.safetensors").read_text() == "kept"


def test_unfinished_trials_that_fit_are_trained_and_others_wait(run: RunFolder) -> None:
    settings = run.settings()
    study = open_study(run, settings)
    for n in (2, 5):
        choice = {"n": n, "p": 2, "sup": 0, "res": 1}
        study.enqueue_trial(choice)
        trial = study.ask(make_space(settings.space).distributions())
        assert trial.params == choice
    change_space(run.root, WIDER)
    out, waiting = records(run)[TRIALS:]
    assert (out.status, waiting.status) == ("left_out", "running")
    after = searched(run)
    assert (after[TRIALS].status, after[TRIALS + 1].status) == ("left_out", "complete")
    assert after[TRIALS + 1].choice == waiting.choice


def test_a_finished_run_goes_on_and_its_comparison_is_made_anew(run: RunFolder) -> None:
    write_mark(run, FINISHED, {"finished": 1.0})
    write_mark(run, "comparison.json", {"hours": 1.0, "entries": ["searched"], "share_seconds": 1.0})
    write_json(run.winner.parent / "kept.json", {})
    assert read_status(run).phase == "finished"
    change = change_space(run.root, WIDER, trials=1)
    assert change.tested
    assert read_status(run).phase == "stopped"
    assert read_status(run).comparison is None
    assert not has_mark(run, FINISHED)


def test_the_network_of_a_run_is_made_as_before_until_there_is_another(run: RunFolder) -> None:
    """A residual network, and a change to networks without: its weights would fit both."""
    settings = run.settings()
    prepared = open_run_data(run, settings).prepared
    task = problem_of(settings, prepared).task
    choice = {"n": 4, "p": 2, "sup": 0, "res": 1}
    network = make_space(settings.space).build(choice, task).eval()
    describe_trained(run.winner, settings, prepared, choice, None)
    save_weights(network, run.winner / WEIGHTS)
    change_space(run.root, {"space.res": 0, "space.n": [3, 9]}, trials=1)
    loaded = load_trained(run.winner, run.settings(), "cpu").network
    image = torch.randn(1, 1, *task.size)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image), network(image))


@pytest.mark.parametrize(
    ("options", "told", "words"),
    [
        ({"training.epochs": 2}, {}, "only the space of a run can be changed"),
        ({"space.name": "segnas7"}, {}, "keeps its kind of space"),
        ({"space.n": [2, 6]}, {"trials": 1}, "has these dimensions already, so nothing changes"),
        ({"space.n": [40, 50]}, {"trials": 1}, "None of the 8 trained networks .* --start-from"),
        ({"space.dropout": 0.3, "space.n": [2, 9]}, {"trials": 1}, "None of the 8 .* another one there"),
        ({"space.n": [2, 9]}, {}, r"8 trials of .* fit, and its budget is 8, .* --trials 20"),
        ({"space.n": [2, 9]}, {"hours": 1.0}, "has no limit of hours"),
        (
            {"space.n": [2, 9]},
            {"given": {"p": 1}, "trials": 1},
            r"--given p: expected a dimension that is new or gone",
        ),
        ({"space.m": [2, 9]}, {}, "has no option 'm'"),
        ({"space.n": 0}, {}, "n: must be at least 1"),
        ({}, {}, "Say what is to be changed"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    options: dict[str, Any], told: dict[str, Any], words: str, made: Callable[..., RunFolder]
) -> None:
    run = made()
    before = run.settings_file.read_text(), records(run)
    with pytest.raises(SettingsError, match=words):
        change_space(run.root, options, **told)
    assert (run.settings_file.read_text(), records(run)) == before


def test_once_a_network_is_another_one_all_are_compared(run: RunFolder) -> None:
    """Networks with another dropout, of more trials than are compared where only bounds differ."""
    settings = run.settings()
    changed = parse_settings(override(settings.model_dump(mode="json"), {"space.dropout": 0.3}))
    study = open_study(run, settings)
    space = make_space(settings.space)
    for n in (2, 3, 4, 5):
        for p in (1, 2):
            study.enqueue_trial({"n": n, "p": p, "sup": 1, "res": 1})
            study.ask(space.distributions())
    trials = study.get_trials()
    assert len({network_key(space.canonical(trial.params)) for trial in trials}) > SAMPLE
    specs = settings.space, changed.space
    task = problem_of(settings, open_run_data(run, settings).prepared).task
    compared = ChangedSpace(space, space.distributions(), make_space(changed.space), specs, {}, task)
    assert [fit.choice for fit in compared.fits(trials)] == [None] * len(trials)


def test_a_run_without_a_trained_network_is_told_that_nothing_could_be_kept(run: RunFolder) -> None:
    settings = run.settings()
    run.change_settings({"storage.study": "search-2"})
    study = open_study(run, settings)
    study.ask(make_space(settings.space).distributions())
    with pytest.raises(
        SettingsError, match=r"has no trained network yet that could be kept\. Start a new run"
    ):
        change_space(run.root, WIDER)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"storage.url": "postgresql+psycopg://lab@host/db"}, "are in a database .* --start-from"),
        ({"supernet": {"epochs": 1}}, "share the weights of one training"),
        ({"race": {"only_default": True}}, "hours go to the default .* --start-from .*only_default=false"),
    ],
)
def test_runs_whose_space_cannot_be_changed_are_refused(
    changes: Mapping[str, Any], words: str, run: RunFolder
) -> None:
    values = override(run.settings().model_dump(mode="json"), changes)
    with pytest.raises(SettingsError, match=words):
        require_changeable(run, parse_settings(values))


def test_a_run_that_is_searched_now_is_refused(run: RunFolder) -> None:
    with run.locked(), pytest.raises(RunError, match="in use by another netwright process"):
        change_space(run.root, WIDER, trials=1)


def killed_at_each_step(source: Path, copies: Path) -> None:
    """In a process of its own: for each step of a change a copy of the run, whose process is killed right before it."""
    from netwright import files

    step = 0
    while True:
        copy = shutil.copytree(source, copies / str(step))
        child = os.fork()
        if child == 0:
            left = [step]

            def count(*_: Any, left: list[int] = left) -> None:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1

            sqlalchemy.event.listen(sqlalchemy.Engine, "connect", commit_at_once)
            sqlalchemy.event.listen(sqlalchemy.Engine, "commit", count)
            for name in ("fsync", "replace"):
                original = getattr(os, name)
                setattr(
                    os, name, lambda *words, original=original, **more: (count(), original(*words, **more))[1]
                )
            assert files.os is os
            try:
                change_space(copy, WIDER, trials=2)
            except NetwrightError:
                os._exit(3)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != -signal.SIGKILL:
            os._exit(code)
        step += 1


@pytest.mark.cluster
def test_a_kill_at_any_step_leaves_the_run_as_it_was_or_changed(run: RunFolder, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    old = run.settings_file.read_text(), records(run)
    process = multiprocessing.get_context("forkserver").Process(
        target=killed_at_each_step, args=(run.root, copies)
    )
    process.start()
    process.join(300)
    assert process.exitcode == 0
    change_space(run.root, WIDER, trials=2)
    new = run.settings_file.read_text(), records(run)
    steps = [RunFolder(copies / str(step)) for step in range(len(list(copies.iterdir())))]
    found = [(folder.settings_file.read_text(), records(folder)) for folder in steps]
    assert found[-1] == new
    assert len(steps) > TRIALS, "each trial of the new study is a step"
    changed = found.index(new)
    assert found == [old] * changed + [new] * (len(found) - changed)
    for folder in (steps[0], steps[changed - 1], steps[-1]):
        kept = records(folder)
        if folder is not steps[-1]:
            change_space(folder.root, WIDER, trials=2)
        after = searched(folder)
        assert [r for r in after[:TRIALS] if r.status == "complete"] == [
            r for r in kept if r.choice["n"] >= 3
        ]
        summaries = optuna.get_all_study_summaries(f"sqlite:///{folder.database}")
        assert [one.study_name for one in summaries] == ["search", "search-2"]


def test_what_a_killed_change_left_is_removed_by_the_next_search(run: RunFolder) -> None:
    place = place_of(run)
    optuna.create_study(storage=place.url, study_name="search-2")
    searched(run)
    assert [one.study_name for one in optuna.get_all_study_summaries(place.url)] == ["search"]
