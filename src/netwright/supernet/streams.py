"""An endless stream of batches, with a position to resume from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from netwright.training.problem import EpochBatches


class Stream:
    """The batches of one epoch after the other, each epoch with its own seed.

    The position is a number of batches, and it is all that is needed to resume the stream: batches of the current epoch
    before it are skipped.

    Args:
        epoch: makes the batches of an epoch from its number, starting at 0.
    """

    def __init__(self, epoch: Callable[[int], EpochBatches]) -> None:
        self._epoch = epoch
        self.length = len(epoch(0))
        self._next = 0
        self._iterator: Iterator[tuple[Tensor, Tensor]] | None = None

    def batch(self, position: int) -> tuple[Tensor, Tensor]:
        """The batch at a position. The batch after the last requested one is available at once."""
        number, offset = divmod(position, self.length)
        if self._iterator is None or position != self._next:
            self._iterator = self._from(number, offset)
        elif offset == 0:
            self._iterator = self._from(number, 0)
        self._next = position + 1
        return next(self._iterator)

    def _from(self, number: int, offset: int) -> Iterator[tuple[Tensor, Tensor]]:
        batches = iter(self._epoch(number))
        for _ in range(offset):
            next(batches)
        return batches
