"""What a run has cost so far, over all processes that worked on it: time, devices, and energy where it is told."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from netwright.errors import RunError, StorageError
from netwright.execution.energy import POWERCAP, energy_counters
from netwright.execution.resources import available_cores, devices
from netwright.files import read_json, write_json
from netwright.runs.folder import RunFolder
from netwright.settings import RunSettings

COST = "cost.json"
SAVE_EVERY_SECONDS = 10.0
"""A process that is killed loses at most so much."""

GPU, CORE = "GPU", "core"


@dataclass(frozen=True)
class Session:
    """One process that worked on a run.

    Args:
        begun: seconds since 1970.
        seconds: wall time.
        device: "GPU" or "core": what trained.
        devices: how many of them.
        energy: J of each part of the machine that tells it, while the process worked, whoever used it.
    """

    begun: float
    seconds: float
    device: str
    devices: int
    energy: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Session:
        """The inverse of `asdict`."""
        energy = {str(part): float(joules) for part, joules in values["energy"].items()}
        return cls(
            float(values["begun"]),
            float(values["seconds"]),
            str(values["device"]),
            int(values["devices"]),
            energy,
        )


@dataclass(frozen=True)
class RunCost:
    """All sessions of a run."""

    sessions: tuple[Session, ...]

    @property
    def seconds(self) -> float:
        """Wall time."""
        return sum(one.seconds for one in self.sessions)

    @property
    def device_seconds(self) -> dict[str, float]:
        """Wall time multiplied by the devices, by kind of device."""
        return _summed((one.device, one.seconds * one.devices) for one in self.sessions)

    @property
    def energy(self) -> dict[str, float]:
        """J of each part of the machine that tells it; empty where none does."""
        return _summed(pair for one in self.sessions for pair in one.energy.items())

    @property
    def seconds_told(self) -> float:
        """Wall time of the sessions whose energy is known, at least in part."""
        return sum(one.seconds for one in self.sessions if one.energy)


def _summed(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for name, amount in pairs:
        total[name] = total.get(name, 0.0) + amount
    return total


def used_devices(settings: RunSettings) -> tuple[str, int]:
    """The kind of device that a run's trainings use here, and how many: GPUs, or cores where there are none."""
    names, machine = devices(settings.training.device), settings.machine
    if machine.elsewhere:
        cluster = machine.cluster()
        each, kind = (cluster.gpus, GPU) if cluster.gpus else (cluster.cpus, CORE)
        return kind, math.ceil(machine.workers * each)
    if names != ("cpu",):
        return GPU, min(len(names), machine.workers * settings.training.devices)
    return CORE, min(available_cores(), machine.workers * machine.threads * settings.training.devices)


@contextlib.contextmanager
def metered(folder: RunFolder, settings: RunSettings, powercap: Path = POWERCAP) -> Iterator[None]:
    """Within it, time and energy are added to the cost of the run, and stored every few seconds.

    Args:
        folder: of the run, held by this process.
        settings: of the run.
        powercap: the folder with the counters of processors and memory.
    """
    earlier = read_cost(folder).sessions
    device, count = used_devices(settings)
    here = not settings.machine.elsewhere  # the energy of other machines is not known
    counters = energy_counters(devices(settings.training.device)[:count], powercap) if here else ()
    begun, start, over = time.time(), time.monotonic(), threading.Event()

    def save() -> None:
        for counter in counters:
            with contextlib.suppress(OSError, ValueError):
                counter.update()
        energy = _summed((counter.part, counter.used) for counter in counters)
        now = Session(begun, time.monotonic() - start, device, count, energy)
        write_json(folder.root / COST, {"sessions": [asdict(one) for one in (*earlier, now)]})

    def keep_saving() -> None:
        while not over.wait(SAVE_EVERY_SECONDS):
            with contextlib.suppress(StorageError):  # a full disk is told by what needs it
                save()

    thread = threading.Thread(target=keep_saving, name="cost of the run", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(StorageError):
            save()


def read_cost(folder: RunFolder) -> RunCost:
    """The cost of a run so far; without sessions, if an earlier version made it.

    Raises:
        RunError: it is damaged.
    """
    file = folder.root / COST
    if not file.exists():
        return RunCost(())
    try:
        return RunCost(tuple(map(Session.from_dict, read_json(file)["sessions"])))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file} is damaged ({error!r}). Restore it from a copy, or delete it.") from None
