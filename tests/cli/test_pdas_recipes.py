"""The recipes pdas-inpainting and pdas-segnas7 from the command line: killed, resumed, compared, reported."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import netwright as package
from shared_searches import require_same, searching_at

Command = Callable[..., subprocess.CompletedProcess[str]]

STEPS = 40
SHARED = (f"supernet.steps={STEPS}", f"supernet.snapshots={STEPS}", "supernet.checkpoint_seconds=0.3")
RECIPES = {
    "pdas-inpainting": (
        "tiles",
        ("images.size=[12,12]", "space.layers=4", "space.channels=[4,8]", "space.levels_back=2"),
        ("RED-Net", "psnr"),
    ),
    "pdas-segnas7": ("dataset", ("space.n=2", "space.p=1"), ("dice", "block")),
}
"""Dataset, settings, and words that the report has beside those of every such search."""


EVERY = [
    pytest.param("pdas-inpainting", True, id="pdas-inpainting"),
    pytest.param("pdas-segnas7", False, id="pdas-segnas7, not killed", marks=pytest.mark.slow),
    pytest.param("pdas-segnas7", True, id="pdas-segnas7", marks=pytest.mark.slow),
]


@pytest.mark.cluster
@pytest.mark.parametrize(("recipe", "killed"), EVERY)
def test_killed_and_resumed_to_its_report(
    recipe: str, killed: bool, netwright: Command, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fixture, own, reported = RECIPES[recipe]
    settings = [word for setting in (*SHARED, *own) for word in ("--set", setting)]
    settings += ["--set", "verdict.references=[]"] if recipe == "pdas-segnas7" else []
    search = [
        "search",
        str(request.getfixturevalue(fixture)),
        "--recipe",
        recipe,
        "--workers",
        "1",
        *settings,
    ]

    straight, broken = tmp_path / "straight", tmp_path / "broken"
    done = netwright(*search, "-o", straight, "--set", "verdict.epochs=2")
    assert done.returncode == 0, done.stderr + done.stdout
    results = [json.loads(path.read_text()) for path in straight.rglob("result.json")]
    assert len(results) == (3 if recipe == "pdas-inpainting" else 2)
    assert {result["outcome"]["epochs"] for result in results} == {2}
    assert package.open_run(straight).status().phase == "finished"
    page = (straight / "report.html").read_text()
    assert all(words in page for words in ("How the probabilities moved", "random network", *reported))

    if not killed:
        return
    with searching_at([*search, "-o", str(broken), "--verdict-hours", "0"], broken, STEPS // 2):
        pass
    assert package.open_run(broken).status().phase == "stopped"
    done = netwright("resume", broken)
    assert done.returncode == 0, done.stderr + done.stdout
    require_same(broken, straight)
