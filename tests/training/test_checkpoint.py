"""A training that was stopped after whatever step goes on as if it had not been."""

import dataclasses
import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from netwright.errors import RunError, StorageError
from netwright.training import checkpoint
from netwright.training.checkpoint import (
    CheckpointRefused,
    Checkpoints,
    CheckpointTimer,
    load_checkpoint,
    load_values,
    remove_checkpoint,
    save_checkpoint,
)
from netwright.training.config import TrainingProtocol
from netwright.training.early_stopping import EarlyTermination
from netwright.training.fidelity import Fidelity
from netwright.training.loop import train
from netwright.training.optimizers import optimizer_of
from netwright.training.outcome import Status
from netwright.training.seeding import seeded
from netwright.training.state import (
    generator_tensors,
    network_tensors,
    optimizer_tensors,
    restore_generators,
    restore_optimizer,
)
from netwright.training.trial import evaluate_candidate
from netwright.training.weights import save_weights
from processes import run
from resumable import (
    AUGMENTATION,
    CASES,
    VALIDATION,
    Copied,
    Drawing,
    copy_of,
    make,
    protocol_of,
    result_of,
    trained,
)

CPU = torch.device("cpu")
KINDS = ["volumes", "slices", "pictures", "inpainting"]
PROTOCOLS = {
    "nadam": {"optimizer": "nadam", "schedule": "constant", "weight_decay": 1e-4},
    "adam, cosine, patience": {
        "optimizer": "adam",
        "schedule": "cosine",
        "patience": 2,
        "minimum_gain": 0.5,
        "epochs": 5,
    },
    "sgd, cosine, rare validations": {
        "optimizer": "sgd",
        "schedule": "cosine",
        "gradient_norm": 1.0,
        "validate_every": 2,
        "score_epochs": 2,
        "early": EarlyTermination(loss=0.9, loss_epochs=30),
    },
    "adam, full precision, not augmented": {
        "optimizer": "adam",
        "mixed_precision": False,
        "channels_last": False,
        "augmentation": None,
        "warm_up": False,
        "steps": 5,
    },
    "schedule-free": {
        "optimizer": "schedule_free",
        "warm_up_steps": 4,
        "learning_rate": 0.02,
        "weight_decay": 0.1,
    },
    "averaged, warm-up": {"averaging": 0.9, "warm_up_steps": 4, "learning_rate": 0.02, "validate_every": 2},
}
"""Each kind of state in one of them at least."""
QUICK = {"volumes": ("nadam", "averaged, warm-up"), "slices": ("adam, cosine, patience", "schedule-free")}
"""Protocols that are quickly tried with data that takes longer; all are with pictures."""
PAIRS = [
    pytest.param(kind, name, marks=[] if name in QUICK.get(kind, PROTOCOLS) else [pytest.mark.slow])
    for name in PROTOCOLS
    for kind in KINDS
]


