"""What a database that several searches may share keeps of a run, beside its study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeptRun:
    """What a database keeps of a run beside its study.

    Args:
        settings: the text of ``run.yaml``.
        splits: the text of ``splits.json``.
        finished: the run folder in which it was finished; None: it is not.
    """

    settings: str
    splits: str
    finished: str | None = None
