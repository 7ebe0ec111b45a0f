"""A served network: it answers as `netwright predict` does, and refuses what it should, with words."""

from __future__ import annotations

import csv
import gzip
import json
import re
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

import netwright as package
from netwright.data.io.bounds import MAX_VOXELS
from netwright.models.export.onnx import PACKAGES
from netwright.serving.kinds import ending_of
from netwright.serving.prediction import Model, describe
from netwright.tasks.multilabel.predictor import Table, picture_values, write_table
from processes import wait_until

Serving = Callable[[str], Any]
_nibabel: Any = nibabel


def volume_bytes(array: Any, ending: str = ".nii.gz") -> bytes:
    content: bytes = _nibabel.Nifti1Image(array, np.eye(4)).to_bytes()
    return gzip.compress(content) if ending.endswith(".gz") else content


@pytest.fixture
def volume(old_runs: Path) -> bytes:
    return (old_runs / "datasets/volumes/imagesTr/ball_0.nii.gz").read_bytes()


@pytest.mark.parametrize("name", ["segnas7", "pdas-cells"])
def test_a_server_needs_nothing_that_exports_need(
    name: str, old_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the extra of servers is installed alone."""
    of_exports = ("graph", "inference_script", "shown_pictures")
    for module in [one for one in sys.modules if one.startswith("netwright.tasks.")]:
        if any(part in module for part in of_exports):
            monkeypatch.delitem(sys.modules, module)
    for package_of_exports in PACKAGES:
        monkeypatch.setitem(sys.modules, package_of_exports, None)
    about = describe(Model(old_runs / name))
    assert about["takes"]["channels"] == package.open_run(old_runs / name).network().task.channels


@pytest.mark.parametrize(
    ("name", "images", "ending"),
    [
        ("segnas7", "volumes/imagesTr/ball_3.nii.gz", ".nii.gz"),
        ("marl", "masked/images/disc_0.png", ".png"),
        ("pdas-inpainting", "restored/ramp_3.png", ".png"),
    ],
)
def test_a_file_is_answered_as_predict_writes_it(
    name: str, images: str, ending: str, old_runs: Path, serving: Serving, tmp_path: Path
) -> None:
    file = old_runs / "datasets" / images
    (written,) = package.open_run(old_runs / name, trust_code=name == "marl").predict(file, tmp_path)
    answer = serving(name).send(file.read_bytes())
    assert answer.status == 200
    assert answer.body == written.read_bytes()
    assert f'filename="prediction{ending}"' in answer.headers["content-disposition"]
    read: Any = np.asarray(_nibabel.load(written).dataobj if ending == ".nii.gz" else Image.open(written))
    assert len(np.unique(read)) > 2
    assert list(serving(name).uploads.iterdir()) == []


def test_unpacked_volumes_and_series_are_taken_too(
    old_runs: Path, serving: Serving, volume: bytes, tmp_path: Path
) -> None:
    """A 4D file is a cine: each time point is segmented by itself."""
    image = _nibabel.Nifti1Image.from_bytes(gzip.decompress(volume))
    voxels = np.asarray(image.dataobj)
    series = np.stack([voxels, voxels[::-1]], axis=-1)
    file = tmp_path / "series.nii"
    _nibabel.save(_nibabel.Nifti1Image(series, image.affine), file)
    answer = serving("segnas7").send(file.read_bytes())
    labels = np.asarray(_nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.body)).dataobj)
    alone = np.asarray(
        _nibabel.Nifti1Image.from_bytes(gzip.decompress(serving("segnas7").send(volume).body)).dataobj
    )
    assert labels.shape == series.shape
    np.testing.assert_array_equal(labels[..., 0], alone)


def test_the_class_of_a_picture_is_that_of_the_table(
    old_runs: Path, serving: Serving, tmp_path: Path
) -> None:
    folder = old_runs / "datasets" / "pictures" / "test"
    (table,) = package.open_run(old_runs / "pdas-cells").predict(folder, tmp_path)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 9
    for row in rows[::4]:
        answer = json.loads(serving("pdas-cells").send((folder / row["picture"]).read_bytes()).body)
        assert answer["class"] == row["found"]
        assert answer["probabilities"] == {name: float(row[name]) for name in ("bars", "disc", "noise")}
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_several_labels_are_read_by_position(tmp_path: Path) -> None:
    """Labels may be called as columns are."""
    labels = ("decision", "probability.x", "probability")
    probabilities, decided = np.array([[0.9, 0.25, 0.75]]), np.array([[True, False, True]])
    write_table(tmp_path / "table.csv", Table(("a.png",), probabilities, decided), labels)
    assert picture_values(tmp_path / "table.csv") == {
        "labels": ["decision", "probability"],
        "probabilities": dict(zip(labels, [0.9, 0.25, 0.75], strict=True)),
    }


def test_it_says_what_it_is(serving: Serving) -> None:
    about = json.loads(serving("segnas7").ask("GET", "/about").body)
    assert about["takes"]["kind"] == "volume"
    assert about["takes"]["channels"] == 1
    assert about["labels"][0] == "background"
    assert len(about["labels"]) == len(about["label_values"]) == 3
    assert json.loads(serving("pdas-cells").ask("GET", "/about").body)["labels"] == ["bars", "disc", "noise"]
    assert json.loads(serving("marl").ask("GET", "/about").body)["takes"]["kind"] == "picture"
    assert json.loads(serving("segnas7").ask("GET", "/health").body) == {"status": "ok", "predictions": 0}


def test_files_of_no_use_are_refused(serving: Serving, volume: bytes, old_runs: Path) -> None:
    server = serving("segnas7")
    picture = (old_runs / "datasets/masked/images/disc_0.png").read_bytes()
    assert server.send(picture).error["found"] == "a file .png"
    assert serving("pdas-cells").send(volume).error["found"] == "a file .nii.gz"
    for body, status, found in (
        (b"", 400, "nothing"),
        (b"#!/bin/sh\nrm -rf /", 415, "another kind"),
        (b"NRRD0004\ndata file: /etc/passwd\n", 415, "another kind"),
        (volume[: len(volume) // 2], 422, "ended before"),
        (gzip.compress(b"not a volume"), 422, ""),
        (volume_bytes(np.zeros((8, 8), np.float32)), 422, ""),
        (volume_bytes(np.full((16, 16, 12), np.nan, np.float32)), 422, ""),
    ):
        answer = server.send(body)
        assert answer.status == status, answer.body
        assert found in answer.error["found"]
    form = server.send(volume, content_type="multipart/form-data; boundary=x")
    assert (form.status, form.error["found"]) == (415, "a form")
    assert serving("pdas-cells").send(picture[:100]).status == 422
    assert list(server.uploads.iterdir()) == []
    assert server.send(volume).status == 200


def test_a_header_that_announces_too_much_is_refused_before_voxels_are_read(serving: Serving) -> None:
    content = bytearray(volume_bytes(np.zeros((4, 4, 4), np.uint8), ".nii"))
    content[40:56] = struct.pack("<8h", 3, 2000, 2000, 2000, 1, 1, 1, 1)
    answer = serving("segnas7").send(gzip.compress(bytes(content) + bytes(9_000_000)))
    assert answer.status == 413
    assert f"{MAX_VOXELS:,}" in answer.error["expected"]
    assert "2000 x 2000 x 2000" in answer.error["thing"]


def test_more_bytes_than_allowed_are_refused_also_without_a_length(serving: Serving) -> None:
    server = serving("segnas7")
    assert server.ask("POST", "/predict", b"", content_length=str(10**9)).status == 413

    def pieces() -> Iterator[bytes]:
        yield b"\x1f\x8b" + bytes(1 << 20)
        for _ in range(9):
            yield bytes(1 << 20)

    try:
        answer = server.ask("POST", "/predict", pieces())
    except (BrokenPipeError, ConnectionResetError):  # it was let go while it still sent
        pass
    else:
        assert answer.status == 413
        assert answer.error["found"] == "more than 10,000,000 bytes"
    wait_until(lambda: not list(server.uploads.iterdir()))


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"]
)
def test_requests_for_other_names_are_refused(host: str, serving: Serving) -> None:
    for method, path in (("GET", "/"), ("GET", "/about"), ("POST", "/predict")):
        answer = serving("segnas7").ask(method, path, host=host)
        assert (answer.status, answer.error["found"]) == (403, host)


def test_pages_of_others_may_not_send_files(serving: Serving, volume: bytes) -> None:
    server = serving("segnas7")
    own = f"127.0.0.1:{server.port}"
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"http://localhost:{server.port}"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": f"https://{own}"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ):
        answer = server.send(volume, **headers)
        assert (answer.status, answer.error["thing"]) == (403, "the origin of the request")
    assert server.send(volume, origin=f"http://{own}", sec_fetch_site="same-origin").status == 200
    assert server.ask("GET", "/about", host=f"localhost:{server.port}").status == 200
    preflight = server.ask("OPTIONS", "/predict", origin="http://evil.example")
    assert "access-control-allow-origin" not in preflight.headers


def test_every_answer_is_strict(serving: Serving) -> None:
    server = serving("segnas7")
    for path, status in (("/", 200), ("/about", 200), ("/nowhere", 404), ("/predict", 405), ("/docs", 404)):
        answer = server.ask("GET", path)
        assert answer.status == status
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert answer.headers["x-content-type-options"] == "nosniff"
        if status >= 400:
            assert "POST /predict" in answer.error["expected"]
    assert server.ask("GET", "/static/../app.py").status == 404
    assert server.ask("GET", "/static/%2e%2e/app.py").status == 404


def test_a_client_that_goes_away_in_the_middle_is_let_go(serving: Serving, volume: bytes) -> None:
    server = serving("segnas7")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(volume) + 5}\r\n\r\n"
        client.sendall(head.encode() + volume)
        wait_until(lambda: any(server.uploads.iterdir()))
    wait_until(lambda: not list(server.uploads.iterdir()))
    assert json.loads(server.ask("GET", "/health").body)["predictions"] == 0


def test_files_are_known_by_their_first_bytes(old_runs: Path) -> None:
    assert ending_of(volume_bytes(np.zeros((2, 2, 2), np.uint8), ".nii")) == ".nii"
    newer: bytes = _nibabel.Nifti2Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).to_bytes()
    assert ending_of(newer) == ".nii"
    # A pair, whose voxels are in another file.
    pair = bytearray(volume_bytes(np.zeros((2, 2, 2), np.uint8), ".nii"))
    pair[344:348] = b"ni1\0"
    assert ending_of(bytes(pair)) is None


def test_the_page_asks_nothing_from_elsewhere(serving: Serving) -> None:
    """Its files come from the server, none has code within, and the licence of what is not ours is there."""
    server = serving("segnas7")
    page = server.ask("GET", "/").body.decode()
    named = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert set(named) == {"data:,", "/static/page.css", "/static/page.js", "/static/niivue.js"}
    assert not re.search(r"<script>|<style>|\son[a-z]+=|\sstyle=", page)
    sizes = {path: len(server.ask("GET", path).body) for path in named if path.startswith("/")}
    assert 2e6 < sizes["/static/niivue.js"] < 3e6
    assert b"BSD 2-Clause" in server.ask("GET", "/static/LICENSE").body
    script = server.ask("GET", "/static/page.js").body.decode()
    assert not re.search(r"https?:|eval\(|innerHTML", script)
