"""Run folders that share a race in a PostgreSQL database: one folder of trainings, the same hours, one end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from netwright.api import race
from netwright.api.joining import begin_study, join_study
from netwright.api.race import extend
from netwright.api.run import Run
from netwright.api.sharing import is_finished, keep_in_step, once
from netwright.cli.tables import end_lines
from netwright.data.splits import Splits
from netwright.errors import RunError, SettingsError, StudyFinished
from netwright.execution.resources import default_workers, devices
from netwright.files import write_json
from netwright.runs import lease_holder
from netwright.runs import postgresql as backend
from netwright.runs.drivers import END
from netwright.runs.folder import RunFolder, create_run_folder
from netwright.runs.marks import COMPARING, FINISHED
from netwright.runs.own_databases import remember_database
from netwright.runs.place import Place, place_of
from netwright.runs.results import openings_file
from netwright.runs.shared_trials import make_shared_trials, require_shared_trials
from netwright.runs.status import read_status
from netwright.runs.storage import finished_elsewhere
from netwright.settings import MachineSettings
from netwright.training.config import TrainingProtocol
from simulated_race import settings_of

pytest.importorskip("psycopg")
SPLITS = Splits(("a", "b"), ("c",), ("d",))


@dataclass(frozen=True)
class Study:
    """A race of two run folders."""

    first: RunFolder
    second: RunFolder

    @property
    def place(self) -> Place:
        return place_of(self.first)


@pytest.fixture
def url(database: str) -> str:
    remember_database(database)
    return database


def begun(url: str, root: Path, folder: Path | None = None, **changes: Any) -> RunFolder:
    """A run folder that begins a study."""
    storage = {"url": url, "study": "lab", "lease_seconds": 1.0, "folder": folder}
    settings = settings_of(root, storage=storage, **changes)
    settings = begin_study(settings, SPLITS, root, named=folder is not None)
    assert settings is not None
    made = create_run_folder(root, settings, SPLITS)
    make_shared_trials(made.shared_trials)
    return made


@pytest.fixture
def study(url: str, tmp_path: Path) -> Study:
    first = begun(url, tmp_path / "a")
    return Study(first, join_study(place_of(first), tmp_path / "b").folder)


def test_trainings_are_in_one_folder_that_is_known_again(study: Study, tmp_path: Path) -> None:
    assert study.first.trial(3) == study.second.trial(3)
    assert study.first.trials.parent == study.first.root
    assert openings_file(study.second) == openings_file(study.first)
    require_shared_trials(study.second)
    elsewhere = study.first.trials.rename(tmp_path / "not mounted")
    for folder in (study.first, study.second):
        with pytest.raises(
            RunError, match=rf"{study.first.trials} is not there.*expected a disk that they share"
        ):
            require_shared_trials(folder)
    elsewhere.rename(study.first.trials)
    with study.second.locked():
        written = study.first.trial(3) / "weights.partial"
        written.mkdir(parents=True)
    with study.first.locked():
        assert written.exists(), "another process may be writing it"


def test_trainings_that_were_moved_with_their_run_folder_are_found(study: Study, tmp_path: Path) -> None:
    study.first.trial(3).mkdir()
    moved = RunFolder(study.first.root.rename(tmp_path / "moved"))
    assert moved.trials.parent == moved.root
    assert moved.trial(3).is_dir()
    assert openings_file(moved).parent == moved.trials
    require_shared_trials(moved)
    assert conducted(moved, [])
    with pytest.raises(RunError, match=rf"{study.first.root}/trials-.* is not there.*the same path"):
        require_shared_trials(study.second)


def test_the_folder_of_the_trainings_may_be_named(url: str, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    first = begun(url, tmp_path / "a", folder=shared)
    assert first.trials.parent == shared
    given = {"storage.folder": str(shared)}
    assert join_study(place_of(first), tmp_path / "b", given).folder.trials == first.trials
    with pytest.raises(SettingsError, match=rf"trainings of the study 'lab' are in {shared}"):
        join_study(place_of(first), tmp_path / "c", {"storage.folder": str(tmp_path)})
    settings = first.settings()
    assert begin_study(settings, SPLITS, tmp_path / "d") is None, "the study was begun already"
    once_each = settings.model_copy(update={"race": None})
    with pytest.raises(SettingsError, match=r"storage\.folder is for .* whose trainings go on"):
        begin_study(once_each, SPLITS, tmp_path / "e", named=True)
    with pytest.raises(SettingsError, match="expected one that is the same for all processes"):
        settings_of(tmp_path, storage={"url": url, "folder": "here"})


def end(folder: RunFolder, made: list[RunFolder]) -> None:
    made.append(folder)
    write_json(folder.root / COMPARING, {"entries": [], "share_seconds": None})


def conducted(folder: RunFolder, made: list[RunFolder]) -> bool:
    """What `conduct` does with a study whose search is over. Returns whether the end is made."""
    if is_finished(folder):
        return True
    with folder.locked(), backend.driving(place_of(folder), str(folder.root.resolve())) as driver:
        keep_in_step(folder)
        finished = once(folder, driver, "end", partial(end, folder, made))
        if finished:
            driver.finish()
            write_json(folder.root / FINISHED, {"finished": 0})
    return finished


def test_the_end_is_made_once(study: Study) -> None:
    made: list[RunFolder] = []
    with backend.driving(study.place, "elsewhere") as other:
        assert other.reserve("comparison") is None
        assert not conducted(study.second, made), "whoever lives makes it"
    assert conducted(study.first, made)
    assert conducted(study.second, made)
    assert made == [study.first]
    assert conducted(study.first, made)
    assert made == [study.first]


def test_who_waits_for_the_end_goes_on_once_it_is_made(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that has made it holds its lease still: it shuts its workers down, or was killed just then."""
    looks: list[float] = []
    with backend.driving(study.place, "elsewhere") as other:
        assert other.reserve(END) is None

        def finish(seconds: float) -> None:
            looks.append(seconds)
            other.finish()

        monkeypatch.setattr(lease_holder.time, "sleep", finish)
        assert conducted(study.second, []), "it is made"
    assert len(looks) == 1
    assert looks[0] <= 1.0


