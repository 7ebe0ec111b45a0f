"""What damaged files make of the readers: every exception but netwright's own is counted, and there should be none.

    python benchmarks/damaged_files.py [--each 2000] [--seed 0] [FORMAT ...]

For each format a small valid dataset is written, and one of its files is damaged again and again: bits are flipped,
bytes overwritten, numbers replaced by extreme ones, pieces cut off, left out, repeated or inserted, and the tokens of
texts exchanged. The dataset is then read as ``netwright inspect`` reads it, to the last line that it prints.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import re
import struct
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import SimpleITK
import yaml
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid
from scipy.io import savemat
from tifffile import imwrite

from netwright.cli.inspected import inspection_lines
from netwright.data import write_label_map
from netwright.data.open import inspect_any, open_any
from netwright.data.samples.published_arrays import write_svhn_numbers
from netwright.errors import NetwrightError
from netwright.settings import read_settings

Damage = Callable[[bytes, random.Random], bytes]

_NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_REALS = (0.0, -0.0, 1e-45, 1e38, -1e38, float("inf"), float("-inf"), float("nan"))
_TOKENS = (
    "null", "true", "-1", "0", "1e999", "NaN", "[]", "{}", '""', '"\\ud800"', '"\\u0000"', '"../.."', '"/"', '"."',
    '"' + "x" * 300 + '"', "9" * 40, "9" * 5000, "[" * 2000, '{"a":' * 2000, "1.5", ",", ":", "}", "]", '"', "\x00",
    "\ufeff", "\u0660", "\u00b2", "&a", "*a", "!!python/object:os.system", "---",
)  # fmt: skip


def flip_bits(content: bytes, rng: random.Random) -> bytes:
    """One to eight bits turned."""
    spoilt = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8)) if content else 0):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def overwrite(content: bytes, rng: random.Random) -> bytes:
    """Bytes at one place replaced by others, by zeros or by ones."""
    if not content:
        return content
    at, count = rng.randrange(len(content)), rng.choice((1, 2, 4, 16, 100))
    filling = rng.choice((bytes(count), b"\xff" * count, rng.randbytes(count)))
    return content[:at] + filling + content[at + count :]


def extreme_number(content: bytes, rng: random.Random) -> bytes:
    """A number at one place, of any width and order of bytes, replaced by one at the edge of what there is."""
    kind = rng.choice("bhiqfd")
    value = rng.choice(_REALS) if kind in "fd" else rng.choice(_NUMBERS)
    order = rng.choice("<>")
    if kind in "fd":
        packed = struct.pack(order + kind, value)
    else:
        width = struct.calcsize(kind)
        packed = (value % (1 << (8 * width))).to_bytes(width, "little" if order == "<" else "big")
    at = rng.randrange(max(1, len(content) - len(packed)))
    return content[:at] + packed + content[at + len(packed) :]


def cut(content: bytes, rng: random.Random) -> bytes:
    """The end missing."""
    return content[: rng.randrange(len(content) + 1)]


def rearrange(content: bytes, rng: random.Random) -> bytes:
    """A piece left out, repeated or inserted."""
    at = rng.randrange(len(content) + 1)
    end = min(len(content), at + rng.choice((1, 2, 4, 64, 1000)))
    piece = rng.choice((b"", content[at:end] * 2, content[at:end] + rng.randbytes(end - at)))
    return content[:at] + piece + content[end:]


def exchange_tokens(content: bytes, rng: random.Random) -> bytes:
    """One to three words, numbers or signs of a text exchanged for others, or left out."""
    text = content.decode("utf-8", "surrogateescape")
    for _ in range(rng.choice((1, 1, 2, 3))):
        tokens = list(re.finditer(r'"(?:[^"\\]|\\.)*"|[\w.+-]+|[^\s\w]|\n', text))
        if not tokens:
            break
        token, other = rng.choice(tokens), rng.choice(tokens).group()
        text = text[: token.start()] + rng.choice((*_TOKENS, other, other, "")) + text[token.end() :]
    return text.encode("utf-8", "surrogateescape")


def within_gzip(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """What is packed, changed."""
    return gzip.compress(change(gzip.decompress(content)), mtime=0)


def within_zip(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The first quarter of each member, its header, changed at one time in three."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        for number, name in enumerate(old.namelist()):
            member = old.read(name)
            new.writestr(name, change(member[:128]) + member[128:] if number % 3 == 0 else member)
    return packed.getvalue()


def within_png(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The header, or what else comes before the pixels, changed; checksums of all chunks are right."""
    at, chunks = 8, [content[:8]]
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        kind, body = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            body = zlib.compress(change(zlib.decompress(body)))
        elif kind != b"IEND":
            body = change(body)
        checksum = zlib.crc32(kind + body).to_bytes(4, "big")
        chunks.append(len(body).to_bytes(4, "big") + kind + body + checksum)
        at += 12 + length
    return b"".join(chunks)


