"""The loop against a bare one of plain torch, its schedule, and what ends it."""

import copy
import dataclasses
import math
from functools import partial
from typing import get_args

import numpy as np
import pytest
import torch
from schedulefree import AdamWScheduleFree

from netwright.data.loading.batches import Batches
from netwright.errors import SettingsError
from netwright.nn.losses import AuxiliaryLoss, exponential_logarithmic_loss, label_weights
from netwright.nn.schedule import Scheduled
from netwright.settings import parse_settings
from netwright.training.config import Optimizer, TrainingProtocol
from netwright.training.history import Curves
from netwright.training.loop import train
from netwright.training.losses import loss_of
from netwright.training.lr_schedule import cosine
from netwright.training.outcome import Status
from netwright.training.seeding import derive_seed
from netwright.training.step import Diverged, TrainingStep
from netwright.training.trial import evaluate_candidate

PLAIN = {"mixed_precision": False, "channels_last": False, "augmentation": None}


def make_step(network, protocol, task, batches=1):
    loss = loss_of(protocol, task, torch.ones(task.classes))
    return TrainingStep(network, protocol, torch.device("cpu"), loss, batches)


def some_batch(task, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 1, *task.size, generator=generator)
    return images, torch.randint(0, task.classes, (2, *task.size), generator=generator)


BARE = {
    "nadam": partial(torch.optim.NAdam, lr=1e-3),
    "adamw": partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.1),
    "schedule_free": partial(AdamWScheduleFree, lr=1e-3, weight_decay=0.1, warmup_steps=4),
}
SAME = {
    "nadam": {},
    "adamw": {"weight_decay": 0.1},
    "schedule_free": {"weight_decay": 0.1, "warm_up_steps": 4},
}


@pytest.mark.parametrize("optimizer", BARE)
def test_is_the_plain_loop_of_torch(optimizer, balls, problem, task, build):
    def network():
        torch.manual_seed(0)
        return build(task, dropout=0.0)

    trained = train(
        network(),
        problem,
        range(6),
        (6, 7),
        TrainingProtocol(optimizer=optimizer, epochs=3, batch_size=2, **SAME[optimizer], **PLAIN),
        seed=9,
    )
    bare = network()
    own = BARE[optimizer](bare.parameters())
    if optimizer == "schedule_free":
        own.train()
    weights = label_weights(balls.class_counts_of(range(6)))
    generator = torch.Generator().manual_seed(derive_seed(9, "batches"))
    batches = Batches(balls, range(6), task.size, 2, generator=generator)
    losses = []
    for _ in range(3):
        losses.append([])
        for images, labels in batches:
            own.zero_grad()
            loss = exponential_logarithmic_loss(bare(images), labels, weights)
            loss.backward()
            own.step()
            losses[-1].append(loss.item())
    if optimizer == "schedule_free":
        own.eval()
    for ours, theirs in zip(trained.network.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trained.curves.values()["train_loss"], np.mean(losses, 1), rtol=1e-4)


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
@pytest.mark.parametrize("loss", ["exponential_logarithmic", "dice_cross_entropy"])
def test_learns(problem, task, build, optimizer, loss):
    protocol = TrainingProtocol(
        optimizer=optimizer, loss=loss, epochs=25, learning_rate=0.02, validate_every=25, augmentation=None
    )
    trained = train(build(task), problem, range(6), (6, 7), protocol, seed=0)
    assert trained.status is Status.COMPLETE
    curves = trained.curves.values()
    assert curves["train_loss"][-1] < curves["train_loss"][0]
    assert curves["validation_score"][-1] > 0.4
    assert trained.scores[-1].shape == (2, 2)


@pytest.mark.parametrize(("steps", "epochs"), [(6, 2), (7, 3), (1, 1)])
def test_steps_are_whole_epochs_in_place_of_epochs(problem, task, build, steps, epochs):
    protocol = TrainingProtocol(epochs=50, steps=steps, batch_size=2, **PLAIN)
    network = build(task)
    twin = copy.deepcopy(network)
    trained = train(network, problem, range(6), (6, 7), protocol, seed=0)
    assert trained.epochs == trained.planned_epochs == epochs, "three batches an epoch"
    of_epochs = TrainingProtocol(epochs=epochs, batch_size=2, **PLAIN)
    again = train(twin, problem, range(6), (6, 7), of_epochs, seed=0)
    assert trained.curves.records[-1].train_loss == again.curves.records[-1].train_loss


