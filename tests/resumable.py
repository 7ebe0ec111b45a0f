"""Trainings of every task that tests stop and go on with; as a script, goes on with some in a process of its own."""

import hashlib
import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from netwright.data import open_any
from netwright.data.images.inpainting_settings import MaskSettings
from netwright.data.loading.augmentation import AugmentationSettings
from netwright.data.samples.phantoms import write_sample
from netwright.data.volumes.cache import prepare
from netwright.data.volumes.preprocessing import PreprocessingSettings
from netwright.data.volumes.slices import SliceSettings
from netwright.nn.schedule import Scheduled
from netwright.tasks.classification.problem import ImageProblem
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.inpainting.problem import InpaintingProblem
from netwright.tasks.inpainting.task import InpaintingTask
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.tasks.segmentation.problem import make_problem
from netwright.tasks.segmentation.volume_problem import VolumeProblem
from netwright.training import checkpoint
from netwright.training.checkpoint import Checkpoints
from netwright.training.config import TrainingProtocol
from netwright.training.loop import train
from netwright.training.seeding import derive_seed
from turned import WatchedBatches

SIZE = (12, 14)
CASES, VALIDATION = range(7), range(7, 10)
"""With batches of three: two of three cases, and a last one that is left out, as it would be of one."""
AUGMENTATION = AugmentationSettings(flip=0.5, crop=1, cutout=3)


class Pictures:
    def __init__(self, count=10):
        rng = np.random.default_rng(0)
        self.pixels = rng.uniform(0, 1, (count, 3, *SIZE)).astype(np.float32)
        self.classes = np.arange(count) % 2

    def images(self, indices):
        return self.pixels[np.asarray(indices, dtype=np.intp)]

    def labels_of(self, indices):
        return self.classes[np.asarray(indices, dtype=np.intp)]


class Drawing(Scheduled):
    """Draws from every global generator, and changes in the course of a training."""

    change = 0.1

    def __init__(self):
        super().__init__()
        self.share = 0.0

    def set_progress(self, share):
        self.share = share

    def forward(self, images):
        if not self.training:
            return images
        drawn = random.gauss(0, 1) + np.random.normal() + torch.rand(1).item()  # noqa: NPY002
        return images * (1 + 0.01 * drawn + self.change * self.share)


def dense(task, dimensions):
    convolution, norm, dropout = {
        2: (nn.Conv2d, nn.BatchNorm2d, nn.Dropout2d),
        3: (nn.Conv3d, nn.BatchNorm3d, nn.Dropout3d),
    }[dimensions]
    return nn.Sequential(
        Drawing(),
        convolution(task.channels, 6, 3, padding=1, bias=False),
        norm(6),
        nn.ReLU(),
        dropout(0.2),
        convolution(6, task.classes, 1),
    )


def classifier(task):
    return nn.Sequential(
        *dense(task, 2)[:-1],
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(24, task.classes),
    )


def sample(data):
    if not (data / "sample").exists():
        write_sample(data / "sample", cases=10, size=24)
    return prepare(open_any(data / "sample"), PreprocessingSettings(), data / "cache")


def make(kind, data):
    """A problem and a function that makes its network; ``data`` is a folder for what lies on disk."""
    if kind == "volumes":
        prepared = sample(data)
        task = SegmentationTask(prepared.channels, prepared.label_names, (16, 12, 12))  # crops at random
        return VolumeProblem(prepared, task), lambda: dense(task, 3)
    if kind == "slices":
        problem = make_problem(sample(data), SliceSettings(empty="drop"))
        return problem, lambda: dense(problem.task, 2)
    if kind == "pictures":
        task = ClassificationTask(3, ("even", "odd"), SIZE)
        return ImageProblem(Pictures(), task), lambda: classifier(task)
    task = InpaintingTask(3, SIZE)
    return InpaintingProblem(Pictures(), task, MaskSettings("pixel")), lambda: dense(task, 2)


LOSSES = {
    "volumes": "exponential_logarithmic",
    "slices": "dice",
    "pictures": "cross_entropy",
    "inpainting": "mse",
}


def protocol_of(kind, **settings):
    """Batches are such that an epoch has two or more, with a last one that is smaller, or left out."""
    batch_size = 40 if kind == "slices" else 3
    given = {"epochs": 3, "batch_size": batch_size, "loss": LOSSES[kind], "augmentation": AUGMENTATION}
    return TrainingProtocol(**{**given, **settings})


STATISTICS = derive_seed(5, "statistics")
"""The seed of the batches that statistics of batch normalisation are computed from: no training batches."""


class Copied:
    """A problem whose trainings leave, after each step, a copy of their checkpoint: the step's number behind its name.

    What is copied is what a kill before the next step would have left.
    """

    def __init__(self, problem, path):
        self._problem, self._path, self._steps = problem, path, 0

    def __getattr__(self, name):
        return getattr(self._problem, name)

    def batches(self, cases, protocol, device, seed):
        batches = self._problem.batches(cases, protocol, device, seed)
        return batches if seed == STATISTICS else WatchedBatches(batches, after=self.copy)

    def copy(self):
        self._steps += 1
        shutil.copyfile(self._path, copy_of(self._path, self._steps))


def copy_of(path, step):
    return path.with_name(f"{path.name}.{step}")


def trained(kind, protocol, data, path, *, resume_from=None, copied=False, keep=False, stop_after=None):
    """A training, and all that has to be the same where it was stopped on the way."""
    problem, network = make(kind, data)
    torch.manual_seed(0)
    network = network()
    checkpoint.LEAST_PAUSE = 0.0
    training = train(
        network,
        Copied(problem, path) if copied else problem,
        CASES,
        VALIDATION,
        protocol,
        seed=5,
        stop_after=stop_after,
        checkpoints=Checkpoints(path, 0.0 if copied else None, keep, resume_from),
    )
    return training, result_of(training)


def result_of(training):
    digest = hashlib.sha256()
    for name, value in training.network.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return {
        "weights": digest.hexdigest(),
        "status": training.status.value,
        "reason": training.reason,
        "curves": training.curves.values(),
        "rates": [record.learning_rate for record in training.curves.records],
        "epochs": training.epochs,
        "planned": training.planned_epochs,
        "loss_met_epoch": training.loss_met_epoch,
        "scores": [scores.tolist() for scores in training.scores],
    }


if __name__ == "__main__":
    results = []
    for kind, settings, *paths, steps in json.loads(sys.argv[1]):
        data, path = map(Path, paths)
        protocol = protocol_of(kind, **settings)
        results.append(
            [trained(kind, protocol, data, path, resume_from=copy_of(path, step))[1] for step in steps]
        )
    sys.stdout.write(json.dumps(results))