_BINARY: tuple[Damage, ...] = (flip_bits, overwrite, extreme_number, cut, rearrange)
_TEXT: tuple[Damage, ...] = (exchange_tokens, exchange_tokens, exchange_tokens, flip_bits, cut, rearrange)


@dataclass(frozen=True)
class Kind:
    """A format: ``write`` makes a valid dataset in a folder and names the files to be damaged in turn; ``read`` is what
    is tried. ``within`` changes what is packed in a file, so that its checksums are right.
    """

    write: Callable[[Path], Sequence[Path]]
    damages: tuple[Damage, ...] = _BINARY
    within: Callable[[bytes, Callable[[bytes], bytes]], bytes] | None = None
    read: Callable[[Path], bool] = lambda root: inspect(root)
    format: str | None = None


def inspect(root: Path, format: str | None = None) -> bool:
    """What ``netwright inspect`` does, to the text and the JSON that it prints. Returns whether there are no errors."""
    found = inspect_any(open_any(root, format=format))
    "\n".join(inspection_lines(root, found, show_all=True, options=[])).encode()
    json.dumps(found.to_dict()).encode()
    return not found.errors


def _volume(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".nrrd", ".mha"):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array.T), path, useCompression=True)
    else:
        nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


def _msd(root: Path, ending: str = ".nii.gz", cases: int = 3) -> list[Path]:
    rng = np.random.default_rng(0)
    files, entries = [], []
    for number in range(cases):
        name = f"case_{number}{ending}"
        files.append(_volume(root / "imagesTr" / name, rng.normal(9, 2, (4, 5, 6)).astype(np.float32)))
        files.append(_volume(root / "labelsTr" / name, rng.integers(0, 2, (4, 5, 6)).astype(np.uint8)))
        entries.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    values = {
        "name": "Toy",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "one"},
        "training": entries,
        "numTraining": cases,
    }
    (root / "dataset.json").write_text(json.dumps(values, indent=1))
    return files


def _dicom(root: Path, compressed: bool) -> list[Path]:
    """Images as folders of slices, label maps as NIfTI."""
    _msd(root, ".nii")
    rng = np.random.default_rng(0)
    slices = []
    for image in sorted((root / "imagesTr").iterdir()):
        image.unlink()
        series = generate_uid()
        for number, pixels in enumerate(rng.integers(0, 900, (6, 5, 4)).astype(np.uint16)):
            path = root / "imagesTr" / image.stem / f"IM{number}"
            path.parent.mkdir(exist_ok=True)
            dataset = Dataset()
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless if compressed else ExplicitVRLittleEndian
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.Modality, dataset.SeriesInstanceUID = "CT", series
            dataset.StudyInstanceUID = dataset.FrameOfReferenceUID = series
            dataset.ImagePositionPatient = [0, 0, 2 * number]
            dataset.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
            dataset.PixelSpacing, dataset.RescaleSlope, dataset.RescaleIntercept = [1, 1], 1, -1000
            dataset.Rows, dataset.Columns = pixels.shape
            dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
            dataset.BitsAllocated = dataset.BitsStored = 16
            dataset.HighBit, dataset.PixelRepresentation = 15, 0
            stream = imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True)
            dataset.PixelData = encapsulate([bytes(stream)]) if compressed else pixels.tobytes()
            dataset["PixelData"].VR = "OB" if compressed else "OW"
            dataset.save_as(path, enforce_file_format=True)
            slices.append(path)
    description = root / "dataset.json"
    values = json.loads(description.read_text())
    for entry in values["training"]:
        entry["image"] = entry["image"].removesuffix(".nii")
    description.write_text(json.dumps(values))
    return slices[::4]


def _dicom_seg(root: Path) -> list[Path]:
    """Images as folders of slices, label maps as DICOM segmentations."""
    _dicom(root, False)
    files = []
    for label in sorted((root / "labelsTr").iterdir()):
        array = np.asarray(nibabel.load(label).dataobj).astype(np.uint8)
        files.append(label.with_suffix(".dcm"))
        write_label_map(files[-1], array, root / "imagesTr" / label.stem, names={1: "one"})
        label.unlink()
    description = root / "dataset.json"
    description.write_text(description.read_text().replace(".nii", ".dcm"))
    return files


