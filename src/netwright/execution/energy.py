"""The energy that this machine used, from the counters of its processors, memory and GPUs.

Processors and memory: Intel's RAPL, which Linux shows in ``/sys/class/powercap`` (AMD's, too), in microjoules. GPUs:
NVML's total energy of the board, in millijoules, which needs the package nvidia-ml-py. A counter counts all that its
part of the machine does, whoever uses it. Most systems let only the administrator read RAPL's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
PROCESSORS, MEMORY, GPUS = "processors", "memory", "GPUs"


@dataclass
class Counter:
    """A counter that only rises, until it begins again from 0.

    Args:
        part: of the machine: `PROCESSORS`, `MEMORY` or `GPUS`.
        read: its value now, in J. It may raise `OSError` or `ValueError`.
        span: how much it counts, in J, before it begins again; None: it does not.
        used: J since the first `update`.
    """

    part: str
    read: Callable[[], float]
    span: float | None = None
    used: float = 0.0
    _last: float | None = None

    def update(self) -> float:
        """J since the first update. It must be called more often than the counter begins again.

        Raises:
            OSError: the counter cannot be read.
            ValueError: it shows no number.
        """
        now = self.read()
        if self._last is not None:
            begun_again = now < self._last
            self.used += now - self._last + (self.span or 0.0 if begun_again else 0.0)
        self._last = now
        return self.used


def energy_counters(devices: Sequence[str], powercap: Path = POWERCAP) -> list[Counter]:
    """The counters that can be read here, each updated once.

    Args:
        devices: that are used, such as "cuda:0"; the energy of other GPUs is not counted.
        powercap: the folder with RAPL's counters.
    """
    counters = []
    for counter in (*_rapl(powercap), *_gpus(devices)):
        try:
            counter.update()
        except (OSError, ValueError):
            continue
        counters.append(counter)
    return counters


def _rapl(powercap: Path) -> Iterator[Counter]:
    """Packages, and memory beside them. Zones within a package (cores, graphics) are part of it, and the platform
    (psys) has it in it; the control type intel-rapl-mmio counts the same packages once more.
    """
    for zone in sorted(powercap.glob("intel-rapl:*")):
        try:
            name = (zone / "name").read_text(encoding="ascii").strip()
            span = int((zone / "max_energy_range_uj").read_text(encoding="ascii")) / 1e6
        except (OSError, ValueError):
            continue
        if re.fullmatch(r"package-\d+(-die-\d+)?", name):
            yield Counter(PROCESSORS, _reader(zone), span)
        elif name == "dram":
            yield Counter(MEMORY, _reader(zone), span)


def _reader(zone: Path) -> Callable[[], float]:
    return lambda: int((zone / "energy_uj").read_text(encoding="ascii")) / 1e6


def _gpus(devices: Sequence[str]) -> Iterator[Counter]:
    names = [name for name in devices if name.startswith("cuda")]
    if not names:
        return
    try:
        import pynvml
    except ImportError:
        return
    import torch

    def reader(handle: object) -> Callable[[], float]:
        def read() -> float:
            try:
                return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
            except pynvml.NVMLError as error:
                raise OSError(str(error)) from None

        return read

    for name in names:
        try:
            pynvml.nvmlInit()
            # NVML numbers GPUs otherwise than CUDA, and knows nothing of CUDA_VISIBLE_DEVICES.
            handle = pynvml.nvmlDeviceGetHandleByUUID(
                f"GPU-{torch.cuda.get_device_properties(torch.device(name)).uuid}"
            )
        except pynvml.NVMLError:
            continue
        yield Counter(GPUS, reader(handle))
