"""Compressed DICOM pixels. pydicom unpacks run lengths itself; imagecodecs decodes JPEG of all kinds for it.

pydicom's own decoders need further packages for JPEG without loss, JPEG-LS and JPEG of 12 bits.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from numpy.typing import NDArray

from netwright.data.issues import Problem, UnusableFile

PLUGIN = "netwright"

_JPEG = "1.2.840.10008.1.2.4."
_DECODERS = {
    f"{_JPEG}50": "jpeg_decode",
    f"{_JPEG}51": "jpeg_decode",
    f"{_JPEG}57": "jpeg_decode",
    f"{_JPEG}70": "jpeg_decode",
    f"{_JPEG}80": "jpegls_decode",
    f"{_JPEG}81": "jpegls_decode",
    f"{_JPEG}90": "jpeg2k_decode",
    f"{_JPEG}91": "jpeg2k_decode",
}
"""Transfer syntax: the function of imagecodecs."""

DECODER_DEPENDENCIES = dict.fromkeys(_DECODERS, ("imagecodecs",))
"""pydicom asks every plugin for it."""

_JPEG_START = b"\xff\xd8"
_JPEG2000_START = b"\xff\x4f\xff\x51"
_SIZE_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_adding = Lock()


def require_decoder(path: Path, syntax: Any) -> None:
    """Refuse a file whose pixels are compressed in a way that is not read.

    Args:
        path: of the file.
        syntax: its transfer syntax, as pydicom has it.

    Raises:
        UnusableFile: it is.
    """
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise ValueError(f"the unknown transfer syntax {syntax}")
    if not syntax.is_compressed or _plugin_for(syntax) or _is_known(syntax):
        return
    raise UnusableFile(
        Problem(
            "error",
            str(path),
            "is compressed in a way that is not read",
            expected="plain pixels, run lengths (RLE), JPEG, JPEG-LS or JPEG 2000",
            found=str(syntax.name),
            advice="Decompress the files, for example with gdcmconv --raw IN OUT.",
            kind="dicom-compressed",
        )
    )


def _is_known(syntax: Any) -> bool:
    from pydicom.pixels.decoders.base import get_decoder

    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def stored_numbers(dataset: Any, number: int, size: tuple[int, int]) -> NDArray[Any]:
    """The numbers stored in a frame (rows, columns), decoded.

    Args:
        dataset: pydicom's, with the pixels.
        number: of the frame, from 0.
        size: rows and columns, as announced.

    Raises:
        ValueError: the frame has another size.
    """
    from pydicom.pixels.utils import pixel_array

    plugin = _plugin_for(dataset.file_meta.TransferSyntaxUID)
    pixels: NDArray[Any] = pixel_array(dataset, index=number, raw=True, decoding_plugin=plugin)
    if pixels.shape != size:
        raise ValueError(f"pixels of shape {pixels.shape}, where {size[0]} x {size[1]} are announced")
    return pixels


def _plugin_for(syntax: str) -> str:
    """The plugin with which pydicom decodes a transfer syntax; "" where it is one of its own."""
    with _adding:
        _add_plugin()
    return PLUGIN if syntax in _DECODERS else ""


@cache
def _add_plugin() -> None:
    from pydicom.pixels.decoders.base import get_decoder

    for syntax in _DECODERS:
        get_decoder(syntax).add_plugin(PLUGIN, (__name__, "decode_frame"))


def is_available(syntax: str) -> bool:
    """Whether a transfer syntax is decoded here. pydicom asks every plugin for it."""
    return syntax in _DECODERS


def decode_frame(content: bytes, runner: Any) -> bytearray:
    """The bytes of one frame, decoded; pydicom then mends the sign of its numbers.

    Raises:
        ValueError: it has another size than the header announces.
    """
    import imagecodecs

    size = codestream_size(content)
    if size != (runner.rows, runner.columns):
        raise ValueError(f"compressed pixels of size {size}, not the announced {runner.rows, runner.columns}")
    array = getattr(imagecodecs, _DECODERS[runner.transfer_syntax])(content)
    runner.set_option("bits_allocated", 8 * array.itemsize)
    return bytearray(array.tobytes())


def codestream_size(content: bytes) -> tuple[int, int] | None:
    """Rows and columns that JPEG, JPEG-LS or JPEG 2000 announces, before anything is decoded; None: neither."""
    if content.startswith(_JPEG2000_START):
        right, low, left, top = (int.from_bytes(content[at : at + 4]) for at in range(8, 24, 4))
        return low - top, right - left
    at = 2 if content.startswith(_JPEG_START) else len(content)
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _SIZE_MARKERS:
            return int.from_bytes(content[at + 5 : at + 7]), int.from_bytes(content[at + 7 : at + 9])
        at += 1 if marker == 0xFF else 2 + int.from_bytes(content[at + 2 : at + 4])
    return None
