"""Trainings in parts by wall time, on a clock that is turned by hand: they end and go on within epochs."""

import dataclasses
import itertools

import pytest
import torch

from netwright.training.checkpoint import Checkpoints, load_values
from netwright.training.loop import train
from netwright.training.outcome import Status
from resumable import CASES, VALIDATION, Drawing, make, protocol_of, result_of
from turned import Clock, Turning

STEADY = {"in_parts": True, "epochs": 1000}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


@pytest.fixture(autouse=True)
def no_plan_in_the_network(monkeypatch):
    """Its scheduled layer follows the end of each part, and so a training in parts has others than one in one go."""
    monkeypatch.setattr(Drawing, "change", 0.0)


def part(kind, data, path, protocol, *, goes_on=False, clock=None, **times):
    """A part of a training; ``goes_on`` from the checkpoint that the part before has left."""
    problem, network = make(kind, data)
    clock = clock or Clock()
    turning = Turning(problem, clock, **times)
    torch.manual_seed(0)
    training = train(
        network(),
        turning,
        CASES,
        VALIDATION,
        protocol,
        seed=5,
        checkpoints=Checkpoints(path, keep=True, resume_from=path if goes_on else None),
        clock=clock,
    )
    return training, turning


def steps_in(path):
    return load_values(path)["step"]["steps"]


@pytest.mark.parametrize("kind", ["volumes", "slices", "pictures", "inpainting"])
def test_in_parts_that_end_within_epochs_is_the_same_as_in_one_go(kind, data, path):
    protocol = protocol_of(kind, **STEADY, seconds=9.5)
    whole, _ = part(kind, data, path, protocol)
    assert steps_in(path) == 10, "a batch a second"
    for seconds, steps in ((0.5, 1), (2.5, 3), (3.5, 4), (9.5, 10)):
        now = dataclasses.replace(protocol, seconds=seconds)
        training, _ = part(kind, data, path, now, goes_on=steps > 1)
        assert training.status is Status.COMPLETE
        assert steps_in(path) == steps
        assert training.curves.records[-1].validation_score is not None
        assert training.curves.records[-1].seconds == training.seconds == steps
    assert {**result_of(training), "planned": None} == {**result_of(whole), "planned": None}


def test_one_that_is_shorter_than_an_epoch_is_complete_in_parts_alone(data, path):
    protocol = protocol_of("pictures", in_parts=True, seconds=0.5)
    batches = len(make("pictures", data)[0].batches(CASES, protocol, "cpu", 0))
    assert batches == 2
    training, turning = part("pictures", data, path, protocol, validation=0.25)
    assert (training.status, training.epochs, steps_in(path)) == (Status.COMPLETE, 0, 1)
    assert turning.validated == [1.25]
    assert len(training.scores) == len(training.curves.records) == 1
    alone, _ = part("pictures", data, path, dataclasses.replace(protocol, in_parts=False))
    assert alone.status is Status.TOO_SLOW


def test_a_part_without_time_left_is_complete_and_validates_nothing_again(data, path):
    protocol = protocol_of("pictures", in_parts=True, seconds=0.5)
    first, _ = part("pictures", data, path, protocol)
    again, turning = part("pictures", data, path, protocol, goes_on=True)
    assert result_of(first) == result_of(again)
    assert turning.validated == []
    assert steps_in(path) == 1


@pytest.mark.parametrize("seconds", [7.0, 20.0, 21.9, 50.3])
def test_a_part_takes_its_seconds_but_for_a_batch(seconds, data, path):
    protocol = protocol_of("pictures", **STEADY, validate_every=2, seconds=seconds)
    training, _ = part("pictures", data, path, protocol, validation=0.75)
    assert seconds - 0.75 <= training.seconds <= seconds + 1.0
    assert len(training.curves.records) <= training.planned_epochs <= len(training.curves.records) + 1


def test_a_cosine_ends_with_the_time_within_an_epoch(data, path):
    protocol = protocol_of("pictures", **STEADY, seconds=40.5, schedule="cosine", validate_every=100)
    training, _ = part("pictures", data, path, protocol)
    rates = [record.learning_rate for record in training.curves.records]
    assert 0 < rates[-1] < 0.01 * protocol.learning_rate
    assert all(one > other for one, other in itertools.pairwise(rates[2:]))
