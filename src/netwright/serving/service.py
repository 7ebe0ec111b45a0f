"""One network that answers requests: each waits for its turn in the worker, and none outlives its client."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from netwright.execution.base import Executor
from netwright.serving.kinds import endings_of, type_of
from netwright.serving.prediction import Model, Predicted, predict
from netwright.serving.refusals import Refusal, Refused, refused
from netwright.serving.upload import received, require_size

MOST_WAITING = 8
"""Requests that are received, wait or are computed at once."""

LOOK_SECONDS = 0.2
"""How often a request that waits looks whether the server ends."""

_GONE = 499  # as nginx has it: nobody reads the answer


class Service:
    """What a server does with requests.

    Args:
        model: the network.
        about: what `netwright.serving.prediction.describe` said of it.
        executor: with one worker.
        folder: for uploads, removed by the caller in the end.
        most_bytes: of an upload.
        ending: whether the server is about to end.
    """

    def __init__(
        self,
        model: Model,
        about: dict[str, Any],
        executor: Executor,
        folder: Path,
        most_bytes: int,
        ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self.about = {**about, "takes": {**about["takes"], "most_bytes": most_bytes}}
        self._model, self._executor, self._folder = model, executor, folder
        self._most_bytes = most_bytes
        self.ending = ending
        self._present = 0

    def health(self) -> dict[str, Any]:
        """That it answers, and how many predictions are under way."""
        return {"status": "ok", "predictions": self._present}

    async def answer(self, request: Request) -> Response:
        """The prediction of the file that a request sends, or a refusal."""
        try:
            async with self._place() as folder:
                require_size(request, self._most_bytes)
                takes = self.about["takes"]["kind"]
                file = await received(request, folder, endings_of(takes), self._most_bytes)
                return self._response(await self._predicted(request, file))
        except ClientDisconnect:
            return Response(status_code=_GONE)
        except Refused as told:
            headers = {"retry-after": "10"} if told.status == 503 else {}
            # Whatever the client still sends of its file is not read.
            return JSONResponse(told.refusal.content(), told.status, {"connection": "close", **headers})

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Path]:
        """A folder for one request, which is removed with everything in it."""
        if self._present >= MOST_WAITING:
            found = f"{self._present} others that wait"
            raise Refused(503, Refusal("the server", "room for a request", found, "Try again later."))
        self._present += 1
        try:
            folder = Path(tempfile.mkdtemp(dir=self._folder))
        except OSError as error:
            self._present -= 1
            raise refused(error, self._folder, self._expected) from error
        try:
            yield folder
        except OSError as error:
            raise refused(error, folder / "upload", self._expected) from error
        finally:
            self._present -= 1
            shutil.rmtree(folder, ignore_errors=True)

    async def _predicted(self, request: Request, file: Path) -> Predicted:
        """The prediction, when its turn has come.

        Raises:
            ClientDisconnect: the client is gone, and what was computed for it is ended.
            Refused: there is no prediction.
        """
        future: Future[Predicted] = self._executor.submit(predict, self._model, file)
        computed = asyncio.ensure_future(asyncio.wrap_future(future))
        gone = asyncio.ensure_future(_disconnected(request))
        either: set[asyncio.Future[Any]] = {computed, gone}
        try:
            while not computed.done():
                await asyncio.wait(either, timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED")
                if gone.done():
                    raise ClientDisconnect
                if self.ending():
                    found = "it is being ended"
                    raise Refused(503, Refusal("the server", "a server that runs", found, "Start it again."))
            try:
                return computed.result()
            except Exception as error:
                raise refused(error, file, self._expected) from error
        finally:
            future.cancel()
            computed.cancel()
            gone.cancel()

    @property
    def _expected(self) -> str:
        takes = self.about["takes"]
        count = takes["channels"]
        return f"a {takes['kind']} of {count} channel{'s' * (count != 1)}, as the network was trained on"

    def _response(self, predicted: Predicted) -> Response:
        if predicted.file is None:
            return JSONResponse(predicted.values)
        name = f"prediction{''.join(predicted.file.suffixes)}"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(predicted.file.read_bytes(), 200, headers, type_of(name))


async def _disconnected(request: Request) -> None:
    """Wait until the client is gone; its body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
