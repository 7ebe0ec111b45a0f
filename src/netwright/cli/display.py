"""The display of a search: updated in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from netwright.api.progress import Progress
from netwright.cli.status_lines import best_words, shared_words, status_lines
from netwright.report import formatting
from netwright.report.metrics import Metric, metric_named
from netwright.runs.status import RunStatus
from netwright.runs.trials import RUNNING

QUIET_SECONDS = 60.0
"""Without news, a line is printed this often, so that a log shows that the search goes on."""
BRIEF_SECONDS = 3.0
"""News of the same phase are printed at most this often."""


class Display:
    """Shows every `RunStatus` that it gets. Use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._told: tuple[object, ...] = ()
        self._phase = ""
        self._told_at = 0.0

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, status: RunStatus) -> None:
        """Show the state of the run."""
        if self._live is not None:
            self._live.update(
                Text("\n".join(status_lines(status, self._console.width)), no_wrap=True, overflow="ellipsis")
            )
            return
        news = (status.phase, _done(status), _comparing(status))
        quiet = time.monotonic() - self._told_at
        same_phase = status.phase == self._phase
        if quiet < (QUIET_SECONDS if news == self._told else BRIEF_SECONDS if same_phase else 0.0):
            return
        self._phase = status.phase
        self._told, self._told_at = news, time.monotonic()
        self._console.print(plain_line(status), markup=False)


class TrainingLines:
    """Prints a line about the progress of a training now and then."""

    def __init__(self, console: Console, metric: str) -> None:
        self._console = console
        self._metric = metric_named(metric.partition(".")[0])
        self._told_at = 0.0

    def show(self, progress: Progress) -> None:
        """Print the progress, unless a line was printed just now."""
        if time.monotonic() - self._told_at < BRIEF_SECONDS:
            return
        self._told_at = time.monotonic()
        self._console.print(training_line(progress, self._metric), markup=False)


def training_line(progress: Progress, metric: Metric) -> str:
    """The progress of a training, in one line."""
    planned = "?" if progress.planned_epochs is None else progress.planned_epochs
    score = "" if progress.score is None else f", {metric.name} {metric.value(progress.score)}"
    return f"training, epoch {progress.epoch} of {planned}, loss {formatting.dice(progress.loss)}{score}"


def _done(status: RunStatus) -> int:
    """The number that counts as news: trials that ended, or tenths of a search inside one training."""
    if status.shared is not None:
        return int(10 * status.shared.progress)
    return status.trials["total"] - status.trials[RUNNING]


def _comparing(status: RunStatus) -> tuple[str, ...]:
    return () if status.comparison is None else status.comparison.done


def plain_line(status: RunStatus) -> str:
    """The state of a run, in one line for a log."""
    finished = status.trials["total"] - status.trials[RUNNING]
    parts = [f"{status.phase}"]
    if status.shared is None:
        parts.append(f"{formatting.counted(finished, 'trial')} done")
        if status.best is not None:
            parts.append(f"best {best_words(status.best)} (trial {status.best['trial']})")
    elif status.phase in ("searching", "stopped"):
        parts.append(shared_words(status.shared))
    elif status.best is not None:
        parts.append(f"found {best_words(status.best)} with the shared weights")
    if status.phase == "searching" and status.seconds_left:
        parts.append(f"about {formatting.duration(status.seconds_left)} left")
    if status.comparison is not None:
        parts.append(f"compared {len(status.comparison.done)} of {len(status.comparison.entries)}")
    return ", ".join(parts)
