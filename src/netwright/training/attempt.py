"""The first or the second training of a candidate. A training whose loss does not fall is started once more."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from netwright.training.checkpoint import CheckpointRefused, Checkpoints, load_values, require_fields
from netwright.training.progress import refused, require_version

_ATTEMPT = "attempt"


@dataclass(frozen=True)
class Attempt:
    """One training of a candidate.

    Args:
        seed: the seed of all its random numbers.
        stalled: why this is the second training; empty for the first.
        seconds: how much of the candidate's wall time the first training took.
        seconds_before: how long the candidate has been trained before it goes on from a checkpoint.
    """

    seed: int
    stalled: str = ""
    seconds: float = 0.0
    seconds_before: float = 0.0

    def share_of(self, seconds: float | None) -> float | None:
        """The seconds that are left of the candidate's wall time."""
        return None if seconds is None else seconds - self.seconds

    def noted(self, checkpoints: Checkpoints) -> Checkpoints:
        """The checkpoints, with a note of which training they belong to."""
        values = asdict(replace(self, seconds_before=0.0))
        return replace(checkpoints, notes={**checkpoints.notes, _ATTEMPT: values})


def attempt_of(checkpoints: Checkpoints | None, seed: int) -> Attempt:
    """The training to do: the one that the checkpoint belongs to, or without a checkpoint the first, from a seed.

    Raises:
        CheckpointRefused: the checkpoint is missing or damaged, or of another version of netwright.
    """
    if checkpoints is None or checkpoints.resume_from is None:
        return Attempt(seed)
    values = load_values(checkpoints.resume_from)
    require_version(checkpoints.resume_from, values)  # in another version, an attempt may have other fields
    expected = asdict(Attempt(seed))
    try:
        require_fields(values, {"notes": {}, "budget": {"seconds": 0.0}})
        noted = values["notes"].get(_ATTEMPT, expected)
        require_fields(noted, expected, f"notes.{_ATTEMPT}")
    except CheckpointRefused as error:
        raise refused(checkpoints.resume_from, str(error)) from None
    attempt = Attempt(**{name: noted[name] for name in expected})
    return replace(attempt, seconds_before=values["budget"]["seconds"] + attempt.seconds)
