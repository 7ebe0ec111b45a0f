"""Settings of a run that begins with what another run has found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class StartFromSettings(BaseModel):
    """What a search starts from: the best choices of another run, and the weights of its network."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    path: Path | None = Field(
        default=None,
        description="the folder of a finished run: its best choices are tried first, and networks begin with the "
        "weights of its best as far as they fit; or a safetensors file: its weights alone; `--start-from`",
    )
    weights: bool = Field(
        default=True,
        description="whether networks begin with the weights; `false`: the choices alone are taken over",
    )
    default_alone: bool = Field(
        default=False,
        description="whether the default of `race.compare=full` starts from the other run, too: its best choice and "
        "its weights. `false`: it is the default that one has without the other run",
    )
    choices: tuple[dict[str, Any], ...] = Field(
        default=(), description="the choices that are tried first, the best first; filled in"
    )
    own_start: dict[str, Any] | None = Field(
        default=None, description="`space.start` without the other run; filled in"
    )
    file: Path | None = Field(
        default=None,
        description="where the weights were; filled in. The run has a copy, `start/weights.safetensors`",
    )
    digest: str | None = Field(
        default=None, description="SHA-256 of the weights; filled in; `null`: there are none"
    )
    told: tuple[str, ...] = Field(
        default=(),
        description="what was taken over, and which cases the other run knows, in words; filled in",
    )

    @property
    def name(self) -> str:
        """The name of the other run's folder, or of the file."""
        return "" if self.path is None else self.path.name


def first_choices(start: StartFromSettings | None) -> tuple[dict[str, Any], ...]:
    """The choices that a search tries before its strategy proposes any: those of the run that it starts from."""
    return () if start is None else start.choices
