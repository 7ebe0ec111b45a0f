"""The verb that serves a network to other programs and to a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from netwright.cli.console import err, opened_run, out
from netwright.cli.options import (
    MaxPixelsOption,
    NoCRFOption,
    RunArgument,
    TrialOption,
    TrustOption,
    finite,
)


def serve(
    run: RunArgument,
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default only this machine can ask.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    trial: TrialOption = None,
    no_crf: NoCRFOption = False,
    max_mb: Annotated[
        float,
        typer.Option("--max-mb", min=0.001, callback=finite, help="The largest file to take, in megabytes."),
    ] = 512.0,
    max_pixels: MaxPixelsOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Answer POST /predict with predictions, and show a page to drop a file on (needs the extra serve)."""
    from netwright.serving.prediction import Model
    from netwright.serving.server import require_server
    from netwright.serving.server import serve as serve_model

    require_server()
    from netwright.serving.guard import is_loopback

    opened_run(run, trust_code=trust_code).saved(trial)
    if not is_loopback(host):
        err.print(
            f"warning    other machines may reach {host}: everybody there can use the network, without a password, "
            "and what they send is not encrypted. Leave --host out to serve this machine alone.",
            markup=False,
        )
    model = Model(run.resolve(), trial, not no_crf, trust_code)
    serve_model(
        model,
        host,
        port,
        max_mb,
        lambda url, about: out.print(
            f"serving    {url} (a {about['takes']['kind']} in, a {about['gives']} out; Ctrl-C ends it)",
            markup=False,
        ),
    )
