"""The spaces of `auto`: networks and trainings from plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netwright.data.loading.augmentation_settings import AugmentationSettings
from netwright.errors import InfeasibleArchitecture, SettingsError
from netwright.nn.losses import AuxiliaryLoss, dice_cross_entropy
from netwright.spaces import SetsTraining, Space
from netwright.spaces.auto import EncoderDecoderSpace
from netwright.spaces.auto.blocks import SLOPES, Layers
from netwright.spaces.auto.resolutions import resolutions
from netwright.tasks.segmentation.network_task import SegmentationTask
from netwright.training.config import TrainingProtocol
from netwright.training.precision import half_precision_training
from spaces.auto_choices import each_value, random_choices, shapes


@dataclass(frozen=True)
class Pictures:
    """A task with one label for each picture."""

    channels: int = 1
    classes: int = 3
    size: tuple[int, ...] = (32, 32)
    label_size: tuple[int, ...] = ()


def segmentation(*size: int, channels: int = 1) -> SegmentationTask:
    return SegmentationTask(channels, ("a", "b"), size)


def space_for(task: SegmentationTask, **options: Any) -> EncoderDecoderSpace:
    return EncoderDecoderSpace(channels=task.channels, classes=task.classes, size=task.size, **options)


def made_of(space: EncoderDecoderSpace, choice: dict[str, Any], task: SegmentationTask) -> tuple[Any, ...]:
    """The network's weights and modules, and its training."""
    with torch.device("meta"):
        network = space.build(choice, task)
    return shapes(network), repr(network), space.training(choice)


SMALL_2D, SMALL_3D = segmentation(19, 26, channels=2), segmentation(9, 13, 10)


@pytest.mark.parametrize("task", [SMALL_2D, SMALL_3D])
def test_it_is_a_space_that_sets_the_training(task: SegmentationTask) -> None:
    space = space_for(task)
    assert isinstance(space, Space)
    assert isinstance(space, SetsTraining)
    assert list(space.starting_choice()) == list(space.distributions())


@pytest.mark.parametrize("half", [None, torch.bfloat16])
@pytest.mark.parametrize("task", [SMALL_2D, SMALL_3D])
def test_every_value_of_every_dimension_gives_a_network_that_learns(
    task: SegmentationTask, half: torch.dtype | None
) -> None:
    """Logits of the image's size, auxiliary logits in training alone, and a gradient for every weight."""
    space = space_for(task, fixed={"width": 8})
    torch.manual_seed(0)
    images = torch.randn(2, task.channels, *task.size)
    labels = torch.randint(task.classes, (2, *task.size))
    for choice in (space.starting_choice(), *each_value(space)):
        network = space.build(choice, task).train()
        with half_precision_training(torch.device("cpu"), half, fast=True):
            outputs: Any = network(images)
        heads = outputs if isinstance(outputs, tuple) else (outputs,)
        assert len(heads) == 1 + space.plan(choice).supervision
        assert {head.shape for head in heads} == {(2, task.classes, *task.size)}
        loss = AuxiliaryLoss(
            lambda logits, truth: dice_cross_entropy(logits, truth, torch.ones(task.classes)), 0.3
        )
        loss(outputs, labels).backward()
        assert all(
            weight.grad is not None and bool(weight.grad.isfinite().all()) for weight in network.parameters()
        )
        assert isinstance(network.eval()(images), Tensor)


@pytest.mark.parametrize("task", [SMALL_2D, SMALL_3D, segmentation(64, 64)])
def test_what_is_suggested_are_other_networks_or_trainings(task: SegmentationTask) -> None:
    space = space_for(task, fixed={"loss": "dice_cross_entropy"}, mirroring=False)
    start = space.starting_choice()
    changed = [space.canonical({**start, **change}) for change in space.suggestions()]
    assert space.canonical(start) not in changed
    assert len({tuple(choice.items()) for choice in changed}) == len(changed)
    names = {name for change in space.suggestions() for name in change}
    assert names <= set(space.distributions()), "neither a fixed dimension nor one of a single value"
    assert {"rate", "width", "block"} <= names
    assert ("stem" in names) == (start["stem"] == 2)


