"""The results that a search already has. A network with a result from a long enough training is not trained again."""

from __future__ import annotations

from netwright.training.fidelity import Fidelity
from netwright.training.outcome import Outcome, Status


class KnownResults:
    """Results by network and fidelity. The result of a shorter training does not stand for that of a longer one."""

    def __init__(self) -> None:
        self._results: dict[str, list[tuple[int, Outcome]]] = {}

    def add(self, key: str, number: int, outcome: Outcome) -> None:
        """Stores the result of a network. A crash is not stored, because it says nothing about the network.

        Args:
            key: of the network.
            number: of the trial that trained it.
            outcome: its result.
        """
        if outcome.status != Status.CRASHED:
            self._results.setdefault(key, []).append((number, outcome))

    def get(self, key: str, fidelity: Fidelity) -> tuple[int, Outcome] | None:
        """The earliest result with enough fidelity, and the number of its trial; None: the network must be trained.

        A result without a fidelity comes from a version that did not store it. It has the fidelity of its search.
        """
        results = self._results.get(key, ())
        return next((result for result in results if stands_for(result[1], fidelity)), None)


def stands_for(outcome: Outcome, fidelity: Fidelity) -> bool:
    """Whether the outcome can be used instead of training the network with this budget."""
    if outcome.fidelity is None or outcome.fidelity.covers(fidelity):
        return True
    untrained = outcome.status == Status.INFEASIBLE and outcome.epochs == 0
    return untrained or outcome.status == Status.OUT_OF_MEMORY