class KilledError(Exception):
    """Stands for the end of the process."""


def killed(then: Callable[..., None] | None = None) -> Callable[..., None]:
    def kill(*arguments: Any) -> None:
        if then is not None:
            then(*arguments)
        raise KilledError

    return kill


@pytest.mark.parametrize(
    ("moment", "hours"),
    [
        ("before the database knows", 1.0),
        ("before the folder is unfinished", 2.0),
        ("before the folder has its settings", 2.0),
        ("never", 2.0),
    ],
)
def test_more_hours_are_given_wholly_or_not_at_all(
    moment: str, hours: float, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between its steps: what the database says holds in each folder, and the end is made once for it."""
    made: list[RunFolder] = []
    for folder in (study.first, study.second):
        assert conducted(folder, made)
    with monkeypatch.context() as patched:
        if moment == "before the database knows":
            patched.setattr(race, "reopen", killed())
        elif moment == "before the folder is unfinished":
            patched.setattr(race, "reopen", killed(race.reopen))
        elif moment == "before the folder has its settings":
            patched.setattr(race, "write_text", killed())
        if moment == "never":
            extend(study.first, 1.0)
        else:
            with pytest.raises(KilledError):
                extend(study.first, 1.0)
    ends = [study.first] * (1 if hours == 1.0 else 2)
    for folder in (study.first, study.second):
        assert is_finished(folder) == (hours == 1.0 or made == ends)
        assert conducted(folder, made)
    assert made == ends
    assert study.first.settings().budget.hours == hours
    with pytest.raises(StudyFinished, match=f"is finished.*netwright resume {study.first.root} --hours MORE"):
        join_study(study.place, study.first.root.with_name("c"))
    assert finished_elsewhere(study.first) == str(study.first.root)


def test_hours_that_another_folder_gave_count_where_more_are_given(study: Study) -> None:
    made: list[RunFolder] = []
    for folder in (study.first, study.second, study.first):
        assert conducted(folder, made)
    extend(study.first, 1.0)
    assert conducted(study.first, made)
    extend(study.second, 1.0)
    assert study.second.settings().budget.hours == 3.0
    with (
        backend.driving(study.place, "elsewhere"),
        pytest.raises(RunError, match=r"works on this study with the hours.*forgotten after 1 s"),
    ):
        extend(study.first, 1.0)


def test_an_end_that_its_own_folder_knows_nothing_of_is_made(study: Study) -> None:
    """So an earlier version left it that was killed when it gave a finished run more hours."""
    made: list[RunFolder] = []
    assert conducted(study.first, made)
    for name in (FINISHED, COMPARING):
        (study.first.root / name).unlink()
    assert conducted(study.first, made)
    assert made == [study.first, study.first]


def test_a_study_says_that_it_goes_on_wherever_it_was_finished(study: Study) -> None:
    made: list[RunFolder] = []
    for folder in (study.first, study.second):
        assert conducted(folder, made)
    assert {read_status(folder).phase for folder in (study.first, study.second)} == {"finished"}
    extend(study.first, 1.0)
    assert {read_status(folder).phase for folder in (study.first, study.second)} == {"stopped"}
    joined = join_study(study.place, study.first.root.with_name("c")).folder
    assert joined.settings().budget.hours == 2.0


def test_who_has_not_made_the_end_says_in_which_folder_the_network_is(study: Study) -> None:
    run = Run(study.second)
    assert not any("predict" in line for line in end_lines(run)), "another process is making it"
    assert conducted(study.first, [])
    assert conducted(study.second, [])
    (use,) = (line for line in end_lines(run) if "predict" in line)
    assert f"predict {study.first.root} " in use


def begun_on_ray(url: str, root: Path, gpus: float) -> RunFolder:
    """A run folder that begins a study on Ray, whose candidates call their GPU cuda:0 if they have one."""
    ray = {"executor": "ray", "ray_address": "10.0.0.5:6379", "gpus_per_trial": gpus, "cpus_per_trial": 3}
    training = TrainingProtocol(device="cuda:0" if gpus else "cpu", epochs=1)
    return begun(url, root, machine=ray, training=training)


@pytest.mark.parametrize("gpus", [1.0, 0.0])
def test_who_joins_has_an_executor_and_a_device_of_its_own(url: str, tmp_path: Path, gpus: float) -> None:
    """Begun on Ray with GPUs, or without; joined on one machine, which has others or none."""
    first = begun_on_ray(url, tmp_path / "a", gpus)
    machine = {"machine.executor": "local"}
    joined = join_study(place_of(first), tmp_path / "b", machine).settings
    assert joined.training.device == "auto"
    assert joined.machine.cluster() == MachineSettings(threads=joined.machine.threads).cluster()
    assert joined.machine.workers == default_workers("auto", joined.machine.threads)
    alone = machine | {"training.device": "cpu", "machine.workers": 1}
    joined = join_study(place_of(first), tmp_path / "c", alone).settings
    assert (joined.training.device, joined.machine.workers) == ("cpu", 1)
    with pytest.raises(
        SettingsError, match=r"machine\.gpus_per_trial is 0\.5, but candidates train on this machine"
    ):
        join_study(place_of(first), tmp_path / "d", machine | {"machine.gpus_per_trial": 0.5})
    with pytest.raises(SettingsError, match=r"training\.device 'cuda:99' cannot be used here"):
        join_study(place_of(first), tmp_path / "d", machine | {"training.device": "cuda:99"})
    assert not (tmp_path / "d").exists()


def test_who_joins_a_study_of_a_cluster_without_gpus_uses_those_of_its_machine(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begun_on_ray(url, tmp_path / "a", 0.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10e9, 24e9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a GPU")
    joined = join_study(place_of(first), tmp_path / "b", {"machine.executor": "local"}).settings
    assert devices(joined.training.device) == ("cuda:0", "cuda:1", "cuda:2")
    assert joined.machine.workers == 3
