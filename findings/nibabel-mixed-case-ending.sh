#!/usr/bin/env bash
# nibabel 5.4.2, numpy 2.4.6, on a file system that tells capitals apart.
#
# nibabel.load("scan.Nii") does not open scan.Nii: of an ending that is neither all small nor all capital letters it makes
# the small one, and opens scan.nii. Where that is not there the scan is "not found"; where it is, the voxels of another
# file are returned without a word. scan.NII and scan.NII.GZ are opened as they are named, scan.Nii.gz is not.
#
# One would guess that a name that is given in full is the file that is opened. So a reader that takes a header from
# load(path) and voxels from the file's own bytes puts two scans together. nibabel.save does the same and replaces
# scan.nii when it is told to write scan.Nii.
#
# Seen:
#   scan.NII: its own voxels
#   scan.Nii alone: FileNotFoundError
#   scan.Nii beside scan.nii: the voxels of scan.nii
#   save to scan.Nii: replaces scan.nii
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet nibabel==5.4.2 numpy==2.4.6
cd "$home"
"$home/venv/bin/python" - <<'PYTHON'
import os

import nibabel
import numpy as np


def volume(value: int) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image(np.full((2, 2, 2), value, np.uint8), np.eye(4))


def write(name: str, value: int) -> None:
    """As any other program writes a file of that name."""
    with open(name, "wb") as file:
        file.write(volume(value).to_bytes())


def voxel(name: str) -> int:
    return int(np.asarray(nibabel.load(name).dataobj)[0, 0, 0])


write("probe", 0)
if os.path.exists("PROBE"):
    raise SystemExit("this file system does not tell capitals apart: nothing to see here")

write("scan.NII", 3)
print("scan.NII:", "its own voxels" if voxel("scan.NII") == 3 else "others")
assert voxel("scan.NII") == 3
os.remove("scan.NII")

write("scan.Nii", 1)
try:
    voxel("scan.Nii")
except FileNotFoundError as error:
    print("scan.Nii alone:", type(error).__name__)
else:
    raise AssertionError("scan.Nii is found now")

write("scan.nii", 2)
print("scan.Nii beside scan.nii: the voxels of", {1: "scan.Nii", 2: "scan.nii"}[voxel("scan.Nii")])
assert voxel("scan.Nii") == 2

nibabel.save(volume(7), "scan.Nii")
with open("scan.nii", "rb") as file:
    replaced = file.read() == volume(7).to_bytes()
print("save to scan.Nii:", "replaces scan.nii" if replaced else "leaves scan.nii")
assert replaced
PYTHON
