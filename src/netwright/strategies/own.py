"""A user's own strategy, by the name of its class: ``package.module:Class``."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from netwright.docstrings import argument_descriptions
from netwright.errors import SettingsError, StrategyFailed
from netwright.execution.interrupts import passes
from netwright.own_code.loading import OwnCode, article, load, told
from netwright.spec import Spec, unknown_option
from netwright.strategies.base import Choice, Dimension, Observation, Stamp, Strategy

OWN = "own"
FILLED_IN = ("folder",)
"""The options that a run fills in."""
REQUIRED = ("name", "settings", "init", "ask", "tell")
"""What every strategy has; see `netwright.strategies.base.Strategy`."""
OPTIONAL = ("converged_words", "converged", "exploration_episodes", "own_proposals_only", "starting_point")
"""What a search asks of a strategy that has it. What only a report would ask is left out, as it runs no such code."""


def own(code: str, *, folder: str | None = None, **options: Any) -> Strategy[Any]:
    """Your own strategy (--strategy package.module:Class).

    Args:
        code: your own strategy, ``package.module:Class``; ``--strategy``. The class or function makes a strategy. Its
            parameters are settings of the strategy, too. The current directory is importable.
        folder: absolute path of the module's folder when the run began; None: the module is installed, or in the
            current directory; a run fills it in.
        options: parameters of the class.

    Raises:
        SettingsError: there is no such class, it cannot be called like this, or what it makes is no strategy.
    """
    maker = load(OwnCode("strategy", code, folder))
    _require_parameters(code, maker, options)
    try:
        strategy = maker(**options)
    except BaseException as error:
        if passes(error):
            raise
        raise SettingsError(f"strategy: {code} cannot be made of {options}: {told(error)}.") from error
    lacking = [name for name in REQUIRED if not hasattr(strategy, name)]
    if lacking:
        raise SettingsError(
            f"strategy: {code} makes {article(type(strategy).__name__)} without {', '.join(lacking)}. Add it: "
            "docs/own-strategy.md."
        )
    try:
        json.dumps(strategy.settings)
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"strategy: settings of {code} is {strategy.settings!r}; expected plain JSON values ({error})."
        ) from None
    return OwnStrategy(code, strategy)


def code_of(spec: Spec) -> OwnCode | None:
    """The user's code that a strategy names; None where it is netwright's own."""
    options = spec.options
    named = options.get("code")
    if spec.name != OWN or not isinstance(named, str):
        return None
    return OwnCode("strategy", named, options.get("folder"))


def called(strategy: Strategy[Any]) -> str:
    """What a strategy is called in messages about its code."""
    return strategy.code if isinstance(strategy, OwnStrategy) else type(strategy).__name__


class OwnStrategy:
    """A strategy of the user's. What fails in it is told as such, with its name and its line."""

    def __init__(self, code: str, strategy: Any) -> None:
        self.code = code
        self._strategy = strategy
        for name in OPTIONAL:  # as its own, so that it satisfies a protocol if the user's does
            if hasattr(strategy, name):
                found = getattr(strategy, name)
                setattr(self, name, partial(self._call, name) if callable(found) else found)

    @property
    def name(self) -> str:
        """That of the user's strategy."""
        return str(self._strategy.name)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those of the user's strategy."""
        settings: Mapping[str, Any] = self._strategy.settings
        return settings

    def init(self, dimensions: Sequence[Dimension]) -> Any:
        """See `Strategy.init`."""
        return self._call("init", dimensions)

    def ask(
        self, state: Any, rng: np.random.Generator, pending: Sequence[Stamp] = ()
    ) -> tuple[Choice, Stamp]:
        """See `Strategy.ask`."""
        given = self._call("ask", state, rng, pending)
        if not (
            isinstance(given, tuple) and len(given) == 2 and all(isinstance(part, Mapping) for part in given)
        ):
            raise StrategyFailed(
                f"strategy: ask() of {self.code} returned {given!r}; expected a choice and a stamp, two dictionaries."
            )
        choice, stamp = given
        try:
            json.dumps(stamp)
        except (TypeError, ValueError) as error:
            raise StrategyFailed(
                f"strategy: ask() of {self.code} returned the stamp {stamp!r}, which cannot be stored ({error}); "
                "expected plain JSON values: int(...) and float(...) of numpy's."
            ) from None
        return dict(choice), dict(stamp)

    def tell(self, state: Any, observation: Observation) -> Any:
        """See `Strategy.tell`."""
        after = self._call("tell", state, observation)
        if after is None and state is not None:
            raise StrategyFailed(f"strategy: tell() of {self.code} returned None; expected the next state.")
        return after

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._strategy, method)(*arguments)
        except BaseException as error:
            if passes(error):
                raise
            raise StrategyFailed(f"strategy: {method}() of {self.code} failed: {told(error)}.") from error


def _require_parameters(code: str, maker: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse options that the class does not have, or needs and did not get."""
    try:
        parameters = inspect.signature(maker).parameters
    except (TypeError, ValueError):  # some built-in callables have no signature
        return
    kinds = {name: parameter.kind for name, parameter in parameters.items()}
    if inspect.Parameter.VAR_KEYWORD not in kinds.values():
        descriptions = argument_descriptions(maker)
        unknown = [name for name in options if name not in parameters]
        if unknown:
            known = {name: descriptions.get(name, "") for name in parameters}
            raise unknown_option(f"strategy {code}", unknown[0], known)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and kinds[name] not in variadic and name not in options
    ]
    if needed:
        raise SettingsError(
            f"strategy: {code} needs {', '.join(map(repr, needed))}. Give it with --set strategy.{needed[0]}=VALUE, or "
            "a default."
        )
