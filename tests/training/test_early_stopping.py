"""Early termination and patience: the counting against brute force, and trainings that deserve them."""

import dataclasses
import itertools
import json
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.tasks.segmentation.volume_problem import VolumeProblem
from netwright.training.config import TrainingProtocol
from netwright.training.early_stopping import EarlyTermination, LossStalled, Patience, Watch
from netwright.training.loop import train
from netwright.training.outcome import Outcome, Status
from netwright.training.time_budget import TooSlow
from netwright.training.trial import evaluate_candidate

PLAIN = {"mixed_precision": False, "channels_last": False, "augmentation": None}


def first_run(violations, length):
    """The index at which ``length`` successive ones have come together, or None; written as a search."""
    for end in range(length, len(violations) + 1):
        if all(violations[end - length : end]):
            return end - 1
    return None


@given(slow=st.lists(st.booleans(), max_size=30), count=st.integers(1, 5))
def test_ends_at_the_first_run_of_slow_batches(slow, count):
    watch = Watch(EarlyTermination(batch_seconds=1.0, batches=count))
    ended = first_run(slow, count)
    for is_slow in slow[:ended]:
        watch.batch(1.1 if is_slow else 1.0, 4)
    if ended is not None:
        with pytest.raises(
            TooSlow, match=f"^{count} batches running took longer than 1 s, the last one 1.1 s$"
        ):
            watch.batch(1.1, 4)


@given(losses=st.lists(st.sampled_from([0.4, 0.5, 0.6]), max_size=30), count=st.integers(1, 5))
def test_stalls_at_the_first_run_of_high_losses_and_knows_the_first_low_one(losses, count):
    watch = Watch(EarlyTermination(loss=0.5, loss_epochs=count))
    ended = first_run([loss > 0.5 for loss in losses], count)
    seen = losses[:ended]
    for epoch, loss in enumerate(seen, 1):
        watch.epoch(epoch, loss, 1000)
    if ended is not None:
        with pytest.raises(LossStalled, match=f"over 0.5 in epoch.* {ended + 1}, at last 0.6$"):
            watch.epoch(ended + 1, 0.6, 1000)
    low = [epoch for epoch, loss in enumerate(seen, 1) if loss <= 0.5]
    assert watch.loss_met_epoch == (low[0] if low else None)


@given(
    slow=st.lists(st.booleans(), min_size=1, max_size=30),
    count=st.integers(1, 12),
    full=st.integers(1, 5),
    short=st.booleans(),
)
def test_a_short_last_batch_neither_counts_nor_ends_the_count(slow, count, full, short):
    watch = Watch(EarlyTermination(batch_seconds=1.0, batches=count))
    ended = first_run(slow, count)
    seen = None
    for index, is_slow in enumerate(slow):
        try:
            watch.batch(2.0 if is_slow else 0.5, 8)
        except TooSlow:
            seen = index
            break
        if (index + 1) % full == 0:  # of an epoch with so many full batches
            watch.batch(2.0 if short else 0.5, 3)
    assert seen == ended


@given(
    losses=st.lists(st.sampled_from([0.5, 0.6]), max_size=30),
    batches=st.integers(1, 40),
    least=st.integers(1, 300),
)
def test_epochs_before_the_least_steps_are_no_violations_but_may_meet_the_threshold(losses, batches, least):
    watch = Watch(EarlyTermination(loss=0.5, loss_epochs=3, least_steps=least))
    high = [loss > 0.5 and epoch * batches >= least for epoch, loss in enumerate(losses, 1)]
    ended = first_run(high, 3)
    seen = None
    for epoch, loss in enumerate(losses, 1):
        try:
            watch.epoch(epoch, loss, epoch * batches)
        except LossStalled:
            seen = epoch - 1
            break
    assert seen == ended
    met = losses[:ended].index(0.5) + 1 if 0.5 in losses[:ended] else None
    assert watch.loss_met_epoch == met


def test_no_threshold_is_never_violated():
    for settings in (None, EarlyTermination()):
        watch = Watch(settings)
        for epoch in range(1, 100):
            watch.batch(1e9, 4)
            watch.epoch(epoch, 1e9, 1000)
        assert watch.loss_met_epoch is None


@given(
    scores=st.lists(st.integers(0, 8).map(lambda n: n / 4), max_size=25),
    epochs=st.integers(1, 4),
    gain=st.sampled_from([0.0, 0.25, 0.5]),
)
def test_patience_ends_when_none_of_the_last_scores_beats_the_best_before_by_more_than_the_gain(
    scores, epochs, gain
):
    patience = Patience(epochs, gain)
    ended = next((i for i, score in enumerate(scores) if patience.ends_after(score)), None)
    bests = []  # indices of the scores that were improvements
    for index, score in enumerate(scores):
        if not bests or score > scores[bests[-1]] + gain:
            bests.append(index)
    gaps = [b - a for a, b in itertools.pairwise([*bests, len(scores) + 10**6])]
    expected = next((a + epochs for a, gap in zip(bests, gaps, strict=True) if gap > epochs), None)
    assert ended == (expected if expected is not None and expected < len(scores) else None)


