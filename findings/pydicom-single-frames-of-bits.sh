#!/usr/bin/env bash
# pydicom 3.0.2 (with numpy 2.4.6)
#
# A DICOM segmentation stores one bit a pixel, and its frames follow each other without padding, so that a frame may begin
# and end within a byte (PS3.5 8.1.1). pixel_array(dataset) unpacks all frames rightly. pixel_array(dataset, index=n) and
# iter_pixels(dataset), which are there to read a large file frame by frame, take as many bytes as the bits of a frame fill.
# Where they lie in one byte more, as the 63 bits of a frame of 7 x 9 pixels may do, the last ones are missing, and both end
# with a ValueError about a shape. Frames of 512 x 512 begin with a byte, and those of 5 x 5 or 9 x 9 never need one more, so
# that a test on these shows nothing.
#
# One would guess that frame n by itself is what pixel_array(dataset)[n] is.
#
# Seen:
#   16 x 16: all 6 frames are equal
#   9 x 9: all 6 frames are equal
#   7 x 9, frame 1: cannot reshape array of size 57 into shape (7,9)
#   7 x 9, iter_pixels: cannot reshape array of size 57 into shape (7,9)
#   7 x 9, all frames at once: equal
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet pydicom==3.0.2 numpy==2.4.6
"$home/venv/bin/python" - <<'PYTHON'
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import iter_pixels, pack_bits, pixel_array
from pydicom.uid import ExplicitVRLittleEndian


def segmentation(rows: int, columns: int) -> tuple[Dataset, np.ndarray]:
    stored = np.random.default_rng(0).integers(0, 2, (6, rows, columns)).astype(np.uint8)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    dataset.PixelData = pack_bits(stored)
    dataset["PixelData"].VR = "OB"
    return dataset, stored


for size in ((16, 16), (9, 9)):
    dataset, stored = segmentation(*size)
    assert all(np.array_equal(pixel_array(dataset, index=n), stored[n]) for n in range(6))
    print(f"{size[0]} x {size[1]}: all 6 frames are equal")

dataset, stored = segmentation(7, 9)
for what, read in (
    ("frame 1", lambda: pixel_array(dataset, index=1)),
    ("iter_pixels", lambda: list(iter_pixels(dataset))),
):
    try:
        read()
    except ValueError as error:
        print(f"7 x 9, {what}: {error}")
    else:
        raise AssertionError("this has changed")
assert np.array_equal(pixel_array(dataset), stored)
print("7 x 9, all frames at once: equal")
PYTHON
