"""A file that a client sends, written to disk as it arrives and never kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request

from netwright.serving.kinds import HEAD_BYTES, ending_of
from netwright.serving.refusals import Refusal, Refused

SILENT_SECONDS = 60.0
"""A client that sends nothing for so long is let go."""


def require_size(request: Request, most: int) -> None:
    """Refuse what announces itself as too large or as a form, before it is received.

    Args:
        request: with headers.
        most: bytes.

    Raises:
        Refused: so.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise _too_large(f"{int(announced):,} bytes", most)
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        advice = "With curl: --data-binary @FILE in place of -F."
        raise Refused(415, Refusal("the body of the request", "the file itself", "a form", advice))


async def received(request: Request, folder: Path, endings: tuple[str, ...], most: int) -> Path:
    """The file that was sent, in a folder, with the ending of its kind.

    Args:
        request: whose body is the file.
        folder: an empty one.
        endings: those that are taken.
        most: bytes.

    Raises:
        Refused: it is too large, of another kind, empty, or the client was silent.
        ClientDisconnect: the client is gone.
    """
    path, size, head = folder / "upload", 0, b""
    with path.open("wb") as file:
        async for chunk in _chunks(request):
            size += len(chunk)
            if size > most:
                raise _too_large(f"more than {most:,} bytes", most)
            if len(head) < HEAD_BYTES:
                head += chunk[: HEAD_BYTES - len(head)]
                if len(head) == HEAD_BYTES:
                    require_kind(head, endings)
            file.write(chunk)
    return path.rename(folder / f"upload{require_kind(head, endings)}")


def require_kind(head: bytes, endings: tuple[str, ...]) -> str:
    """The ending of a file that begins so.

    Args:
        head: its first bytes.
        endings: those that are taken.

    Raises:
        Refused: it has another one.
    """
    ending = ending_of(head)
    if ending in endings:
        return ending
    found = "nothing" if not head else "a file of another kind" if ending is None else f"a file {ending}"
    advice = "Send the file itself: curl --data-binary @FILE. Ask GET /about what this network takes."
    expected = f"a file {', '.join(endings[:-1])} or {endings[-1]}, known by its first bytes"
    raise Refused(400 if not head else 415, Refusal("the body of the request", expected, found, advice))


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream = aiter(request.stream())
    while True:
        try:
            yield await asyncio.wait_for(anext(stream), SILENT_SECONDS)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused(
                408,
                Refusal(
                    "the body of the request",
                    "a file without long pauses",
                    f"nothing for {SILENT_SECONDS:.0f} seconds",
                    "Send it again.",
                ),
            ) from None


def _too_large(found: str, most: int) -> Refused:
    return Refused(
        413,
        Refusal(
            "the body of the request",
            f"at most {most:,} bytes",
            found,
            "Crop or compress the file, or start the server with a larger --max-mb.",
        ),
    )
