"""Jobs of workers that are killed, and jobs that go on with what another one has trained."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from candidate_jobs import candidate_job, prepared_phantoms
from netwright.errors import RunError
from netwright.searches.jobs import CandidateJob, run_candidate
from netwright.training.checkpoint import load_checkpoint, save_checkpoint
from netwright.training.fidelity import Fidelity
from netwright.training.files import CHECKPOINT, CURVES, LOG, WEIGHTS
from netwright.training.outcome import Outcome
from processes import wait_until

pytestmark = pytest.mark.cluster
EPOCHS = 8


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_phantoms(tmp_path_factory.mktemp("jobs"))


@pytest.fixture
def job(prepared: Path, tmp_path: Path) -> CandidateJob:
    return candidate_job(prepared, tmp_path / "0003", filters=8, epochs=EPOCHS)


def killed(job: CandidateJob) -> bytes:
    """The checkpoint that is left where the job's worker is killed after some steps."""
    path = job.folder / CHECKPOINT
    process = multiprocessing.get_context("spawn").Process(target=run_candidate, args=(job,))
    process.start()
    wait_until(lambda: path.exists() or not process.is_alive())
    process.kill()
    process.join(30)
    assert path.exists()
    assert not (job.folder / WEIGHTS).exists(), "it ended before it could be killed"
    return path.read_bytes()


@pytest.fixture(scope="module")
def left(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint that the job leaves."""
    return killed(
        candidate_job(prepared, tmp_path_factory.mktemp("killed") / "0003", filters=8, epochs=EPOCHS)
    )


@pytest.fixture(scope="module")
def whole(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of the job where nothing happens to it, nor is a checkpoint written."""
    job = candidate_job(prepared, tmp_path_factory.mktemp("whole") / "0003", filters=8, epochs=EPOCHS)
    machine = job.settings.machine.model_copy(update={"checkpoint_seconds": None})
    job = replace(job, settings=job.settings.model_copy(update={"machine": machine}))
    return result_of(job, run_candidate(job))


def leave(job: CandidateJob, content: bytes) -> None:
    job.folder.mkdir()
    (job.folder / CHECKPOINT).write_bytes(content)


def seconds_in(path: Path) -> list[float]:
    """Of each step up to a checkpoint: no two take as long as one another."""
    seconds: list[float] = load_checkpoint(path)[0]["batch_seconds"].tolist()
    return seconds


def result_of(job: CandidateJob, outcome: dict[str, Any]) -> dict[str, Any]:
    """All of an outcome that is no time, memory or plan, and what lies in the folder."""
    lines = map(json.loads, (job.folder / CURVES).read_text().splitlines())
    of_epoch = ("epoch", "train_loss", "validation_score", "learning_rate")
    return {
        "outcome": {
            n: outcome[n] for n in ("status", "reason", "metrics", "curves", "epochs", "planned_epochs")
        },
        "curves": [[line.get(n) for n in of_epoch] for line in lines],
        "weights": {n: value.tobytes() for n, value in load_file(job.folder / WEIGHTS).items()},
    }


def test_a_killed_job_goes_on_from_its_checkpoint_with_the_same_result(
    job: CandidateJob, left: bytes, whole: dict[str, Any]
) -> None:
    job = replace(job, keep_checkpoint=True)
    leave(job, left)
    seconds = seconds_in(job.folder / CHECKPOINT)
    outcome = run_candidate(job)
    assert result_of(job, outcome) == whole
    after = seconds_in(job.folder / CHECKPOINT)
    assert after[: len(seconds)] == seconds, "what had been trained was not trained again"
    assert outcome["seconds"] > sum(after)


def test_a_job_that_has_ended_and_whose_result_was_lost_goes_on_from_its_last_checkpoint(
    job: CandidateJob, left: bytes, whole: dict[str, Any]
) -> None:
    leave(job, left)
    assert result_of(job, run_candidate(job)) == whole
    assert sorted(path.name for path in job.folder.iterdir()) == [CHECKPOINT, CURVES, WEIGHTS]
    seconds = seconds_in(job.folder / CHECKPOINT)
    again = replace(job, keep_checkpoint=True)
    assert result_of(again, run_candidate(again)) == whole
    assert seconds_in(job.folder / CHECKPOINT)[: len(seconds)] == seconds, "what had been trained"


def test_a_damaged_checkpoint_of_its_own_costs_the_job_time_alone(
    job: CandidateJob, left: bytes, whole: dict[str, Any]
) -> None:
    leave(job, left[: len(left) // 2])
    assert result_of(job, run_candidate(job)) == whole
    assert f"{CHECKPOINT} cannot be read" in (job.folder / LOG).read_text()


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(("standing",), marks=pytest.mark.slow),
        pytest.param(("step", "steps"), marks=pytest.mark.slow),
        ("notes", "attempt", "seed"),
        ("notes",),
    ],
)
def test_a_checkpoint_of_its_own_that_lacks_a_field_costs_the_job_time_alone(
    job: CandidateJob, left: bytes, whole: dict[str, Any], lost: tuple[str, ...]
) -> None:
    leave(job, left)
    tensors, values = load_checkpoint(job.folder / CHECKPOINT)
    table = values
    for name in lost[:-1]:
        table = table[name]
    del table[lost[-1]]
    save_checkpoint(job.folder / CHECKPOINT, tensors, values)
    assert result_of(job, run_candidate(job)) == whole
    if lost != ("notes",):  # without these it is none of this job
        assert f"it lacks '{'.'.join(lost)}'" in (job.folder / LOG).read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 12},
        pytest.param({"training": (0, 1, 2, 4)}, marks=pytest.mark.slow),
        pytest.param({"epochs": EPOCHS + 1}, marks=pytest.mark.slow),
        {"learning_rate": 0.002},
    ],
)
def test_the_checkpoint_of_another_job_is_none_to_go_on_from(
    job: CandidateJob, left: bytes, changes: dict[str, Any]
) -> None:
    leave(job, left)
    seconds = seconds_in(job.folder / CHECKPOINT)
    of_protocol = {name: value for name, value in changes.items() if hasattr(job.protocol, name)}
    of_job = {name: value for name, value in changes.items() if name not in of_protocol}
    other = replace(job, keep_checkpoint=True, protocol=replace(job.protocol, **of_protocol), **of_job)
    assert run_candidate(other)["status"] == "complete"
    assert seconds_in(job.folder / CHECKPOINT)[0] != seconds[0], "it began anew"