def test_very_many_epochs_of_few_cases_are_not_all_validated():
    assert TrainingProtocol(steps=500_000).validate_every_of(1) == 2500
    assert TrainingProtocol(steps=500_000).validate_every_of(5000) == 1
    assert TrainingProtocol(steps=100, validate_every=7).validate_every_of(1) == 7
    assert TrainingProtocol(epochs=10**6).validate_every_of(1) == 1


@pytest.mark.parametrize("steps", [0, -5])
def test_steps_must_be_positive(steps):
    with pytest.raises(SettingsError, match=r"training\.steps"):
        TrainingProtocol(steps=steps)


def test_validates_at_first_every_so_often_and_last(problem, task, build):
    records = []
    protocol = TrainingProtocol(epochs=7, validate_every=3, **PLAIN)
    trained = train(build(task), problem, range(3), (6, 7), protocol, seed=0, on_epoch=records.append)
    assert [r.epoch for r in records if r.validation_score is not None] == [1, 3, 6, 7]
    curve = trained.curves.values()["validation_score"]
    assert len(curve) == 7
    assert curve[1] == curve[0]
    assert curve[-1] == pytest.approx(trained.scores[-1].mean())


@pytest.mark.parametrize(("epochs", "counted"), [(7, 5), (3, 3)])
def test_metrics_are_means_over_the_last_validations(problem, task, build, epochs, counted):
    # Mortazi and Bagci 2018: the reward is the mean of the last five epochs.
    protocol = TrainingProtocol(epochs=epochs, score_epochs=5, learning_rate=0.02, augmentation=None)
    outcome = evaluate_candidate(build, problem, range(6), (6, 7), protocol, seed=0)
    last = outcome.curves["validation_score"][-counted:]
    assert len(set(last)) > 1
    assert outcome.metrics["dice"] == pytest.approx(sum(last) / counted)
    of_last_alone = dataclasses.replace(protocol, score_epochs=1)
    alone = evaluate_candidate(build, problem, range(6), (6, 7), of_last_alone, seed=0)
    assert alone.metrics["dice"] == pytest.approx(last[-1])


def test_batch_normalisation_keeps_learning_after_a_validation(problem, task, build):
    network = build(task)
    train(network, problem, range(6), (6, 7), TrainingProtocol(epochs=3, batch_size=3, **PLAIN), seed=0)
    assert network[1].num_batches_tracked == 6


def test_a_loss_that_is_not_finite_ends_it(problem, task, build):
    trained = train(
        build(task), problem, range(6), (6, 7), TrainingProtocol(epochs=3, learning_rate=1e30), seed=0
    )
    assert trained.status is Status.DIVERGED
    assert "training loss became nan at step 2, in epoch 1" in trained.reason


def test_an_output_that_is_not_finite_in_validation_ends_it(problem, task, oracle):
    class OnlyTrains(oracle):
        def forward(self, images):
            return super().forward(images) * (1.0 if self.training else math.inf)

    trained = train(OnlyTrains(), problem, range(6), (6, 7), TrainingProtocol(epochs=3), seed=0)
    assert trained.status is Status.DIVERGED
    assert "output is not finite, in epoch 1" in trained.reason


def test_wall_time_share_is_filled_and_kept(problem, task, build):
    protocol = TrainingProtocol(epochs=10**6, seconds=1.5, schedule="cosine")
    records = []
    trained = train(build(task), problem, range(6), (6, 7), protocol, seed=0, on_epoch=records.append)
    assert trained.status is Status.COMPLETE
    assert 1 < trained.epochs < 10**6
    assert 0.5 < trained.seconds < 8
    assert len(records) in (trained.epochs, trained.epochs + 1)


def test_no_epoch_in_its_share_is_too_slow(problem, task, build):
    protocol = TrainingProtocol(epochs=5, seconds=1e-3, batch_size=1)
    trained = train(build(task), problem, range(6), (6, 7), protocol, seed=0)
    assert trained.status is Status.TOO_SLOW
    assert "not one epoch fits" in trained.reason
    assert trained.epochs == 0


def test_cosine_rises_over_a_short_warm_up_and_falls_to_zero():
    rates = [cosine(step, 200, 30) for step in range(200)]
    assert rates[0] == pytest.approx(0.1)
    assert np.argmax(rates) in (9, 10)
    assert max(rates) == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[105] == pytest.approx(0.5, abs=0.01)
    assert rates[-1] < 1e-3
    assert cosine(250, 200, 30) == 0.0


