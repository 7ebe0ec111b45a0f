"""Trains tiny candidates and prints hashes of their weights, and their curves; run by a test in fresh
processes.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from balls import SIZE, Balls, small_network
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.volume_problem import VolumeProblem
from netwright.training.config import TrainingProtocol
from netwright.training.trial import evaluate_candidate


def trained(seed, settings):
    with tempfile.TemporaryDirectory() as folder:
        outcome = evaluate_candidate(
            small_network,
            VolumeProblem(Balls(), SegmentationTask(1, ("shell", "core"), SIZE)),
            range(6),
            (6, 7),
            TrainingProtocol(**settings),
            seed=seed,
            folder=Path(folder),
        )
        weights = hashlib.sha256((Path(folder) / "weights.safetensors").read_bytes()).hexdigest()
    return weights, outcome.curves


sys.stdout.write(json.dumps([trained(seed, settings) for seed, settings in json.loads(sys.argv[1])]))
