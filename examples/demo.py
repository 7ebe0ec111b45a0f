"""The quick tour: a sample dataset, a short search on it, the test, a prediction, a report.

Usage: python examples/demo.py [FOLDER]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def netwright(*arguments: object) -> None:
    """Run the command line, as a user would, and show what is run."""
    words = [str(argument) for argument in arguments]
    print("\n$ netwright " + " ".join(words), flush=True)
    subprocess.run([Path(sys.executable).with_name("netwright"), *words], check=True)


def main() -> None:
    """Go through the commands in order, in a new folder or in that of an earlier demo, which is emptied."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    if folder.exists() and not {path.name for path in folder.iterdir()} <= {"Sample", "run", "prediction"}:
        sys.exit(f"{folder} contains other files than those of an earlier demo. Give a new folder.")
    if folder.exists():
        shutil.rmtree(folder)
    dataset, run = folder / "Sample", folder / "run"
    netwright("sample", "-o", dataset, "--cases", 24)
    netwright("inspect", dataset)
    netwright("search", dataset, "-o", run, "--hours", 0.05)
    case = sorted((dataset / "imagesTr").iterdir())[0]
    netwright("predict", run, case, "-o", folder / "prediction")
    print(f"\nreport     {(run / 'report.html').resolve()}")
    if sys.prefix != sys.base_prefix:
        print(f"your data  . {os.path.relpath(sys.prefix)}/bin/activate && netwright inspect YOUR_FOLDER")


if __name__ == "__main__":
    main()
