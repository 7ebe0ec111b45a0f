"""What a run was made with: the machine, and the versions that its results depend on."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from netwright.execution.resources import available_cores
from netwright.settings import MADE_WITH

RESUMED = "resumed.json"
TITLES = {
    "netwright": "netwright",
    "python": "Python",
    "torch": "torch",
    "optuna": "Optuna",
    "machine": "machine",
}


def made_with() -> dict[str, str]:
    """The current versions of netwright, Python, torch and Optuna, and the machine in words."""
    return {
        "netwright": version("netwright"),
        "python": platform.python_version(),
        "torch": version("torch"),
        "optuna": version("optuna"),
        "machine": f"{platform.system()} {platform.machine()}, {available_cores()} cores{_gpus()}",
    }


def stated(settings_file: Path) -> dict[str, str]:
    """The versions in a ``run.yaml``. Empty for runs of earlier versions, which did not store them."""
    try:
        values = yaml.safe_load(settings_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return _texts(values.get(MADE_WITH)) if isinstance(values, dict) else {}


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """What has changed, in words: ``torch 2.9.1, now 2.10.0``."""
    return [
        f"{title} {before[name]}, now {now[name]}"
        for name, title in TITLES.items()
        if name in before and before[name] != now[name]
    ]


def words(versions: dict[str, str]) -> str:
    """For example ``netwright 0.1.0, Python 3.12.4, torch 2.9.1, Optuna 5.0.0; Linux x86_64, 8 cores``."""
    libraries = [f"{TITLES[n]} {versions[n]}" for n in TITLES if n in versions and n != "machine"]
    return "; ".join([", ".join(libraries), *([versions["machine"]] if "machine" in versions else [])])


def version_warning(before: dict[str, str]) -> str | None:
    """The warning for going on with a run under other versions or on another machine; None: nothing changed."""
    others = differences(before, made_with())
    if not others:
        return None
    return (
        f"the run was made with {'; '.join(others)}. What is trained from here on may differ in the last digits or in "
        "speed from what was trained before"
    )


def with_resumption(kept: Any) -> list[dict[str, Any]]:
    """The list of ``resumed.json``, with the current versions and the time added."""
    before = [entry for entry in kept if isinstance(entry, dict)] if isinstance(kept, list) else []
    if before and _texts(before[-1].get(MADE_WITH)) == made_with():
        return before
    return [*before, {"time": time.time(), MADE_WITH: made_with()}]


def version_facts(settings_file: Path, kept: Any) -> tuple[tuple[str, str], ...]:
    """Rows for the report: what the run was made with, and what it was resumed with if that was different."""
    first = stated(settings_file)
    rows = [("made with", words(first))] if first else []
    for entry in kept if isinstance(kept, list) else ():
        later = _texts(entry.get(MADE_WITH)) if isinstance(entry, dict) else {}
        rows += [("resumed under", words(later))] if later else []
    return tuple(rows)


def _gpus() -> str:
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return "".join(f", {name}" for name in names)


def _texts(values: Any) -> dict[str, str]:
    return {name: str(values[name]) for name in TITLES if name in values} if isinstance(values, dict) else {}
