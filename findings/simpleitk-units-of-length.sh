#!/usr/bin/env bash
# SimpleITK 2.5.7, nibabel 5.4.2 (with numpy 2.4.6)
#
# A NIfTI file may say in xyzt_units that its lengths are micrometres. SimpleITK converts them to millimetres when it reads
# the file. nibabel does not: affine and get_zooms() are the numbers as stored. One scan then has voxels of 0.8 mm in a
# program that reads it with SimpleITK, and of 800 mm in one that reads it with nibabel and does not look at the unit. A NRRD
# has its unit in "space units", which SimpleITK passes over: the spacing is 800, and the same saved as NIfTI says 800 mm.
#
# One would guess that SimpleITK treats units alike in both formats, and that spacing and affine of one NIfTI file agree in
# both libraries.
#
# Seen, voxels of 800 x 800 x 2000 micrometres:
#   NIfTI, nibabel: 800, 800, 2000 (micron)
#   NIfTI, SimpleITK: 0.8, 0.8, 2
#   NRRD, SimpleITK: 800, 800, 2000
#   NRRD, saved as NIfTI by SimpleITK: 800, 800, 2000 (mm)
#   written to stderr: nothing
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
cd "$home"
"$home/venv/bin/python" - 2> stderr.txt <<'PYTHON'
import nibabel
import numpy as np
import SimpleITK

scan = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.diag([-800.0, -800.0, 2000.0, 1.0]))
scan.header.set_xyzt_units("micron")
nibabel.save(scan, "a.nii")
header = """NRRD0005
type: uint8
dimension: 3
space: left-posterior-superior
sizes: 4 5 6
space directions: (800,0,0) (0,800,0) (0,0,2000)
space origin: (0,0,0)
space units: "um" "um" "um"
encoding: raw

"""
with open("a.nrrd", "wb") as file:
    file.write(header.encode() + bytes(4 * 5 * 6))


def with_nibabel(path: str) -> tuple[list[float], str]:
    opened = nibabel.load(path)
    return np.linalg.norm(opened.affine[:3, :3], axis=0).tolist(), opened.header.get_xyzt_units()[0]


SimpleITK.WriteImage(SimpleITK.ReadImage("a.nrrd"), "b.nii")
seen = {
    "NIfTI, nibabel": with_nibabel("a.nii"),
    "NIfTI, SimpleITK": ([round(edge, 6) for edge in SimpleITK.ReadImage("a.nii").GetSpacing()], ""),
    "NRRD, SimpleITK": (list(SimpleITK.ReadImage("a.nrrd").GetSpacing()), ""),
    "NRRD, saved as NIfTI by SimpleITK": with_nibabel("b.nii"),
}
for how, (edges, unit) in seen.items():
    print(f"{how}: {', '.join(f'{edge:g}' for edge in edges)}{f' ({unit})' if unit else ''}")
stored, converted = [800, 800, 2000], [0.8, 0.8, 2]
assert list(seen.values()) == [(stored, "micron"), (converted, ""), (stored, ""), (stored, "mm")], "this has changed"
PYTHON
echo "written to stderr: $(cat stderr.txt)"
test ! -s stderr.txt