def test_cosine_without_a_warm_up_is_the_annealing_of_torch(task, build):
    protocol = TrainingProtocol(
        optimizer="sgd", learning_rate=0.025, schedule="cosine", warm_up=False, nesterov=False, **PLAIN
    )
    step = make_step(build(task), protocol, task, batches=5)
    other = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.025)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(other, T_max=40)
    images, labels = some_batch(task)
    for _ in range(40):
        step(images, labels, 8)
        assert step.learning_rate == pytest.approx(other.param_groups[0]["lr"], rel=1e-9)
        other.step()
        annealing.step()
    assert cosine(0, 40, 0) == 1.0


PLAIN_SGD = {"optimizer": "sgd", "learning_rate": 0.05, "nesterov": False}


@pytest.mark.parametrize(
    ("settings", "optimizer"),
    [
        (PLAIN_SGD, partial(torch.optim.SGD, lr=0.05, momentum=0.9)),
        (
            PLAIN_SGD | {"weight_decay": 0.1},
            partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.1),
        ),
        (
            {"optimizer": "sgd", "learning_rate": 0.05},
            partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True),
        ),
        ({"optimizer": "adam", "weight_decay": 0.1}, partial(torch.optim.Adam, lr=1e-3, weight_decay=0.1)),
        ({"weight_decay": 0.1}, partial(torch.optim.NAdam, lr=1e-3, weight_decay=0.1)),
        (PLAIN_SGD | {"gradient_norm": 0.01}, partial(torch.optim.SGD, lr=0.05, momentum=0.9)),
        (PLAIN_SGD | {"gradient_norm": 0.1}, partial(torch.optim.SGD, lr=0.05, momentum=0.9)),
    ],
)
def test_steps_are_those_of_torch_with_decay_and_a_limited_gradient(task, build, settings, optimizer):
    protocol = TrainingProtocol(**settings, **PLAIN)
    torch.manual_seed(0)
    network = build(task, dropout=0.0)
    bare = copy.deepcopy(network)
    step, other = make_step(network, protocol, task), optimizer(bare.parameters())
    norms = []
    for seed in range(4):
        images, labels = some_batch(task, seed)
        step(images, labels, 1)
        other.zero_grad()
        exponential_logarithmic_loss(bare(images), labels, torch.ones(3)).backward()
        norms.append(sum(float(weight.grad.square().sum()) for weight in bare.parameters()) ** 0.5)
        if (limit := protocol.gradient_norm) is not None and norms[-1] > limit:
            for weight in bare.parameters():
                weight.grad *= limit / norms[-1]
        other.step()
    for ours, theirs in zip(network.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert 0.01 < min(norms) < max(norms) < 0.1


def test_decay_alone_shrinks_the_weights_as_told():
    """No gradient but that of the decay: w <- w - rate decay w, of normalisations as well."""
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 3, 1), torch.nn.BatchNorm3d(3)).requires_grad_()
    before = [weight.detach().clone() for weight in network.parameters()]
    protocol = TrainingProtocol(**PLAIN_SGD, weight_decay=0.2, loss="cross_entropy", **PLAIN)
    step = TrainingStep(
        network,
        protocol,
        torch.device("cpu"),
        AuxiliaryLoss(lambda outputs, labels: outputs.sum() * 0, 0.0),
        1,
    )
    step(torch.rand(2, 1, 3, 3, 3), torch.zeros(2, 3, 3, 3, dtype=torch.int64), 1)
    for old, new in zip(before, network.parameters(), strict=True):
        torch.testing.assert_close(new, old * (1 - 0.05 * 0.2))


def test_the_limit_of_the_gradient_is_one_of_the_gradient_without_the_scale_of_the_loss(
    task, build, monkeypatch
):
    monkeypatch.setattr("netwright.training.forward.half_precision", lambda device: torch.float16)
    torch.manual_seed(0)
    network = build(task, dropout=0.0)
    before = [weight.detach().clone() for weight in network.parameters()]
    protocol = TrainingProtocol(**PLAIN_SGD, gradient_norm=0.01, channels_last=False)
    step = make_step(network, protocol, task)
    step(*some_batch(task), 1)
    moved = sum(
        float((old - new.detach()).square().sum())
        for old, new in zip(before, network.parameters(), strict=True)
    )
    assert moved**0.5 == pytest.approx(0.05 * 0.01, rel=1e-3)  # the rate times the limit


