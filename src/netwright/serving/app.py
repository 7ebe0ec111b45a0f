"""The addresses of a server, as a FastAPI application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from netwright import __version__
from netwright.serving.guard import Application, Guard
from netwright.serving.refusals import Refusal
from netwright.serving.service import Service

STATIC = Path(__file__).parent / "static"
_ADDRESSES = "GET /, GET /about, GET /health, POST /predict"


def make_app(service: Service, host: str) -> Application:
    """The application that answers for a service.

    Args:
        service: the network.
        host: the address that the server listens on.
    """
    # Its own pages for people would be loaded from elsewhere.
    app = FastAPI(title="netwright", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)

    @app.api_route("/", methods=["GET", "HEAD"])
    async def page() -> Response:
        return FileResponse(STATIC / "index.html")

    @app.get("/about")
    async def about() -> dict[str, Any]:
        return service.about

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return service.health()

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        return await service.answer(request)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        found = f"{request.method} {request.url.path}"
        refusal = Refusal("the request", f"one of {_ADDRESSES}", found, "See docs/serving.md.")
        return JSONResponse(refusal.content(), error.status_code, error.headers)

    app.mount("/static", StaticFiles(directory=STATIC))
    return Guard(app, host)
