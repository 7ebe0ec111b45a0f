"""Averaged weights against averages of stored ones, and statistics of batch normalisation against a direct count."""

import numpy as np
import pytest
import torch
from torch import nn

from netwright.training.averaging import AveragedNetwork
from netwright.training.batch_statistics import BATCHES, BatchStatistics
from netwright.training.config import TrainingProtocol
from netwright.training.loop import train
from netwright.training.losses import loss_of
from netwright.training.outcome import Status
from netwright.training.seeding import derive_seed
from netwright.training.state import generator_tensors
from netwright.training.step import TrainingStep
from netwright.training.trial import evaluate_candidate
from netwright.training.weights import load_weights
from resumable import CASES, VALIDATION, make, protocol_of
from turned import WatchedBatches

CPU = torch.device("cpu")
PLAIN = {"mixed_precision": False, "channels_last": False, "augmentation": None}


class Stored:
    """A problem that stores a network's weights after each step of its training."""

    def __init__(self, problem, network):
        self._problem, self._network, self.weights = problem, network, []

    def __getattr__(self, name):
        return getattr(self._problem, name)

    def batches(self, *arguments):
        return WatchedBatches(self._problem.batches(*arguments), after=self.store)

    def store(self):
        self.weights.append([w.detach().double().clone() for w in self._network.parameters()])


def averages_of(start, stored, decay):
    """The average as a loop over all that was stored."""
    averages = start
    for t, weights in enumerate(stored, start=1):
        kept = min(decay, (1 + t) / (10 + t))
        averages = [kept * a + (1 - kept) * w for a, w in zip(averages, weights, strict=True)]
    return averages


def new_network(kind, data):
    problem, network = make(kind, data)
    torch.manual_seed(0)
    return problem, network()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_the_network_is_the_average_of_the_weights_after_each_step(decay, data):
    # Long enough for the decay itself to hold at the end: (1 + t) / (10 + t) is 0.5 at t = 8.
    protocol = protocol_of("pictures", epochs=12, validate_every=5, learning_rate=0.01)
    problem, network = new_network("pictures", data)
    start = [w.detach().double().clone() for w in network.parameters()]
    stored = Stored(problem, network)
    own = train(network, stored, CASES, VALIDATION, protocol, seed=5)
    problem, network = new_network("pictures", data)
    averaging = protocol_of("pictures", epochs=12, validate_every=5, learning_rate=0.01, averaging=decay)
    averaged = train(network, problem, CASES, VALIDATION, averaging, seed=5)
    assert len(stored.weights) == 24
    expected = averages_of(start, stored.weights, decay)
    for ours, theirs, last in zip(network.parameters(), expected, stored.weights[-1], strict=True):
        torch.testing.assert_close(ours.detach().double(), theirs, rtol=1e-5, atol=1e-7)
        assert not torch.allclose(theirs, last, rtol=1e-5, atol=1e-7)
    losses = [[record.train_loss for record in one.curves.records] for one in (own, averaged)]
    assert losses[0] == losses[1], "the training goes on with its own weights"


def statistics_of(network, batches):
    """The mean over batches of the mean and the unbiased variance of what reaches the first normalisation."""
    means, variances = [], []
    for images, _ in batches:
        with torch.no_grad():
            features = network[1](images).double().transpose(0, 1).flatten(1)
        means.append(features.mean(1).numpy())
        variances.append(features.var(1, correction=1).numpy())
    return np.mean(means, 0), np.mean(variances, 0)