def test_a_first_stage_sees_the_surroundings_and_the_second_what_it_gives() -> None:
    task = segmentation(9, 13, 10, channels=4)
    space = space_for(task, low_resolution=(2, 2, 1), spacing=(1.0, 1.0, 3.0))
    assert space.suggestions()[0] == {"low_resolution": True}
    sizes = {"patches": ((4, 6, 6), (9, 13, 10), (13, 16, 12)), "fixed": {"width": 8}}
    for batches, expected in (
        ((12, 5, 1), {}),
        ((6, 2, 1), {"patch": "4 x 6 x 6"}),
        ((1, 1, 1), {"patch": "4 x 6 x 6"}),
    ):
        fewer = space_for(task, low_resolution=(2, 2, 1), batches=batches, **sizes)
        assert fewer.suggestions()[0] == {"low_resolution": True, **expected}
    images = torch.randn(1, 4, 9, 13, 10)
    without, staged = (
        space.build({"low_resolution": chosen, "norm": "batch"}, task).eval() for chosen in (False, True)
    )
    elsewhere = torch.cat([images[:, :2], torch.randn(1, 2, 9, 13, 10)], 1)
    torch.testing.assert_close(without(images), without(elsewhere))
    assert not torch.allclose(staged(images), staged(elsewhere))
    assert staged(images).shape == (1, 3, 9, 13, 10)
    titles = [diagram.title for diagram in space.diagrams({"low_resolution": True}, task)]
    assert titles == ["Block", "First stage, at low resolution", "Network"]
    with pytest.raises(SettingsError, match="an even number of channels"):
        space_for(segmentation(9, 13, 10, channels=3), low_resolution=(2, 2, 1))


def test_a_batch_of_any_patches_has_as_many_voxels_as_the_memory_allows() -> None:
    sizes, most = ((20, 20, 20), (32, 32, 32), (40, 40, 40)), (20, 20, 1)
    space = space_for(segmentation(32, 32, 32), patches=sizes, batches=most)
    start = space.starting_choice()
    assert (start["patch"], start["batch"]) == ("32 x 32 x 32", 8)
    assert space.training(start)["patch_size"] is None
    batches = {
        (patch, batch): space.training({"patch": patch, "batch": batch})
        for patch in ("20 x 20 x 20", "40 x 40 x 40")
        for batch in (2, 4, 8)
    }
    assert [fields["batch_size"] for fields in batches.values()] == [8, 16, 20, 1, 1, 1]
    assert {fields["patch_size"] for fields in batches.values()} == {sizes[0], sizes[2]}
    for wrong in ({"patches": ((8, 8),)}, {"patches": ((8, 8, 8),), "batches": (1, 2)}, {"batches": (1,)}):
        with pytest.raises(SettingsError, match="patches: expected sizes of 3 axes"):
            space_for(segmentation(32, 32, 32), **wrong)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (33, 65), (1, 9, 4), (8, 40, 40), (96, 17, 33)])
def test_images_of_any_size(size: tuple[int, ...]) -> None:
    """Those that the space was made for, and any others."""
    task = segmentation(*size)
    space = space_for(task)
    for choice in (space.starting_choice(), *random_choices(space, 2)):
        with torch.device("meta"):
            network = space.build(choice, task).eval()
            for shape in (size, tuple(length + 3 for length in size), tuple(2 * length for length in size)):
                assert network(torch.zeros(1, 1, *shape)).shape == (1, task.classes, *shape)


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (SMALL_2D, {}),
        (SMALL_3D, {}),
        (segmentation(9, 13, 10, channels=2), {"low_resolution": (2, 2, 1)}),
        (
            segmentation(9, 13, 10, channels=2),
            {"low_resolution": (2, 2, 1), "patches": ((9, 13, 10),), "batches": (8,)},
        ),
        (SMALL_3D, {"patches": ((6, 8, 8), (9, 13, 10), (13, 16, 12)), "batches": (12, 5, 1)}),
    ],
)
def test_what_is_canonical_is_what_matters(task: SegmentationTask, options: dict[str, Any]) -> None:
    """What `canonical` leaves out or clips changes neither network nor training; what it keeps changes one of them."""
    space = space_for(task, fixed={"kernel": 3, "width": 8}, **options)
    start = space.starting_choice()
    for choice in random_choices(space, 2, seed=len(task.size)):
        canonical, made = space.canonical(choice), made_of(space, choice, task)
        assert space.canonical({**choice, **canonical}) == canonical
        assert made_of(space, {**choice, **canonical}, task) == made
        for other in each_value(space):
            (name,) = (name for name in other if other[name] != start[name])
            changed = {**choice, name: other[name]}
            assert (space.canonical(changed) == canonical) == (made_of(space, changed, task) == made)


