"""Policy gradient: perturbs a policy in many coordinates at once, and moves it towards greater rewards.

A. Mortazi, U. Bagci: "Automatically designing CNN architectures for medical image segmentation" (2018), as published,
and a variant that also uses the results of earlier rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from netwright.strategies.base import Strategy, Value
from netwright.strategies.ladder import choice_of
from netwright.strategies.policy_gradient.pooled import PooledPolicyGradient
from netwright.strategies.policy_gradient.published import PolicyGradient
from netwright.strategies.policy_gradient.rounds import Round
from netwright.strategies.variants import make_variant

VARIANTS = {
    "published": ("netwright.strategies.policy_gradient.published", "PolicyGradient"),
    "pooled": ("netwright.strategies.policy_gradient.pooled", "PooledPolicyGradient"),
}
"""Name to module and class, as in `make_variant`."""


def policy_gradient(
    variant: Literal["published", "pooled"] = "published",
    perturbations: int | None = None,
    first: Mapping[str, Value] | None = None,
    levels: int | None = None,
    rest: int | None = None,
    late: int | None = None,
    share: float | None = None,
    memory: int | None = None,
) -> Strategy[Any]:
    """Policy gradient: perturbs a policy in all coordinates at once, and moves it towards greater rewards.

    Every other argument is described by the class of the variant, `PolicyGradient` or `PooledPolicyGradient`; None
    stands for its own default.

    Args:
        variant: "published", or "pooled", which estimates the effect of each value from many rounds.

    Raises:
        SettingsError: there is no such variant, it has no such option, or a value is wrong.
    """
    given = {name: value for name, value in locals().items() if name != "variant"}
    return make_variant("policy-gradient", VARIANTS, variant, given)


__all__ = ["VARIANTS", "PolicyGradient", "PooledPolicyGradient", "Round", "choice_of", "policy_gradient"]