def steps_of(path):
    return sorted(int(one.suffix[1:]) for one in path.parent.glob(f"{path.name}.*"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


@pytest.fixture(autouse=True)
def after_each_step(monkeypatch):
    monkeypatch.setattr(checkpoint, "LEAST_PAUSE", checkpoint.LEAST_PAUSE)  # set back at the end


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_goes_on_after_any_step_as_if_it_had_not_been_stopped(kind, name, data, path):
    protocol = protocol_of(kind, **PROTOCOLS[name])
    training, whole = trained(kind, protocol, data, path, copied=True)
    assert whole == trained(kind, protocol, data, path)[1], "checkpoints change nothing"
    steps = steps_of(path)
    assert len(steps) == training.epochs * len(make(kind, data)[0].batches(CASES, protocol, "cpu", 0))
    for step in steps:
        assert trained(kind, protocol, data, path, resume_from=copy_of(path, step))[1] == whole, step


def test_goes_on_among_the_patches_of_large_volumes(data, path):
    protocol = protocol_of("volumes", patches=2, foreground_patches=0.5, epochs=2)
    training, whole = trained("volumes", protocol, data, path, copied=True)
    steps = steps_of(path)
    assert len(steps) == training.epochs * 5  # 14 patches in batches of three
    for step in steps[3::4]:
        assert trained("volumes", protocol, data, path, resume_from=copy_of(path, step))[1] == whole, step


def test_goes_on_in_another_process(data, tmp_path):
    jobs = []
    for kind in ("volumes", "pictures"):
        path = tmp_path / kind / "checkpoint.safetensors"
        path.parent.mkdir()
        settings = {"epochs": 2, "schedule": "cosine"}
        _, whole = trained(kind, protocol_of(kind, **settings), data, path, copied=True)
        jobs.append(((kind, settings, str(data), str(path), steps_of(path)[::2]), whole))
    script = Path(__file__).parents[1] / "resumable.py"
    finished = run([sys.executable, script, json.dumps([job for job, _ in jobs])])
    assert finished.returncode == 0, finished.stderr
    for results, (job, whole) in zip(json.loads(finished.stdout), jobs, strict=True):
        assert results == [json.loads(json.dumps(whole))] * len(job[-1]), job


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "cosine"},
        {"schedule": "cosine", "validate_every": 4, "score_epochs": 2, "patience": 3, "minimum_gain": 0.5},
        {"schedule": "constant", "optimizer": "sgd", "validate_every": 2},
    ],
)
def test_in_parts_up_to_the_largest_budget_is_the_same_as_at_one_go(settings, data, path):
    protocol = protocol_of("pictures", epochs=9, **settings)
    whole, result = trained("pictures", protocol, data, path)
    parts = None
    for last in (1, 3, None):
        resume_from = None if last == 1 else path
        training, parts = trained(
            "pictures", protocol, data, path, resume_from=resume_from, stop_after=last, keep=True
        )
        if last is not None:
            assert training.status is Status.COMPLETE
            assert training.epochs == training.planned_epochs == len(training.curves.records) == last
            assert training.curves.records[-1].validation_score is not None
            assert len(training.scores) > 0
    assert parts == result
    assert whole.epochs > 3


def test_a_training_under_a_constant_rate_is_the_same_with_more_epochs_later(data, path, monkeypatch):
    monkeypatch.setattr(Drawing, "change", 0.0)
    few, many = (
        protocol_of("pictures", epochs=3, validate_every=4),
        protocol_of("pictures", epochs=9, validate_every=4),
    )
    first, _ = trained("pictures", few, data, path, keep=True)
    _, later = trained("pictures", many, data, path, resume_from=path)
    assert first.curves.records[-1].validation_score is not None
    assert later == trained("pictures", many, data, path)[1]


def test_under_a_cosine_with_more_epochs_later_the_rate_is_that_of_the_longer_schedule(data, path):
    settings = {"schedule": "cosine", "warm_up": False, "learning_rate": 0.01}
    trained("pictures", protocol_of("pictures", epochs=3, **settings), data, path, keep=True)
    _, later = trained(
        "pictures", protocol_of("pictures", epochs=6, **settings), data, path, resume_from=path
    )
    _, short = trained("pictures", protocol_of("pictures", epochs=3, **settings), data, path)
    _, long = trained("pictures", protocol_of("pictures", epochs=6, **settings), data, path)
    assert later["rates"] == short["rates"] + long["rates"][3:]
    assert later["rates"][3] > later["rates"][2], "it rises again"
    assert later["curves"]["train_loss"][:3] == short["curves"]["train_loss"]
    assert later["weights"] != long["weights"]


def test_a_finished_training_that_goes_on_with_as_many_epochs_trains_and_validates_nothing(data, path):
    problem, network = make("pictures", data)

    class Counted:
        scored = 0

        def __getattr__(self, name):
            return getattr(problem, name)

        def scores(self, *arguments):
            self.scored += 1
            return problem.scores(*arguments)

    counted = Counted()
    results = []
    for resume_from in (None, path):
        training = train(
            network(),
            counted,
            CASES,
            VALIDATION,
            protocol_of("pictures"),
            seed=5,
            checkpoints=Checkpoints(path, keep=True, resume_from=resume_from),
        )
        results.append(result_of(training))
        assert counted.scored == 3
    assert results[0] == results[1]
    assert load_values(path)["step"]["steps"] == 3 * len(
        problem.batches(CASES, protocol_of("pictures"), "cpu", 0)
    )


SHORT = {"epochs": 2, "augmentation": None, "mixed_precision": False}


def half_done(data, path, **settings):
    """A checkpoint of after the first step."""
    trained("pictures", protocol_of("pictures", **{**SHORT, **settings}), data, path, copied=True)
    return copy_of(path, 1)


