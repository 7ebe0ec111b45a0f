"""What trainings of different lengths say of one another."""

import pytest

from netwright.training.config import TrainingProtocol
from netwright.training.fidelity import Fidelity, fidelity_of
from netwright.training.outcome import Outcome, Status


@pytest.mark.parametrize(
    ("settings", "stop_after", "fidelity"),
    [
        ({"epochs": 9}, None, Fidelity(9, "epochs")),
        ({"epochs": 9}, 3, Fidelity(3, "epochs")),
        ({"epochs": 9, "steps": 500}, None, Fidelity(500, "steps")),
        ({"epochs": 9, "seconds": 60.0}, None, Fidelity(60.0, "seconds")),
    ],
)
def test_it_is_the_budget_of_the_protocol(settings, stop_after, fidelity):
    assert fidelity_of(TrainingProtocol(**settings), stop_after) == fidelity


def test_more_covers_less_of_the_same_unit_alone():
    three, nine = Fidelity(3, "epochs"), Fidelity(9, "epochs")
    assert nine.covers(three)
    assert nine.covers(nine)
    assert not three.covers(nine)
    assert not nine.covers(Fidelity(3, "seconds"))


def test_an_outcome_keeps_it_in_files_and_one_of_before_has_none():
    outcome = Outcome(Status.COMPLETE, fidelity=Fidelity(9, "epochs"))
    values = outcome.to_dict()
    assert values["fidelity"] == {"amount": 9, "unit": "epochs"}
    assert Outcome.from_dict(values) == outcome
    del values["fidelity"]
    assert Outcome.from_dict(values).fidelity is None
