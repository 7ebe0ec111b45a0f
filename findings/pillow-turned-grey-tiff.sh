#!/usr/bin/env bash
# Pillow 13.0.0 (files written by tifffile 2026.3.3, numpy 2.4.6)
#
# Pillow opens an uncompressed 8-bit grey TIFF whose Orientation is 5 to 8 (rows shown as columns, as cameras held upright
# write) and returns scrambled pixels: rows are cut at the height in place of the width. The same pixels in colours, or
# compressed, are right. Orientations 1 to 4 are right, too.
#
# One would guess that the pixels are those of the file, turned as the tag says or not turned, whatever the compression.
#
# Seen: for each of 5, 6, 7, 8: "grey: turned False, as stored False; colour: turned True; compressed: turned True".
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install -q tifffile==2026.3.3 pillow==13.0.0 numpy==2.4.6
cd "$home"
"$home/venv/bin/python" - <<'PY'
import numpy as np
import tifffile
from PIL import Image

grey = np.arange(54, dtype=np.uint8).reshape(6, 9)
turned = {5: grey.T, 6: np.rot90(grey, -1), 7: np.rot90(grey, 2).T, 8: np.rot90(grey)}
for orientation, right in turned.items():
    tag = [(274, "H", 1, orientation)]
    tifffile.imwrite("grey.tif", grey, extratags=tag, metadata=None)
    tifffile.imwrite("colour.tif", np.dstack([grey] * 3), extratags=tag, metadata=None, photometric="rgb")
    tifffile.imwrite("packed.tif", grey, extratags=tag, metadata=None, compression="zlib")
    read = {name: np.asarray(Image.open(f"{name}.tif")) for name in ("grey", "colour", "packed")}
    found = (
        np.array_equal(read["grey"], right),
        np.array_equal(read["grey"], grey),
        np.array_equal(read["colour"][..., 0], right),
        np.array_equal(read["packed"], right),
    )
    print(f"{orientation}: grey: turned {found[0]}, as stored {found[1]}; colour: turned {found[2]}; "
          f"compressed: turned {found[3]}")
    assert found == (False, False, True, True), "this has changed"
PY
