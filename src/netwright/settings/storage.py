"""Settings of where trials are stored."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class StorageSettings(BaseModel):
    """Where the trials are stored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    url: str | None = Field(
        default=None,
        description="a PostgreSQL database, `postgresql+psycopg://USER@HOST:PORT/DATABASE`, which several searches may "
        "share. A password belongs into `PGPASSWORD` or `~/.pgpass`, never here. `null`: a file of the run "
        "folder; `--storage`",
    )
    study: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="name of the study in that database; `null`: that of the run folder; `--study`",
    )
    lease_seconds: float = Field(
        default=60.0,
        ge=1,
        description="with a database: the trials of a search that gives no sign of life for this long are taken up "
        "by others",
    )
