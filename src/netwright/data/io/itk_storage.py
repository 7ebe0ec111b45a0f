"""Where the voxels of a NRRD or MetaImage file lie, by the text of its header."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from netwright.data.io.bounds import can_hold

_CHUNK_BYTES = 1 << 14
_HEADER_LINES = 10_000
_LINE_BYTES = 1 << 16
_FIELD_BYTES = 500
"""The longest field of a NRRD header that is read: on a wrong one of 1,000 bytes the library overruns its message."""


@dataclass(frozen=True)
class Storage:
    """Where the voxels lie.

    Args:
        data: the file that has them.
        start: the first byte of the voxels in it.
        packed: whether they are packed, by zlib or gzip.
        header_digest: a hash of the header without the line that names ``data``: a file's name is not its content.
        length: the number of packed bytes; None where the header does not say it.
        unit: that of lengths, in small letters; "" where the header does not say it.
    """

    data: Path
    start: int
    packed: bool
    header_digest: str
    length: int | None = None
    unit: str = ""

    def require_bytes(self, wanted: int) -> None:
        """Refuse a file that cannot hold so many bytes, before memory is taken for them."""
        there = self.data.stat().st_size - self.start
        if not can_hold(there, wanted, packed=self.packed):
            raise ValueError(f"a header that announces {wanted} bytes of voxels, of which {there} are there")

    def require_sound(self, wanted: int) -> int:
        """Unpack the voxels, which checks the file's own checksum, and count their bytes. Returns their CRC-32."""
        unpacker, made, checksum = zlib.decompressobj(zlib.MAX_WBITS | 32), 0, 0
        left = self.data.stat().st_size if self.length is None else self.length
        with self.data.open("rb") as file:
            file.seek(self.start)
            while not unpacker.eof and made <= wanted:
                content = file.read(min(left, _CHUNK_BYTES))
                left -= len(content)
                if not content:
                    raise EOFError("packed voxels that end too early")
                voxels = unpacker.decompress(content)
                made += len(voxels)
                checksum = zlib.crc32(voxels, checksum)
        if made != wanted:
            raise ValueError(
                f"packed voxels of another size than the {wanted} bytes that the header announces"
            )
        return checksum


def nrrd_storage(path: Path) -> Storage:
    """By the text of a NRRD header, which ends with an empty line."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        magic = file.readline(_LINE_BYTES)
        if not magic.startswith(b"NRRD000"):
            raise ValueError("no NRRD000 at the beginning")
        header = blake2b(magic, digest_size=16)
        for _ in range(_HEADER_LINES):
            content = file.readline(_LINE_BYTES)
            line = content.decode("utf-8", "surrogateescape").strip()
            if not line:
                break
            key, _, value = line.partition(":")
            a_field = not line.startswith("#") and not value.startswith("=")
            if not a_field or key.strip().lower().replace(" ", "") != "datafile":
                header.update(content)
            if not a_field:
                continue
            if len(line.encode("utf-8", "surrogateescape")) > _FIELD_BYTES:
                raise ValueError(f"a line of {len(line)} characters in the header")
            fields[key.strip().lower().replace(" ", "")] = value.strip()
        start = file.tell()
    encoding = fields.get("encoding", "").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise ValueError(f"voxels in the encoding {encoding!r}, where raw or gzip is expected")
    packed = encoding != "raw"
    if packed and any(fields.get(skip, "0") != "0" for skip in ("byteskip", "lineskip")):
        raise ValueError("packed voxels of which some bytes are to be skipped")
    name = fields.get("datafile")
    data, start = (path, start) if name is None else (_beside(path, name), 0)
    units = re.findall(r'"([^"]*)"', fields.get("spaceunits", fields.get("units", "")))
    unit = units[0].strip().lower() if units else ""
    return Storage(data, start, packed, header.hexdigest(), unit=unit)


def meta_storage(path: Path) -> Storage:
    """By the text of a MetaImage header, which ends with the name of the file that has the voxels."""
    fields: dict[str, str] = {}
    header = blake2b(digest_size=16)
    with path.open("rb") as file:
        for _ in range(_HEADER_LINES):
            content = file.readline(_LINE_BYTES)
            line = content.decode("utf-8", "surrogateescape")
            if (match := re.match(r"\s*(\w+)\s*[=:]\s*(.*)", line)) is not None:
                fields[match[1]] = match[2].strip()
            if not line or "ElementDataFile" in fields:
                break
            header.update(content)
        start = file.tell()
    missing = [key for key in ("NDims", "DimSize", "ElementType", "ElementDataFile") if key not in fields]
    if missing:
        raise ValueError(f"no {missing[0]} in the header")
    if fields["NDims"] not in ("2", "3", "4"):
        raise ValueError(f"{fields['NDims'][:20]} axes, where 3 or 4 are expected")
    if fields.get("BinaryData", "True")[:1] not in "Tt1":
        raise ValueError("voxels written as text, where binary ones are expected")
    packed = fields.get("CompressedData", "False")[:1] in ("T", "t", "1")
    if packed and fields.get("HeaderSize", "0") != "0":
        raise ValueError("packed voxels of which some bytes are to be skipped")
    length = int(fields["CompressedDataSize"]) if "CompressedDataSize" in fields else None
    name = fields["ElementDataFile"]
    if name.upper() == "LOCAL":
        return Storage(path, start, packed, header.hexdigest(), length)
    return Storage(_beside(path, name), 0, packed, header.hexdigest(), length)


def _beside(path: Path, name: str) -> Path:
    """The file of the voxels that a header names."""
    if not name or name.split()[0].upper() == "LIST" or "%" in name:
        raise ValueError("voxels that lie in several files, where one is expected")
    return path.parent / name
