"""How long a network takes for an answer."""

from __future__ import annotations

import time
from functools import partial
from statistics import median

import torch
from torch import nn

from netwright.training.config import TrainingProtocol
from netwright.training.device import threads, to_channels_last
from netwright.training.inference import evaluating, forward
from netwright.training.problem import NetworkTask


def inference_ms(
    network: nn.Module, task: NetworkTask, protocol: TrainingProtocol, device: torch.device, images: int = 1
) -> float:
    """The median time of a forward pass in ms, for ``images`` images of the network's input size, as in validation.

    Up to five passes are timed after a first one, as many as start within two seconds.

    Args:
        network: with its weights.
        task: its input and output.
        protocol: of the training.
        device: where it is computed.
        images: in one forward pass.
    """
    network.to(device)
    if protocol.channels_last:
        to_channels_last(network)
    batch = torch.zeros((images, task.channels, *task.size), device=device)
    run = partial(
        forward,
        network,
        batch,
        mixed_precision=protocol.mixed_precision,
        channels_last=protocol.channels_last,
    )
    times: list[float] = []
    with threads(protocol.threads), evaluating(network):
        for _ in range(6):
            begun = time.perf_counter()
            run()[:, 0].sum().item()  # waits for a GPU
            times.append(1e3 * (time.perf_counter() - begun))
            if sum(times) > 2e3:
                break
    return median(times[1:] or times)