def test_a_damaged_checkpoint_is_refused(data, path):
    whole = half_done(data, path).read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], b"", b"half of it", whole[5:]):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=r"checkpoint.safetensors cannot be read.*Restore it from a copy"):
            trained("pictures", protocol_of("pictures", **SHORT), data, path, resume_from=path)
    with pytest.raises(RunError, match="cannot be read"):
        load_checkpoint(path.with_name("missing.safetensors"))


def test_what_is_no_checkpoint_of_a_training_is_refused(data, path):
    protocol = protocol_of("pictures", **SHORT)
    save_weights(make("pictures", data)[1](), path)
    with pytest.raises(RunError, match="it is no checkpoint"):
        trained("pictures", protocol, data, path, resume_from=path)
    save_checkpoint(path, {"theta": torch.zeros(3)}, {"standing": {"step": 3}})
    with pytest.raises(RunError, match="none of a training, or one of another version"):
        trained("pictures", protocol, data, path, resume_from=path)


def test_a_candidate_refuses_a_checkpoint_of_another_version_before_it_reads_more(data, path):
    problem, network = make("pictures", data)
    save_checkpoint(path, {}, {"version": 2, "notes": {"attempt": {"seed": 5, "unheard_of": 1}}})
    with pytest.raises(CheckpointRefused, match="none of a training, or one of another version"):
        evaluate_candidate(
            lambda task: network()[1:],
            problem,
            CASES,
            VALIDATION,
            protocol_of("pictures", **SHORT),
            seed=5,
            checkpoints=Checkpoints(path, keep=True, resume_from=path),
        )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"learning_rate": 0.5}, r"training\.learning_rate 0\.001, here 0\.5"),
        ({"augmentation": AUGMENTATION}, r"training\.augmentation None, here \{'probability': 0\.8"),
        ({"optimizer": "sgd"}, r"training\.optimizer 'nadam', here 'sgd'"),
    ],
)
def test_a_checkpoint_of_another_protocol_is_refused(changed, reason, data, path):
    before = half_done(data, path)
    with pytest.raises(RunError, match=reason):
        trained("pictures", protocol_of("pictures", **{**SHORT, **changed}), data, path, resume_from=before)


def test_a_checkpoint_of_other_cases_or_another_network_is_refused(data, path):
    before = half_done(data, path)
    problem, network = make("pictures", data)
    protocol = protocol_of("pictures", **SHORT)

    def go_on(network, training=CASES, validation=VALIDATION):
        checkpoints = Checkpoints(path, resume_from=before)
        return train(network, problem, training, validation, protocol, seed=5, checkpoints=checkpoints)

    with pytest.raises(RunError, match="the training cases others"):
        go_on(network(), training=range(1, 8))
    with pytest.raises(RunError, match="the validation cases others"):
        go_on(network(), validation=range(8, 10))
    wider = network()
    wider[-1] = torch.nn.Linear(24, 2, bias=False)
    with pytest.raises(RunError, match="another network"):
        go_on(wider)
    assert go_on(network(), np.array(CASES), list(VALIDATION)).status is Status.COMPLETE


def test_batches_that_come_out_otherwise_are_refused(data, path):
    # As with a later version whose augmentation draws more.
    before = half_done(data, path)
    problem, network = make("pictures", data)

    class Drawing:
        def __init__(self, batches):
            self.batches, self.generator = batches, batches.generator

        def __len__(self):
            return len(self.batches)

        def __iter__(self):
            for batch in self.batches:
                torch.rand(1, generator=self.generator)
                yield batch

    class Other:
        def __getattr__(self, name):
            return getattr(problem, name)

        def batches(self, *arguments):
            return Drawing(problem.batches(*arguments))

    checkpoints = Checkpoints(path, resume_from=before)
    with pytest.raises(RunError, match="other batches"):
        train(
            network(),
            Other(),
            CASES,
            VALIDATION,
            protocol_of("pictures", **SHORT),
            seed=5,
            checkpoints=checkpoints,
        )


def test_it_may_go_on_with_other_threads_and_a_limit_in_time(data, path):
    before = half_done(data, path)
    protocol = protocol_of("pictures", **{**SHORT, "threads": 2, "seconds": 100.0})
    training, _ = trained("pictures", protocol, data, path, resume_from=before)
    assert training.status is Status.COMPLETE
    assert training.epochs == 2