@pytest.mark.parametrize("task", [SMALL_2D, segmentation(40, 56, 40)])
def test_the_words_tell_every_change_of_the_start(task: SegmentationTask) -> None:
    """A reader of the report could not see what a candidate with another loss or normalisation had changed."""
    space = space_for(task)
    start = space.starting_choice()
    for choice in each_value(space):
        same = made_of(space, choice, task) == made_of(space, start, task)
        assert (space.describe(choice) == space.describe(start)) is same, choice


@pytest.mark.parametrize("task", [SMALL_2D, SMALL_3D, segmentation(40, 56, 40), segmentation(256, 256)])
def test_the_training_is_one_that_a_protocol_accepts(task: SegmentationTask) -> None:
    space = space_for(task)
    for choice in (space.starting_choice(), *random_choices(space, 50)):
        fields = space.training(choice)
        protocol = TrainingProtocol(
            **{**fields, "augmentation": AugmentationSettings(**fields["augmentation"])}
        )
        assert protocol.loss in task.losses
        assert math.isclose(
            protocol.loss_dice_weight + protocol.loss_cross_entropy_weight,
            2.0 if protocol.loss == "dice_cross_entropy" else 1.0,
        )


def test_the_start_is_the_hand_made_default() -> None:
    """Nadam 4e-3, Dice plus cross-entropy in equal parts, batches of 4, about 1.2 M parameters."""
    task = segmentation(40, 56, 40)
    space = space_for(task)
    fields = space.training(space.starting_choice())
    del fields["augmentation"]
    assert fields == {
        "optimizer": "nadam",
        "learning_rate": 4e-3,
        "weight_decay": 0.0,
        "batch_size": 4,
        "loss": "dice_cross_entropy",
        "loss_dice_weight": 1.0,
        "loss_cross_entropy_weight": 1.0,
    }
    with torch.device("meta"):
        network = space.build(space.starting_choice(), task)
    assert 0.6e6 < sum(weight.numel() for weight in network.parameters()) < 2.4e6


def test_the_starting_network_is_what_its_description_says() -> None:
    """Parameters by hand, for two levels of a plain network on pictures: convolutions without bias, norms, heads."""
    task = segmentation(16, 16)
    fixed = {"width": 8, "levels": 2, "stem": 1, "block": "plain", "supervision": 0}
    space = space_for(task, fixed=fixed)
    network = space.build(space.starting_choice(), task)
    encoder = 9 * 1 * 8 + 16 + (9 * 8 * 8 + 16) + 9 * 8 * 16 + 32 + (9 * 16 * 16 + 32)
    decoder = 4 * 16 * 8 + (9 * 8 * 8 + 16)
    assert sum(w.numel() for w in network.parameters()) == encoder + decoder + 8 * task.classes + task.classes


