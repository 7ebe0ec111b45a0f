"""What this machine can do, and what it lacks, in lines that fit a narrow terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from importlib import util
from pathlib import Path

import psutil

from netwright import __version__
from netwright.cli.conduct import stage
from netwright.execution.control_group import core_limit, memory_left_mb, memory_limit_mb
from netwright.execution.resources import available_cores, free_memory_mb
from netwright.user_cache import cache_root

WIDTH = 40
INDENT = 11
"""Where the second column begins."""

EXTRAS = {
    "crf": (("pydensecrf",), "post-processing by a CRF"),
    "energy": (("pynvml",), "energy that GPUs use"),
    "tensorboard": (("tensorboard",), "--log tensorboard"),
    "mlflow": (("mlflow",), "--log mlflow"),
    "dicom-seg": (("highdicom",), "predict --format dicom-seg"),
    "matlab": (("h5py",), "MATLAB 7.3 files"),
    "onnx": (("onnx", "onnxscript", "onnxruntime"), "export --format onnx"),
    "postgresql": (("psycopg",), "--storage in PostgreSQL"),
    "ray": (("ray",), "--executor ray"),
    "serve": (("fastapi", "uvicorn"), "serve"),
}
"""Extra -> the modules that it brings, and what it is for."""

LEAST_MEMORY_MB = 1500.0
"""Below this a worker cannot even load PyTorch and a volume."""

LEAST_DISK_MB = 500.0


def machine_lines() -> Iterator[str]:
    """The machine, line by line, each at most `WIDTH` letters long where a word allows."""
    import torch

    from netwright.training.device import half_precision

    yield from _line(
        "netwright", f"{__version__}, Python {sys.version.split()[0]}, PyTorch {torch.__version__}"
    )
    yield from _line("cores", _cores())
    yield from _line("memory", _memory())
    yield from _line("disk", f"{_free_mb() / 1000:.1f} GB free for {cache_root()}")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            yield from _line("GPU", f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free")
        half = half_precision(torch.device("cuda", 0))
    else:
        yield from _line("GPU", "none that PyTorch can use: networks train on the CPU")
        half = half_precision(torch.device("cpu"))
    yield from _line(
        "precision", "float32 only" if half is None else f"float32 and {str(half).split('.')[1]}"
    )
    for name, (_, purpose) in EXTRAS.items():
        yield from _line(
            "extra", f"{name}: {'installed' if installed(name) else 'not installed'} ({purpose})"
        )
    if missing := [name for name in EXTRAS if not installed(name)]:
        yield from _line("install", f"pip install 'netwright[{missing[0]}]', for example")


def cost_lines(dataset: Path, seconds: float) -> Iterator[str]:
    """What a search on a dataset would cost, measured for at most about so many seconds.

    Raises:
        DatasetError: the dataset cannot be used.
    """
    from netwright import api
    from netwright.cli.tables import plan_lines
    from netwright.planning.user_settings import UserSettings

    result = api.plan(dataset, None, UserSettings(), on_stage=stage, seconds=seconds)
    for text in plan_lines(result, dataset):
        yield from textwrap.wrap(
            text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        ) or [""]


def troubles() -> list[str]:
    """What keeps a search from running here; empty where nothing does."""
    found = []
    free = free_memory_mb()
    if free < LEAST_MEMORY_MB:
        found.append(f"{free:,.0f} MB of memory: expected {LEAST_MEMORY_MB:,.0f} or more")
    if _free_mb() < LEAST_DISK_MB:
        found.append(
            f"{_free_mb():,.0f} MB free for {cache_root()}: expected {LEAST_DISK_MB:,.0f} or more. Make "
            "room, or set NETWRIGHT_CACHE to another folder."
        )
    return found


def installed(extra: str) -> bool:
    """Whether all that an extra brings can be imported, without importing it."""
    return all(util.find_spec(module) is not None for module in EXTRAS[extra][0])


def _cores() -> str:
    limit = core_limit()
    told = f"{available_cores()}"
    return told if limit is None else f"{told}; the container allows the time of {limit:g}"


def _memory() -> str:
    memory = psutil.virtual_memory()
    told = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    limit, left = memory_limit_mb(), memory_left_mb()
    if limit is None or left is None:
        return told
    return f"{told}; the container allows {limit / 1000:.1f} GB, of which {left / 1000:.1f} GB are left"


def _free_mb() -> float:
    folder = cache_root()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 1e6


def _line(name: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{name:<{INDENT}}",
        subsequent_indent=" " * INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
