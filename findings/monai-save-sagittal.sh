#!/usr/bin/env bash
# monai 1.6.1, nibabel 5.4.2, torch 2.13.0: SaveImage of one channel of a scan whose file has several channels.
#
# Written while no axis of the scan is turned. Where the first two axes of a file do not run along the patient's x and y,
# as in sagittal scans, there is "SaveImage cannot find a suitable writer for scan_trans.nii.gz", and the advice to
# install more writers. The writer is found: it takes the volume (X, Y, Z), which has no channel any more, for a picture
# with channels, and cuts the affine to two dimensions, which cannot be inverted then. A scan of one channel is written,
# as LoadImage notes in its metadata that the file had no channel.
#
# One would guess that whether a label map can be saved does not depend on how many channels the scan had.
#
# Seen:
#   channels 1, axes RAS: written
#   channels 1, axes PIR: written
#   channels 2, axes RAS: written
#   channels 2, axes PIR: not written
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet monai==1.6.1 nibabel==5.4.2 torch==2.13.0 numpy==2.4.6
cd "$home"
cat > save.py <<'PYTHON'
import logging
import warnings

import nibabel
import numpy as np
from monai.transforms import LoadImage, SaveImage

warnings.filterwarnings("ignore")
logging.disable()
results = {}
for channels in (1, 2):
    for axes in ("RAS", "PIR"):
        voxels = np.zeros((12, 6, 27, 2)[: 2 + channels], np.float32)
        image = nibabel.Nifti1Image(voxels, np.eye(4))
        turned = nibabel.orientations.axcodes2ornt(axes)
        nibabel.save(image.as_reoriented(turned), "scan.nii.gz")
        scan = LoadImage(image_only=True, ensure_channel_first=True)("scan.nii.gz")
        assert len(scan) == channels
        try:
            SaveImage(output_dir=".", separate_folder=False, print_log=False)(scan[:1])
            results[channels, axes] = "written"
        except RuntimeError as error:
            assert "cannot find a suitable writer" in str(error)
            results[channels, axes] = "not written"
        print(f"channels {channels}, axes {axes}: {results[channels, axes]}")
assert results[1, "PIR"] == "written" and results[2, "PIR"] != "written"
PYTHON
"$home/venv/bin/python" save.py
