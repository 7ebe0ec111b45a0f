"""Made-up volumes in each file format that is read, with voxels of 1 mm whose axes are those of the patient (RAS)."""

from __future__ import annotations

import io
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import nibabel
import numpy as np
from numpy.typing import NDArray

from netwright.data.files import write_whole
from netwright.data.io.nifti import write_volume

_nibabel: Any = nibabel

SERIES = ""
"""In place of an ending: a folder with the slices of a DICOM series."""


def save(path: Path, ending: str, voxels: NDArray[Any]) -> None:
    """Write a volume. The same voxels and path give the same bytes.

    Args:
        path: of the file, without the ending; or the folder of a series.
        ending: a key of `_WRITERS`.
        voxels: (X, Y, Z), or (X, Y, Z, time) in NIfTI.
    """
    _WRITERS[ending](path.with_name(path.name + ending), voxels)


def _write_nifti(path: Path, voxels: NDArray[Any]) -> None:
    volume = _nibabel.Nifti1Image(voxels, np.eye(4))
    if voxels.ndim == 3:
        volume.header.set_xyzt_units("mm")
    else:
        volume.header.set_xyzt_units("mm", "msec")
        volume.header["pixdim"][4] = 40
    write_volume(path, volume)


def _write_with_itk(path: Path, voxels: NDArray[Any]) -> None:
    import SimpleITK  # takes long to import

    image: Any = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels.T))
    image.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])  # of ITK's axes, to the left, the back and the head
    with TemporaryDirectory() as folder:
        file = Path(folder) / path.name
        SimpleITK.WriteImage(image, file)
        content = file.read_bytes()
    write_whole(path, content)


def _write_tiff(path: Path, voxels: NDArray[Any]) -> None:
    """A stack as ImageJ writes it: whole numbers of 16 bits; of label maps 8."""
    about: dict[str, Any] = {"axes": "ZYX", "unit": "mm", "spacing": 1.0}
    _write_stack(path, voxels, imagej=True, resolution=(1, 1), metadata=about)


def _write_ome_tiff(path: Path, voxels: NDArray[Any]) -> None:
    about = {
        f"PhysicalSize{axis}{what}": said for axis in "XYZ" for what, said in (("", 1.0), ("Unit", "mm"))
    }
    about["UUID"] = str(uuid5(NAMESPACE_URL, sha256(np.ascontiguousarray(voxels).data).hexdigest()))
    _write_stack(path, voxels, ome=True, metadata={"axes": "ZYX", **about})


def _write_stack(path: Path, voxels: NDArray[Any], **options: Any) -> None:
    from tifffile import imwrite

    content = io.BytesIO()
    imwrite(content, _whole(voxels, np.uint16).T, photometric="minisblack", **options)
    write_whole(path, content.getvalue())


def _write_series(path: Path, voxels: NDArray[Any]) -> None:
    """MR slices, each a file, numbered from the feet. Each series is of a patient of its own."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    stored = _whole(voxels, np.int16)
    for number in range(stored.shape[2]):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        uid = generate_uid(entropy_srcs=[path.name, str(number)])
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
        dataset.StudyInstanceUID = generate_uid(entropy_srcs=[path.name, "study"])
        dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[path.name, "series"])
        dataset.PatientID = dataset.PatientName = f"made up {path.name}"
        dataset.Modality = "MR"
        dataset.InstanceNumber = number + 1
        dataset.ImagePositionPatient = [0, 0, number]
        dataset.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        dataset.PixelSpacing = [1, 1]
        dataset.SliceThickness = 1
        dataset.Columns, dataset.Rows = stored.shape[:2]
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit = 15
        dataset.PixelRepresentation = 1
        dataset.PixelData = np.ascontiguousarray(stored[:, :, number].T).astype("<i2").tobytes()
        content = io.BytesIO()
        dataset.save_as(content, enforce_file_format=True)
        write_whole(path / f"IM{number + 1:04d}.dcm", content.getvalue())


def _whole(voxels: NDArray[Any], kind: type[np.generic]) -> NDArray[Any]:
    """Intensities as whole numbers; label maps as they are."""
    return np.rint(voxels).astype(kind) if voxels.dtype.kind == "f" else voxels


_WRITERS: dict[str, Callable[[Path, NDArray[Any]], None]] = {
    ".nii.gz": _write_nifti,
    ".nrrd": _write_with_itk,
    ".mha": _write_with_itk,
    ".tif": _write_tiff,
    ".ome.tif": _write_ome_tiff,
    SERIES: _write_series,
}
