"""Classification: pictures in memory and prepared ones, networks with and without auxiliary heads."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.data.images.prepared import IMAGES, PreparedImages
from netwright.data.images.settings import ImageSettings, PicturePreparation
from netwright.data.loading.augmentation import AugmentationSettings
from netwright.data.loading.pictures import ImageBatches
from netwright.errors import SettingsError
from netwright.settings import parse_settings
from netwright.tasks import TASKS
from netwright.tasks.classification.problem import ImageProblem
from netwright.tasks.classification.task import ClassificationTask
from netwright.training.config import TrainingProtocol
from netwright.training.inference_time import inference_ms
from netwright.training.loop import train
from netwright.training.outcome import Outcome, Status
from netwright.training.seeding import derive_seed
from netwright.training.trial import evaluate_candidate, predicted_cost

CPU = torch.device("cpu")
CLASSES = ("dark", "left", "right", "bright")
PLAIN = {"mixed_precision": False, "channels_last": False, "augmentation": None}
TASK = ClassificationTask(3, CLASSES, (12, 10))


class Pictures:
    """Noisy pictures whose class can be seen: dark, bright on the left or right, bright."""

    def __init__(self, count=40):
        rng = np.random.default_rng(0)
        self.classes = np.arange(count) % 4
        self.pixels = rng.normal(0, 0.3, (count, 3, 12, 10)).astype(np.float32)
        self.pixels[np.isin(self.classes, (1, 3)), ..., :5] += 1
        self.pixels[np.isin(self.classes, (2, 3)), ..., 5:] += 1
        self.pixels[:, 0, 0, 0] = np.arange(count)  # tells which picture it is

    def images(self, indices):
        return self.pixels[np.asarray(indices, dtype=np.intp)]

    def labels_of(self, indices):
        return self.classes[np.asarray(indices, dtype=np.intp)]


@pytest.fixture
def pictures():
    return Pictures()


@pytest.fixture
def problem(pictures):
    return ImageProblem(pictures, TASK)


def classifier(task, dropout=0.0):
    return nn.Sequential(
        nn.Conv2d(task.channels, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d((2, 2)),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(32, task.classes),
    )


class WithHeads(nn.Module):
    """Gives the logits of two auxiliary heads while it trains."""

    def __init__(self, task):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(task.channels, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        self.main, self.first, self.second = (nn.Linear(8, task.classes) for _ in range(3))

    def forward(self, images):
        features = self.body(images).flatten(1)
        logits = self.main(features)
        return (logits, self.first(features), self.second(features)) if self.training else logits


def batches_of(pictures, cases, batch_size, seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    return ImageBatches(
        pictures,
        cases,
        batch_size,
        device=CPU,
        augmentation=settings.get("augmentation"),
        generator=generator,
    )


@pytest.mark.parametrize(("count", "lengths"), [(7, [3, 3]), (8, [3, 3, 2]), (1, [1]), (2, [2]), (6, [3, 3])])
def test_an_epoch_has_every_picture_once_but_a_lone_last_one(pictures, count, lengths):
    cases = list(range(30, 30 + count))
    batches = batches_of(pictures, cases, 3)
    epochs = []
    for _ in range(2):
        found = []
        for images, labels in batches:
            chosen = images[:, 0, 0, 0].int().tolist()
            assert labels.tolist() == [case % 4 for case in chosen]
            torch.testing.assert_close(images, torch.tensor(pictures.pixels[chosen]))
            found.append(chosen)
        assert [len(chosen) for chosen in found] == lengths
        epochs.append([case for chosen in found for case in chosen])
        assert len(set(epochs[-1])) == sum(lengths)
        assert set(epochs[-1]) <= set(cases)
    assert len(batches) == len(lengths)
    assert count < 6 or epochs[0] != epochs[1]


def test_pictures_are_flipped_in_width_and_keep_their_class(pictures):
    settings = AugmentationSettings(probability=0, flip=1)
    plain = batches_of(pictures, range(12), 4)
    flipped = batches_of(pictures, range(12), 4, augmentation=settings)
    (images, labels), (mirrored, same) = next(iter(plain)), next(iter(flipped))
    assert torch.equal(mirrored, images.flip(3))
    assert torch.equal(same, labels)


def test_is_the_plain_loop_of_torch(pictures, problem):
    def network():
        torch.manual_seed(0)
        return classifier(TASK)

    protocol = TrainingProtocol(
        optimizer="sgd", learning_rate=0.05, loss="cross_entropy", epochs=3, batch_size=8, **PLAIN
    )
    trained = train(network(), problem, range(32), range(32, 40), protocol, seed=9)
    bare = network()
    optimizer = torch.optim.SGD(bare.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    losses = []
    batches = batches_of(pictures, range(32), 8, derive_seed(9, "batches"))
    for _ in range(3):
        losses.append([])
        for images, labels in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(bare(images), labels)
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    for ours, theirs in zip(trained.network.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trained.curves.values()["train_loss"], np.mean(losses, 1), rtol=1e-4)
    bare.eval()
    right = bare(torch.tensor(pictures.pixels[32:])).argmax(1).numpy() == pictures.classes[32:]
    np.testing.assert_array_equal(trained.scores[-1][:, 0], right)
    assert trained.curves.values()["validation_score"][-1] == right.mean()


@pytest.mark.parametrize("half", [False, True])
def test_overfits_a_tiny_set_to_the_last_picture(pictures, tmp_path, half):
    problem = ImageProblem(pictures, TASK)
    protocol = TrainingProtocol(
        optimizer="adam",
        learning_rate=0.02,
        loss="cross_entropy",
        epochs=30,
        batch_size=8,
        validate_every=30,
        mixed_precision=half,
        channels_last=half,
        augmentation=None,
    )
    outcome = evaluate_candidate(classifier, problem, range(20), range(20), protocol, seed=1, folder=tmp_path)
    assert outcome.status is Status.COMPLETE, outcome.reason
    assert outcome.metrics == {"accuracy": 1.0}
    cost = outcome.cost
    assert cost.parameters == sum(p.numel() for p in classifier(TASK).parameters())
    assert cost.flops == 2 * (3 * 8 * 9 * 120 + 32 * 4)
    assert min(cost.predicted_memory_mb, cost.seconds_per_batch, cost.inference_ms) > 0
    assert cost.inference_ms_per_batch > 0
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict(), allow_nan=False))) == outcome


def test_learns_what_is_in_no_training_picture_as_well(problem):
    protocol = TrainingProtocol(
        optimizer="adam",
        learning_rate=0.02,
        loss="cross_entropy",
        epochs=40,
        batch_size=8,
        augmentation=AugmentationSettings(rotation_degrees=10, shift=0.1, scale=(1, 1)),
    )
    trained = train(classifier(TASK), problem, range(28), range(28, 40), protocol, seed=1)
    assert max(trained.curves.values()["validation_score"]) > 0.8


def test_auxiliary_heads_are_trained_counted_and_left_out_of_the_result(problem):
    protocol = TrainingProtocol(
        loss="cross_entropy", epochs=1, batch_size=40, loss_auxiliary_weight=0.5, **PLAIN
    )
    torch.manual_seed(3)
    network = WithHeads(TASK)
    pictures = Pictures()
    outputs = network(torch.tensor(pictures.pixels))
    labels = torch.tensor(pictures.classes)
    losses = [F.cross_entropy(head, labels).item() for head in outputs]
    before = network.second.weight.detach().clone()
    trained = train(network, problem, range(40), range(40), protocol, seed=0)
    found = trained.curves.values()["train_loss"][0]
    assert found == pytest.approx(losses[0] + 0.5 * (losses[1] + losses[2]), rel=1e-5)
    assert not torch.equal(before, network.second.weight)
    assert trained.scores[-1].shape == (40, 1)


def test_a_dry_run_counts_auxiliary_heads():
    protocol = TrainingProtocol(loss="cross_entropy", batch_size=4, **PLAIN)
    cost = predicted_cost(WithHeads, TASK, protocol)
    assert cost.parameters == 3 * 8 * 9 + 8 + 3 * (8 * 4 + 4)
    assert cost.flops == 2 * (3 * 8 * 9 * 120 + 3 * 8 * 4)
    assert cost.predicted_memory_mb > 0


def test_a_loss_of_regions_is_the_settings_fault(problem):
    for loss in ("dice", "dice_cross_entropy", "exponential_logarithmic"):
        with pytest.raises(SettingsError, match=r"training.loss=cross_entropy"):
            evaluate_candidate(classifier, problem, range(20), range(20), TrainingProtocol(loss=loss), seed=1)


def test_an_output_that_is_not_finite_diverges(problem):
    class Infinite(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = classifier(TASK)

        def forward(self, images):
            return self.network(images) * (1.0 if self.training else float("nan"))

    protocol = TrainingProtocol(loss="cross_entropy", epochs=2, batch_size=8, **PLAIN)
    trained = train(Infinite(), problem, range(20), range(20), protocol, seed=1)
    assert trained.status is Status.DIVERGED
    assert "output is not finite" in trained.reason


def test_the_inference_of_a_batch_sees_a_batch():
    seen = []

    class Recorder(nn.Module):
        def forward(self, images):
            seen.append(tuple(images.shape))
            return images.mean((2, 3))

    protocol = TrainingProtocol(batch_size=7)
    assert inference_ms(Recorder(), TASK, protocol, CPU, 7) > 0
    assert set(seen) == {(7, 3, 12, 10)}


def test_prepared_pictures_pose_a_problem_of_classification(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (9, 1, 8, 6), dtype=np.uint8)
    np.save(tmp_path / IMAGES, pixels)
    prepared = PreparedImages(
        folder=tmp_path,
        dataset="toy",
        preparation=PicturePreparation(ImageSettings(size=(8, 6)), ("grey",), "uint8", (100.0,), (50.0,)),
        class_names=("a", "b", "c"),
        names=tuple(f"{n}" for n in range(9)),
        labels=tuple(n % 3 for n in range(9)),
        parts=(None,) * 9,
    )
    values = {"recipe": "marl-vgg16", "space": {"name": "vgg16"}, "strategy": {"name": "random"}}
    settings = parse_settings({**values, "dataset": {"path": str(tmp_path)}})
    problem = TASKS[prepared.task].problem(prepared, settings)
    assert problem.task == ClassificationTask(1, ("a", "b", "c"), (8, 6))
    protocol = TrainingProtocol(loss="cross_entropy", batch_size=4, **PLAIN)
    batches = problem.batches(range(9), protocol, CPU, seed=0)
    images, labels = next(iter(batches))
    assert (len(batches), problem.validation_batches(range(9), protocol)) == (2, 3)
    for image, label in zip(images, labels, strict=True):
        (case,) = [n for n in range(9) if np.allclose((pixels[n] - 100.0) / 50, image)]
        assert label == case % 3
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64

    class Knows(nn.Module):
        """Tells the class from the pixels of each picture, but takes "b" for "c"."""

        def forward(self, images):
            known = torch.tensor((pixels - 100.0) / 50).flatten(1).float()
            case = torch.cdist(images.flatten(1), known).argmin(1)
            return F.one_hot(torch.tensor([0, 2, 2])[case % 3], 3).float()

    scores = problem.scores(Knows(), [8, 1, 0, 4, 2], protocol, CPU)
    assert scores[:, 0].tolist() == [1, 0, 1, 0, 1]
    assert problem.metrics(scores) == {"accuracy": pytest.approx(0.6)}
