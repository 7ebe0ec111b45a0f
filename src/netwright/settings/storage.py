"""Settings of where trials are stored."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

TRIALS = re.compile(r"trials-[0-9a-f]{16}")
"""The name of a folder of trainings that several processes share. It is random, so no other disk has it."""


class StorageSettings(BaseModel):
    """Where the trials are stored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    url: str | None = Field(
        default=None,
        description="a PostgreSQL database, `postgresql+psycopg://USER@HOST:PORT/DATABASE`, or a journal file on a "
        "shared disk, `journal:///PATH`, which several searches may share. A password belongs into `PGPASSWORD` or "
        "`~/.pgpass`, never here. `null`: a file of the run folder; `--storage`",
    )
    study: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="name of the study in that database; `null`: that of the run folder; `--study`. Without a "
        "database it is filled in when the space of a run is changed: `search-2` and so on; `null` is `search`",
    )
    lease_seconds: float = Field(
        default=60.0,
        ge=1,
        description="with a database: the trials of a search that gives no sign of life for this long are taken up "
        "by others",
    )
    folder: Path | None = Field(
        default=None,
        description="with a database, for a search whose trainings go on: the folder in which a new folder is made for "
        "the trainings of all processes, an absolute path on a disk that they share. `run.yaml` names the new one. "
        "`null`: the run folder of the first process",
    )

    @field_validator("folder")
    @classmethod
    def _is_absolute(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.is_absolute():
            raise ValueError(f"{folder} is no absolute path: expected one that is the same for all processes")
        return folder

    @property
    def trials(self) -> Path | None:
        """The folder of trainings that several processes share; None: each has its own."""
        shared = self.url is not None and self.folder is not None and TRIALS.fullmatch(self.folder.name)
        return self.folder if shared else None