def _stacks(root: Path, **options: object) -> list[Path]:
    """Images and label maps as stacks of TIFF pages."""
    rng = np.random.default_rng(0)
    files = []
    for name in "abc":
        for folder, stored in (
            ("images", rng.integers(0, 900, (4, 6, 5))),
            ("labels", rng.integers(0, 2, (4, 6, 5))),
        ):
            (root / folder).mkdir(exist_ok=True)
            files.append(root / folder / f"{name}.tif")
            imwrite(files[-1], stored.astype(np.uint16), photometric="minisblack", **options)
    return files


def _svhn(root: Path, packed: bool) -> list[Path]:
    rng = np.random.default_rng(0)
    files = []
    for part, count in (("train", 20), ("test", 10)):
        pictures = rng.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        files.append(root / f"{part}_32x32.mat")
        digits = (np.arange(count) % 10 + 1).astype(np.uint8)
        savemat(files[-1], {"X": pictures, "y": digits[:, None]}, do_compression=packed)
    return files


def _svhn_numbers(root: Path) -> list[Path]:
    write_svhn_numbers(root, pictures=12)
    return [root / "train" / "digitStruct.mat", root / "test" / "digitStruct.mat"]


def _nnunet(root: Path, listed: bool) -> list[Path]:
    rng = np.random.default_rng(0)
    values: dict[str, object] = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "one": 1},
        "file_ending": ".nii",
        "numTraining": 2,
    }
    cases = {}
    for name in "abc":
        images = [f"imagesTr/{name}_000{channel}.nii" for channel in range(2)]
        for image in images:
            _volume(root / image, rng.normal(9, 2, (4, 5, 6)).astype(np.float32))
        label = _volume(root / "labelsTr" / f"{name}.nii", rng.integers(0, 2, (4, 5, 6)).astype(np.uint8))
        cases[name] = {"images": images, "label": f"labelsTr/{label.name}"}
    if listed:
        values["dataset"] = cases
    (root / "dataset.json").write_text(json.dumps(values, indent=1))
    return [root / "dataset.json"]


def _cine(root: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    files = []
    for name in ("a.nii.gz", "b.nii", "c.nii"):
        files.append(_volume(root / "images" / name, rng.normal(9, 2, (4, 5, 3, 3)).astype(np.float32)))
        files.append(_volume(root / "labels" / name, rng.integers(0, 2, (4, 5, 3, 3)).astype(np.uint8)))
    return files


def _acdc(root: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    for number in (1, 2, 3):
        name = f"patient00{number}"
        for frame in ("01", "12"):
            stem = f"{name}/{name}_frame{frame}"
            _volume(root / f"{stem}.nii.gz", rng.normal(9, 2, (4, 5, 3)).astype(np.float32))
            _volume(root / f"{stem}_gt.nii.gz", rng.integers(0, 4, (4, 5, 3)).astype(np.uint8))
        info = "ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"
        (root / name / "Info.cfg").write_text(info)
    return [root / "patient001" / "Info.cfg"]


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        name: array
        for part, count in (("train", 12), ("val", 4), ("test", 4))
        for name, array in (
            (f"{part}_images", rng.integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)),
            (f"{part}_labels", (np.arange(count) % 2).astype(np.uint8)),
        )
    }


def _npz(root: Path, packed: bool) -> list[Path]:
    (np.savez_compressed if packed else np.savez)(root / "toy.npz", **_arrays())
    return [root / "toy.npz"]


def _idx(root: Path, packed: bool) -> list[Path]:
    files = []
    for name, array in _arrays().items():
        part, what = name.split("_")
        array = array[..., 0] if what == "images" else array
        content = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
        path = root / f"{part}-{what}-idx{array.ndim}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
        files.append(path)
    return files


