#!/usr/bin/env bash
# torch 2.13.0, onnxscript 0.7.2, onnx 1.23.2, torch.onnx.export with dynamo=True and dynamic_shapes.
#
# A network that calls `affine_grid` (spatial transformers, registration, augmentation within a network) is asked for
# with free height and width, and the file has the numbers of the example instead. The export says nothing, neither with
# verbose=True nor by a warning: it ends as one does that succeeded, and only whoever comes with an image of another size
# is turned away by the runtime. The batch stays free. The same network without `affine_grid` keeps all three, and
# `torch.export.export`, given the same network and the same dynamic_shapes, raises and names both sides.
#
# One would guess that a size that was asked for and cannot be had is an error, as it is for torch.export.export, on
# which this export builds.
#
# Until it is told: compare the shapes of the model's inputs with those asked for, or pass the program that
# torch.export.export gives.
#
# Seen:
#   without affine_grid: batch, height, width
#   with affine_grid: batch, 16, 24; no warning; 20 x 32 pixels are refused
#   torch.export.export, with affine_grid: UserError
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
cd "$home"
cat > exported.py <<'PYTHON'
import logging
import warnings

import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

logging.disable(logging.CRITICAL)  # the traceback that torch.export.export logs besides


class Network(nn.Module):
    def __init__(self, turns: bool) -> None:
        super().__init__()
        self.layer, self.turns = nn.Conv2d(1, 2, 3, padding=1), turns

    def forward(self, images: Tensor) -> Tensor:
        if self.turns:
            turn = torch.eye(2, 3).expand(images.shape[0], 2, 3)
            images = grid_sample(images, affine_grid(turn, images.shape, align_corners=False), align_corners=False)
        return self.layer(images)


images, names = torch.randn(2, 1, 16, 24), {0: "batch", 2: "height", 3: "width"}
asked = {axis: torch.export.Dim(name) for axis, name in names.items()}
for turns in (False, True):
    network = Network(turns).eval()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        program = torch.onnx.export(network, (images,), dynamo=True, dynamic_shapes=(asked,), verbose=True)
    program.save("network.onnx")
    session = onnxruntime.InferenceSession("network.onnx", providers=["CPUExecutionProvider"])
    batch, _, *sides = session.get_inputs()[0].shape
    about = [warning for warning in told if any(word in str(warning.message) for word in ("dynamic", "constant"))]
    try:
        session.run(None, {"images": torch.randn(3, 1, 20, 32).numpy()})
        other = "taken"
    except Exception:
        other = "refused"
    print("with" if turns else "without", "affine_grid:", batch, *sides, "|", len(about), "warnings | 20 x 32", other)
try:
    torch.export.export(network, (images,), dynamic_shapes=(asked,))
    print("torch.export.export: no error")
except Exception as error:
    print("torch.export.export:", type(error).__name__)
PYTHON
seen=$("$home/venv/bin/python" exported.py 2>/dev/null | grep -v '^\[torch.onnx\]')
echo "$seen"
[ "$seen" = "without affine_grid: batch height width | 0 warnings | 20 x 32 taken
with affine_grid: batch 16 24 | 0 warnings | 20 x 32 refused
torch.export.export: UserError" ]
