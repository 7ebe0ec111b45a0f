"""Which trials of a run fit a changed space: those whose networks it has, too, with the same training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any

import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial
from torch import nn

from netwright.errors import InfeasibleArchitecture
from netwright.runs.trials import network_key
from netwright.spaces.base import Choice, Layered, SetsTraining, Space, TaskShape, Value
from netwright.spec import Spec

SAMPLE = 8
"""So many networks are compared where only the bounds of dimensions differ."""


@dataclass(frozen=True)
class Fit:
    """How a trial fits.

    Args:
        choice: in the changed space; None: it does not fit.
        why: it does not fit, in words.
        network: the text of its canonical choice in the changed space; None: it has none there.
        lost: what is left of its choice without a value that is not searched any more, which may shape no network.
    """

    choice: dict[str, Any] | None
    why: str = ""
    network: str | None = None
    lost: dict[str, Any] | None = None


@dataclass(frozen=True)
class ChangedSpace:
    """A run's space before and after a change.

    Args:
        before: as it was; None: its code is gone, so that its networks cannot be compared.
        known: the dimensions that the trials have.
        after: as it is now.
        specs: the names and options of both.
        given: what the user says of dimensions that only one of both has.
        task: what the networks are for.
    """

    before: Space | None
    known: Mapping[str, BaseDistribution]
    after: Space
    specs: tuple[Spec, Spec]
    given: Mapping[str, Value]
    task: TaskShape
    _built: dict[tuple[bool, str], str] = field(default_factory=dict)

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The dimensions now."""
        return self.after.distributions()

    @cached_property
    def added(self) -> tuple[str, ...]:
        """The dimensions that the trials do not have."""
        return tuple(name for name in self.distributions if name not in self.known)

    @cached_property
    def dropped(self) -> tuple[str, ...]:
        """The dimensions that the trials have and the space has no more."""
        return tuple(name for name in self.known if name not in self.distributions)

    @cached_property
    def fixed(self) -> dict[str, Value]:
        """The values of dimensions that only one of both has, in the other: what is told, or can be read from it."""
        here = [(name, self.specs[0], self.before) for name in self.added]
        here += [(name, self.specs[1], self.after) for name in self.dropped]
        found = {name: _fixed_value(name, spec, space) for name, spec, space in here}
        return {**{name: value for name, value in found.items() if value is not None}, **self.given}

    @cached_property
    def taken(self) -> dict[str, Value]:
        """As `fixed`; of other added dimensions the starting values, which comparing networks must confirm."""
        if self.before is None:
            return self.fixed
        start = self.after.starting_choice()
        return {**{name: start[name] for name in self.added}, **self.fixed}

    @property
    def uncertain(self) -> bool:
        """Whether each network must be compared: a dimension that only one of both has is not known in the other."""
        return any(name not in self.fixed for name in (*self.added, *self.dropped))

    def differences(self) -> dict[str, tuple[str, str]]:
        """What each dimension that differs was, and is, in words."""
        now = self.distributions
        return {
            name: (
                in_words(self.known[name]) if name in self.known else "",
                in_words(now[name]) if name in now else _value_words(self.fixed.get(name)),
            )
            for name in dict.fromkeys((*self.known, *now))
            if self.known.get(name) != now.get(name)
        }

    def fits(self, trials: Iterable[FrozenTrial]) -> list[Fit]:
        """How each trial fits. Once one of the sample has another network, all are compared."""
        fits, differs = [], self.uncertain
        compared: set[str | None] = set()
        for trial in trials:
            fit = self._fit(trial)
            if fit.lost and self._is_equal(trial, fit.lost):
                fit = Fit(fit.lost, network=self._network(fit.lost))
            known = fit.choice is not None and fit.network is not None
            again = fit.network in compared
            if known and self.before is not None and (differs or again or len(compared) < SAMPLE):
                compared.add(fit.network)
                if not self._same(trial.params, fit.choice or {}):
                    fit, differs = Fit(None, "its network is another one there"), True
            fits.append(fit)
        return fits

    def _fit(self, trial: FrozenTrial) -> Fit:
        """How a trial fits by its values."""
        params, whole = trial.params, trial.params.keys() >= self.known.keys()
        if params.keys() - self.known.keys() - self.distributions.keys() or (not whole and trial.values):
            return Fit(None, "it has other dimensions")  # of an earlier change
        choice = {name: params[name] for name in self.distributions if name in params}
        unknown = [name for name in self.added if name not in self.taken]
        if whole:
            choice |= {name: self.taken[name] for name in self.added if name in self.taken}
        choice = {name: choice[name] for name in self.distributions if name in choice}
        lost = [name for name in self.dropped if name in params and not self._keeps(name, params[name])]
        out = [name for name, value in choice.items() if not contains(self.distributions[name], value)]
        network = self._network(choice) if whole and not unknown and not lost else None
        if whole and unknown:
            return Fit(None, f"what it had in {unknown[0]}, which is new, is not known")
        if lost:
            return Fit(None, f"{lost[0]} = {params[lost[0]]} is not searched any more", lost=choice)
        if out:
            return Fit(None, f"{out[0]} = {choice[out[0]]} is not searched any more", network)
        if self.before is None and network is not None and not self._has_form(trial, network):
            return Fit(None, "its network is another one there")
        return Fit(choice, network=network)

    def _is_equal(self, trial: FrozenTrial, choice: Choice) -> bool:
        """Whether the space has the network of a trial by another choice."""
        inside = all(contains(d, choice.get(name)) for name, d in self.distributions.items())
        return self.before is not None and inside and self._same(trial.params, choice)

    def _keeps(self, name: str, value: Any) -> bool:
        """Whether the space may still have what a trial has in a dimension that is dropped."""
        if name in self.fixed:
            return bool(self.fixed[name] == value)
        return self.before is not None

    def _network(self, choice: Choice) -> str | None:
        try:
            return network_key(self.after.canonical(choice))
        except Exception:  # of a value that is not of the space; a user's own space may raise anything
            return None

    def _has_form(self, trial: FrozenTrial, network: str) -> bool:
        """Whether a trial's canonical choice is as its search stored it, in the dimensions that both spaces have."""
        stored = trial.user_attrs.get("network")
        if stored is None:
            return True
        apart = {*self.added, *self.dropped}
        then, now = (
            {n: v for n, v in json.loads(text).items() if n not in apart} for text in (stored, network)
        )
        return bool(then == now)

    def _same(self, before: Choice, after: Choice) -> bool:
        assert self.before is not None
        return self._described(self.before, before) == self._described(self.after, after)

    def _described(self, space: Space, choice: Choice) -> str:
        """The network of a choice and what it sets of the training, as a text."""
        key = (space is self.after, json.dumps(dict(choice), sort_keys=True, default=str))
        if key not in self._built:
            self._built[key] = _description(space, choice, self.task)
        return self._built[key]


