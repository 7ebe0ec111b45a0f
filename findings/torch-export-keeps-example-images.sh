#!/usr/bin/env bash
# torch 2.13.0, torch.export.save.
#
# The file of an exported network holds the images that it was traced with, value by value, beside the weights, and for
# each operation the path and the line of the source that called it. The example counts only for shapes in a trace, so a
# patient's volume is at hand for it; it then goes wherever the file goes, and is most of it where the network is small.
# `program.example_inputs = None` before saving leaves it out, and the file loads and computes as before.
#
# One would guess that the example gives shapes and types to the trace and is then forgotten, and that a file of weights
# and operations says nothing of the machine.
#
# Seen:
#   as it is: the file loads, its example is equal to the traced image, the file has the path of the source
#   without example: the file has fewer bytes than the image alone, the outputs are equal
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
cd "$home"
cat > exported.py <<'PYTHON'
import io
import zipfile

import torch
from torch import nn


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv3d(1, 2, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images)


def saved(program: torch.export.ExportedProgram) -> io.BytesIO:
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    return file


network, image = Network().eval(), torch.randn(1, 1, 40, 40, 40)
program = torch.export.export(network, (image,))
file = saved(program)
archive = zipfile.ZipFile(file)
named = any(b"exported.py" in archive.read(name) for name in archive.namelist())
file.seek(0)
(example,), _ = torch.export.load(file).example_inputs
print("example equal to the image:", torch.equal(example, image), "| path of the source in the file:", named)
assert torch.equal(example, image)
assert named
program.example_inputs = None
bare = saved(program)
size, of_image = len(bare.getvalue()), image.nbytes
print("without example: fewer bytes than the image:", size < of_image)
assert size < of_image
with torch.no_grad():
    assert torch.equal(torch.export.load(bare).module()(image), network(image))
print("outputs equal")
PYTHON
"$home/venv/bin/python" exported.py
