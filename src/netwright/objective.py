"""What a search goes by: a metric minus the weighted costs of the network, or several objectives; within limits."""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from netwright.errors import SettingsError

COSTS = (
    "parameters",
    "size_mb",
    "flops",
    "predicted_memory_mb",
    "peak_memory_mb",
    "seconds_per_batch",
    "inference_ms",
    "inference_ms_per_batch",
)
"""The costs that an objective may weigh or limit: the fields of `netwright.training.outcome.Cost`."""

_REASONS = {"peak_memory_mb": " (it takes a GPU, or Linux with /proc/self/clear_refs)"}
"""Why a cost may be unknown even after the training."""

_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_LIMIT = re.compile(r"\s*([A-Za-z_][\w. -]*?)\s*(<=|>=|<|>)\s*([-+0-9.eE]+)\s*")


@dataclass(frozen=True)
class Limit:
    """A condition that a network must meet, for example ``parameters <= 2e6``."""

    name: str
    relation: str
    bound: float

    def violation(self, values: Mapping[str, float | None]) -> str | None:
        """How known values break the limit, in words; None where they keep it or the value is not known."""
        value = values.get(self.name)
        if value is None or _RELATIONS[self.relation](value, self.bound):
            return None
        return f"{self.name} is {value:,.10g}, the limit is {self.relation} {self.bound:,.10g}"


def read_limit(text: str) -> Limit:
    """A limit from a text.

    Raises:
        SettingsError: it is no name, relation and finite number.
    """
    match = _LIMIT.fullmatch(text)
    try:
        if match is None or not math.isfinite(float(match[3])):
            raise ValueError
        return Limit(match[1], match[2], float(match[3]))
    except ValueError:
        raise SettingsError(
            f"{text!r} is no limit: expected a name, one of {' '.join(_RELATIONS)} and a number, for example "
            "'parameters <= 2e6'."
        ) from None