def _description(space: Space, choice: Choice, task: TaskShape) -> str:
    training = space.training(choice) if isinstance(space, SetsTraining) else {}
    try:
        with torch.device("meta"):
            network: Any = _parts(space.build(choice, task))
    except InfeasibleArchitecture:
        network = None
    return json.dumps([network, training], sort_keys=True, default=str)


def _parts(network: nn.Module) -> dict[str, Any]:
    """Class, plain attributes, and shapes of parameters and buffers of each module of a network, by name."""
    return {
        name: [
            type(part).__name__,
            {key: _plain(value) for key, value in vars(part).items() if key[0] != "_" and key != "training"},
            {key: _plain(value) for key, value in {**part._parameters, **part._buffers}.items()},
        ]
        for name, part in network.named_modules()
    }


def _plain(value: Any) -> Any:
    """A value for JSON, without addresses and contents of tensors."""
    if isinstance(value, torch.Tensor):
        return [list(value.shape), str(value.dtype)]
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {one.name: _plain(getattr(value, one.name)) for one in fields(value)}]
    if isinstance(value, int | float | str | torch.dtype | None):
        return repr(value)
    return getattr(value, "__qualname__", type(value).__name__)


def _fixed_value(name: str, spec: Spec, space: Space | None) -> Value | None:
    """The value of a dimension in a space that does not search it; None: it is not known."""
    fixed = spec.options.get("fixed")
    candidates = [fixed.get(name) if isinstance(fixed, Mapping) else None, spec.options.get(name)]
    candidates += [getattr(space, name, None)] if name.isidentifier() else []
    candidates += [space.original_choice().get(name)] if isinstance(space, Layered) else []
    return next((value for value in candidates if isinstance(value, int | float | str)), None)


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a dimension has a value."""
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False


def in_words(distribution: BaseDistribution) -> str:
    """The values of a dimension.

    >>> in_words(IntDistribution(4, 12, step=4)), in_words(CategoricalDistribution((8, "all")))
    ('4 to 12 in steps of 4', '8 or all')
    """
    if isinstance(distribution, CategoricalDistribution):
        *others, last = map(str, distribution.choices)
        return f"{', '.join(others)} or {last}" if others else last
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    step = f" in steps of {distribution.step:g}" if distribution.step not in (None, 1) else ""
    return (
        f"{distribution.low:g} to {distribution.high:g}{step}{' (logarithmic)' if distribution.log else ''}"
    )


def _value_words(value: Value | None) -> str:
    return "" if value is None else f"always {value}"