class Watching(Scheduled):
    """Keeps what it is told of the progress, and how often it had been asked for its output by then."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.told = []
        self.passes = 0

    def set_progress(self, share):
        self.told.append((share, self.passes))

    def forward(self, images):
        self.passes += self.training
        return self.network(images)


def test_modules_are_told_of_the_progress_before_each_step(problem, task, build):
    inner = Watching(build(task))
    network = torch.nn.Sequential(inner, torch.nn.Identity())
    train(network, problem, range(6), (6, 7), TrainingProtocol(epochs=3, batch_size=2, **PLAIN), seed=0)
    assert [share for share, _ in inner.told] == pytest.approx([step / 9 for step in range(9)])
    assert [passes for _, passes in inner.told] == list(range(9))


def test_the_progress_follows_a_plan_that_changes_and_stays_within_its_bounds(task, build):
    network = Watching(build(task))
    step = make_step(network, TrainingProtocol(**PLAIN), task, batches=2)
    images, labels = some_batch(task)
    for planned in (10**6, 4, 4, 2, 1, 1):
        step(images, labels, planned)
    assert [share for share, _ in network.told] == pytest.approx([0, 1 / 8, 2 / 8, 3 / 4, 1, 1])


def test_a_method_of_a_user_s_network_is_its_own(task, build):
    class Downloading(torch.nn.Sequential):
        def set_progress(self, *values):
            raise AssertionError("called with what is not for it")

    step = make_step(Downloading(build(task)), TrainingProtocol(**PLAIN), task)
    step(*some_batch(task), 1)
    assert step.steps == 1


def test_curves_are_passed_in(problem, task, build):
    curves = Curves()
    train(build(task), problem, range(3), (6,), TrainingProtocol(epochs=2, **PLAIN), seed=0, curves=curves)
    assert [record.epoch for record in curves.records] == [1, 2]
    assert curves.planned_epochs == 2


def test_float16_with_a_scaled_loss_learns(problem, task, build, monkeypatch):
    monkeypatch.setattr("netwright.training.forward.half_precision", lambda device: torch.float16)
    protocol = TrainingProtocol(epochs=25, learning_rate=0.02, validate_every=25, augmentation=None)
    network = build(task)
    trained = train(network, problem, range(6), (6, 7), protocol, seed=0)
    assert trained.status is Status.COMPLETE
    assert all(torch.isfinite(weight).all() for weight in network.parameters())
    curves = trained.curves.values()
    assert np.isfinite(curves["train_loss"]).all()
    assert curves["train_loss"][-1] < 0.8 * curves["train_loss"][0]
    assert curves["validation_score"][-1] > 0.4


@pytest.mark.parametrize("half", [None, torch.float16])
def test_a_loss_that_is_not_finite_leaves_the_weights(task, build, monkeypatch, half):
    monkeypatch.setattr("netwright.training.forward.half_precision", lambda device: half)
    network = build(task)
    step = TrainingStep(
        network, TrainingProtocol(), torch.device("cpu"), loss_of(TrainingProtocol(), task, torch.ones(3)), 2
    )
    labels = torch.zeros(2, *task.size, dtype=torch.int64)
    step(torch.rand(2, 1, *task.size), labels, 1)
    before = [weight.detach().clone() for weight in network.parameters()]
    with pytest.raises(Diverged, match="nan at step 2"):
        step(torch.full((2, 1, *task.size), math.nan), labels, 1)
    assert all(map(torch.equal, before, network.parameters()))


def test_a_mistyped_setting_is_refused_with_its_name():
    values = {
        "recipe": "none",
        "dataset": {"path": "data"},
        "space": {"name": "segnas4"},
        "strategy": {"name": "random"},
        "training": {"learning_rat": 1e-3},
    }
    with pytest.raises(SettingsError, match=r"training\.learning_rat = 0\.001"):
        parse_settings(values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"seconds": -1.0},
        {"optimizer": "adagrad"},
        {"schedule": "step"},
        {"weight_decay": -1e-4},
        {"gradient_norm": 0.0},
    ],
)
def test_protocol_refuses_nonsense(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        TrainingProtocol(**wrong)


def test_a_device_that_is_not_there_is_named(problem, task, build):
    with pytest.raises(SettingsError, match="abacus"):
        train(build(task), problem, range(3), (6,), TrainingProtocol(device="abacus"), seed=0)