class ObjectiveSettings(BaseModel):
    """reward = weight x metric - sum over costs of its weight x the cost; maximised.

    ``per_epoch`` is the division by N_epoch of Iranfar et al. 2022, Section VI-A.
    Iranfar et al. 2022, Equation 2, is ``weight`` c_A and ``costs: {size_mb: c_S}`` with c_A + c_S = 1.

    Example:
        >>> objective = ObjectiveSettings(metric="accuracy", percent=True, weight=0.9, costs={"size_mb": 0.1})
        >>> objective.reward({"accuracy": 0.75}, {"size_mb": 20.0}, epochs=3)
        65.5
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    maximize: tuple[str, ...] = Field(
        default=(),
        description="metrics of a search for a [Pareto front](pareto.md), the principal one first; `--maximize`. "
        "With none, and something to minimise, it is `metric`",
    )
    minimize: tuple[str, ...] = Field(
        default=(),
        description="costs of a search for a [Pareto front](pareto.md), for example `[parameters]`; `--minimize`",
    )
    metric: str | None = Field(
        default=None,
        description="metric of the validation cases: `dice`, also with `.<label>`; `accuracy`; "
        "`mean_average_precision` and `macro_f1`, also with `.<label>`; `psnr` and `ssim`. `null`: the "
        "first of these for the task",
    )
    weight: FiniteFloat = Field(default=1.0, gt=0, description="weight of the metric")
    percent: bool = Field(
        default=False,
        description="count the metric from 0 to 100, not from 0 to 1. Off in inpainting, unless you set it",
    )
    per_epoch: bool | Literal["given"] = Field(
        default=False,
        description="divide the metric by the epoch at whose end the candidate's training loss met the threshold of "
        "early termination, or by the epochs that it was given if it never did; `given`: always by the "
        "epochs that it was given. Always off in a search limited in hours",
    )
    costs: dict[str, FiniteFloat] = Field(
        default_factory=dict, description="the weight of each cost, for example `{size_mb: 0.1}`"
    )
    limits: tuple[str, ...] = Field(
        default=(),
        description="limits that a network must keep, for example `[parameters <= 2e6]`; `--limit`, as often as you "
        "like",
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        """The name of a metric alone stands for it."""
        return {"metric": values} if isinstance(values, str) else values

    @model_validator(mode="after")
    def _known(self) -> ObjectiveSettings:
        for name in (*self.costs, *self.minimize):
            if name not in COSTS:
                near = difflib.get_close_matches(name, COSTS, n=1) or COSTS
                raise ValueError(f"there is no cost {name!r}; did you mean {' or '.join(near)}?")
        named = (*self.maximize, *self.minimize)
        twice = [name for name in named if named.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} is an objective twice. Leave one out")
        if self.several and not self.plain:
            raise ValueError(
                "weight, percent, per_epoch and costs make one objective of several, but maximize and minimize ask for "
                "their Pareto front. Leave the ones or the others out"
            )
        for text in self.limits:
            try:
                read_limit(text)
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return self

    @property
    def several(self) -> bool:
        """Whether there are several objectives."""
        return bool(self.minimize) or len(self.maximize) > 1

    @property
    def names(self) -> tuple[str, ...]:
        """The names of several objectives, in the order of their values; of one, its words."""
        if not self.several:
            return (self.words(),)
        return (*(self.maximize or (str(self.metric),)), *self.minimize)

    @property
    def signs(self) -> tuple[float, ...]:
        """1 for each objective that is maximised, -1 for each that is minimised."""
        lower = len(self.minimize)
        return (1.0,) * (len(self.names) - lower) + (-1.0,) * lower

    @property
    def plain(self) -> bool:
        """Whether the reward is the metric itself."""
        return self.weight == 1 and not (self.percent or self.per_epoch or self.costs)

    @property
    def of_task(self) -> bool:
        """Whether the reward is the metric of the whole task, and not that of one label."""
        return self.plain and "." not in str(self.metric)

    def reward(
        self,
        metrics: Mapping[str, float],
        cost: Mapping[str, Any],
        epochs: int,
        loss_met_epoch: int | None = None,
    ) -> float | None:
        """The reward of a trained candidate; None where the metric or a cost of it is not known.

        Args:
            metrics: of the validation cases.
            cost: by name.
            epochs: that it was given.
            loss_met_epoch: the first at whose end its loss was not over the threshold; None: none was, or there is no
                threshold.
        """
        value = metrics.get(self.metric or "")
        known = {name: cost.get(name) for name in self.costs}
        if value is None or any(number is None for number in known.values()):
            return None
        score = self.weight * value * (100.0 if self.percent else 1.0)
        if self.per_epoch:
            met = None if self.per_epoch == "given" else loss_met_epoch
            score /= max(1, epochs if met is None else met)  # A_val / N_epoch, section VI-A
        return score - math.fsum(self.costs[name] * float(known[name] or 0.0) for name in self.costs)

    def values(
        self,
        metrics: Mapping[str, float],
        cost: Mapping[str, Any],
        epochs: int,
        loss_met_epoch: int | None = None,
    ) -> tuple[float, ...] | None:
        """The value of each objective: the reward alone if there is one. None where one is not known.

        Args:
            metrics: as in `reward`, and so are the others.
            cost: by name.
            epochs: that the candidate was given.
            loss_met_epoch: the first at whose end its loss was not over the threshold.

        Example:
            >>> objective = ObjectiveSettings(metric="dice", minimize=["parameters"])
            >>> objective.values({"dice": 0.8}, {"parameters": 1000}, epochs=3)
            (0.8, 1000.0)
        """
        if not self.several:
            reward = self.reward(metrics, cost, epochs, loss_met_epoch)
            return None if reward is None else (reward,)
        higher = len(self.names) - len(self.minimize)
        known = [metrics.get(name) for name in self.names[:higher]]
        known += [cost.get(name) for name in self.minimize]
        found = [float(value) for value in known if value is not None and math.isfinite(value)]
        return tuple(found) if len(found) == len(known) else None

    def require_measured(self, cost: Mapping[str, Any]) -> None:
        """Refuse to weigh or limit what could not be measured of a trained network.

        Raises:
            SettingsError: naming the cost.
        """
        used = [("costs weighs", name) for name in self.costs]
        used += [("minimize names", name) for name in self.minimize]
        used += [
            ("limits bounds", limit.name) for limit in map(read_limit, self.limits) if limit.name in COSTS
        ]
        for what, name in used:
            if cost.get(name) is None:
                raise SettingsError(
                    f"objective.{what} {name}, which this machine cannot measure{_REASONS.get(name, '')}. "
                    "Start a search without it, for example with predicted_memory_mb in its place."
                )

    def violation(self, metrics: Mapping[str, float], cost: Mapping[str, Any]) -> str | None:
        """The first limit that is broken, in words."""
        values = {**{name: cost.get(name) for name in COSTS}, **metrics}
        return next((text for text in (read_limit(t).violation(values) for t in self.limits) if text), None)

    def require_known(self, metrics: Collection[str]) -> None:
        """Refuse what no outcome will have.

        Raises:
            SettingsError: a metric is none of ``metrics``, or a limit names neither metric nor cost.
        """
        for name in (self.metric, *self.maximize):
            if name not in metrics:
                cost = " It is a cost, which --minimize takes." if name in COSTS else ""
                raise SettingsError(f"There is no metric {name!r}. There are: {', '.join(metrics)}.{cost}")
        for limit in map(read_limit, self.limits):
            if limit.name not in (*COSTS, *metrics):
                known = ", ".join((*COSTS, *metrics))
                raise SettingsError(f"There is no {limit.name!r} to be limited. There are: {known}.")

    def words(self) -> str:
        """For tables and axes, for example ``0.9 x dice % / epochs - 0.1 x size_mb``."""
        if self.plain:
            return str(self.metric)
        text = f"{self.weight:g} x {self.metric}{' %' if self.percent else ''}"
        text += " / epochs" if self.per_epoch else ""
        return text + "".join(f" - {weight:g} x {name}" for name, weight in self.costs.items())
