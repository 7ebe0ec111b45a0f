#!/usr/bin/env bash
# SimpleITK 2.5.7 (with pydicom 3.0.2 and numpy 2.4.6 to write the files)
#
# A radiotherapy dose (RT Dose) stores whole numbers, which DoseGridScaling turns into gray (PS3.3 C.8.8.3). SimpleITK reads
# the distance of its planes from GridFrameOffsetVector, as it should, and leaves the scaling out: the image has the stored
# numbers, without a word. RescaleSlope, which does the same for a CT, is applied.
#
# One would guess that a reader that knows doses well enough to place their planes, and that scales all other images, gives
# doses. Networks that predict doses, or reports on them, are then wrong by a factor that is another one in each file.
#
# Seen, 6 planes of up to 119000 stored and a scaling of 0.001, so 119 Gy at most:
#   dose: spacing (3.0, 2.0, 2.5), largest number 119000 (32-bit unsigned integer)
#   CT with a RescaleSlope of 0.001: largest number 119 (64-bit float)
#   written to stderr: nothing
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
cd "$home"
"$home/venv/bin/python" - 2> stderr.txt <<'PYTHON'
import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTDoseStorage, generate_uid

STORED = np.arange(6 * 4 * 5, dtype=np.uint32).reshape(6, 4, 5) * 1000


def write(name: str, kind: str, pixels: np.ndarray, **further: object) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = kind
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.FrameOfReferenceUID = generate_uid()
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-10, -20, 30], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [2, 3]
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit, dataset.PixelRepresentation = 8 * pixels.itemsize - 1, 0
    for keyword, value in further.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(name, enforce_file_format=True)


write(
    "dose.dcm",
    RTDoseStorage,
    STORED,
    Modality="RTDOSE",
    NumberOfFrames=len(STORED),
    FrameIncrementPointer=0x3004000C,
    GridFrameOffsetVector=[2.5 * number for number in range(len(STORED))],
    DoseUnits="GY",
    DoseType="PHYSICAL",
    DoseSummationType="PLAN",
    DoseGridScaling="0.001",
)
write("slice.dcm", CTImageStorage, STORED[-1], Modality="CT", RescaleSlope="0.001", RescaleIntercept="0")
dose, scan = SimpleITK.ReadImage("dose.dcm"), SimpleITK.ReadImage("slice.dcm")
largest, scaled = (SimpleITK.GetArrayFromImage(image).max() for image in (dose, scan))
print(f"dose: spacing {dose.GetSpacing()}, largest number {largest} ({dose.GetPixelIDTypeAsString()})")
print(f"CT with a RescaleSlope of 0.001: largest number {scaled:g} ({scan.GetPixelIDTypeAsString()})")
assert dose.GetSpacing() == (3.0, 2.0, 2.5)
assert abs(scaled - 119) < 1e-9
assert largest == 119000, "this has changed"
PYTHON
echo "written to stderr: $(cat stderr.txt)"
test ! -s stderr.txt
