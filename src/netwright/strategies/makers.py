"""All strategies by name (`PROPOSERS`), and how one is made for a space."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from netwright.docstrings import argument_descriptions
from netwright.errors import SettingsError
from netwright.spec import Maker, Spec, entry_of, make, require_options
from netwright.strategies import STRATEGIES, policy_gradient, q_learning
from netwright.strategies.first_choices import FirstChoices
from netwright.strategies.optuna_samplers import OPTUNA_SAMPLERS, SeededSampler
from netwright.strategies.own import OWN, OwnStrategy, code_of, own
from netwright.strategies.rehearsal import rehearse
from netwright.strategies.sampler import StrategySampler
from netwright.strategies.variants import Variants, variant_class

START = "start"
"""The value of a strategy's option ``first`` that means the space's starting choice."""
OF_SPACE = "space"
"""The value of a strategy's option ``suggestions`` that means those of the space; none where it has none."""

PROPOSERS: dict[str, Callable[..., Any]] = {**STRATEGIES, **OPTUNA_SAMPLERS, OWN: own}
"""netwright's own strategies, Optuna's samplers, and the user's own."""
NAMED = "One of your own is named package.module:Class."

VARIANTS: dict[str, Variants] = {
    "policy-gradient": policy_gradient.VARIANTS,
    "q-learning": q_learning.VARIANTS,
}
"""The variants of the strategies that have some."""


class Searched(Protocol):
    """What a strategy needs to know about a search space."""

    def distributions(self) -> dict[str, Any]:
        """Optuna's distribution of each dimension."""

    def starting_choice(self) -> Mapping[str, Any]:
        """The choice that a search can begin with."""


@runtime_checkable
class Suggests(Protocol):
    """A space that knows changes of its starting choice that often help."""

    def suggestions(self) -> Sequence[Mapping[str, Any]]:
        """A value for one or more dimensions each, the most promising first."""


@runtime_checkable
class SearchedByAgents(Protocol):
    """A space that knows which dimensions belong to which layer."""

    def agent_graph(self) -> Any:
        """Layers with their dimensions (``agents``), and which layer feeds which (``edges``)."""


def strategy_options(name: str, variant: str | None = None) -> dict[str, Maker]:
    """The options of a strategy, each with the function or class that describes it and has its default.

    Args:
        name: the strategy.
        variant: the variant, if it has variants; None: the default one.

    Raises:
        SettingsError: there is no such strategy or variant.
    """
    maker = entry_of("strategy", PROPOSERS, name, NAMED)
    options = {n: p for n, p in inspect.signature(maker).parameters.items() if p.kind is not p.VAR_KEYWORD}
    if name not in VARIANTS:
        return dict.fromkeys(options, maker)
    kind = variant_class(name, VARIANTS[name], variant or options["variant"].default)
    return {"variant": maker, **dict.fromkeys(inspect.signature(kind).parameters, kind)}


def strategy_maker(spec: Spec) -> Maker:
    """The function that makes a strategy; its keywords are the strategy's options.

    Raises:
        SettingsError: the name or an option is unknown.
    """
    maker = entry_of("strategy", PROPOSERS, spec.name, NAMED)
    require_options("strategy", spec, maker, descriptions=_descriptions(spec))
    if spec.name == OWN and code_of(spec) is None:
        raise SettingsError(f"The strategy {OWN!r} is one of yours: give --strategy package.module:Class.")
    return maker


def _descriptions(spec: Spec) -> dict[str, str]:
    """Of the options of all variants; those of the chosen variant count first."""
    variants = [*VARIANTS.get(spec.name, ()), spec.options.get("variant")]
    return {
        option: argument_descriptions(maker).get(option, "")
        for variant in variants
        for option, maker in strategy_options(spec.name, variant).items()
    }


def require_strategy(spec: Spec) -> None:
    """Check a strategy's name and options as far as that is possible without the space.

    Raises:
        SettingsError: the name or an option is unknown, or a value is wrong.
    """
    without = {name: value for name, value in spec.options.items() if name != "first"}
    if without.get("suggestions") == OF_SPACE:
        del without["suggestions"]
    make("strategy", spec, strategy_maker(spec), without, _descriptions(spec))


def make_sampler(
    spec: Spec, space: Searched, seed: int, first: Sequence[Mapping[str, Any]] = ()
) -> StrategySampler | SeededSampler:
    """The strategy as an Optuna sampler over a space.

    Args:
        spec: the strategy's name and options.
        space: the space to search.
        seed: a natural number.
        first: choices that are tried before the strategy is asked. The best of them comes first, and takes the place
            of the space's starting choice.

    Raises:
        SettingsError: the name or an option is unknown, or a value is wrong.
    """
    options = spec.options
    if options.get("first") == START:
        options["first"] = first[0] if first else space.starting_choice()
    if options.get("suggestions") == OF_SPACE:
        options["suggestions"] = space.suggestions() if isinstance(space, Suggests) else ()
    maker = strategy_maker(spec)
    if isinstance(space, SearchedByAgents) and "agents" in inspect.signature(maker).parameters:
        graph = space.agent_graph()
        options = {"agents": graph.agents, "edges": graph.edges, **options}
    strategy = make("strategy", spec, maker, options, _descriptions(spec))
    tried = FirstChoices(first, space.distributions()) if first else None
    if spec.name in OPTUNA_SAMPLERS:
        return SeededSampler(strategy, seed, tried)
    if isinstance(strategy, OwnStrategy):
        rehearse(strategy, space.distributions())
    return StrategySampler(strategy, seed=seed, distributions=space.distributions(), first=tried)
