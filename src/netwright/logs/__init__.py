"""Where a run's trials and epochs are logged while it works, beside the run folder itself: one file for each sink.

A sink is chosen by its name in `LOGS` (``--log jsonl``, setting ``log``). `netwright.logs.follow` feeds all of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from netwright.errors import SettingsError
from netwright.logs.base import Sink

LOGS = {
    "jsonl": "netwright.logs.jsonl",
    "tensorboard": "netwright.logs.tensorboard",
    "mlflow": "netwright.logs.mlflow",
}
"""The module of each sink, which has a function ``open_sink(root) -> Sink``; imported where it is used alone."""


def require_logs(names: Sequence[str]) -> None:
    """Refuse names of sinks that cannot be used here.

    Raises:
        SettingsError: a name is unknown, or its library is not installed.
    """
    for name in names:
        if name not in LOGS:
            raise SettingsError(f"There is no log {name!r}. There are: {', '.join(LOGS)}.")
        _module(name)


def open_sinks(names: Sequence[str], root: Path) -> list[Sink]:
    """The sinks of a run.

    Args:
        names: members of `LOGS`.
        root: the run folder.

    Raises:
        SettingsError: as `require_logs`.
        StorageError: a sink cannot be written to.
    """
    require_logs(names)
    with ExitStack() as opened:
        sinks = [
            opened.enter_context(closing(_module(name).open_sink(root))) for name in dict.fromkeys(names)
        ]
        opened.pop_all()
    return sinks


def _module(name: str) -> Any:
    try:
        return importlib.import_module(LOGS[name])
    except ImportError as error:
        raise SettingsError(
            f"log={name} needs a package that is not installed ({error.name}): pip install 'netwright[{name}]'."
        ) from error
