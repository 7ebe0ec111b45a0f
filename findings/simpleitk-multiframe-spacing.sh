#!/usr/bin/env bash
# SimpleITK 2.5.7 (with pydicom 3.0.2 and numpy 2.4.6 to write the files)
#
# SimpleITK.ReadImage of an enhanced multi-frame CT takes the spacing from the positions of the frames, as long as they lie
# at equal distances in the order of the file. Where one frame is missing, or the frames are stored in another order, it
# does not warn and does not fail: the spacing becomes 1 x 1 x 1 mm, also within the slices, whose PixelSpacing stands in
# the same header. Frames are then kept in the order of the file, whatever their positions say.
#
# One would guess that frames are sorted by position, as ImageSeriesReader.GetGDCMSeriesFileNames does for single slices,
# or that at worst the distance between slices is wrong. Volumes of tumours measured in such a scan are wrong by a factor.
#
# Seen, pixels of 0.8 x 0.7 mm and slices 2.5 mm apart:
#   all frames in order: spacing (0.7, 0.8, 2.5)
#   frame 4 of 8 missing: spacing (1.0, 1.0, 1.0)
#   frames 1 and 2 exchanged: spacing (1.0, 1.0, 1.0), slices in the order 1 0 2 3 4 5 6 7
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
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid


def group(sequence: str, **elements: object) -> Dataset:
    """A functional group: a sequence of one item with these elements."""
    inner, outer = Dataset(), Dataset()
    for keyword, value in elements.items():
        setattr(inner, keyword, value)
    setattr(outer, sequence, [inner])
    return outer


def write(name: str, order: list[int]) -> None:
    """Frames of 6 x 5 pixels, each filled with the number of its slice, at 2.5 mm times that number."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = dataset.StudyInstanceUID = generate_uid()
    dataset.Modality, dataset.NumberOfFrames = "CT", len(order)
    shared = group("PixelMeasuresSequence", PixelSpacing=[0.8, 0.7], SliceThickness=2.5)
    shared.update(group("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]))
    dataset.SharedFunctionalGroupsSequence = [shared]
    organization = generate_uid()
    dataset.DimensionOrganizationSequence = [Dataset()]
    dataset.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    dataset.DimensionIndexSequence = []
    for pointer in (0x00209056, 0x00209057):  # StackID, InStackPositionNumber
        index = Dataset()
        index.DimensionOrganizationUID, index.DimensionIndexPointer = organization, pointer
        index.FunctionalGroupPointer = 0x00209111
        dataset.DimensionIndexSequence.append(index)
    dataset.PerFrameFunctionalGroupsSequence = []
    for number in order:
        frame = group("PlanePositionSequence", ImagePositionPatient=[0, 0, 2.5 * number])
        place = {"StackID": "1", "InStackPositionNumber": number + 1, "DimensionIndexValues": [1, number + 1]}
        frame.update(group("FrameContentSequence", **place))
        dataset.PerFrameFunctionalGroupsSequence.append(frame)
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 6, 5, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelData = b"".join(np.full((6, 5), number, np.uint16).tobytes() for number in order)
    dataset["PixelData"].VR = "OW"
    dataset.save_as(name, enforce_file_format=True)


seen = {}
for name, order in (
    ("all frames in order", [0, 1, 2, 3, 4, 5, 6, 7]),
    ("frame 4 of 8 missing", [0, 1, 2, 4, 5, 6, 7]),
    ("frames 1 and 2 exchanged", [1, 0, 2, 3, 4, 5, 6, 7]),
):
    write("scan.dcm", order)
    image = SimpleITK.ReadImage("scan.dcm")
    slices = SimpleITK.GetArrayFromImage(image)[:, 0, 0].tolist()
    seen[name] = tuple(round(edge, 6) for edge in image.GetSpacing()), slices == order
    print(f"{name}: spacing {seen[name][0]}, slices in the order", *slices)
assert seen == {
    "all frames in order": ((0.7, 0.8, 2.5), True),
    "frame 4 of 8 missing": ((1.0, 1.0, 1.0), True),
    "frames 1 and 2 exchanged": ((1.0, 1.0, 1.0), True),
}, "this has changed"
PYTHON
echo "written to stderr: $(cat stderr.txt)"
test ! -s stderr.txt
