#!/usr/bin/env bash
# SimpleITK 2.5.7 (with pydicom 3.0.2 and numpy 2.4.6 to write the files)
#
# Two things that SimpleITK's DICOM reader does to the numbers of a series, without a word:
#
# 1. ImageSeriesReader gives all slices the type of the first one. PET series have another RescaleSlope in every slice. Where
#    the first one is whole, such as 1, the image is of integers, and the numbers of all other slices lose what is behind
#    the decimal point: 18.6 becomes 18. With the same slopes in the other order the image is of real numbers.
# 2. Where PhotometricInterpretation is MONOCHROME1, the stored numbers are turned around before the rescale slope and
#    intercept are applied: 0 becomes the largest number that there is room for. Hounsfield units and uptake values come out
#    upside down. In the standard MONOCHROME1 only says how numbers are shown, the smallest white, after all other
#    transformations (PS3.3 C.7.6.3.1.2). pydicom gives the stored numbers.
#
# One would guess that reading a series gives what the slices hold one by one, and that how an image is shown changes no
# numbers.
#
# Seen:
#   slopes 1 and 0.6, stored 31: uint16, second slice 18 instead of 18.6
#   slopes 0.6 and 1, stored 31: float64, first slice 18.6
#   MONOCHROME2, 12 bits, stored 31, intercept -1024: -993
#   MONOCHROME1, 12 bits, stored 31, intercept -1024: 3040 (4095 - 31 - 1024)
#   written to stderr: nothing
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"${PYTHON:-python3}" -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
cd "$home"
"$home/venv/bin/python" - 2> stderr.txt <<'PYTHON'
from pathlib import Path

import numpy as np
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

STORED = 31


def read(slopes: list[float], intercept: int = 0, shown: str = "MONOCHROME2") -> np.ndarray:
    """A series whose slices hold 31 throughout, as SimpleITK reads it: the first pixel of every slice."""
    folder, series = Path(generate_uid()), generate_uid()
    folder.mkdir()
    for number, slope in enumerate(slopes):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.SeriesInstanceUID = dataset.StudyInstanceUID = series
        dataset.Modality, dataset.InstanceNumber = "PT", number + 1
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 3 * number], [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.RescaleSlope, dataset.RescaleIntercept = [1, 1], slope, intercept
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 6, 5, 1
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = shown, 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        dataset.PixelData = np.full((6, 5), STORED, np.uint16).tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return SimpleITK.GetArrayFromImage(reader.Execute())[:, 0, 0]


whole_first, real_first = read([1, 0.6]), read([0.6, 1])
print(f"slopes 1 and 0.6, stored {STORED}: {whole_first.dtype}, second slice {whole_first[1]} instead of 18.6")
print(f"slopes 0.6 and 1, stored {STORED}: {real_first.dtype}, first slice {real_first[0]:g}")
assert whole_first.dtype.kind in "iu" and whole_first[1] == 18, "this has changed"
assert real_first.dtype.kind == "f" and abs(real_first[0] - 18.6) < 1e-6

usual, turned = (read([1, 1], -1024, f"MONOCHROME{kind}")[0] for kind in (2, 1))
print(f"MONOCHROME2, 12 bits, stored {STORED}, intercept -1024: {usual}")
print(f"MONOCHROME1, 12 bits, stored {STORED}, intercept -1024: {turned}")
assert usual == STORED - 1024
assert turned == 4095 - STORED - 1024, "this has changed"
PYTHON
echo "written to stderr: $(cat stderr.txt)"
test ! -s stderr.txt
