"""Trials that are not of the run's space any more, because it was changed: their places, and what they were."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

LEFT_OUT = "left_out"
"""The status of such a trial."""
WAS = "left_out"
"""The user attribute of such a trial, with what it was."""
_REPLACED = ("status", "reason", "network")
"""The other user attributes that it has in place of its own."""


def as_it_was(trial: FrozenTrial) -> FrozenTrial:
    """A trial as it was before it was left out. One that was not is returned as it is."""
    was = trial.user_attrs.get(WAS)
    if was is None:
        return trial
    attributes = {name: value for name, value in trial.user_attrs.items() if name not in (WAS, *_REPLACED)}
    return _trial(
        trial,
        state=TrialState[was["state"]],
        values=was["values"],
        params=was["params"],
        distributions={name: json_to_distribution(text) for name, text in was["distributions"].items()},
        user_attrs={**attributes, **was["attributes"]},
        complete=trial.datetime_complete if TrialState[was["state"]].is_finished() else None,
    )


def fitting(
    trial: FrozenTrial,
    choice: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    network: str | None,
    noted: Mapping[str, Any] = MappingProxyType({}),
) -> FrozenTrial:
    """A trial in the changed space. All else that it has stays.

    Args:
        trial: as it was.
        choice: what it has in the changed space.
        distributions: of the changed space.
        network: the text of its canonical choice there, see `network_key`; None: it has none yet.
        noted: other user attributes that hold for the changed space.
    """
    return _trial(
        trial,
        params=dict(choice),
        distributions={name: distributions[name] for name in choice},
        user_attrs={**_with_network(trial.user_attrs, network), **noted},
    )


def left_out(trial: FrozenTrial, why: str, network: str | None) -> FrozenTrial:
    """The place of a trial that is not of the changed space. No strategy learns from it, and no budget counts it.

    Args:
        trial: as it was.
        why: it does not fit, in words.
        network: the text of its canonical choice in the changed space, by which its result may be reused; None: it has
            none.
    """
    was = {
        "state": trial.state.name,
        "values": trial.values,
        "params": trial.params,
        "distributions": {name: distribution_to_json(d) for name, d in trial.distributions.items()},
        "attributes": {name: trial.user_attrs[name] for name in _REPLACED if name in trial.user_attrs},
    }
    attributes = {**trial.user_attrs, "status": LEFT_OUT, "reason": why, WAS: was}
    return _trial(
        trial,
        state=TrialState.FAIL,
        values=None,
        params={},
        distributions={},
        user_attrs=_with_network(attributes, network),
        complete=trial.datetime_complete or trial.datetime_start or datetime.now(),
    )


def _with_network(attributes: Mapping[str, Any], network: str | None) -> dict[str, Any]:
    kept = {name: value for name, value in attributes.items() if name != "network"}
    return kept if network is None else {**kept, "network": network}


def _trial(trial: FrozenTrial, complete: datetime | None = None, **changes: Any) -> FrozenTrial:
    """A copy with other values."""
    kept: dict[str, Any] = {
        "state": trial.state,
        "values": trial.values,
        "params": trial.params,
        "distributions": trial.distributions,
        "user_attrs": trial.user_attrs,
        **changes,
    }
    return FrozenTrial(
        number=trial.number,
        trial_id=trial._trial_id,
        value=None,
        datetime_start=trial.datetime_start or (None if kept["state"] == TrialState.WAITING else complete),
        datetime_complete=complete or (trial.datetime_complete if kept["state"].is_finished() else None),
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
        **kept,
    )
