#!/usr/bin/env bash
# torch 2.13.0, onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0, torch.onnx.export with dynamo=True.
#
# `torch.logaddexp` and `torch.nn.functional.logsigmoid` exist so that no number is rounded away between the exponential
# and the logarithm: for two inputs of -200 the one gives -199.3, and for -200 the other gives -200. In the exported file
# they are what their names say, an exponential, a sum and a logarithm one after the other: the exponential of -200 is 0
# in float32, and the result is minus infinity. The export and its checks say nothing, since its examples are usually
# small numbers, for which both agree. A mean of several networks' probabilities, taken in logarithms, meets it as soon as
# they are certain of a pixel.
#
# One would guess that a function whose only purpose is to be stable stays so, as `torch.logsumexp` does in the same run.
#
# Until it is mended: write max(a, b) + log1p(exp(-|a - b|)), which is exported as it stands.
#
# Seen, in PyTorch and in onnxruntime, of -200 and of 3:
#   logaddexp: -199.3 3.7 | -inf 3.7
#   logsigmoid: -200.0 -0.0 | -inf -0.0
#   logsumexp: -199.3 3.7 | -199.3 3.7
#   by hand: -199.3 3.7 | -199.3 3.7
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

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")


class Network(nn.Module):
    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def forward(self, values: Tensor) -> Tensor:
        pair = torch.stack([values, values])
        if self.way == "logaddexp":
            return torch.logaddexp(values, values)
        if self.way == "logsigmoid":
            return nn.functional.logsigmoid(values)
        if self.way == "logsumexp":
            return torch.logsumexp(pair, 0)
        return torch.maximum(values, values) + torch.log1p(torch.exp(-(values - values).abs()))


values = torch.tensor([-200.0, 3.0])
for way in ("logaddexp", "logsigmoid", "logsumexp", "by hand"):
    torch.onnx.export(Network(way).eval(), (torch.tensor([1.0, 2.0]),), dynamo=True).save("network.onnx")
    session = onnxruntime.InferenceSession("network.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: values.numpy()})
    ours = Network(way)(values)
    print(way + ":", *(f"{one:.1f}" for one in ours.tolist()), "|", *(f"{one:.1f}" for one in found.tolist()))
PYTHON
seen=$("$home/venv/bin/python" exported.py 2>/dev/null | grep -v '^\[torch.onnx\]')
echo "$seen"
[ "$seen" = "logaddexp: -199.3 3.7 | -inf 3.7
logsigmoid: -200.0 -0.0 | -inf -0.0
logsumexp: -199.3 3.7 | -199.3 3.7
by hand: -199.3 3.7 | -199.3 3.7" ]