def test_thick_slices_are_not_convolved_across_at_first() -> None:
    levels = resolutions((16, 128, 128), (4.0, 1.0, 1.0), most=5)
    assert [level.kernel(3) for level in levels] == [(1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)]
    assert [level.stride for level in levels] == [(1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]
    task = segmentation(16, 128, 128)
    space = space_for(task, spacing=(4.0, 1.0, 1.0))
    with torch.device("meta"):
        network = space.build(space.starting_choice(), task)
        assert network(torch.zeros(2, 1, *task.size)).shape == (2, 3, *task.size)
    first = next(m for m in network.modules() if isinstance(m, nn.Conv3d))
    assert (first.kernel_size, first.stride) == ((1, 3, 3), (1, 2, 2))


def test_no_slice_of_thick_ones_reaches_another_in_a_network_of_wide_voxels() -> None:
    """A network all of whose kernels are flat treats every slice by itself."""
    task = segmentation(4, 16, 16)
    space = space_for(task, spacing=(50.0, 1.0, 1.0), fixed={"stem": 1, "norm": "batch"})
    network = space.build(space.starting_choice(), task).eval()
    images = torch.randn(1, 1, 4, 16, 16)
    changed = images.clone()
    changed[:, :, 2] += 1
    with torch.no_grad():
        differs = (network(images) != network(changed)).amax((0, 1, 3, 4))
    assert differs.tolist() == [False, False, True, False]


@pytest.mark.parametrize("activation", SLOPES)
def test_signals_keep_their_strength(activation: str) -> None:
    """He et al. 2015: a deep stack of convolutions and activations neither fades nor grows, without normalisation."""
    torch.manual_seed(0)
    layers = Layers(2, "batch", activation, "plain")
    stage = layers.stage(64, (3, 3), 6)
    layers.initialise(stage)
    features = torch.randn(4, 64, 24, 24)
    with torch.no_grad():
        for block in stage:
            convolution = block[0]  # type: ignore[index]
            out = convolution(features)[:, :, 6:-6, 6:-6]
            assert out.square().mean().item() == pytest.approx(
                2 * features[:, :, 6:-6, 6:-6].square().mean().item() / (1 + SLOPES[activation] ** 2), rel=0.2
            )


def test_dimensions_can_be_fixed() -> None:
    task = segmentation(40, 40)
    space = space_for(task, fixed={"norm": "instance", "rate": 0.5}, mirroring=False)
    names = set(space.distributions())
    assert not names & {"norm", "rate", "mirroring"}
    assert space.training(space.starting_choice())["learning_rate"] == 1e-3
    assert space.training(space.starting_choice())["augmentation"]["flip"] == 0
    network = space.build(space.starting_choice(), task)
    assert any(isinstance(module, nn.InstanceNorm2d) for module in network.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed": {"widths": 8}}, "no dimension 'widths'. Did you mean width"),
        ({"fixed": {"width": 12}}, "fixed.width: expected from 8 to 64 in steps of 8, got 12"),
        ({"fixed": {"norm": "layer"}}, "fixed.norm: expected one of batch, instance, group, got 'layer'"),
        ({"fixed": [1]}, "fixed: expected a value for each named dimension"),
        ({"spacing": (1.0, 1.0)}, "spacing: expected a length over 0 for each of 3 axes"),
        ({"spacing": (1.0, 0.0, 1.0)}, "spacing: expected a length over 0"),
        ({"size": (8,)}, "2 or 3 dimensions"),
        ({"channels": 0}, "channels: expected a whole number of at least 1, got 0"),
        ({"dense": False}, "is for segmentation"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        EncoderDecoderSpace(**{"channels": 1, "classes": 2, "size": (8, 8, 8), **options})


def test_other_tasks_are_refused() -> None:
    space = space_for(segmentation(32, 32))
    for task in (segmentation(8, 8, 8), Pictures()):
        with pytest.raises(InfeasibleArchitecture, match="label every voxel of an image of 2 dimensions"):
            space.build(space.starting_choice(), task)


@pytest.mark.parametrize("task", [SMALL_2D, SMALL_3D])
def test_diagrams_have_the_parts_of_the_network(task: SegmentationTask) -> None:
    space = space_for(task)
    for choice in (space.starting_choice(), *random_choices(space, 10)):
        plan = space.plan(choice)
        block, network = space.diagrams(choice, task)
        for diagram in (block, network):
            names = [node.name for node in diagram.nodes]
            assert len(set(names)) == len(names)
            assert all({edge.source, edge.target} <= set(names) for edge in diagram.edges)
            assert len({(node.column, node.row) for node in diagram.nodes}) == len(names)
        kinds = [node.name.split()[0] for node in network.nodes]
        count = len(plan.levels)
        assert (kinds.count("encoder"), kinds.count("decoder")) == (count, count - 1)
        assert kinds.count("auxiliary") == plan.supervision
        assert "\n" not in space.describe(choice)
