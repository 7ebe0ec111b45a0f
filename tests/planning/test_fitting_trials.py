"""Which trials fit a changed space, against the networks themselves: no run, no data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, TrialState

from netwright.planning.fitting_trials import ChangedSpace
from netwright.runs.left_out import WAS, as_it_was, fitting, left_out
from netwright.runs.trials import network_key, record_of
from netwright.settings import SpecSettings
from netwright.spaces import make_space
from netwright.tasks.segmentation.network_task import SegmentationTask

TASK = SegmentationTask(1, ("background", "a"), (16, 16, 16))


def trial(space: Any, choice: Mapping[str, Any], number: int = 0, **attributes: Any) -> FrozenTrial:
    distributions = space.distributions()
    assert set(choice) == set(distributions)
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.COMPLETE,
        value=0.5,
        datetime_start=datetime(2024, 1, 1),
        datetime_complete=datetime(2024, 1, 2),
        params=dict(choice),
        distributions=distributions,
        user_attrs={"status": "complete", "network": network_key(space.canonical(choice)), **attributes},
        system_attrs={"netwright:q-learning:0": {"kind": "exploration"}},
        intermediate_values={},
    )


def changed(
    before: dict[str, Any], after: dict[str, Any], name: str = "segnas4", **told: Any
) -> ChangedSpace:
    specs = SpecSettings(name=name, **before), SpecSettings(name=name, **after)
    old, new = map(make_space, specs)
    return ChangedSpace(old, old.distributions(), new, specs, told, TASK)


def network(space: Any, choice: Mapping[str, Any]) -> list[tuple[str, tuple[int, ...]]]:
    """The weights of a network that is really built."""
    torch.manual_seed(0)
    return [(n, tuple(w.shape)) for n, w in space.build(choice, TASK).state_dict().items()]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_trials_within_the_new_bounds_fit_with_the_same_network(data: st.DataObject) -> None:
    bounds = st.tuples(st.integers(1, 12), st.integers(2, 6)).map(lambda pair: [pair[0], sum(pair)])
    old, new = data.draw(bounds), data.draw(bounds)
    compared = changed({"n": old, "p": [1, 4]}, {"n": new, "p": [1, 4]})
    assert compared.before is not None
    choice = {"n": data.draw(st.integers(old[0], old[1] - 1)), "p": 2, "sup": 1, "res": 0}
    (fit,) = compared.fits([trial(compared.before, choice)])
    assert (fit.choice is not None) == (new[0] <= choice["n"] < new[1])
    assert fit.network == network_key(compared.before.canonical(choice)), "a result left out may be reused"
    if fit.choice is not None:
        assert fit.choice == choice
        assert list(fit.choice) == list(compared.distributions)
    else:
        assert fit.why == f"n = {choice['n']} is not searched any more"


def test_a_dimension_that_is_fixed_now_keeps_the_trials_with_its_value() -> None:
    compared = changed({"n": [2, 6]}, {"n": 4})
    assert compared.before is not None
    choices = [{"n": n, "p": 2, "sup": 0, "res": 1} for n in (2, 4)]
    other, same = compared.fits([trial(compared.before, choice) for choice in choices])
    assert other.choice is None
    assert other.network is None, (
        "the canonical choice has no n any more, so it would be that of another network"
    )
    assert same.choice == {"p": 2, "sup": 0, "res": 1}
    assert network(compared.after, same.choice) == network(compared.before, choices[1])
    assert compared.differences() == {"n": ("2 to 5", "always 4")}


def test_a_dimension_that_was_fixed_has_its_value_in_earlier_trials() -> None:
    compared = changed({"n": 4}, {"n": [2, 6]})
    assert compared.before is not None
    choice = {"p": 2, "sup": 0, "res": 1}
    (fit,) = compared.fits([trial(compared.before, choice)])
    assert fit.choice == {"n": 4, **choice}
    assert network(compared.after, fit.choice) == network(compared.before, choice)
    assert compared.differences() == {"n": ("", "2 to 5")}


def test_more_nodes_of_a_block_leave_its_networks_as_they_are() -> None:
    """The genes of further nodes are new dimensions, but no network of before has these nodes."""
    fixed = {"n": 2, "p": 1, "sup": 0, "res": 0}
    compared = changed({**fixed, "nodes": [2, 4]}, {**fixed, "nodes": [2, 5]}, "segnas11")
    assert compared.before is not None
    assert compared.uncertain
    choice = {"nodes": 3, "op1": 2, "op2": 0, "op3": 2}
    (fit,) = compared.fits([trial(compared.before, choice)])
    assert fit.choice is not None
    assert choice.items() <= fit.choice.items()
    assert network(compared.after, fit.choice) == network(compared.before, choice)
    assert fit.network == network_key(compared.before.canonical(choice))


@pytest.mark.parametrize("other", [{"dropout": 0.2}, {"res": 1}, {"ops": [1, 0, 1]}])
def test_an_option_that_makes_other_networks_keeps_no_trial(other: dict[str, Any]) -> None:
    """It is no dimension, so no value tells: only the networks do."""
    compared = changed({"n": [2, 6], "res": 0}, {"n": [2, 9], "res": 0, **other})
    assert compared.before is not None
    (fit,) = compared.fits([trial(compared.before, {"n": 3, "p": 2, "sup": 0})])
    assert (fit.choice, fit.why) == (None, "its network is another one there")


class Own:
    """A space whose class has changed: the one before cannot be made any more."""

    name = "own"

    def __init__(self, **dimensions: Any) -> None:
        self.dimensions = dimensions

    def distributions(self) -> dict[str, Any]:
        return self.dimensions

    def starting_choice(self) -> dict[str, Any]:
        return {name: one.low for name, one in self.dimensions.items()}

    def canonical(self, choice: Any) -> dict[str, Any]:
        return dict(choice)


def test_what_earlier_trials_had_in_a_new_dimension_must_be_said_where_it_cannot_be_told() -> None:
    before, after = (
        Own(depth=IntDistribution(1, 4)),
        Own(depth=IntDistribution(1, 9), width=IntDistribution(2, 8)),
    )
    spec = SpecSettings(name="own")

    def fit(**told: Any) -> Any:
        space: Any = after
        compared = ChangedSpace(None, before.distributions(), space, (spec, spec), told, TASK)
        return compared.fits([trial(before, {"depth": 3})])[0]

    assert fit().choice is None
    assert "width, which is new, is not known" in fit().why
    assert fit(width=4).choice == {"depth": 3, "width": 4}


def test_a_trial_that_is_left_out_is_shown_as_it_was_and_can_return() -> None:
    space: Any = make_space(SpecSettings(name="segnas4", n=[2, 6]))
    choice = {"n": 3, "p": 2, "sup": 0, "res": 1}
    whole = trial(space, choice, outcome={"status": "complete", "metrics": {"dice": 0.5}})
    out = left_out(whole, "n = 3 is not searched any more", None)
    out._validate()
    assert (out.state, out.params, out.values) == (TrialState.FAIL, {}, None)
    record = record_of(out)
    assert (record.status, record.reward, record.choice) == ("left_out", None, choice)
    assert record.outcome is not None
    assert record.outcome.metrics == {"dice": 0.5}
    assert record.distributions == space.distributions()
    back = as_it_was(out)
    assert WAS not in back.user_attrs
    assert record_of(back) == record_of(whole)
    again = fitting(back, back.params, space.distributions(), network_key(space.canonical(choice)))
    assert again == whole
