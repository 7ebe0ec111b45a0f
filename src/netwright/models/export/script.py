"""``infer.py``: a script of a page that uses an exported network as `predict` does, without netwright or torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from netwright.files import write_json, write_text
from netwright.models.export.graphs import write_graphs
from netwright.tasks import TASKS
from netwright.tasks.base import InferenceScript, SavedNetwork

DESCRIPTION = "inference.json"
SCRIPT = "infer.py"


def write_use(saved: SavedNetwork, use: Mapping[str, Any], path: Path) -> InferenceScript:
    """Write the description of an exported network, the script that uses it, and what goes before and after it.

    Args:
        saved: the network as it is saved.
        use: the description.
        path: the folder of the export.

    Returns:
        The script, which says what it lacks.
    """
    script = TASKS[use["task"]].inference_script(saved)
    described = {**use, **script.values, "lacks": list(script.lacks)}
    write_json(path / DESCRIPTION, described)
    write_graphs(script.graphs, path)
    write_text(path / SCRIPT, _templates().get_template(script.template).render(use=described))
    return script


def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("netwright.tasks", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
