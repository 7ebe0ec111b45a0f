"""What the worker process of a server does: it loads a trained network once, and predicts one file after another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from netwright import __version__
from netwright.api import open_run
from netwright.models.store import saved_task
from netwright.serving.kinds import endings_of
from netwright.tasks.exchange import Exchange
from netwright.tasks.predictor import Predictor

RESULTS = "results"
"""The folder beside an uploaded file that its prediction is written to."""


@dataclass(frozen=True)
class Model:
    """A trained network to serve.

    Args:
        run: the run folder.
        trial: the number of its trial; None: the winner.
        postprocessing: whether what was fitted after the training is applied.
        trust_code: see `netwright.api.run.Run.code`.
    """

    run: Path
    trial: int | None = None
    postprocessing: bool = True
    trust_code: bool = False


@dataclass(frozen=True)
class Predicted:
    """What a network gives of one file: a file, or plain values."""

    file: Path | None = None
    values: dict[str, Any] | None = None


@cache
def loaded(model: Model) -> tuple[Predictor, Exchange]:
    """The network, loaded once a process, and what it takes and gives.

    Raises:
        RunError: it has not been trained yet, or a file is damaged.
        UntrustedCode: the run names code that may not be run.
    """
    run = open_run(model.run, trust_code=model.trust_code)
    saved = run.saved(model.trial)
    predictor = run.network(model.trial, postprocessing=model.postprocessing)
    return predictor, saved_task(saved.folder).exchange(saved)


def describe(model: Model) -> dict[str, Any]:
    """What ``GET /about`` says of a network, as plain values. It loads the network.

    Raises:
        RunError: as `loaded`.
        UntrustedCode: as `loaded`.
    """
    run = open_run(model.run, trust_code=model.trust_code)
    saved = run.saved(model.trial)
    task, (predictor, exchange) = saved_task(saved.folder), loaded(model)
    use = task.describe_use(saved.architecture)
    labels = use["labels"]
    return {
        "run": run.folder.root.resolve().name,
        "network": "winner" if model.trial is None else f"trial {model.trial}",
        "task": task.name,
        "takes": {
            "kind": exchange.takes,
            "files": list(endings_of(exchange.takes)),
            "channels": exchange.channels,
            "channel_names": list(saved.architecture.get("channel_names", ())),
        },
        "gives": exchange.gives,
        "labels": labels,
        "label_values": use.get("label_values", list(range(len(labels)))),
        "postprocessed": predictor.is_postprocessed,
        "netwright": __version__,
        "note": "For research: not a medical device.",
    }


def predict(model: Model, file: Path) -> Predicted:
    """What the network gives of a file, as `netwright predict` gives it; written to `RESULTS` beside the file.

    Raises:
        DatasetError: the file cannot be used.
        MemoryShortage: the postprocessing needs more memory than there is.
        RunError: the output of the network is not finite.
        StorageError: the disk is full.
    """
    predictor, exchange = loaded(model)
    (written,) = predictor.predict(file, file.parent / RESULTS)
    return Predicted(file=written) if exchange.values is None else Predicted(values=exchange.values(written))
