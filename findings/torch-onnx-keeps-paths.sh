#!/usr/bin/env bash
# torch 2.13.0, onnxscript 0.7.2, onnx 1.23.2, torch.onnx.export with dynamo=True.
#
# An ONNX file holds, for each operation, the stack of the calls that led to it: path, line and source text of each file,
# those of the machine that exported it among them (metadata pkg.torch.onnx.stack_trace). It goes wherever the file goes,
# with the names of users, hospitals and projects that folders have, and no option leaves it out. Emptying
# `node.metadata_props` of every node before saving does; the model computes as before.
#
# One would guess that a file for exchange has the operations, the weights and names, and that traces are for debugging,
# when they are asked for.
#
# Seen:
#   as it is: the file has the path of the script and a line of its text
#   emptied: it has neither, and the outputs are equal
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
cd "$home"
cat > exported.py <<'PYTHON'
import logging
import os

import numpy
import onnxruntime
import torch
from torch import nn

logging.disable(logging.WARNING)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv3d(1, 2, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images).relu()  # of patient group 7


def told(path: str) -> list[str]:
    content = open(path, "rb").read()
    looked_for = {"path": os.path.abspath(__file__), "text": "self.layer(images)"}
    return [name for name, text in looked_for.items() if text.encode() in content]


images = torch.randn(1, 1, 8, 8, 8)
program = torch.onnx.export(Network().eval(), (images,), input_names=["images"], dynamo=True, verbose=False)
program.save("whole.onnx")
for node in program.model.graph.all_nodes():
    node.metadata_props.clear()
program.save("emptied.onnx")
outputs = [
    onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": images.numpy()})[0]
    for path in ("whole.onnx", "emptied.onnx")
]
same = "equal" if numpy.array_equal(*outputs) else "different"
print("as it is:", *told("whole.onnx"), "| emptied:", *told("emptied.onnx"), "| outputs", same)
PYTHON
seen=$("$home/venv/bin/python" "$PWD/exported.py" 2>/dev/null | tail -1)
echo "$seen"
[ "$seen" = "as it is: path text | emptied: | outputs equal" ]
