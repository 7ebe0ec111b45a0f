"""What can be wrong with a dataset, in the words that a user needs to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from netwright.errors import DatasetError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a dataset.

    Args:
        severity: ``error`` where a search refuses the dataset, ``warning`` where it goes on.
        file: the file or folder.
        what: what the file does or has.
        expected: what should be there.
        found: what is there instead.
        advice: what to do.
        kind: a short name, the same for all problems of one kind.
    """

    severity: Literal["error", "warning"]
    file: str
    what: str
    expected: str
    found: str
    advice: str
    kind: str

    def __str__(self) -> str:
        return f"{self.file} {self.what}: expected {self.expected}, found {self.found}.\n{self.advice}"

    def relative_to(self, root: Path) -> Problem:
        """The same problem. A file within the dataset's folder is named relative to that folder."""
        file = Path(self.file)
        within = file.is_relative_to(root) and file != root
        return replace(self, file=str(file.relative_to(root))) if within else self

    def to_dict(self) -> dict[str, str]:
        """Plain values, for JSON."""
        return asdict(self)


class UnusableFile(DatasetError):  # noqa: N818  reads as what it is: a file that cannot be used
    """A file of a dataset, or a file to predict, cannot be used. ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem

    def __reduce__(self) -> tuple[type[UnusableFile], tuple[Problem]]:
        return UnusableFile, (self.problem,)


def enumerate_words(words: Sequence[object], joint: str = "and") -> str:
    """``1, 2 and 3``."""
    texts = [str(word) for word in words]
    return f" {joint} ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)