def _cifar(root: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    files = []
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        rows = rng.integers(0, 256, (10, 3073), dtype=np.uint8)
        rows[:, 0] = np.arange(10)
        (root / name).write_bytes(rows.tobytes())
        files.append(root / name)
    (root / "batches.meta.txt").write_text("\n".join(f"class {number}" for number in range(10)))
    return [*files[::3], root / "batches.meta.txt"]


def _masks(root: Path, ending: str, mode: str = "RGB", labels: bool = False) -> list[Path]:
    rng = np.random.default_rng(0)
    files = []
    for number in range(3):
        pixels = rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).convert(mode) if mode != "I;16" else Image.fromarray(
            rng.integers(0, 60000, (9, 8), dtype=np.uint16)
        )  # fmt: skip
        mask = Image.fromarray(rng.integers(0, 2, (9, 8), dtype=np.uint8))
        for folder, picture, own in (("images", image, ending), ("masks", mask, ".png")):
            (root / folder).mkdir(exist_ok=True)
            own = own if folder == "images" or ending not in (".jpg",) else ".png"
            picture.save(
                root / folder / f"{number}{ending if ending != '.jpg' and folder == 'masks' else own}"
            )
        files += [next((root / folder).glob(f"{number}.*")) for folder in ("images", "masks")]
    if labels:
        (root / "dataset.json").write_text(
            json.dumps({"name": "Toy", "labels": {"0": "background", "1": "cell"}})
        )
        return [root / "dataset.json"]
    return files


def _classes(root: Path, ending: str) -> list[Path]:
    rng = np.random.default_rng(0)
    files = []
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (root / name).mkdir(parents=True)
        for number in range(2):
            path = root / name / f"{number}{ending}"
            Image.fromarray(rng.integers(0, 256, (9, 8), dtype=np.uint8)).save(path)
            files.append(path)
    return files


def _class_names(root: Path) -> list[Path]:
    _npz(root, packed=False)
    (root / "toy.json").write_text(json.dumps({"name": "Toy", "classes": {"0": "benign", "1": "malignant"}}))
    return [root / "toy.json"]


def _boxes(root: Path) -> list[Path]:
    rows = ["file,left,top,right,bottom"]
    for number in range(5):
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (9, 8), dtype=np.uint8)).save(
            root / f"{number}.png"
        )
        rows.append(f"{number}.png,1,1,7,8")
    (root / "boxes.csv").write_text("\n".join(rows))
    return [root / "boxes.csv"]


def _settings(root: Path) -> list[Path]:
    values = {
        "recipe": "segnas11",
        "dataset": {"path": "data", "map_label": {255: 1}},
        "seed": 1,
        "split": [0.5, 0.2, 0.3],
        "space": {"name": "segnas", "values": {"n": [8, 16]}},
        "strategy": {"name": "crs", "population": 20},
        "training": {"epochs": 3, "batch_size": 2},
        "budget": {"trials": 4, "hours": None},
    }
    (root / "run.yaml").write_text(yaml.safe_dump(values))
    return [root / "run.yaml"]


def _description(root: Path) -> list[Path]:
    _msd(root, ".nii")
    return [root / "dataset.json"]


_OME = {
    "axes": "ZYX",
    **{f"PhysicalSize{axis}": 0.5 for axis in "XYZ"},
    **{f"PhysicalSize{axis}Unit": "mm" for axis in "XYZ"},
}

