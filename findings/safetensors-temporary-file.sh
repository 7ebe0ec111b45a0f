#!/usr/bin/env bash
# safetensors 0.8.0, numpy 2.4.6, Linux.
#
# save_file(tensors, path) writes into a file of its own beside the given path, .tmp and six letters, and renames that
# over the path when it is whole. A process that is killed while it writes leaves that file behind: as large as the
# weights so far, hidden, under a name that no other run will ever use or remove.
#
# One would guess that save_file writes to the path that it is given, so that a program which wants its files whole writes
# to a temporary name and renames, and cleans up that one name on the next start. Then both happen, and each kill costs a
# hidden file of weights for good.
#
# Seen:
#   while it writes: a file .tmp and six letters, and nothing at the path
#   after a kill: the same file is left
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet safetensors==0.8.0 numpy==2.4.6
cd "$home"
"$home/venv/bin/python" - <<'PYTHON'
import re
import subprocess
import sys
import time
from pathlib import Path

CODE = """
import numpy
from safetensors.numpy import save_file
tensors = {str(i): numpy.full(1 << 26, i, numpy.float32) for i in range(8)}
print("begins", flush=True)
save_file(tensors, "weights.safetensors")
"""


def beside() -> list[str]:
    return [path.name for path in Path().iterdir() if "safetensors" in path.name or path.name.startswith(".tmp")]


writer = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE)
assert writer.stdout is not None
writer.stdout.readline()
until = time.monotonic() + 60
while not beside() and writer.poll() is None and time.monotonic() < until:
    time.sleep(0.001)
writing = beside()
writer.kill()
writer.wait()
left = beside()
print("while it writes:", writing)
print("after a kill:", left)
assert len(writing) == 1 and re.fullmatch(r"\.tmp\w{6}", writing[0]), writing
assert left == writing, left
PYTHON
