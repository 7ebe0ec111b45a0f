#!/usr/bin/env bash
# tifffile 2026.3.3 (with Pillow 13.0.0 and numpy 2.4.6)
#
# tifffile.imwrite stores an array of true and false as WhiteIsZero (PhotometricInterpretation 0), unlike arrays of all
# other types, which are BlackIsZero. tifffile.imread gives back what was written; Pillow, which follows the tag, gives
# the opposite. A mask of true and false thus changes background and object between the two libraries, without a word.
# One would have guessed that true is white, as it is in Pillow's own bilevel files, or that both readers agree.
#
# Seen: photometric 0 for bool and 1 for uint8; Pillow equals the mask: False; Pillow equals its opposite: True.
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

mask = np.zeros((24, 32), bool)
mask[5:15, 8:20] = True
found = {}
for name, pixels in (("bool", mask), ("uint8", mask.astype(np.uint8) * 255)):
    tifffile.imwrite(f"{name}.tif", pixels)
    with tifffile.TiffFile(f"{name}.tif") as file:
        photometric = int(file.pages[0].photometric)
    own = np.array_equal(tifffile.imread(f"{name}.tif") > 0, mask)
    seen = np.asarray(Image.open(f"{name}.tif")) > 0
    found[name] = photometric, own, np.array_equal(seen, mask), np.array_equal(seen, ~mask)
    print(f"{name}: photometric {photometric}; tifffile equals the mask: {own}; "
          f"Pillow equals the mask: {found[name][2]}; Pillow equals its opposite: {found[name][3]}")
assert found == {"bool": (0, True, False, True), "uint8": (1, True, True, False)}, "this has changed"
PY
