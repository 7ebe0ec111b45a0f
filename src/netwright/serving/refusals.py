"""What a server answers where it cannot do what it was asked: JSON that says what is wrong and what to do."""

from __future__ import annotations

import errno
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from netwright.data.issues import UnusableFile
from netwright.errors import DatasetError, MemoryShortage, NetwrightError, SettingsError
from netwright.execution.base import WorkerLost

_ABOUT = "Ask GET /about what this network takes."
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Refusal:
    """An answer that is not what was asked for.

    Args:
        thing: what it is about.
        expected: what should have come.
        found: what came instead.
        advice: what to do.
    """

    thing: str
    expected: str
    found: str
    advice: str

    def content(self) -> dict[str, Any]:
        """The JSON of the answer."""
        message = f"{self.thing}: expected {self.expected}, found {self.found}. {self.advice}"
        return {"error": {"message": message, **asdict(self)}}


class Refused(Exception):  # noqa: N818  an answer, not a fault
    """A request is answered with a refusal. ``status``: the HTTP status."""

    def __init__(self, status: int, refusal: Refusal) -> None:
        super().__init__(refusal.thing)
        self.status = status
        self.refusal = refusal


def refused(error: BaseException, file: Path, expected: str) -> Refused:
    """The answer for an error of a prediction. It names no path of this machine.

    Args:
        error: what was raised.
        file: the uploaded file.
        expected: what the network takes, in words.
    """
    if isinstance(error, UnusableFile):
        problem = error.problem
        status = 413 if problem.kind == "too-large" else 422
        texts = (f"{problem.file} {problem.what}", problem.expected, problem.found, problem.advice)
        return Refused(status, Refusal(*(_plain(text, file) for text in texts)))
    text = _plain(str(error).strip(), file)
    if isinstance(error, DatasetError | SettingsError):
        return Refused(422, Refusal("the file that was sent", expected, text.rstrip("."), _ABOUT))
    if isinstance(error, WorkerLost):
        advice = "It may need more memory than this machine has. Send a smaller file, or try again."
        return Refused(500, Refusal("the prediction", "a result", text, advice))
    full = isinstance(error, OSError) and error.errno in _FULL
    if full or isinstance(error, MemoryShortage | MemoryError):
        thing = "the disk for uploads" if full else "the memory of the server"
        found = "it is full" if full else text or "too little memory"
        return Refused(
            507,
            Refusal(thing, "enough room for this file", found, "Send a smaller file, or make room there."),
        )
    found = text if isinstance(error, NetwrightError) else f"an error of the server, {type(error).__name__}"
    advice = "Try the file with 'netwright predict' on the server's machine, which says more."
    return Refused(500, Refusal("the prediction", "a result", found.rstrip("."), advice))


def _plain(text: str, file: Path) -> str:
    """A text without the path of the folder of an upload."""
    return text.replace(f"{file.parent}/", "").replace(str(file.parent), "")
