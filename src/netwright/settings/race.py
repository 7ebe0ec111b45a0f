"""Settings of a search whose trainings go on."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RaceSettings(BaseModel):
    """A search whose trainings go on: who does is decided again and again, and nothing is trained twice.

    All of it, with the preparation of the data and the test, takes ``budget.hours``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rule: str = Field(
        default="asha",
        description="who goes on: `asha`: asynchronous successive halving; in the last half the best so far, and the "
        "next two once that one learns no more; `short-then-best`: every candidate gets one short training, the "
        "best few all the rest of the time; `freeze-thaw`: those that are expected to be the best when the time is up",
    )
    first_seconds: float = Field(
        default=30.0,
        gt=0,
        description="the shortest training of a candidate that says something. Measured on this machine, unless you "
        "set it",
    )
    single: bool = Field(
        default=False,
        description="whether one network is used in the end, and not several together; `--single`",
    )
    compare: Literal["none", "full"] = Field(
        default="none",
        description="`full`: afterwards train the default alone for as long as the hours were, to see what the search "
        "was worth; it takes as long again; `--compare`",
    )
    only_default: bool = Field(
        default=False,
        description="whether all the hours go to the default, and no other network is trained. By default where there "
        "are too few validation cases (or patients) for any to be better beyond chance, unless `budget.trials` or "
        "`objective.limits` is set",
    )
    validation_seconds: float = Field(
        default=10.0,
        ge=0,
        description="what a validation of the starting network takes, on whole volumes; measured. The time for the "
        "choice and the test at the end follows from it",
    )
    most_flops: float | None = Field(
        default=None,
        gt=0,
        description="a network that needs more operations for one image is not trained, as it is too slow for these "
        "hours; measured. `null`: no limit",
    )
    used_seconds: float = Field(
        default=0.0,
        ge=0,
        description="what reading, preparing and measuring took before the run began. It is part of the hours",
    )
