"""Says now and then how far a prediction is, also within one large image."""

from __future__ import annotations

import time
from collections.abc import Callable

from netwright.data.parallel import TOLD_SECONDS
from netwright.report.formatting import duration


class PredictionLines:
    """Lines such as "predicted 3 of 40 and 25 % of the next, about 2 min left for it", at most every `TOLD_SECONDS`.

    Args:
        tell: called with the words.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._last = self._begun = time.monotonic()
        self._cases = ""

    def on_case(self, number: int, total: int) -> None:
        """An image is done. Arguments are those of `netwright.data.base.OnCase`."""
        self._cases, self._begun = f"{number:,} of {total:,}", time.monotonic()
        if number < total and self._is_time():
            self._tell(f"predicted {self._cases}")

    def on_part(self, share: float) -> None:
        """A ``share`` of the image at hand is computed."""
        if share < 1 and self._is_time():
            part = (
                f"{self._cases} and {share:.0%} of the next"
                if self._cases
                else f"{share:.0%} of the first image"
            )
            left = (time.monotonic() - self._begun) * (1 - share) / share
            self._tell(f"predicted {part.replace('%', ' %')}, about {duration(left)} left for it")

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._last < TOLD_SECONDS:
            return False
        self._last = now
        return True
