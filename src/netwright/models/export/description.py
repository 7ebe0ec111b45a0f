"""How an exported network is used, as plain values: what goes in, what comes out, and what is done before and after."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from netwright.files import read_json
from netwright.tasks.base import SavedNetwork, Task

MEANING = {
    "softmax": "logits: softmax over axis 1 gives the probability of each label",
    "sigmoid": "logits: sigmoid gives the probability of each label by itself",
    "values": "the restored image, to be clipped to the range from 0 to 1",
}
"""Of a network's output, by `netwright.nn.ensemble.Output`."""


def describe_use(task: Task, saved: SavedNetwork) -> dict[str, Any]:
    """The description that an export contains.

    ``postprocessing`` has what was fitted after the training, such as thresholds or a CRF; the exported network does
    not apply it.
    """
    inputs = task.network_task(saved.architecture)
    return {
        "made_by": f"netwright {version('netwright')}",
        "task": task.name,
        "input": {"shape": ["batch", inputs.channels, *inputs.size], "type": "float32"},
        "output": MEANING[inputs.output],
        **task.describe_use(saved.architecture),
        "preprocessing": dict(saved.preprocessing),
        "postprocessing": {
            name.removesuffix(".json"): read_json(saved.folder / name)
            for name in task.fitted_files
            if (saved.folder / name).exists()
        },
    }


def not_applied(description: Mapping[str, Any]) -> list[str]:
    """What `netwright predict` does besides, in words."""
    fitted = description["postprocessing"].get("postprocessing", {})
    return ["the fully connected CRF"] if fitted.get("kept") else []
