"""A training that begins with the weights of another network, as far as they fit."""

import dataclasses
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from netwright.errors import RunError
from netwright.training.checkpoint import Checkpoints
from netwright.training.config import TrainingProtocol
from netwright.training.initial_weights import fitting, load_fitting, stored_shapes
from netwright.training.outcome import Status
from netwright.training.trial import evaluate_candidate
from netwright.training.weights import save_weights

SHORT = TrainingProtocol(epochs=2, mixed_precision=False, channels_last=False)


def network(channels, classes, seed):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1),
        nn.Conv2d(6, classes, 1),
    )


@pytest.fixture
def source(tmp_path):
    """The weights of a network for one channel and three classes, none of them as they are drawn."""
    path = tmp_path / "source.safetensors"
    made = network(1, 3, 0)
    save_file(
        {name: torch.rand(value.shape).to(value.dtype) for name, value in made.state_dict().items()}, path
    )
    return path


@pytest.mark.parametrize(
    ("channels", "classes", "other"),
    [(1, 3, ()), (2, 3, ("0",)), (1, 5, ("4",)), (4, 2, ("0", "4"))],
)
def test_layers_that_fit_are_equal_bit_by_bit_and_others_stay(source, channels, classes, other):
    """Other channels or classes leave the first or the last layer as it was drawn, its bias too."""
    made, before = network(channels, classes, 1), network(channels, classes, 1).state_dict()
    fit, stored = load_fitting(made, source), load_file(source)
    for name, value in made.state_dict().items():
        expected = before if name.partition(".")[0] in other else stored
        assert torch.equal(value, expected[name]), name
    kept = [name for name in before if name.partition(".")[0] not in other]
    assert (fit.tensors, fit.of_tensors) == (len(kept), len(before))
    assert fit.values == sum(before[name].numel() for name in kept)
    assert fit.of_values == sum(value.numel() for value in before.values())


def test_the_fit_is_told_in_words_and_nothing_is_drawn(source):
    state = torch.get_rng_state()
    names, fit = fitting(network(2, 3, 1), stored_shapes(source))
    load_fitting(network(2, 3, 1), source)
    torch.manual_seed(1)
    assert "0.weight" not in names
    assert fit.words().startswith("9 of 11 tensors, ")
    torch.set_rng_state(state)
    made = network(1, 3, 1)
    after = torch.get_rng_state()
    load_fitting(made, source)
    assert torch.equal(torch.get_rng_state(), after)


def test_a_damaged_or_missing_file_is_refused_by_name(tmp_path):
    path = tmp_path / "weights.safetensors"
    with pytest.raises(RunError, match=r"weights\.safetensors"):
        load_fitting(network(1, 3, 0), path)
    path.write_bytes(b"\x80\x04pickled")
    with pytest.raises(RunError, match=r"weights\.safetensors"):
        load_fitting(network(1, 3, 0), path)


def test_a_training_begins_with_the_loss_of_the_weights(problem, build, tmp_path):
    """With a rate of almost 0 the weights at the end are those at the beginning."""
    first = evaluate_candidate(build, problem, range(6), (6, 7), SHORT, seed=1, folder=tmp_path)
    source, still = (
        tmp_path / "weights.safetensors",
        dataclasses.replace(SHORT, learning_rate=1e-30, epochs=1),
    )
    folder = tmp_path / "again"
    folder.mkdir()
    again = evaluate_candidate(build, problem, range(6), (6, 7), still, seed=2, folder=folder, weights=source)
    for name, value in load_file(source).items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(load_file(folder / "weights.safetensors")[name], value, atol=1e-12), name
    assert again.curves["train_loss"][0] < first.curves["train_loss"][0]


def test_a_training_that_goes_on_does_not_read_the_file_again(problem, build, tmp_path):
    source, checkpoint = tmp_path / "source.safetensors", tmp_path / "checkpoint.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(5)
        save_weights(build(problem.task), source)
    run = {"seed": 1, "weights": source}
    whole = evaluate_candidate(build, problem, range(6), (6, 7), SHORT, **run)
    evaluate_candidate(
        build,
        problem,
        range(6),
        (6, 7),
        SHORT,
        stop_after=1,
        checkpoints=Checkpoints(checkpoint, None, keep=True),
        **run,
    )
    source.write_bytes(b"damaged")
    on = Checkpoints(tmp_path / "next.safetensors", None, resume_from=checkpoint)
    gone_on = evaluate_candidate(build, problem, range(6), (6, 7), SHORT, checkpoints=on, **run)
    assert gone_on.status is Status.COMPLETE
    assert gone_on.metrics == whole.metrics
    assert gone_on.curves == whole.curves
    assert math.isfinite(whole.curves["train_loss"][-1])


def test_a_missing_file_ends_the_search_and_is_no_fault_of_the_candidate(problem, build, tmp_path):
    with pytest.raises(RunError, match="gone"):
        evaluate_candidate(
            build, problem, range(6), (6, 7), SHORT, seed=1, weights=tmp_path / "gone.safetensors"
        )
