"""A search from Python on the built-in sample, as small as it can be, and its network on one image.

Usage: python examples/search_from_python.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import netwright
from netwright.data.samples.phantoms import write_sample


def main() -> None:
    """Make the sample, search on it, and segment an image with the network found."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "example")
    dataset = write_sample(folder / "Sample", cases=8, size=24)
    run = netwright.search(
        dataset,
        recipe="segnas4",
        output=folder / "run",
        trials=2,
        epochs=1,
        verdict_hours=0,
        workers=1,
        settings={"space.n": [2, 5], "space.p": [1, 3]},
    )
    best = run.best
    assert best is not None
    print(f"best of {len(run.trials)} trials: {best.choice}, {best.reward:.3f} Dice")
    run.train(epochs=1)
    image = sorted((dataset / "imagesTr").iterdir())[0]
    print(f"segmented: {run.predict(image, folder / 'labels')[0]}")


if __name__ == "__main__":
    main()