def test_no_patience_waits_for_ever():
    patience = Patience(None, 0.0)
    assert not any(patience.ends_after(0.0) for _ in range(1000))


@pytest.mark.parametrize(
    "wrong", [{"batch_seconds": 0.0}, {"loss": -1.0}, {"batches": 0}, {"loss_epochs": 0}, {"least_steps": 0}]
)
def test_thresholds_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        EarlyTermination(**wrong)


class Slow(nn.Module):
    """Takes its time where it is run in earnest."""

    def __init__(self, network, seconds):
        super().__init__()
        self.network, self.seconds, self.passes = network, seconds, 0

    def forward(self, images):
        if torch._guards.active_fake_mode() is None:
            time.sleep(self.seconds)
            self.passes += 1
        return self.network(images)


def test_slow_batches_end_a_candidate_at_once(problem, build, tmp_path):
    networks = []

    def slow(task):
        networks.append(Slow(build(task), 0.03))
        return networks[-1]

    early = EarlyTermination(batch_seconds=0.02, batches=3)
    protocol = TrainingProtocol(epochs=50, batch_size=1, early=early, **PLAIN)
    outcome = evaluate_candidate(slow, problem, range(6), (6, 7), protocol, seed=0, folder=tmp_path)
    assert outcome.status is Status.TOO_SLOW
    assert "3 batches running took longer than 0.02 s" in outcome.reason
    assert networks[-1].passes == 3
    assert (outcome.restarts, outcome.metrics) == (0, {})
    assert not (tmp_path / "weights.safetensors").exists()


class Unmoved(nn.Module):
    """Gives the same logits whatever it sees, and has a weight that they do not depend on."""

    def __init__(self, task):
        super().__init__()
        self.classes = task.classes
        self.weight = nn.Parameter(torch.randn(1))

    def forward(self, images):
        return (0 * self.weight).expand(len(images), self.classes, *images.shape[2:])