def test_the_time_used_before_counts(data, path):
    protocol = protocol_of("pictures", **{**SHORT, "epochs": 10**6, "seconds": 1.0})
    first, _ = trained("pictures", protocol, data, path, keep=True)
    again, _ = trained("pictures", protocol, data, path, resume_from=path)
    assert first.epochs <= again.epochs < 1.5 * first.epochs, "the share is used up, but for a rest"
    assert again.seconds >= first.curves.records[-1].seconds
    longer = dataclasses.replace(protocol, seconds=first.seconds + 1.0)
    training, _ = trained("pictures", longer, data, path, resume_from=path)
    assert training.epochs > again.epochs
    losses = [record.train_loss for record in training.curves.records]
    assert losses[: first.epochs] == [record.train_loss for record in first.curves.records[: first.epochs]]


def test_a_share_that_ends_within_the_first_epoch_is_too_short_for_it_also_after_a_kill(data, path):
    before = half_done(data, path)
    batches = len(make("pictures", data)[0].batches(CASES, protocol_of("pictures", **SHORT), "cpu", 0))
    assert batches > 1
    less = protocol_of("pictures", **{**SHORT, "seconds": 1e-9})
    training, _ = trained("pictures", less, data, path, resume_from=before)
    assert training.status is Status.TOO_SLOW
    assert training.reason.startswith(f"not one epoch fits into 0.0 s: an epoch of {batches} batches takes ")
    assert (training.epochs, len(training.scores)) == (0, 0)
    for steps, epochs in ((batches, 1), (batches + 1, 1), (2 * batches, 2)):
        training, _ = trained("pictures", less, data, path, resume_from=copy_of(path, steps))
        assert (training.status, training.epochs) == (Status.COMPLETE, epochs)
        assert len(training.scores) > 0


KILLS = """
import json, os, signal, sys, time
from pathlib import Path
import torch
from netwright.training.checkpoint import load_checkpoint, save_checkpoint

torch.set_num_threads(1)  # a child has none of the threads that its parent's tensors are computed with
path, results = Path(sys.argv[1]), []
for attempt in range(12):
    path.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        for step in range(10**9):
            tensors = {"a": torch.full((10**6,), float(step)), "b": torch.tensor(step)}
            save_checkpoint(path, tensors, {"step": step})
    while not path.exists():
        time.sleep(0.001)
    time.sleep(0.0037 * attempt)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    tensors, values = load_checkpoint(path)
    whole = torch.equal(tensors["a"], torch.full((10**6,), float(tensors["b"])))
    results.append((whole and values["step"] == tensors["b"].item(), path.with_name(path.name + ".partial").exists()))
print(json.dumps(results))
"""


