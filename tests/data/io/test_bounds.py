"""Small files with large contents: what inspect takes, measured on the process itself, and what is refused."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import psutil
import pytest
from PIL import Image

from netwright.data.io.bounds import MAX_PIXELS, max_pixels
from netwright.data.io.images import read_head, read_picture
from netwright.data.io.volumes import read_image
from netwright.data.issues import UnusableFile
from netwright.errors import SettingsError
from netwright_tests import EXECUTABLE, save_picture
from processes import finish, searching, wait_until

MOST = 600e6
"""Bytes of memory that inspect may take at its peak, of all its processes together."""


def peak_of(*words: str) -> tuple[int, int, str]:
    """Exit code, peak resident memory in bytes, and output of a netwright command.

    The memory is the sum over the process and its children, asked for every 20 ms while it runs.
    """
    with searching([EXECUTABLE, *words]) as inspection:
        peak, process = 0, psutil.Process(inspection.pid)

        def ended() -> bool:
            nonlocal peak
            with contextlib.suppress(psutil.NoSuchProcess):
                family = [process, *process.children(recursive=True)]
                peak = max(peak, sum(one.memory_info().rss for one in family))
            return inspection.poll() is not None

        wait_until(ended, inspection)
        return inspection.returncode, peak, finish(inspection)[0]


def packed_zeros(path: Path, head: bytes, count: int) -> Path:
    """A gzip file of ``head`` and so many zeros."""
    path.parent.mkdir(parents=True, exist_ok=True)
    million = bytes(1 << 20)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(head)
        for _ in range(count >> 20):
            file.write(million)
        file.write(bytes(count % (1 << 20)))
    return path


def volume(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> Path:
    header = nibabel.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    header.set_sform(np.eye(4), code=1)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return packed_zeros(path, header.binaryblock + bytes(4), size)


def volumes(root: Path) -> Path:
    """A volume of half a gigabyte in a file of half a megabyte, and its label map."""
    volume(root / "imagesTr" / "a.nii.gz", (400, 400, 400), np.float64)
    volume(root / "labelsTr" / "a.nii.gz", (400, 400, 400), np.uint8)
    values = {
        "name": "Zeros",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "one"},
        "training": [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}],
    }
    (root / "dataset.json").write_text(json.dumps(values))
    return root


def idx(root: Path) -> Path:
    """Pictures of 440 megabytes in all."""
    for part, count in (("train", 900), ("t10k", 4)):
        head = struct.pack(">HBB3I", 0, 8, 3, count, 700, 700)
        packed_zeros(root / f"{part}-images-idx3-ubyte.gz", head, count * 700 * 700)
        packed_zeros(root / f"{part}-labels-idx1-ubyte.gz", struct.pack(">HBBI", 0, 8, 1, count), count)
    return root


def npz(root: Path) -> Path:
    """Pictures of 440 megabytes in all."""
    root.mkdir()
    arrays = {}
    for part, count in (("train", 900), ("test", 4)):
        arrays[f"{part}_images"] = np.broadcast_to(np.uint8(0), (count, 700, 700))
        arrays[f"{part}_labels"] = np.arange(count, dtype=np.uint8) % 2
    np.savez_compressed(root / "zeros.npz", **arrays)
    return root


def png(path: Path, side: int) -> Path:
    """A grey picture of zeros, written chunk by chunk."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    pixels = zlib.compressobj(1)
    rows = b"".join(pixels.compress(bytes(side + 1)) for _ in range(side)) + pixels.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def large_pictures(root: Path) -> Path:
    """PNG of 13,000 x 13,000 pixels."""
    for name in ("a", "b"):
        png(root / name / "0.png", 13000)
    return root


def largest_pictures(root: Path) -> Path:
    """Coloured JPEG and TIFF as large as are read."""
    side = int(MAX_PIXELS**0.5)
    for name, options in (("a/0.tif", {"compression": "tiff_deflate"}), ("b/0.jpg", {"progressive": True})):
        (root / name).parent.mkdir(parents=True)
        Image.new("RGB", (side, side)).save(root / name, **options)
    return root


