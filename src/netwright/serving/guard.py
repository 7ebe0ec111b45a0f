"""Which requests are answered at all, and what every answer tells the browser.

A page of somebody else can make a browser send requests here. It cannot read the answers, unless it has a name that
leads to this machine (DNS rebinding): so a request must be for a name of this machine. And what it sends comes with
its origin: so whatever is not only read must come from our own page, or from a program that is no browser.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from netwright.serving.refusals import Refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_OWN_SITE = ("same-origin", "none")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing is loaded from elsewhere or run but the page's own files. NiiVue has its fonts and pictures as ``data:``."""

HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Guard:
    """An application behind the rules above.

    Args:
        app: the application.
        host: the address or name that the server listens on.
    """

    def __init__(self, app: Application, host: str) -> None:
        self._app = app
        self._loopback = is_loopback(host)
        self._names = {host.lower()} | (set() if self._loopback else {socket.gethostname().lower()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await JSONResponse(refusal.content(), 403)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Refusal | None:
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return Refusal(
                "the header Host",
                "a name of this machine",
                ", ".join(hosts) or "none",
                "Ask for localhost or 127.0.0.1, or for the address that the server was started with.",
            )
        if scope["method"] in ("GET", "HEAD"):
            return None
        own = f"{scope['scheme']}://{hosts[0]}".lower()
        others = [origin for origin in _values(scope, b"origin") if origin.lower() != own]
        sites = [site for site in _values(scope, b"sec-fetch-site") if site not in _OWN_SITE]
        if not others and not sites:
            return None
        return Refusal(
            "the origin of the request",
            f"{own}, or no browser",
            ", ".join([*others, *sites]),
            f"Pages of others may not use this server. Open {own}/ itself, or send the file with a program.",
        )

    def _is_own(self, host: str) -> bool:
        matched = _HOST.fullmatch(host)
        if matched is None:
            return False
        name = matched[1].strip("[]").lower()
        if name in self._names or is_loopback(name):
            return True
        # A name may be made to lead anywhere, an address may not.
        return not self._loopback and _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