@pytest.mark.cluster
def test_a_kill_as_it_is_written_leaves_a_whole_one(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    finished = run([sys.executable, "-c", KILLS, path])
    assert finished.returncode == 0, finished.stderr
    results = json.loads(finished.stdout)
    assert all(whole for whole, _ in results)
    assert any(within for _, within in results), "no kill came within a writing"
    save_checkpoint(path, {"a": torch.zeros(3)}, {})
    assert list(tmp_path.iterdir()) == [path], "what the killed ones left is gone"
    path.with_name(path.name + ".partial").mkdir()
    remove_checkpoint(path)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_cannot_be_written_ends_no_training_that_does_not_need_it(data, path):
    checkpoint.LEAST_PAUSE = 0.0
    problem, network = make("pictures", data)
    missing = path.parent / "missing" / path.name

    def go(**options):
        checkpoints = Checkpoints(missing, 0.0, **options)
        protocol = protocol_of("pictures", **SHORT)
        return train(network(), problem, CASES, VALIDATION, protocol, seed=5, checkpoints=checkpoints)

    assert go().status is Status.COMPLETE
    with pytest.raises(StorageError, match=r"checkpoint.safetensors cannot be written"):
        go(keep=True)


def test_the_timer_leaves_twenty_durations_between_two():
    now = 0.0
    timer = CheckpointTimer(3.0, clock=lambda: now)
    now = 2.5
    assert not timer.due
    now = 3.0
    assert timer.due
    with timer.writing():
        now += 0.125
    now = 6.0
    assert not timer.due
    now = 6.125
    assert timer.due
    with timer.writing():
        now += 1.0
    now = 27.0
    assert not timer.due
    now = 27.125
    assert timer.due
    timer.restart()
    assert not timer.due
    assert not CheckpointTimer(None, clock=lambda: 1e9).due


def test_generators_go_on_where_they_were():
    def draw():
        numbers = np.random.normal(), np.random.rand()  # noqa: NPY002
        return random.gauss(0, 1), random.random(), *numbers, *torch.rand(3).tolist()

    with seeded(3):
        random.gauss(0, 1), np.random.normal()  # noqa: NPY002  each leaves a second one for later
        before = {name: value.clone() for name, value in generator_tensors(CPU).items()}
        drawn = draw()
    with seeded(4):
        restore_generators(before, CPU)
        assert draw() == drawn


def test_weights_that_modules_share_stay_shared(path):
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
            self.two.weight = self.one.weight

    network, again = Shared(), Shared()
    save_checkpoint(path, network_tensors(network), {})
    again.load_state_dict(load_checkpoint(path)[0])
    assert again.one.weight is again.two.weight
    torch.testing.assert_close(dict(network.state_dict()), dict(again.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize("optimizer", ["nadam", "adam", "adamw", "sgd"])
def test_an_optimizer_keeps_what_it_knows_where_it_keeps_it(optimizer, path):
    def weights():
        torch.manual_seed(0)
        return [
            torch.rand(4, 3, 3, 3).to(memory_format=torch.channels_last).requires_grad_(),
            torch.rand(5).requires_grad_(),
        ]

    def step(own, made):
        for number, weight in enumerate(own):
            weight.grad = torch.full_like(weight, 0.1 + number)
        made.step()

    protocol = TrainingProtocol(optimizer=optimizer, weight_decay=0.1)
    own = weights()
    made = optimizer_of(protocol, own)
    step(own, made)
    save_checkpoint(path, optimizer_tensors(made), {})
    others = [weight.detach().clone().requires_grad_() for weight in own]
    again = optimizer_of(protocol, others)
    restore_optimizer(again, load_checkpoint(path)[0])
    for one, other in zip(own, others, strict=True):
        kept, restored = made.state[one], again.state[other]
        assert set(kept) == set(restored)
        for name in kept:
            assert torch.equal(kept[name], restored[name])
            assert (kept[name].dtype, kept[name].stride()) == (restored[name].dtype, restored[name].stride())
    step(own, made), step(others, again)
    assert all(torch.equal(one, other) for one, other in zip(own, others, strict=True))


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_a_candidate_that_was_begun_again_goes_on_with_the_training_that_it_was_in(data, path, every):
    problem, network = make("pictures", data)
    # No loss is below so small a threshold: the first training stalls after two epochs, and so does the second.
    protocol = protocol_of(
        "pictures", epochs=4, early=EarlyTermination(loss=1e-6, loss_epochs=2, least_steps=1)
    )

    def outcome_of(problem, seconds=None, resume_from=None):
        checkpoints = Checkpoints(path, seconds, resume_from=resume_from)
        outcome = evaluate_candidate(
            lambda task: network()[1:], problem, CASES, VALIDATION, protocol, seed=5, checkpoints=checkpoints
        )
        remove_checkpoint(path)
        return {**outcome.to_dict(), "seconds": None, "cost": None}

    checkpoint.LEAST_PAUSE = 0.0
    whole = outcome_of(Copied(problem, path), 0.0)
    assert (whole["status"], whole["restarts"], whole["epochs"]) == ("loss_stalled", 1, 2)
    assert "started again with new weights" in whole["reason"]
    steps = steps_of(path)
    assert len(steps) == 2 * 2 * len(problem.batches(CASES, protocol, "cpu", 0))
    for step in steps[::every]:
        assert outcome_of(problem, resume_from=copy_of(path, step)) == whole, step


def test_the_seconds_of_an_outcome_are_those_of_all_its_parts(data, path):
    problem, network = make("pictures", data)
    parts = [
        evaluate_candidate(
            lambda task: network()[1:],
            problem,
            CASES,
            VALIDATION,
            protocol_of("pictures", epochs=4),
            seed=5,
            stop_after=stop_after,
            checkpoints=Checkpoints(path, keep=True, resume_from=resume_from),
        )
        for stop_after, resume_from in ((3, None), (4, path), (4, path))
    ]
    assert parts[0].seconds > parts[0].cost.seconds_per_batch * 3
    trained = load_values(path)["budget"]["seconds"]
    assert parts[2].seconds > trained
    assert [outcome.fidelity for outcome in parts] == [
        Fidelity(3, "epochs"),
        Fidelity(4, "epochs"),
        Fidelity(4, "epochs"),
    ]
