#!/usr/bin/env bash
# torch 2.13.0 (CPU), a layer written as a torch.autograd.Function, followed by an activation in place.
#
# Where `forward` makes its result in one shape and returns it in another (`result.view(...)`, `result.movedim(...)`),
# an activation with `inplace=True` behind the layer raises RuntimeError: "is a view and is being modified inplace".
# The tensor that it is a view of was made inside `forward` and nobody else has it. A result that is returned as it was
# made, or as a copy in another memory format, is changed in place without complaint; and so is a view that torch's own
# functions return.
#
# One would guess that a fresh tensor stays one through a reshaping inside `forward`, which runs without gradients; and a
# test of the layer alone, with its gradients, finds nothing.
#
# Seen:
#   as it was made: changed in place
#   reshaped: RuntimeError
#   permuted: RuntimeError
#   permuted and copied: changed in place
#   torch's own view: changed in place
#   all of them without an activation in place: the same gradient
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
cd "$home"
cat > views.py <<'PYTHON'
import torch
from torch.nn import functional as F

SHAPE = (2, 3, 4, 5)
WAYS = {
    "as it was made": lambda rows: rows,
    "reshaped": lambda rows: rows.view(6, 20).view(SHAPE),
    "permuted": lambda rows: rows.movedim(1, -1).movedim(-1, 1),
    "permuted and copied": lambda rows: rows.contiguous(memory_format=torch.channels_last),
}


def layer(way):
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, features):
            return WAYS[way](features * 2)

        @staticmethod
        def backward(ctx, upstream):
            return upstream * 2

    return Doubled.apply


layers = {name: layer(name) for name in WAYS}
layers["torch's own view"] = lambda features: (features * 2).view(6, 20).view(SHAPE)
for name, apply in layers.items():
    features = torch.ones(SHAPE, requires_grad=True)
    F.leaky_relu(apply(features)).sum().backward()
    assert torch.equal(features.grad, torch.full(SHAPE, 2.0)), name
    try:
        F.leaky_relu(apply(features), inplace=True).sum().backward()
        seen = "changed in place"
    except RuntimeError as error:
        assert "is a view and is being modified inplace" in str(error), error
        seen = "RuntimeError"
    print(f"{name}: {seen}")
    assert (seen == "RuntimeError") == (name in ("reshaped", "permuted")), name
PYTHON
"$home/venv/bin/python" views.py
