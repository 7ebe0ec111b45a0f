"""Exports as their users run them: scripts without netwright and torch, and bundles by MONAI."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from processes import run

ALONE = """
import json, runpy, sys
for name in ("netwright", "torch", "monai"):
    sys.modules[name] = None
for script, arguments in json.load(open(sys.argv[1])):
    sys.argv = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stopped:
        print(stopped, file=sys.stderr)
"""


def alone(folder: Path, jobs: Sequence[tuple[Path, Sequence[object]]]) -> str:
    """Runs scripts in one process that has neither netwright nor torch; what they said, also when they stopped."""
    file = folder / "jobs.json"
    file.write_text(json.dumps([[str(script), list(map(str, arguments))] for script, arguments in jobs]))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = run([sys.executable, "-I", "-c", ALONE, file], cwd=folder, env=clean)
    assert done.returncode == 0, done.stderr
    return done.stderr


def bundle_arguments(bundle: Path, images: Path, labels: Path) -> dict[str, str]:
    return {
        "config_file": str(bundle / "configs" / "inference.json"),
        "bundle_root": str(bundle),
        "dataset_dir": str(images),
        "output_dir": str(labels),
    }


def run_bundle_here(bundle: Path, images: Path, labels: Path) -> None:
    """What the command does, without a process of its own."""
    from monai.bundle import run as run_bundle

    path, known = list(sys.path), set(sys.modules)
    try:
        run_bundle(**bundle_arguments(bundle, images, labels))
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - known:
            if name.partition(".")[0] == "scripts":
                del sys.modules[name]
