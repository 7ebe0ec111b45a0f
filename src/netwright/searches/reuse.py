"""Results that a search has already: those of networks that were trained before, as long as is wanted now."""

from __future__ import annotations

from netwright.training.fidelity import Fidelity
from netwright.training.outcome import Outcome, Status


class KnownResults:
    """Results by network and fidelity. One of a shorter training is not taken for that of a longer one."""

    def __init__(self) -> None:
        self._results: dict[str, list[tuple[int, Outcome]]] = {}

    def add(self, key: str, number: int, outcome: Outcome) -> None:
        """Remember what came of a network, unless it crashed, which says nothing of it.

        Args:
            key: of the network.
            number: of the trial that has trained it.
            outcome: what came of that.
        """
        if outcome.status != Status.CRASHED:
            self._results.setdefault(key, []).append((number, outcome))

    def get(self, key: str, fidelity: Fidelity) -> tuple[int, Outcome] | None:
        """The earliest result that says enough of a network, with the number of its trial; None: it is to be trained.

        A result without a fidelity, of a version that noted none, has that of its search.
        """
        results = self._results.get(key, ())
        return next((result for result in results if stands_for(result[1], fidelity)), None)


def stands_for(outcome: Outcome, fidelity: Fidelity) -> bool:
    """Whether training the network again, with this budget, would tell no more of it."""
    if outcome.fidelity is None or outcome.fidelity.covers(fidelity):
        return True
    untrained = outcome.status == Status.INFEASIBLE and outcome.epochs == 0
    return untrained or outcome.status == Status.OUT_OF_MEMORY
