"""The budget against a clock that is turned by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwright.training.time_budget import TimeBudget, TooSlow, affordable_epochs


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def run(share, batch_seconds, *, batches=10, epochs=100, validation=1.0, every=1, warm_up=0.0):
    """Epochs until the budget ends them: (finished, planned after each epoch, seconds)."""
    clock = Clock()
    budget = TimeBudget(share, epochs, batches, validation_batches=5, validate_every=every, clock=clock)
    plans, finished, epoch, last = [], 0, 0, False
    while not last:
        epoch += 1
        budget.batch_starts()
        done, in_time = 0, True
        while in_time and done < batches:
            done += 1
            first = epoch == 1 and not budget.planned
            seconds = batch_seconds(clock.now - 100) if callable(batch_seconds) else batch_seconds
            clock.now += seconds + (warm_up if first else 0)
            in_time = budget.batch_done()
        if done == batches:
            finished = epoch
            budget.epoch_done(epoch)
        plans.append(budget.planned_epochs)
        last = not in_time or epoch >= budget.planned_epochs
        if last or budget.validation_due(epoch):
            clock.now += validation
            budget.validation_done(validation)
    return finished, plans, clock.now - 100


def test_without_a_share_all_epochs_are_run():
    assert run(None, 1.0, epochs=4)[:2] == (4, [4, 4, 4, 4])


@pytest.mark.parametrize("share", [13.0, 25.0, 60.0, 111.0, 5000.0])
def test_fills_the_share_and_keeps_to_it(share):
    finished, _, seconds = run(share, 1.0, epochs=200)
    assert finished == min(200, int(share // 11))
    assert seconds <= share + 1.0


def test_plan_follows_the_machine():
    finished, plans, seconds = run(200.0, lambda now: 1.0 if now < 60 else 2.0)
    assert plans[0] > finished
    assert 160 < seconds <= 202
    finished, plans, seconds = run(200.0, lambda now: 2.0 if now < 60 else 1.0)
    assert plans[0] < finished
    assert 180 < seconds <= 201


def test_not_one_epoch_is_too_slow_with_the_measured_time():
    with pytest.raises(TooSlow, match=r"epoch of 10 batches takes 30\.0 s"):
        run(20.0, 3.0)
    with pytest.raises(TooSlow, match=r"5000\.0 s"):
        run(20.0, 500.0)


def test_an_epoch_of_one_batch_can_be_planned():
    finished, _, _ = run(20.0, 3.0, batches=1)
    assert finished == 5


def test_fewer_validations_leave_time_for_epochs():
    assert run(200.0, 1.0, validation=5.0)[0] < run(200.0, 1.0, validation=5.0, every=5)[0]


@given(
    seconds=st.floats(-10, 1e3),
    epoch=st.floats(0, 20),
    validation=st.floats(0, 20),
    every=st.integers(1, 60),
    at_most=st.integers(-2, 60),
)
def test_affordable_epochs_is_the_largest_that_fits(seconds, epoch, validation, every, at_most):
    fitting = [
        epochs
        for epochs in range(1, at_most + 1)
        if epochs * epoch + -(-epochs // every) * validation <= seconds
    ]
    assert affordable_epochs(seconds, epoch, validation, every, at_most) == max(fitting, default=0)