KINDS: dict[str, Kind] = {
    "nii": Kind(lambda root: _msd(root, ".nii")),
    "nii.gz": Kind(_msd),
    "nii.gz, within": Kind(_msd, within=within_gzip),
    "nrrd": Kind(lambda root: _msd(root, ".nrrd"), (*_BINARY, exchange_tokens)),
    "mha": Kind(lambda root: _msd(root, ".mha"), (*_BINARY, exchange_tokens)),
    "dicom": Kind(lambda root: _dicom(root, False), (*_BINARY, exchange_tokens)),
    "dicom, compressed": Kind(lambda root: _dicom(root, True)),
    **({"dicom-seg": Kind(_dicom_seg, (*_BINARY, exchange_tokens))} if find_spec("highdicom") else {}),
    "tiff, pages": Kind(lambda root: _stacks(root, ome=True, compression="zlib", metadata=_OME)),
    "tiff, pages of ImageJ": Kind(
        lambda root: _stacks(root, imagej=True, metadata={"axes": "ZYX", "unit": "um"})
    ),
    "mat": Kind(lambda root: _svhn(root, False)),
    "mat, packed": Kind(lambda root: _svhn(root, True)),
    "digitStruct.mat": Kind(_svhn_numbers),
    "cine": Kind(_cine, format="cine"),
    "npz": Kind(lambda root: _npz(root, False)),
    "npz, packed": Kind(lambda root: _npz(root, True)),
    "npz, within": Kind(lambda root: _npz(root, True), (*_BINARY, exchange_tokens), within=within_zip),
    "idx": Kind(lambda root: _idx(root, False)),
    "idx.gz": Kind(lambda root: _idx(root, True)),
    "cifar": Kind(_cifar, (*_BINARY, exchange_tokens)),
    "png": Kind(lambda root: _masks(root, ".png")),
    "png, within": Kind(lambda root: _masks(root, ".png", "LA"), within=within_png),
    "png, palette": Kind(lambda root: _masks(root, ".png", "P"), within=within_png),
    "png, 16 bits": Kind(lambda root: _classes(root, ".png")),
    "tiff": Kind(lambda root: _masks(root, ".tif", "RGB")),
    "tiff, 16 bits": Kind(lambda root: _masks(root, ".tif", "I;16")),
    "jpeg": Kind(lambda root: _masks(root, ".jpg")),
    "bmp": Kind(lambda root: _classes(root, ".bmp")),
    "gif": Kind(lambda root: _masks(root, ".gif")),
    "dataset.json of decathlon": Kind(_description, _TEXT),
    "dataset.json of nnU-Net": Kind(lambda root: _nnunet(root, False), _TEXT),
    "dataset.json of nnU-Net, cases": Kind(lambda root: _nnunet(root, True), _TEXT),
    "dataset.json of masks": Kind(lambda root: _masks(root, ".png", labels=True), _TEXT),
    "Info.cfg": Kind(_acdc, _TEXT),
    "names of classes": Kind(_class_names, _TEXT),
    "boxes.csv": Kind(_boxes, _TEXT, format="images"),
    "run.yaml": Kind(_settings, _TEXT, read=lambda root: bool(read_settings(root / "run.yaml"))),
}


@dataclass
class Count:
    """What came of the files of one format; ``others`` counts exceptions that are not netwright's own, by their type
    and the line of netwright that let them through; ``shown`` keeps one traceback of each."""

    read: int = 0
    refused: int = 0
    others: Counter[str] = field(default_factory=Counter)
    shown: dict[str, str] = field(default_factory=dict)
    warned: Counter[str] = field(default_factory=Counter)


def damaged(kind: Kind, root: Path, each: int, seed: int) -> Count:
    """Write a dataset, damage one of its files ``each`` times, and count what reading it comes to."""
    count = Count()
    files = [(path, path.read_bytes()) for path in kind.write(root)]
    rng = random.Random(seed)
    for number in range(each):
        path, whole = files[number % len(files)]
        damage = rng.choice(kind.damages)
        if kind.within is None:
            path.write_bytes(damage(whole, rng))
        else:
            path.write_bytes(kind.within(whole, partial(damage, rng=rng)))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                whole_still = kind.read(root) if kind.format is None else inspect(root, kind.format)
                count.read += whole_still
                count.refused += not whole_still
            except NetwrightError as error:
                str(error).encode()
                count.refused += 1
            except Exception as error:
                frames = [f for f in traceback.extract_tb(error.__traceback__) if "netwright" in f.filename]
                name = f"{type(error).__name__} in {Path(frames[-1].filename).name}:{frames[-1].lineno}"
                count.others[name] += 1
                count.shown.setdefault(name, traceback.format_exc())
        count.warned.update(f"{type(w.message).__name__}: {str(w.message)[:80]}" for w in caught)
        path.write_bytes(whole)
    return count


def main() -> None:
    """Print a line a format; exit code 1 where there was any other exception."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("formats", nargs="*", choices=[*KINDS, []], default=[])
    parser.add_argument("--each", type=int, default=2000, help="damaged files a format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--traceback", action="store_true", help="show one of each other exception")
    given = parser.parse_args()
    total = others = 0
    for name in given.formats or KINDS:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            count = damaged(KINDS[name], Path(folder), given.each, given.seed)
        bad = count.others.total()
        total, others = total + given.each, others + bad
        print(
            f"{name:32s} {given.each:6d} files   read {count.read:6d}   refused {count.refused:6d}   "
            f"other exceptions {bad:4d}   {time.perf_counter() - start:6.1f} s",
            flush=True,
        )
        for what, times in count.others.most_common():
            print(f"    {times:5d} {what}")
            if given.traceback:
                print(count.shown[what])
        for what, times in count.warned.most_common(5):
            print(f"    {times:5d} warned: {what}")
    print(f"{others} other exceptions of {total} damaged files")
    raise SystemExit(1 if others else 0)


if __name__ == "__main__":
    main()
