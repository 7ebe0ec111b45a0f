"""Data that is sent to nodes of a Ray cluster, with a list in place of Ray's object store."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from netwright.execution import ray_data
from netwright.execution.ray_data import Parcel, unpack


class Store(list[bytes]):
    """Keeps what is put into it, and counts what is fetched."""

    fetched = 0

    def put(self, piece: bytes) -> int:
        self.append(piece)
        return len(self) - 1

    def get(self, reference: int) -> bytes:
        self.fetched += 1
        time.sleep(0.01)
        return self[reference]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ray_data, "PIECE_BYTES", 10)
    folder = tmp_path / "data"
    (folder / "below").mkdir(parents=True)
    (folder / "images").write_bytes(bytes(range(35)))
    (folder / "below" / "labels").write_bytes(bytes(range(10)))
    (folder / "empty").touch()
    return folder


def test_workers_that_come_at_once_unpack_a_folder_once(data: Path, tmp_path: Path) -> None:
    store, copy = Store(), tmp_path / "node" / "copy"
    parcel = Parcel(store, data)
    threads = [threading.Thread(target=unpack, args=(parcel.pieces(), copy, store.get)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert contents(copy) == contents(data)
    assert (len(store), store.fetched) == (5, 5), "four pieces and one"
    assert not (copy.parent / ".copy.partial").exists()


def test_a_folder_that_was_unpacked_in_part_is_not_there_and_can_be_unpacked_again(
    data: Path, tmp_path: Path
) -> None:
    store, copy = Store(), tmp_path / "copy"
    pieces = Parcel(store, data).pieces()

    def full(reference: Any) -> bytes:
        if reference == 3:
            raise OSError("No space left on device")
        return store.get(reference)

    with pytest.raises(OSError, match="No space"):
        unpack(pieces, copy, full)
    assert not copy.exists()
    unpack(pieces, copy, store.get)
    assert contents(copy) == contents(data)
