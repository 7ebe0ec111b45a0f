#!/usr/bin/env bash
# nibabel 5.4.2, numpy 2.4.6.
#
# An array of floats that are all whole numbers (0, 2, 4), saved with set_data_dtype(int16), does not come back whole:
# nibabel stretches the range of the values over that of the type, writes the factor to scl_slope, and 2.0 is read as
# 2.00003. The same array with the type uint8 is off by more; with astype(int16) first, nothing is scaled.
#
# One would guess that whole numbers that fit into an integer type are stored as they are. So a label map that went
# through get_fdata() and back holds no whole numbers, and a check for them calls it blended.
#
# Seen:
#   int16, from floats: scl_slope 6.10361e-05, read [0.      2.00003 4.     ]
#   uint8, from floats: scl_slope 0.0156863, read [0.      1.99216 4.     ]
#   int16, from integers: scl_slope 1, read [0. 2. 4.]
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet nibabel==5.4.2 numpy==2.4.6
cd "$home"
"$home/venv/bin/python" - <<'PYTHON'
import nibabel
import numpy as np

labels = np.array([0, 2, 4], np.float32).reshape(3, 1, 1)


def read_back(array: np.ndarray, kind: str) -> np.ndarray:
    image = nibabel.Nifti1Image(array, np.eye(4))
    image.set_data_dtype(kind)
    nibabel.save(image, "labels.nii")
    again = nibabel.load("labels.nii")
    found = again.get_fdata().ravel()
    print(f"{kind}, from {'floats' if array.dtype.kind == 'f' else 'integers'}: "
          f"scl_slope {again.dataobj.slope:g}, read {np.round(found, 5)}")
    return found


assert read_back(labels, "int16")[1] != 2
assert read_back(labels, "uint8")[1] != 2
assert read_back(labels.astype(np.int16), "int16").tolist() == [0, 2, 4]
PYTHON
