"""Trainings in parts by wall time, on a clock that is turned by hand: they end and go on within epochs."""

import dataclasses
import itertools
import math

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


PROTOCOLS = {
    "plain": {},
    "averaged": {"averaging": 0.8, "learning_rate": 0.02},
    "schedule-free": {"optimizer": "schedule_free", "learning_rate": 0.02},
}
QUICK = {"volumes": ("averaged",), "slices": ("schedule-free",)}
"""Protocols that are quickly tried with data that takes longer."""


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, marks=[] if name in QUICK.get(kind, PROTOCOLS) else [pytest.mark.slow])
        for kind in ("volumes", "slices", "pictures", "inpainting")
        for name in PROTOCOLS
    ],
)
def test_in_parts_that_end_within_epochs_is_the_same_as_in_one_go(kind, name, data, path):
    protocol = protocol_of(kind, **STEADY, **PROTOCOLS[name], seconds=9.5)
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


def test_validations_keep_to_their_share_of_the_time(data, path):
    # A validation takes 2 s: k of them, beside 18 k seconds of training, are a tenth of the time. The first one is
    # estimated at 0.4 s, and comes after 4.
    protocol = protocol_of("pictures", epochs=100, validation_share=0.1)
    training, turning = part("pictures", data, path, protocol, validation=2.0)
    assert turning.validated == [6.0, *(20.0 * k for k in range(2, 12)), 224.0]
    records = training.curves.records
    assert [r.epoch for r in records if r.validation_score is not None][:3] == [2, 18, 27]
    assert len(training.curves.values()["validation_score"]) == 100
    assert math.isnan(training.curves.values()["validation_score"][0])


def test_the_share_of_validations_counts_those_of_earlier_parts(data, path):
    protocol = protocol_of("pictures", **STEADY, validation_share=0.1, seconds=25.0)
    part("pictures", data, path, protocol, validation=2.0)
    for seconds in (50.0, 75.0, 200.0):
        now = dataclasses.replace(protocol, seconds=seconds)
        part("pictures", data, path, now, goes_on=True, validation=2.0)
        training_seconds = steps_in(path)
        assert seconds - 2.0 <= training_seconds + load_values(path)["budget"]["validated"] <= seconds + 1.0
    # As many as in one go: after those that ended parts early, the others waited.
    assert load_values(path)["budget"]["validated"] == 2.0 * (training_seconds // 18)


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_share_for_validations_leaves_the_rest_to_the_plan(in_parts, data, path):
    protocol = protocol_of("pictures", epochs=1000, in_parts=in_parts, validation_share=0.2, seconds=100.0)
    training, turning = part("pictures", data, path, protocol, validation=2.0)
    assert 94.0 <= training.seconds <= 101.0
    assert training.curves.records[10].planned_epochs == pytest.approx(40, abs=3), "80 s of training"
    assert 0.15 < 2.0 * len(turning.validated) / training.seconds < 0.22


def test_the_rate_falls_to_zero_over_the_cool_down(data, path):
    protocol = protocol_of("pictures", **STEADY, seconds=40.5, cool_down=10.0, learning_rate=0.02)
    training, _ = part("pictures", data, path, protocol)
    records = training.curves.records
    assert records[-1].seconds == 41.0
    for record in records:
        left = max(
            0.0, 40.5 - record.seconds
        )  # at the last step of the epoch: reading the batch took the second
        assert record.learning_rate == pytest.approx(0.02 * min(1.0, left / 10.0))


def test_a_training_without_cool_down_may_go_on_with_one_and_again_without(data, path):
    steady = protocol_of("pictures", **STEADY, learning_rate=0.02, seconds=10.5)
    part("pictures", data, path, steady)
    cooled = dataclasses.replace(steady, seconds=20.5, cool_down=5.0)
    first, _ = part("pictures", data, path, cooled, goes_on=True)
    assert first.curves.records[4].learning_rate == 0.02
    assert first.curves.records[-2].learning_rate == pytest.approx(0.02 * 0.5 / 5.0)
    assert first.curves.records[-1].learning_rate == 0.0
    last, _ = part("pictures", data, path, dataclasses.replace(steady, seconds=30.5), goes_on=True)
    assert last.curves.records[-1].learning_rate == 0.02


def test_a_cool_down_leaves_the_time_of_the_last_validation(data, path):
    protocol = protocol_of("pictures", **STEADY, seconds=60.0, cool_down=10.0, validation_share=0.2)
    training, _ = part("pictures", data, path, protocol, validation=3.0)
    assert training.curves.records[-1].learning_rate <= protocol.learning_rate * 0.1 * 1.01
    assert training.seconds <= 61.0
