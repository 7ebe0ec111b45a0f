"""Settings of where candidates train, and with how much of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from netwright.execution.base import Cluster


class MachineSettings(BaseModel):
    """What of this machine a run may use."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    workers: int = Field(default=1, ge=1, description="candidates that train at once; `--workers`")
    threads: int = Field(
        default=1,
        ge=1,
        description="threads of each candidate; the more threads, the fewer workers by default",
    )
    memory_limit_mb: float | None = Field(
        default=None,
        gt=0,
        description="memory for a training step, in MB of 1e6 bytes. A candidate is not trained if it is predicted "
        "to need more",
    )
    executor: str = Field(
        default="local",
        description="where candidates train: `local`, in worker processes on this machine; `ray`, on the nodes of a "
        "Ray cluster; `--executor`",
    )
    ray_address: str | None = Field(
        default=None,
        description="`HOST:PORT` of the head node of the Ray cluster, or `auto` for the one that runs on this machine. "
        "`null`: Ray is started on this machine, for this run. The environment variable `RAY_ADDRESS` comes before "
        "it; `--ray-address`",
    )
    gpus_per_trial: float | None = Field(
        default=None,
        ge=0,
        description="GPUs of each candidate on Ray; 0.5: two candidates share one; 0: they train on CPUs; "
        "`--gpus-per-trial`",
    )
    cpus_per_trial: int | None = Field(
        default=None,
        ge=1,
        description="cores that each candidate asks Ray for; it computes with `machine.threads`; `--cpus-per-trial`",
    )
    keep_weights: Literal["best", "all"] = Field(
        default="best", description="candidates whose weights stay on disk: only the `best` so far, or `all`"
    )
    hang_minutes: float = Field(
        default=10.0,
        gt=0,
        description="a candidate is ended as hanging, and not tried again, if it finishes no batch for this long and "
        "for 20 times as long as its batches take (before its first batch: 20 times what its FLOPs take "
        "on a slow machine); also in the final comparison",
    )
    checkpoint_seconds: float | None = Field(
        default=60.0,
        ge=0,
        description="time between two checkpoints of a training, and at least twenty times what writing one takes. A "
        "training goes on from its checkpoint if its worker or the search was killed. `null`: no "
        "checkpoints, so such a training begins again. On a CPU the result is the same bit for bit, "
        "unless the training is limited in time",
    )

    @property
    def hang_seconds(self) -> float:
        """``hang_minutes`` in s."""
        return 60.0 * self.hang_minutes

    @property
    def elsewhere(self) -> bool:
        """Whether workers run on other machines than the search."""
        return self.executor != "local"

    def cluster(self, *folders: Path, data: Path | None = None) -> Cluster:
        """Where workers run, and what each asks for.

        Args:
            folders: what they read and write is there.
            data: prepared data, which they only read.
        """
        cpus = float(self.cpus_per_trial or self.threads)
        return Cluster(self.ray_address, cpus, self.gpus_per_trial or 0.0, folders, data)

    @property
    def _joined(self) -> int:
        """How many workers' shares a training gets that has them all. Those on a cluster cannot be joined."""
        return 1 if self.elsewhere else self.workers

    @property
    def whole_threads(self) -> int:
        """The threads of a training that has the shares of all workers."""
        return self.threads * self._joined

    @property
    def whole_memory_mb(self) -> float | None:
        """The memory of a training that has the shares of all workers, in MB; None: no limit."""
        return None if self.memory_limit_mb is None else self.memory_limit_mb * self._joined
