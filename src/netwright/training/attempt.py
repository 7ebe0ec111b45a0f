"""The one or two trainings of a candidate: it is begun again where its loss did not fall."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from netwright.training.checkpoint import Checkpoints, load_values

_ATTEMPT = "attempt"


@dataclass(frozen=True)
class Attempt:
    """One of the trainings.

    Args:
        seed: of all its random numbers.
        stalled: why it is the second one; empty for the first.
        seconds: that the first one took of the share.
        seconds_before: that the candidate has been trained before it goes on from a checkpoint.
    """

    seed: int
    stalled: str = ""
    seconds: float = 0.0
    seconds_before: float = 0.0

    def share_of(self, seconds: float | None) -> float | None:
        """What is left of the candidate's wall time."""
        return None if seconds is None else seconds - self.seconds

    def noted(self, checkpoints: Checkpoints) -> Checkpoints:
        """Checkpoints that say which of the trainings they are of."""
        values = asdict(replace(self, seconds_before=0.0))
        return replace(checkpoints, notes={**checkpoints.notes, _ATTEMPT: values})


def attempt_of(checkpoints: Checkpoints | None, seed: int) -> Attempt:
    """The training that is to be done: that of the checkpoint to go on from, or the first one, from a seed.

    Raises:
        CheckpointRefused: the checkpoint is missing or damaged.
    """
    if checkpoints is None or checkpoints.resume_from is None:
        return Attempt(seed)
    values = load_values(checkpoints.resume_from)
    attempt = Attempt(**values.get("notes", {}).get(_ATTEMPT, {"seed": seed}))
    before = values.get("budget", {}).get("seconds", 0.0)
    return replace(attempt, seconds_before=before + attempt.seconds)
