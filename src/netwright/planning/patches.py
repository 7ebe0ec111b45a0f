"""The sizes of patches that networks may be trained on, and how many of each the memory allows in a batch."""

from __future__ import annotations

import inspect
from dataclasses import replace
from math import prod

from netwright.data.volumes.targets import patch_sizes
from netwright.planning.context import Context
from netwright.planning.draft import Draft
from netwright.searches.components import protocol_of
from netwright.spaces import make_space, network_builder, space_maker, takes_task

LARGEST_BATCH = 16
"""Of patches of the input's size; batches of others have as many voxels."""
SURELY = 0.95
"""Memory is nearly proportional to the batch: the share of it that is taken for granted."""


def choose_patches(draft: Draft, context: Context) -> None:
    """Fill in the sizes of patches that the space may choose from, where volumes have the voxels of several inputs.

    For each, the largest batch with which a training step of the starting network keeps `machine.memory_limit_mb`; a
    size of which not even one fits is left out, but for the smallest. Settings that are repeated stay, and so does a
    size that the user set for all networks.
    """
    sizes = context.prepared.sizes
    chosen = takes_task(draft.space) and "patches" in inspect.signature(space_maker(draft.space)).parameters
    asked = {"training.patch_size", "space.patches"} & draft.user_set
    if not chosen or draft.slices is not None or sizes is None or sizes.resized or context.repeats or asked:
        return
    known = [list(size) for size in patch_sizes(sizes.size, sizes.shape, sizes.spacing)]
    if len(known) == 1:
        return
    draft.change({"space.patches": known, "space.batches": [_most(context, size) for size in known]})
    batches = [_largest_batch(draft, context, size) for size in known]
    batches[0] = max(1, batches[0])
    kept = [index for index, batch in enumerate(batches) if batch]
    draft.change(
        {
            "space.patches": [known[index] for index in kept],
            "space.batches": [batches[index] for index in kept],
        }
    )


def _most(context: Context, size: list[int]) -> int:
    return max(1, round(LARGEST_BATCH * prod(context.task.size) / prod(size)))


def _largest_batch(draft: Draft, context: Context, size: list[int]) -> int:
    """How many patches of a size a training step of the starting network may have; 0: not even one."""
    from netwright.training.cost import fits
    from netwright.training.outcome import Cost
    from netwright.training.trial import predicted_cost

    largest, limit = _most(context, size), draft.machine.memory_limit_mb
    if limit is None:
        return largest
    space = make_space(draft.space)
    start = space.starting_choice()
    build, protocol = network_builder(draft.space, start, None), protocol_of(draft, space, start)

    def cost(batch: int) -> Cost:
        x, y, z = size
        of_size = replace(protocol, batch_size=batch, patch_size=(x, y, z))
        return predicted_cost(build, context.task, of_size)

    one, two = (cost(batch).predicted_memory_mb or 0.0 for batch in (1, 2))
    batch = int(1 + SURELY * (limit - one) / max(two - one, 1e-6)) if limit > one else 0
    batch = min(batch, largest)
    while batch > 1 and not fits(cost(batch), limit):
        batch = int(SURELY * batch)
    return batch