def test_a_loss_that_cannot_fall_is_tried_once_more_and_given_up(problem, tmp_path):
    built = []

    def build(task):
        network = Unmoved(task)
        if torch._guards.active_fake_mode() is None:
            built.append(network.weight.item())
        return network

    early = EarlyTermination(loss=1.0, loss_epochs=2, least_steps=1)
    protocol = TrainingProtocol(loss="cross_entropy", epochs=10, early=early, **PLAIN)
    records = []
    outcome = evaluate_candidate(
        build, problem, range(6), (6, 7), protocol, seed=5, folder=tmp_path, on_epoch=records.append
    )
    assert outcome.status is Status.LOSS_STALLED
    assert len(set(built)) == len(built) == 2, "built twice, with other weights"
    assert [record.epoch for record in records] == [1, 2, 1, 2]
    loss = f"{np.log(3):.4g}"
    assert outcome.reason == (
        f"the training loss was over 1 in epochs 1 to 2, at last {loss}; started again with new weights, "
        f"the training loss was over 1 in epochs 1 to 2, at last {loss}"
    )
    assert (outcome.restarts, outcome.epochs, outcome.loss_met_epoch) == (1, 2, None)
    lines = [json.loads(line) for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [None, 1, 2], "curves are of the second training"
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome


def test_new_weights_may_save_a_candidate(problem, build):
    built = []

    def lucky_the_second_time(task):
        if torch._guards.active_fake_mode() is not None:
            return build(task)
        built.append(build(task) if built else Unmoved(task))
        return built[-1]

    early = EarlyTermination(loss=1.0, loss_epochs=2, least_steps=1)
    protocol = TrainingProtocol(loss="cross_entropy", epochs=6, learning_rate=0.05, early=early, **PLAIN)
    outcome = evaluate_candidate(lucky_the_second_time, problem, range(6), (6, 7), protocol, seed=5)
    assert outcome.status is Status.COMPLETE
    assert (outcome.restarts, outcome.reason, outcome.epochs, len(built)) == (1, "", 6, 2)
    losses = outcome.curves["train_loss"]
    assert outcome.loss_met_epoch == next(i for i, loss in enumerate(losses, 1) if loss <= 1.0)


class Recording(VolumeProblem):
    """Knows the shares of wall time of the trainings on it."""

    def batches(self, cases, protocol, device, seed):
        self.shares = [*getattr(self, "shares", []), protocol.seconds]
        return super().batches(cases, protocol, device, seed)


def test_a_restart_has_what_is_left_of_the_share(balls, task):
    problem = Recording(balls, task)

    def slow(task):
        network = Unmoved(task)
        return network if torch._guards.active_fake_mode() is not None else Slow(network, 0.1)

    early = EarlyTermination(loss=1.0, loss_epochs=1, least_steps=1)
    protocol = TrainingProtocol(
        loss="cross_entropy", seconds=60, epochs=1, batch_size=1, early=early, **PLAIN
    )
    outcome = evaluate_candidate(slow, problem, range(6), (6, 7), protocol, seed=5)
    assert (outcome.status, outcome.restarts) == (Status.LOSS_STALLED, 1)
    whole, rest = problem.shares
    assert whole == 60
    assert 0 < rest <= 60 - 6 * 0.1, "six batches of a tenth of a second"


def test_a_loss_that_is_met_ends_nothing(problem, build):
    protocol = TrainingProtocol(epochs=3, early=EarlyTermination(loss=1e3, loss_epochs=1), **PLAIN)
    outcome = evaluate_candidate(build, problem, range(6), (6, 7), protocol, seed=5)
    assert (outcome.status, outcome.restarts, outcome.loss_met_epoch) == (Status.COMPLETE, 0, 1)


def test_patience_counts_the_epochs_with_a_validation_and_the_end_has_one(problem, task):
    records = []
    protocol = TrainingProtocol(loss="cross_entropy", epochs=50, validate_every=2, patience=3, **PLAIN)
    trained = train(Unmoved(task), problem, range(6), (6, 7), protocol, seed=0, on_epoch=records.append)
    assert trained.status is Status.COMPLETE
    assert [r.epoch for r in records if r.validation_score is not None] == [1, 2, 4, 6]
    assert trained.epochs == 6
    assert trained.planned_epochs == 50


class Rising(VolumeProblem):
    """Scores rise for some epochs, whatever the network does, and then stay."""

    epochs, rising = 0, 7

    def scores(self, network, cases, protocol, device):
        self.epochs += 1
        return np.full((len(cases), self.task.classes - 1), min(self.epochs, self.rising) / 10)


def test_patience_waits_while_the_network_learns_and_ends_when_it_does_not(balls, task):
    protocol = TrainingProtocol(loss="cross_entropy", epochs=50, patience=3, **PLAIN)
    trained = train(Unmoved(task), Rising(balls, task), range(6), (6, 7), protocol, seed=0)
    assert trained.epochs == Rising.rising + 3


class WithHeads(nn.Module):
    """Three outputs of equal logits, two of them auxiliary."""

    def __init__(self, task):
        super().__init__()
        self.network = Unmoved(task)

    def forward(self, images):
        logits = self.network(images)
        return (logits, logits, logits) if self.training else logits


def test_the_loss_that_is_watched_is_that_of_the_output_alone(problem):
    guess = np.log(3)
    early = EarlyTermination(loss=1.01 * guess, loss_epochs=1, least_steps=1)
    protocol = TrainingProtocol(loss="cross_entropy", epochs=2, early=early, **PLAIN)
    outcome = evaluate_candidate(WithHeads, problem, range(6), (6, 7), protocol, seed=5)
    assert (outcome.status, outcome.loss_met_epoch) == (Status.COMPLETE, 1)
    np.testing.assert_allclose(outcome.curves["train_loss"], 1.6 * guess, rtol=1e-4)
    low = dataclasses.replace(early, loss=0.99 * guess)
    outcome = evaluate_candidate(
        WithHeads, problem, range(6), (6, 7), dataclasses.replace(protocol, early=low), seed=5
    )
    assert outcome.status is Status.LOSS_STALLED
    assert f"at last {guess:.4g}" in outcome.reason


class Crashes(nn.Module):
    """Fails in its first pass that is in earnest."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        raise RuntimeError("no more")


@pytest.mark.parametrize(
    ("second", "status"), [(lambda task: Crashes(), Status.CRASHED), (None, Status.INFEASIBLE)]
)
def test_the_failure_of_a_second_training_is_told_with_that_of_the_first(problem, build, second, status):
    built = []

    def make(task):
        if torch._guards.active_fake_mode() is not None:
            return build(task)
        built.append(task)
        if len(built) == 1:
            return Unmoved(task)
        if second is None:
            raise InfeasibleArchitecture("not again")
        return second(task)

    early = EarlyTermination(loss=1.0, loss_epochs=1, least_steps=1)
    protocol = TrainingProtocol(loss="cross_entropy", epochs=2, early=early, **PLAIN)
    outcome = evaluate_candidate(make, problem, range(6), (6, 7), protocol, seed=5)
    assert (outcome.status, outcome.restarts) == (status, 1)
    assert outcome.reason.startswith("the training loss was over 1 in epoch 1, at last")
    assert "; started again with new weights, " in outcome.reason
    assert outcome.reason.endswith(("no more", "not again"))


def test_what_is_left_of_a_share_is_no_second_training_where_no_epoch_fits_into_it(problem):
    built = []

    def slow(task):
        network = Slow(Unmoved(task), 0.2)
        if torch._guards.active_fake_mode() is None:
            built.append(network)
        return network

    early = EarlyTermination(loss=1.0, loss_epochs=1, least_steps=1)
    # Six batches and a validation take 1.4 s and more: that fits into the share once, but not twice.
    protocol = TrainingProtocol(
        loss="cross_entropy", epochs=9, seconds=2.5, batch_size=1, early=early, **PLAIN
    )
    outcome = evaluate_candidate(slow, problem, range(6), (6, 7), protocol, seed=5)
    assert outcome.status is Status.LOSS_STALLED, outcome.reason
    assert outcome.reason == f"the training loss was over 1 in epoch 1, at last {np.log(3):.4g}"
    assert (len(built), outcome.restarts, outcome.epochs) == (1, 0, 1)
