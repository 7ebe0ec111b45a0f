"""The space of classifiers of stages: networks and trainings from plain values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netwright.data.loading.augmentation_settings import AugmentationSettings
from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.spaces import SetsTraining, Space
from netwright.spaces.auto import ClassifierStagesSpace
from netwright.tasks.classification.task import ClassificationTask
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.config import TrainingProtocol
from spaces.auto_choices import each_value, random_choices, shapes


def pictures(*size: int, channels: int = 3) -> ClassificationTask:
    return ClassificationTask(channels, ("a", "b", "c"), size)


def space_for(task: ClassificationTask, **options: Any) -> ClassifierStagesSpace:
    return ClassifierStagesSpace(channels=task.channels, classes=task.classes, size=task.size, **options)


def made_of(space: ClassifierStagesSpace, choice: dict[str, Any], task: ClassificationTask) -> Any:
    """The network's weights and modules, and its training."""
    with torch.device("meta"):
        network = space.build(choice, task)
    return shapes(network), repr(network), space.training(choice)


ODD = pictures(27, 38)


def test_every_value_of_every_dimension_gives_a_network_that_learns() -> None:
    """Logits for each picture, and a gradient for every weight."""
    space = space_for(ODD, fixed={"width": 16})
    assert isinstance(space, Space)
    assert isinstance(space, SetsTraining)
    assert list(space.starting_choice()) == list(space.distributions())
    torch.manual_seed(0)
    images, labels = torch.randn(2, 3, *ODD.size), torch.tensor([0, 2])
    for choice in (space.starting_choice(), *each_value(space)):
        network = space.build(choice, ODD).train()
        logits = network(images)
        assert logits.shape == (2, 3)
        F.cross_entropy(logits, labels).backward()
        assert all(
            weight.grad is not None and bool(weight.grad.isfinite().all()) for weight in network.parameters()
        )
        assert isinstance(network.eval()(images), Tensor)


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (28, 28), (97, 64), (256, 256)])
def test_pictures_of_any_size(size: tuple[int, ...]) -> None:
    """Those that the space was made for, and any others."""
    task = pictures(*size)
    space = space_for(task)
    for choice in (space.starting_choice(), *random_choices(space, 2)):
        with torch.device("meta"):
            network = space.build(choice, task).eval()
            for shape in (size, tuple(length + 3 for length in size)):
                assert network(torch.zeros(1, 3, *shape)).shape == (1, 3)


@pytest.mark.parametrize(("side", "first"), [(28, 28), (32, 32), (64, 64), (128, 64), (224, 56), (256, 64)])
def test_large_pictures_are_reduced_at_once(side: int, first: int) -> None:
    space = space_for(pictures(side, side))
    assert space.plan(space.starting_choice()).stages[0].size == (first, first)


def test_what_is_canonical_is_what_matters() -> None:
    """What `canonical` leaves out or clips changes neither network nor training; what it keeps changes one of them."""
    task = pictures(12, 9)  # so small that shares of the side come to the same pixels
    space = space_for(task, fixed={"width": 16})
    start = space.starting_choice()
    for choice in random_choices(space, 3):
        canonical, made = space.canonical(choice), made_of(space, choice, task)
        assert space.canonical({**choice, **canonical}) == canonical
        assert made_of(space, {**choice, **canonical}, task) == made
        for other in each_value(space):
            (name,) = (name for name in other if other[name] != start[name])
            changed = {**choice, name: other[name]}
            assert (space.canonical(changed) == canonical) == (made_of(space, changed, task) == made), name


@pytest.mark.parametrize("task", [pictures(9, 12), pictures(32, 32), pictures(256, 200)])
def test_the_training_is_one_that_a_protocol_accepts(task: ClassificationTask) -> None:
    """No crop or square hides a whole picture."""
    space = space_for(task)
    for choice in (space.starting_choice(), *random_choices(space, 50)):
        fields = space.training(choice)
        augmentation = AugmentationSettings(**fields.pop("augmentation"))
        TrainingProtocol(**fields, augmentation=augmentation)
        assert "loss" not in fields, "the task's own"
        assert 2 * augmentation.cutout <= min(task.size) + 1
        assert 4 * augmentation.crop <= min(task.size) + 2


def test_the_words_tell_every_change_of_the_start() -> None:
    task = pictures(32, 32)
    space = space_for(task)
    start = space.starting_choice()
    for choice in each_value(space):
        same = space.canonical(choice) == space.canonical(start)
        assert (space.describe(choice) == space.describe(start)) is same, choice


def test_the_start_is_a_small_residual_network() -> None:
    """Parameters by hand: a stem, three stages of two blocks, two halvings, a dense layer."""
    task = pictures(32, 32)
    space = space_for(task)
    network = space.build(space.starting_choice(), task)
    expected, before = 0, 3
    for width in (32, 64, 128):
        expected += 9 * before * width + 2 * width + 4 * (9 * width * width + 2 * width)
        before = width
    assert sum(weight.numel() for weight in network.parameters()) == expected + 128 * 3 + 3
    fields = space.training(space.starting_choice())
    assert (fields["optimizer"], fields["batch_size"], fields["augmentation"]["crop"]) == ("sgd", 64, 4)


def test_pictures_that_must_not_be_mirrored() -> None:
    space = space_for(pictures(28, 28), mirroring=False)
    assert "mirroring" not in space.distributions()
    assert space.training(space.starting_choice())["augmentation"]["flip"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed": {"stages": 9}}, "fixed.stages: expected from 2 to 4, got 9"),
        ({"fixed": {"norm": "instance"}}, "fixed.norm: expected one of batch, group, got 'instance'"),
        ({"size": (8, 8, 8)}, "for images of 2 dimensions"),
        ({"classes": 0}, "classes: expected a whole number of at least 1, got 0"),
        ({"dense": True}, "is for classification"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ClassifierStagesSpace(**{"channels": 1, "classes": 2, "size": (32, 32), **options})


def test_other_tasks_are_refused() -> None:
    space = space_for(pictures(32, 32))
    for task in (SegmentationTask(3, ("a",), (32, 32)), SegmentationTask(3, ("a",), (8, 8, 8))):
        with pytest.raises(InfeasibleArchitecture, match="label a whole picture of two dimensions"):
            space.build(space.starting_choice(), task)


def test_diagrams_have_the_stages_of_the_network() -> None:
    space = space_for(ODD)
    for choice in (space.starting_choice(), *random_choices(space, 10)):
        plan = space.plan(choice)
        for diagram in space.diagrams(choice, ODD):
            names = [node.name for node in diagram.nodes]
            assert len(set(names)) == len(names)
            assert all({edge.source, edge.target} <= set(names) for edge in diagram.edges)
        assert [name for name in names if name.startswith("stage")] == [
            f"stage {n}" for n in range(1, len(plan.stages) + 1)
        ]
        assert any(isinstance(module, nn.Linear) for module in space.build(choice, ODD).modules())
        assert "\n" not in space.describe(choice)
