"""Choices that a search tries before its strategy proposes any, such as the best of another run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class FirstChoices:
    """Gives a new trial the first of some choices that no other trial of the study has.

    Which one that is depends on the storage alone, so a search that was killed goes on with the next. The trials get
    no stamp of the strategy: to it, they came from elsewhere.

    Args:
        choices: a value for every dimension each, in the order in which they are tried.
        distributions: Optuna's, of the dimensions.
    """

    def __init__(self, choices: Sequence[Mapping[str, Any]], distributions: Mapping[str, Any]) -> None:
        self.distributions = {name: d for name, d in distributions.items() if not d.single()}
        self._left = [{n: choice[n] for n in self.distributions if n in choice} for choice in choices]

    def next(self, trials: Iterable[Any], number: int) -> dict[str, Any] | None:
        """The choice for a trial; None where all were tried.

        Args:
            trials: Optuna's, all that the storage has.
            number: of the trial.
        """
        if not self._left:
            return None
        known = [trial.params for trial in trials if trial.number != number]
        # Trials are never taken back, so what was tried once is not looked for again.
        self._left = [choice for choice in self._left if not any(_has(params, choice) for params in known)]
        return dict(self._left[0]) if self._left else None


def _has(params: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    return all(name in params and params[name] == value for name, value in choice.items())