def large_masks(root: Path) -> Path:
    """Grey images and masks, several, as large as are read."""
    side = int(MAX_PIXELS**0.5)
    image, mask = Image.new("L", (side, side)), Image.new("L", (side, side))
    mask.paste(1, (10, 10, 500, 500))
    for folder, picture in (("images", image), ("masks", mask)):
        (root / folder).mkdir(parents=True)
        picture.save(root / folder / "0.png")
        for number in (1, 2, 3):
            shutil.copy(root / folder / "0.png", root / folder / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("write", "words"),
    [
        pytest.param(large_masks, "5000 x 5000", marks=pytest.mark.slow),
        (volumes, "400 x 400 x 400 voxels"),
        pytest.param(idx, "904 pictures", marks=pytest.mark.slow),
        (npz, "904 pictures"),
        (large_pictures, "169,000,000 pixels: expected at most 25,000,000"),
        pytest.param(largest_pictures, "5000 x 5000 pixels", marks=pytest.mark.slow),
    ],
)
def test_inspect_takes_little_memory_for_small_files_with_large_contents(
    write: Callable[[Path], Path], words: str, tmp_path: Path
) -> None:
    root = write(tmp_path / "data")
    assert sum(path.stat().st_size for path in root.rglob("*")) < 12e6
    code, peak, output = peak_of("inspect", str(root))
    assert code in (0, 1)
    assert words in output
    assert "Traceback" not in output
    assert "Warning" not in output
    assert 30e6 < peak < MOST


def test_a_million_pictures_in_a_few_bytes_are_refused(tmp_path: Path) -> None:
    images = struct.pack(">HBB3I", 0, 8, 3, 1_000_000, 2, 2)
    packed_zeros(tmp_path / "train-images-idx3-ubyte.gz", images, 4_000_000)
    packed_zeros(tmp_path / "train-labels-idx1-ubyte.gz", struct.pack(">HBBI", 0, 8, 1, 1_000_000), 1_000_000)
    code, peak, output = peak_of("inspect", str(tmp_path))
    assert code == 1
    assert "announces 1,000,000 pictures: expected at least 64 bytes of the file for each" in output
    assert peak < MOST


def test_a_header_that_lies_is_found_out_before_memory_is_taken(tmp_path: Path) -> None:
    small = volume(tmp_path / "small.nii.gz", (40, 40, 40), np.uint8)
    content = bytearray(gzip.decompress(small.read_bytes()))
    content[42:48] = struct.pack("<3h", 800, 800, 800)
    small.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(
        UnusableFile, match=r"small\.nii\.gz cannot be read: .* a header that announces 512000352"
    ):
        read_image([small])
    content[42:48] = struct.pack("<3h", 2000, 2000, 2000)
    small.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(UnusableFile, match=r"announces 2000 x 2000 x 2000, 8,000,000,000 voxels"):
        read_image([small])


def test_the_bound_can_be_moved(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", 100)
    with max_pixels(9_999), pytest.raises(UnusableFile, match="10,000 pixels: expected at most 9,999"):
        read_picture(path)
    with max_pixels(10_000):
        assert read_picture(path).pixels.shape == (100, 100)
    with pytest.raises(SettingsError, match="whole number"), max_pixels(0):
        pass
    scan = volume(tmp_path / "scan.nii.gz", (10, 10, 10), np.uint8)
    with max_pixels(999), pytest.raises(UnusableFile, match="expected at most 999"):
        read_image([scan])
    assert read_image([scan]).array.shape == (1, 10, 10, 10)


def test_a_picture_beyond_pillows_own_bound_is_read_without_its_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = png(tmp_path / "a.png", 9600)
    with max_pixels(10**8):
        assert read_picture(path).pixels.shape == (9600, 9600)
    assert not recwarn.list


def test_the_command_moves_the_bound(tmp_path: Path) -> None:
    png(tmp_path / "a" / "0.png", 50)
    png(tmp_path / "b" / "0.png", 50)
    code, _, output = peak_of("inspect", str(tmp_path), "--max-pixels", "2499")
    assert (code, "2,500 pixels: expected at most 2,499" in output) == (1, True)
    code, _, output = peak_of("inspect", str(tmp_path), "--max-pixels", "none")
    assert code == 2


def test_pixels_with_an_opacity_take_more_of_the_bound(tmp_path: Path) -> None:
    side = 4096
    assert MAX_PIXELS * 2 // 3 < side * side < MAX_PIXELS
    save_picture(tmp_path / "plain.png", np.zeros((side, side), np.uint8), compress_level=1)
    save_picture(tmp_path / "clear.png", np.zeros((side, side, 2), np.uint8), compress_level=1)
    assert read_head(tmp_path / "plain.png")
    with pytest.raises(UnusableFile, match="--max-pixels") as refused:
        read_head(tmp_path / "clear.png")
    needed = int(str(refused.value).rsplit("--max-pixels ", 1)[1].rstrip("."))
    with max_pixels(needed):
        assert read_head(tmp_path / "clear.png")
    with max_pixels(needed - 1), pytest.raises(UnusableFile):
        read_head(tmp_path / "clear.png")
