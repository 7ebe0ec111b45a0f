#!/usr/bin/env bash
# monai 1.6.1, torch 2.13.0, with scikit-learn 1.9.1 and rich 15.0.0 installed beside it.
#
# The import of MONAI draws once from the global generator of Python's module random: MONAI imports scikit-learn where it
# is installed, scikit-learn its progress bar where rich is, and rich numbers its styles from a random start. Without
# scikit-learn, or without rich, nothing is drawn. The generators of NumPy and PyTorch stay as they were.
#
# One would guess that an import takes nothing from a generator that was seeded before it. So a training that imports
# MONAI late, at its first validation for example, has other random numbers from there on than the second training of the
# same process with the same seed, and whether it has depends on what else is installed.
#
# Seen:
#   with scikit-learn and rich: the first seeded sequence differs from the second
#   numpy and torch: as they were
#   without rich: the sequences are equal
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet monai==1.6.1 torch==2.13.0 numpy==2.4.6 scikit-learn==1.9.1 rich==15.0.0
cd "$home"
cat > sequence.py <<'PYTHON'
import importlib
import random

import numpy
import torch


def seeded() -> tuple[float, float, float]:
    """A number of each generator, after a seed and an import that only the first call has to do."""
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)
    importlib.import_module("monai.inferers")
    return random.random(), numpy.random.random(), torch.rand(1).item()


first, second = seeded(), seeded()
print("same" if first[0] == second[0] else "differs", "same" if first[1:] == second[1:] else "differs")
PYTHON
with_rich=$("$home/venv/bin/python" sequence.py 2>/dev/null)
"$home/venv/bin/pip" uninstall --quiet --yes rich
without_rich=$("$home/venv/bin/python" sequence.py 2>/dev/null)
echo "with scikit-learn and rich: random $with_rich (numpy and torch behind it)"
echo "without rich: random $without_rich (numpy and torch behind it)"
[ "$with_rich" = "differs same" ]
[ "$without_rich" = "same same" ]
