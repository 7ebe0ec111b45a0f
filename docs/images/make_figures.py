"""Makes the figures of the pages on systems, as SVG files beside this script.

    python docs/images/make_figures.py [--race RUN]

Networks are drawn as reports draw them: the starting choice of each space, and a small U-Net layer by layer.
The race is that of a real run, whose numbers are in `race.json`; `--race` takes those of another finished run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netwright import open_run
from netwright.report.collect.race import racers_of
from netwright.report.draw.files import diagrams_file
from netwright.report.draw.style import FONT, GRID, INK, PHASE_TINT, QUIET
from netwright.spaces import SPACES
from netwright.spaces.base import Diagram
from netwright.spaces.layerwise import from_module
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.segmentation.task import SegmentationTask

FOLDER = Path(__file__).parent
VOLUMES = SegmentationTask(1, ("core", "rind"), (64, 64, 64))
SLICES = SegmentationTask(1, ("core", "rind"), (128, 128))
PICTURES = ClassificationTask(channels=3, class_names=tuple("0123456789"), size=(32, 32))
ROW, LEFT, WIDTH, RIGHT, TOP = 24, 196, 560, 116, 64
MINUTES_APART = 5


def segnas3d() -> tuple[Diagram, ...]:
    """The block and the network of SegNAS's starting choice."""
    space = SPACES["segnas11"]()
    return space.diagrams(space.starting_choice(), VOLUMES)


def policy_gradient() -> tuple[Diagram, ...]:
    """The same of the densely connected encoder-decoder."""
    space = SPACES["dense-encoder-decoder"]()
    return space.diagrams(space.starting_choice(), SLICES)


def pdas() -> tuple[Diagram, ...]:
    """The cells of the starting choice, and how they are stacked."""
    space = SPACES["cells"]()
    return space.diagrams(space.starting_choice(), PICTURES)


class SmallUNet(nn.Module):
    """Three levels with a convolution each."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.down1, self.down2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.bottom = nn.Conv2d(32, 64, 3, padding=1)
        self.up2, self.up1 = nn.ConvTranspose2d(64, 32, 2, 2), nn.ConvTranspose2d(32, 16, 2, 2)
        self.joined2, self.joined1 = nn.Conv2d(64, 32, 3, padding=1), nn.Conv2d(32, 16, 3, padding=1)
        self.output = nn.Conv2d(16, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits of the same size."""
        first = self.down1(images).relu()
        second = self.down2(self.pool(first)).relu()
        below = self.bottom(nn.functional.max_pool2d(second, 2)).relu()
        features = self.joined2(torch.cat([second, self.up2(below)], 1)).relu()
        features = self.joined1(torch.cat([first, self.up1(features)], 1)).relu()
        return torch.as_tensor(self.output(features))


def agents() -> tuple[Diagram, ...]:
    """A network that was read layer by layer: each box between image and logits is an agent."""
    space = from_module(SmallUNet(), torch.zeros(1, 1, *SLICES.size))
    return space.diagrams(space.original_choice(), SLICES)


def numbers_of(run: Path) -> list[dict[str, Any]]:
    """What the figure of the race needs of a finished run."""
    opened = open_run(run)
    racers = racers_of(opened.folder, opened.settings, opened.trials)
    return [
        {
            "trial": racer.number,
            "role": racer.role,
            "choice": racer.choice,
            "parts": [[round(second, 1) for second in part] for part in racer.parts],
            "score": round(racer.curve[-1][1], 3) if racer.curve else None,
            "dropped": bool(racer.reason),
        }
        for racer in racers
    ]


def race(racers: list[dict[str, Any]]) -> str:
    """A row for each training, with a bar for each of its parts."""
    end = max(part[1] for racer in racers for part in racer["parts"])
    bottom = TOP + ROW * len(racers)

    def x(seconds: float) -> float:
        return LEFT + WIDTH * seconds / end

    def lines() -> Iterator[str]:
        height, width = bottom + 52, LEFT + WIDTH + RIGHT
        size = f'width="{width}" height="{height}"'
        yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size}>'
        yield f"<style>text {{ font: 13px {FONT}; fill: {INK} }} .quiet {{ fill: {QUIET} }}</style>"
        yield '<rect width="100%" height="100%" fill="#ffffff"/>'
        yield f'<rect x="{x(end / 2):.1f}" y="{TOP}" width="{WIDTH / 2}" height="{bottom - TOP}" fill="{PHASE_TINT}"/>'
        yield f'<text x="{x(0.75 * end):.1f}" y="{TOP - 10}" text-anchor="middle">the best go on</text>'
        yield f'<text x="{LEFT + WIDTH + 12}" y="{TOP - 10}">Dice</text>'
        for minute in range(0, int(end / 60) + 1, MINUTES_APART):
            at = x(60 * minute)
            yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom}" stroke="{GRID}"/>'
            yield f'<text class="quiet" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{minute}</text>'
        yield f'<text class="quiet" x="{LEFT + WIDTH / 2}" y="{bottom + 40}" text-anchor="middle">minutes</text>'
        default = words(racers[0])
        for row, racer in enumerate(racers):
            yield from one(racer, TOP + ROW * row, default)
        yield "</svg>"

    def words(racer: dict[str, Any]) -> list[str]:
        return list(racer["choice"].split(", "))

    def one(racer: dict[str, Any], top: float, default: list[str]) -> Iterator[str]:
        own = words(racer)
        changed = [word for word in own if word not in default]
        left_out = [f"not {word}" for word in default if word not in own]
        told = racer["role"] or next(iter(changed + left_out), "another training")
        style = ' class="quiet"' if racer["dropped"] else ""
        yield f'<text{style} x="{LEFT - 10}" y="{top + 17}" text-anchor="end">{escape(told)}</text>'
        for begin, until in racer["parts"]:
            yield (
                f'<rect x="{x(begin):.1f}" y="{top + 5}" width="{max(1.0, x(until) - x(begin) - 1):.1f}" height="14"'
                f' fill="{QUIET if racer["dropped"] else INK}"/>'
            )
        score = "no training" if racer["score"] is None else f"{racer['score']:.3f}"
        yield f'<text{style} x="{LEFT + WIDTH + 12}" y="{top + 17}">{score}</text>'

    return "\n".join(lines()) + "\n"


def main() -> None:
    """Write all figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--race", type=Path, metavar="RUN", help="a finished run of the recipe auto")
    given = parser.parse_args().race
    numbers = FOLDER / "race.json"
    if given is not None:
        rows = ",\n".join(json.dumps(racer) for racer in numbers_of(given))
        numbers.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
    for name, diagrams in (
        ("segnas3d", segnas3d()),
        ("policy-gradient", policy_gradient()),
        ("pdas", pdas()),
        ("multi-agent-q-learning", agents()),
    ):
        (FOLDER / f"{name}.svg").write_bytes(diagrams_file(diagrams))
    (FOLDER / "auto.svg").write_text(race(json.loads(numbers.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
