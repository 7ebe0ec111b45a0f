"""Candidates good, bad and malicious: each becomes an outcome."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from netwright.errors import InfeasibleArchitecture, RunError, SettingsError, StorageError
from netwright.execution.memory import is_out_of_memory
from netwright.files import json_text
from netwright.tasks.segmentation.metrics.dice import mean_dice
from netwright.tasks.segmentation.validation import validation_dice
from netwright.tasks.segmentation.volume_problem import VolumeProblem
from netwright.training.config import TrainingProtocol
from netwright.training.history import Curves, EpochRecord
from netwright.training.outcome import Outcome, Status
from netwright.training.trial import evaluate_candidate
from netwright.training.weights import load_weights, save_weights

SHORT = TrainingProtocol(epochs=2)


@pytest.fixture
def evaluate(problem, tmp_path):
    def run(build, protocol=SHORT, **settings):
        return evaluate_candidate(
            build, problem, range(6), (6, 7), protocol, seed=1, folder=tmp_path, **settings
        )

    return run


def test_complete_outcome_has_all_of_it_and_survives_json(evaluate, build, balls, task, tmp_path):
    outcome = evaluate(build)
    assert outcome.status is Status.COMPLETE
    assert outcome.metrics.keys() == {"dice", "dice.shell", "dice.core"}
    assert outcome.metrics["dice"] == pytest.approx(
        (outcome.metrics["dice.shell"] + outcome.metrics["dice.core"]) / 2
    )
    assert outcome.epochs == outcome.planned_epochs == 2
    assert {name: len(values) for name, values in outcome.curves.items()} == {
        "train_loss": 2,
        "validation_score": 2,
    }
    cost = outcome.cost
    assert cost.parameters == sum(p.numel() for p in build(task).parameters())
    assert cost.size_mb == pytest.approx(cost.parameters * 4e-6)
    assert min(cost.flops, cost.predicted_memory_mb, cost.seconds_per_batch, cost.inference_ms) > 0
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict(), allow_nan=False))) == outcome
    lines = [json.loads(line) for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert lines[0] == {"planned_epochs": 2}
    assert [line["epoch"] for line in lines[1:]] == [1, 2]
    assert [line["validation_score"] for line in lines[1:]] == outcome.curves["validation_score"]
    assert not (tmp_path / "log.txt").exists()


def test_saved_weights_are_those_of_the_result(evaluate, build, balls, task, tmp_path):
    outcome = evaluate(build, TrainingProtocol(epochs=2, mixed_precision=False, channels_last=False))
    network = build(task)
    load_weights(network, tmp_path / "weights.safetensors")
    dice = validation_dice(network, balls, (6, 7), task)
    assert mean_dice(dice) == pytest.approx(outcome.metrics["dice"])
    assert all(value.is_contiguous() for value in load_file(tmp_path / "weights.safetensors").values())


def test_without_a_label_to_find_or_found_the_metric_is_not_defined(balls, build, task, tmp_path):
    """Neither 0 in the search and NaN in the test nor a failure: there is nothing to say."""
    for index in (6, 7):
        balls.labels[index] = np.zeros_like(balls.labels[index])

    def cautious(task):
        network = build(task)
        network.append(Background())
        return network

    outcome = evaluate_candidate(
        cautious, VolumeProblem(balls, task), range(6), (6, 7), SHORT, seed=1, folder=tmp_path
    )
    assert (outcome.status, outcome.metrics) == (Status.COMPLETE, {})
    assert np.isnan(outcome.curves["validation_score"]).all()
    lines = [json.loads(line) for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert [line["validation_score"] for line in lines[1:]] == [None, None]
    read = Outcome.from_dict(json.loads(json_text(outcome.to_dict()), parse_constant=pytest.fail))
    assert str(read) == str(outcome)  # as texts, in which NaN is itself
    balls.labels[6][2, 2, 2] = 1
    missed = evaluate_candidate(cautious, VolumeProblem(balls, task), range(6), (6, 7), SHORT, seed=1)
    assert missed.metrics == {"dice": 0.0, "dice.shell": 0.0}


class Background(nn.Module):
    """Finds nothing anywhere, whatever the logits are, and still can be trained."""

    def forward(self, logits):
        return torch.cat(
            [logits[:, :1].abs() + logits[:, 1:].abs().sum(1, keepdim=True) + 1, logits[:, 1:]], 1
        )


def test_infeasible(evaluate):
    def build(task):
        raise InfeasibleArchitecture("node 2 is a source")

    outcome = evaluate(build)
    assert (outcome.status, outcome.reason) == (Status.INFEASIBLE, "node 2 is a source")


def test_a_single_voxel_to_normalise_is_infeasible_in_words(evaluate):
    def build(task):
        return nn.Sequential(
            nn.AvgPool3d(task.size), nn.BatchNorm3d(1), nn.Upsample(task.size), nn.Conv3d(1, 3, 1)
        )

    outcome = evaluate(build, TrainingProtocol(epochs=1, batch_size=1))
    assert outcome.status is Status.INFEASIBLE
    assert "batch of size 1 of images of 12 x 14 x 10 voxels leaves a single value" in outcome.reason
    assert evaluate(build, TrainingProtocol(epochs=1, batch_size=2)).status is Status.COMPLETE


def test_predicted_out_of_memory_is_never_built(evaluate):
    def build(task):
        assert torch._guards.active_fake_mode() is not None, "built in earnest"
        return nn.Sequential(nn.Conv3d(1, 100_000, 3, padding=1), nn.Conv3d(100_000, 3, 1))

    outcome = evaluate(build, memory_limit_mb=500)
    assert outcome.status is Status.OUT_OF_MEMORY
    assert "the limit is 500 MB" in outcome.reason
    assert outcome.cost.predicted_memory_mb > 500
    assert outcome.cost.parameters > 100_000


class Raises(nn.Module):
    def __init__(self, error, after=0):
        super().__init__()
        self.network = nn.Conv3d(1, 3, 1)
        self.error, self.left = error, after

    def forward(self, images):
        if torch._guards.active_fake_mode() is None:
            if self.left == 0:
                raise self.error
            self.left -= 1
        return self.network(images)


class Greedy(nn.Module):
    """Asks for more memory than any address space has."""

    def __init__(self):
        super().__init__()
        self.network = nn.Conv3d(1, 3, 1)

    def forward(self, images):
        if torch._guards.active_fake_mode() is None:
            torch.empty(2**55, dtype=torch.float64)
        return self.network(images)


def test_an_allocation_that_fails_is_out_of_memory(evaluate):
    outcome = evaluate(lambda task: Greedy())
    assert outcome.status is Status.OUT_OF_MEMORY
    assert "memory ran out" in outcome.reason


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried ...")])
def test_memory_errors_are_out_of_memory(evaluate, error):
    assert evaluate(lambda task: Raises(error)).status is Status.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("CUDA error: out of memory", True),
        ("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("Unable to find an engine to execute this computation", True),
        ("std::bad_alloc", True),
        ("cuDNN error: CUDNN_STATUS_BAD_PARAM", False),
        ("mat1 and mat2 shapes cannot be multiplied", False),
    ],
)
def test_messages_that_mean_out_of_memory(message, expected):
    assert is_out_of_memory(RuntimeError(message)) is expected
    assert not is_out_of_memory(ValueError(message))


def test_a_crash_keeps_what_was_measured_and_its_traceback(evaluate, tmp_path):
    outcome = evaluate(lambda task: Raises(ZeroDivisionError("of all\nthings"), after=4))
    assert outcome.status is Status.CRASHED
    assert outcome.reason == "ZeroDivisionError: of all things"
    assert outcome.epochs == 1
    assert len(outcome.curves["train_loss"]) == 1
    assert outcome.cost.parameters == 6
    assert "raise self.error" in (tmp_path / "log.txt").read_text()


def test_a_crash_of_build_is_a_crash(evaluate):
    assert evaluate(lambda task: nn.Conv3d(1, 3, "three")).status is Status.CRASHED


def test_diverged_and_too_slow(evaluate, build, tmp_path):
    assert evaluate(build, TrainingProtocol(learning_rate=1e30)).status is Status.DIVERGED
    outcome = evaluate(build, TrainingProtocol(seconds=1e-3, batch_size=1))
    assert outcome.status is Status.TOO_SLOW
    assert outcome.metrics == {}
    assert not (tmp_path / "weights.safetensors").exists()


def test_what_on_epoch_raises_is_passed_on(evaluate, build):
    class Pruned(Exception):  # noqa: N818  as Optuna's
        pass

    def on_epoch(record):
        raise Pruned

    with pytest.raises(Pruned):
        evaluate(build, on_epoch=on_epoch)


def test_an_interrupt_is_passed_on(evaluate):
    with pytest.raises(KeyboardInterrupt):
        evaluate(lambda task: Raises(KeyboardInterrupt()))


def test_the_users_settings_are_not_the_candidates_fault(evaluate, build):
    with pytest.raises(SettingsError):
        evaluate(build, TrainingProtocol(device="abacus"))


def test_a_folder_that_cannot_be_written_is_not_the_candidates_fault(problem, build, tmp_path):
    with pytest.raises(StorageError, match=r"curves.jsonl"):
        evaluate_candidate(build, problem, range(3), (6,), SHORT, seed=0, folder=tmp_path / "not" / "there")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_not_the_candidates_fault(problem, build, tmp_path):
    (tmp_path / "curves.jsonl").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left on device"):
        evaluate_candidate(build, problem, range(3), (6,), SHORT, seed=0, folder=tmp_path)


def test_a_second_attempt_replaces_the_curves(tmp_path):
    for attempt in range(2):
        curves = Curves(tmp_path / "curves.jsonl")
        curves.start(5)
        curves.add(EpochRecord(1, 5, float(attempt), np.nan, 1e-3, 1.0))
        curves.close()
    lines = [json.loads(line) for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    assert lines[1]["train_loss"] == 1.0
    assert lines[1]["validation_score"] is None


def test_weights_of_another_network_and_damaged_files_are_refused(build, task, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(nn.Conv3d(1, 3, 1), path)
    with pytest.raises(RunError, match="does not hold the weights"):
        load_weights(build(task), path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RunError, match="cannot be read"):
        load_weights(nn.Conv3d(1, 3, 1), path)
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_network_that_is_not_wanted_is_not_trained(evaluate, build):
    seen, epochs = [], []

    def refuse(cost):
        seen.append(cost.parameters)
        return "too many parameters"

    outcome = evaluate(build, refuse=refuse, on_epoch=epochs.append)
    assert (outcome.status, outcome.reason) == (Status.INFEASIBLE, "too many parameters")
    assert seen == [outcome.cost.parameters]
    assert not epochs


def test_what_an_earlier_part_measured_is_not_measured_again(evaluate, build):
    first = evaluate(build)
    made = []

    def counted(task):
        made.append(task)
        return build(task)

    known = dataclasses.replace(first.cost, parameters=-1, inference_ms=-2.0, peak_memory_mb=-3.0)
    outcome = evaluate(counted, cost=known)
    assert len(made) == 1, "no dry run"
    assert outcome.cost.seconds_per_batch != known.seconds_per_batch
    assert dataclasses.replace(outcome.cost, seconds_per_batch=0) == dataclasses.replace(
        known, seconds_per_batch=0
    )
    assert outcome.metrics == first.metrics
    refused = evaluate(build, cost=known, refuse=lambda cost: f"{cost.parameters} weights")
    assert (refused.status, refused.reason) == (Status.INFEASIBLE, "-1 weights")