@pytest.mark.parametrize("averaged", [{"averaging": 0.9}, {"optimizer": "schedule_free"}])
@pytest.mark.parametrize("kind", ["volumes", "pictures"])
def test_statistics_of_batch_normalisation_are_those_of_the_averaged_weights(kind, averaged, data):
    protocol = protocol_of(kind, epochs=4, learning_rate=0.05, **averaged, **PLAIN)
    problem, network = new_network(kind, data)
    train(network, problem, CASES, VALIDATION, protocol, seed=5)
    batches = problem.batches(CASES, protocol, CPU, derive_seed(5, "statistics"))
    assert 1 < len(batches) <= BATCHES
    mean, variance = statistics_of(network, batches)
    np.testing.assert_allclose(network[2].running_mean.numpy(), mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(network[2].running_var.numpy(), variance, rtol=1e-4, atol=1e-6)
    assert network[2].momentum == 0.1


@pytest.fixture(params=["nadam", "schedule_free"])
def stepped(request, data):
    """A network with averaged weights after an epoch, its training step, and its statistics."""
    problem, network = new_network("pictures", data)
    protocol = protocol_of("pictures", optimizer=request.param, averaging=0.9, learning_rate=0.05, **PLAIN)
    batches = problem.batches(CASES, protocol, CPU, 3)
    step = TrainingStep(network, protocol, CPU, loss_of(protocol, problem.task, torch.ones(2)), 2)
    network.train()
    for images, labels in batches:
        step(images, labels, 1)
    own = problem.batches(CASES, protocol, CPU, 4)
    return network, step, BatchStatistics(network, own, protocol, CPU)


def test_after_a_validation_all_is_as_it_was_bit_for_bit(stepped):
    network, step, statistics = stepped
    before = {name: value.clone() for name, value in network.state_dict().items()}
    generators = generator_tensors(CPU)
    averaged = AveragedNetwork(network, step, statistics)
    within = []
    for _ in range(2):
        with averaged.in_use():
            within.append({name: value.clone() for name, value in network.state_dict().items()})
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        assert all(module.training for module in network.modules())
    assert all(torch.equal(one, other) for one, other in zip(*(w.values() for w in within), strict=True))
    assert not torch.equal(within[0]["2.running_mean"], before["2.running_mean"])
    assert not torch.equal(within[0]["1.weight"], before["1.weight"])
    assert all(torch.equal(value, generators[name]) for name, value in generator_tensors(CPU).items())


def test_a_layer_that_evaluation_does_not_reach_keeps_its_statistics(stepped):
    class WithHead(nn.Module):
        def __init__(self, body):
            super().__init__()
            self.body, self.head = body, nn.BatchNorm1d(2)

        def forward(self, images):
            outputs = self.body(images)
            return (outputs, self.head(outputs)) if self.training else outputs

    body, _, statistics = stepped
    network = WithHead(body)
    statistics._network = network
    network(torch.rand(3, 3, 12, 14))
    before = network.head.running_mean.clone(), network.body[2].running_mean.clone()
    statistics.compute()
    assert torch.equal(network.head.running_mean, before[0])
    assert not torch.equal(network.body[2].running_mean, before[1])
    assert network.head.momentum == network.body[2].momentum == 0.1


def test_what_a_candidate_saves_is_what_was_validated(data, tmp_path):
    problem, network = make("pictures", data)
    protocol = protocol_of("pictures", averaging=0.8, learning_rate=0.05)
    outcome = evaluate_candidate(
        lambda task: network()[1:], problem, CASES, VALIDATION, protocol, seed=5, folder=tmp_path
    )
    assert outcome.status is Status.COMPLETE
    again = network()[1:]
    load_weights(again, tmp_path / "weights.safetensors")
    scores = problem.scores(again, VALIDATION, protocol, CPU)
    assert {name: outcome.metrics[name] for name in problem.metrics(scores)} == problem.metrics(scores)


def test_the_rate_rises_over_the_first_steps_of_a_constant_schedule(data):
    problem, network = new_network("pictures", data)
    protocol = protocol_of("pictures", epochs=4, learning_rate=0.06, warm_up_steps=6, **PLAIN)
    training = train(network, problem, CASES, VALIDATION, protocol, seed=5)
    rates = [record.learning_rate for record in training.curves.records]
    assert rates == pytest.approx([0.02, 0.04, 0.06, 0.06]), "after two steps each"


def test_averaging_needs_memory_for_another_copy_of_the_weights(problem, build):
    def predicted(averaging):
        protocol = TrainingProtocol(epochs=1, averaging=averaging)
        return evaluate_candidate(
            build, problem, range(6), (6, 7), protocol, seed=0, refuse=lambda cost: "no"
        ).cost

    without, cost = predicted(None), predicted(0.9)
    assert cost.predicted_memory_mb - without.predicted_memory_mb == pytest.approx(cost.size_mb, rel=0.05)