def test_a_job_goes_on_with_what_another_has_trained_and_so_it_does_when_it_is_killed(
    job: CandidateJob, whole: dict[str, Any], tmp_path: Path
) -> None:
    first = replace(job, stop_after=3, keep_checkpoint=True)
    outcome = run_candidate(first)
    assert (outcome["epochs"], outcome["planned_epochs"]) == (3, 3)
    seconds = seconds_in(first.folder / CHECKPOINT)
    second = replace(job, folder=tmp_path / "0004", resume_from=first.folder / CHECKPOINT, seed=99)
    killed(second)
    left = seconds_in(second.folder / CHECKPOINT)
    assert len(left) > len(seconds)
    assert left[: len(seconds)] == seconds
    assert result_of(second, run_candidate(second)) == whole
    assert seconds_in(first.folder / CHECKPOINT) == seconds


def test_what_is_to_be_gone_on_from_must_be_there(job: CandidateJob) -> None:
    with pytest.raises(RunError, match=r"missing.safetensors cannot be read"):
        run_candidate(replace(job, resume_from=job.folder / "missing.safetensors"))


def test_a_training_whose_checkpoint_is_lost_may_begin_again(job: CandidateJob) -> None:
    straight = run_candidate(job)
    lost = replace(job, resume_from=job.folder / "missing.safetensors", begin_again=True)
    again = run_candidate(replace(lost, folder=job.folder.with_name("0009")))
    assert again["metrics"] == straight["metrics"]
    assert again["curves"] == straight["curves"]


def test_a_job_in_parts_goes_on_within_an_epoch_with_the_cost_that_it_had(
    job: CandidateJob, tmp_path: Path
) -> None:
    protocol = replace(job.protocol, schedule="constant", epochs=1000, in_parts=True, seconds=1e-3)
    first = replace(job, protocol=protocol, keep_checkpoint=True)
    outcome = Outcome.from_dict(run_candidate(first))
    assert (outcome.status, outcome.epochs, len(seconds_in(first.folder / CHECKPOINT))) == ("complete", 0, 1)
    longer = replace(protocol, seconds=seconds_in(first.folder / CHECKPOINT)[0] + 3.0)
    second = replace(
        first,
        folder=tmp_path / "0004",
        protocol=longer,
        resume_from=first.folder / CHECKPOINT,
        cost=outcome.cost,
    )
    later = Outcome.from_dict(run_candidate(second))
    assert later.status == "complete"
    assert later.fidelity == Fidelity(longer.seconds, "seconds")
    taken = seconds_in(second.folder / CHECKPOINT)
    assert len(taken) > 1
    assert taken[0] == seconds_in(first.folder / CHECKPOINT)[0]
    assert replace(later.cost, seconds_per_batch=0) == replace(outcome.cost, seconds_per_batch=0)
    assert (first.folder / WEIGHTS).exists(), "the network as the first part left it"
    assert (first.folder / WEIGHTS).read_bytes() != (second.folder / WEIGHTS).read_bytes()


@pytest.mark.parametrize("lost", ["its own", "that of the part before", "none"])
def test_a_part_trains_no_longer_than_there_is_time_wherever_it_goes_on(
    job: CandidateJob, left: bytes, tmp_path: Path, lost: str
) -> None:
    """The part was to train from a checkpoint up to 500 s in all, for which there is a second."""
    protocol = replace(job.protocol, schedule="constant", epochs=10**6, in_parts=True, seconds=1e-3)
    first = replace(job, protocol=protocol, keep_checkpoint=True)
    run_candidate(first)
    path = first.folder / CHECKPOINT
    before = load_checkpoint(path)[1]["budget"]["seconds"]
    second = replace(
        first,
        folder=tmp_path / "0004",
        protocol=replace(protocol, seconds=500.0),
        resume_from=path,
        begin_again=True,
        most_seconds=1.0,
    )
    if lost == "its own":
        leave(second, left[: len(left) // 2])
    elif lost == "that of the part before":
        path.write_bytes(path.read_bytes()[: len(left) // 2])
    begins = 0.0 if lost == "that of the part before" else before
    outcome = Outcome.from_dict(run_candidate(second))
    assert outcome.status == "complete"
    assert outcome.fidelity == Fidelity(begins + 1.0, "seconds")
    assert load_checkpoint(second.folder / CHECKPOINT)[1]["budget"]["seconds"] < begins + 30.0
