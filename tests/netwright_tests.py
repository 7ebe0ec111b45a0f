"""Constants that several test files share."""

import sys
from pathlib import Path

EXECUTABLE = Path(sys.executable).with_name("netwright")
SMALL = ("--epochs", "1", "--workers", "1", "--set", "space.n=[1,4]", "--set", "space.p=[1,3]")
