"""A generated dataset of hearts: short-axis phantoms at end diastole and end systole, in the layout of ACDC.

Sizes are those of adult hearts, in mm; the groups and how they differ follow Bernard et al., IEEE TMI 2018, table I.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from netwright.data.files import write_whole
from netwright.data.io.nifti import write_volume
from netwright.data.samples.phantoms import require_own
from netwright.errors import SettingsError

_nibabel: Any = nibabel

NAME = "NetwrightCardiac"

FRAMES = 8
"""The number of frames of a whole cine."""

_UNLABELLED = 2
_END_DIASTOLE = 1
_HARD_EVERY = 4
_SUBSLICES = 3
_RIGHT, _WALL, _LEFT = 1, 2, 3

Field = NDArray[np.float64]


@dataclass(frozen=True)
class _Group:
    """How the hearts of one group look.

    The radius of the left ventricle and the thickness of its wall (mm), at end diastole and at end systole; the size of
    the right ventricle relative to a normal one; and how much thicker the septum is than the wall.
    """

    radius: tuple[float, float]
    wall: tuple[float, float]
    right: float = 1.0
    septum: float = 0.05


GROUPS = {
    "NOR": _Group((24.0, 16.5), (9.0, 13.0)),
    "DCM": _Group((31.0, 27.5), (7.5, 9.0)),
    "HCM": _Group((21.0, 12.5), (14.0, 19.0), septum=0.25),
    "RV": _Group((23.0, 16.5), (9.0, 12.5), right=1.3),
}
"""Normal, dilated and hypertrophic hearts, and those with a dilated right ventricle, in turn."""


@dataclass(frozen=True)
class _Heart:
    """What is the same in all frames of a patient. Lengths are in mm, angles in radians."""

    number: int
    group: str
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    end_systole: int
    radius: tuple[float, float]
    wall: tuple[float, float]
    right: float
    septum: float
    length: float
    above: float
    centre: Field
    tilt: Field
    breath: Field
    towards_right: float
    lobes: Field
    warp: Field
    blobs: Field
    levels: dict[str, float]
    bias: Field
    noise: float


@dataclass(frozen=True)
class _Slice:
    """The points of one slice, relative to the heart.

    ``x`` and ``y`` (X, Y) in mm from the heart's axis; the same in polar coordinates, ``distance`` and ``angle`` (0
    towards the right ventricle); and how far ``below`` the base the slice lies, in lengths of the left ventricle.
    """

    x: Field
    y: Field
    distance: Field
    angle: Field
    below: float


def write_cardiac_sample(path: Path, *, patients: int = 20, seed: int = 0) -> Path:
    """Writes short-axis scans of the heart in the layout of ACDC and returns the folder.

    ``training/patientNNN`` holds the frames at end diastole and end systole with label maps (1 right ventricle, 2
    myocardium, 3 left ventricle), and ``Info.cfg``. ``testing`` holds two more patients without labels, each with its
    cine of `FRAMES` frames. Voxels are thick (about 1.8 x 1.8 x 9 mm). The ventricles narrow from base to apex, where
    the right one ends first. In systole the cavities shrink, the wall thickens and the base descends. Atria above the
    base, the aorta, the stomach, fat and the liver's vessels are as bright as the ventricles. Size, position, group,
    shift from slice to slice, contrast, bias field and noise vary; every fourth patient is hard. The same arguments
    give the same bytes.

    Raises:
        SettingsError: fewer than three patients, or more than 900.
        DatasetError: the folder holds something other than a sample.
        StorageError: the folder cannot be written.
    """
    if not 3 <= patients <= 900:
        raise SettingsError(f"A sample of {patients} patients: expected 3 to 900.")
    path = Path(path).expanduser()
    require_own(path, NAME)
    for number in range(1, patients + _UNLABELLED + 1):
        heart = _draw(np.random.default_rng([seed, number]), number)
        if number <= patients:
            _write_frames(path / "training", heart, seed, labelled=True)
        else:
            _write_frames(path / "testing", heart, seed, labelled=False)
            _write_cine(path / "testing", heart, seed)
    description = (
        f'{{"name": "{NAME}", "description": "Generated hearts, seed {seed}", "licence": "CC0 1.0"}}\n'
    )
    write_whole(path / "dataset.json", description.encode())
    return path


def _write_frames(folder: Path, heart: _Heart, seed: int, *, labelled: bool) -> None:
    name = f"patient{heart.number:03d}"
    for frame in (_END_DIASTOLE, heart.end_systole):
        image, labels = _frame(heart, frame, seed)
        write_volume(folder / name / f"{name}_frame{frame:02d}.nii.gz", _volume(image, heart))
        if labelled:
            write_volume(folder / name / f"{name}_frame{frame:02d}_gt.nii.gz", _volume(labels, heart))
    info = {
        "ED": _END_DIASTOLE,
        "ES": heart.end_systole,
        "Group": heart.group,
        "Height": 150 + heart.number * 7 % 45,
        "NbFrame": FRAMES,
        "Weight": 50 + heart.number * 11 % 50,
    }
    text = "".join(f"{key}: {value}\n" for key, value in info.items())
    write_whole(folder / name / "Info.cfg", text.encode())


def _write_cine(folder: Path, heart: _Heart, seed: int) -> None:
    frames = [_frame(heart, frame, seed)[0] for frame in range(1, FRAMES + 1)]
    name = f"patient{heart.number:03d}"
    volume = _volume(np.stack(frames, axis=-1), heart)
    volume.header.set_xyzt_units("mm", "sec")
    volume.header["pixdim"][4] = 0.1
    write_volume(folder / name / f"{name}_4d.nii.gz", volume)


def _volume(array: NDArray[Any], heart: _Heart) -> Any:
    """The volume in a scanner's axes: to the patient's left, to the back, and from apex to base."""
    x, y, z = heart.spacing
    volume = _nibabel.Nifti1Image(array, np.diag([-x, -y, z, 1.0]))
    volume.header.set_xyzt_units("mm")
    return volume


def _draw(rng: np.random.Generator, number: int) -> _Heart:
    """A random patient. Every fourth is hard: little contrast, much noise, a strong bias field."""
    group = list(GROUPS)[(number - 1) % len(GROUPS)]
    kind, hard = GROUPS[group], number % _HARD_EVERY == 3
    size = rng.uniform(0.9, 1.08)
    in_plane, thick = rng.uniform(1.65, 2.0), rng.uniform(8.0, 10.0)
    length = size * rng.uniform(72, 82)
    above = rng.uniform(4, 14)
    slices = int(np.ceil((length + above + rng.uniform(2, 8)) / thick))
    shape = (int(rng.integers(72, 85)), int(rng.integers(72, 85)), slices)
    contrast = rng.uniform(0.6, 0.75) if hard else rng.uniform(0.85, 1.1)
    means = {
        "blood": 0.72,
        "right": 0.68,
        "muscle": 0.3,
        "lung": 0.08,
        "liver": 0.45,
        "fat": 0.75,
        "tissue": 0.35,
    }
    levels = {name: 0.4 + contrast * (mean - 0.4) + rng.normal(0, 0.03) for name, mean in means.items()}
    return _Heart(
        number=number,
        group=group,
        shape=shape,
        spacing=(in_plane, in_plane, thick),
        end_systole=int(rng.integers(3, 6)),
        radius=(
            size * kind.radius[0] * rng.uniform(0.93, 1.07),
            size * kind.radius[1] * rng.uniform(0.93, 1.07),
        ),
        wall=(kind.wall[0] * rng.uniform(0.9, 1.1), kind.wall[1] * rng.uniform(0.9, 1.1)),
        right=kind.right * rng.uniform(0.92, 1.08),
        septum=kind.septum,
        length=length,
        above=above,
        centre=rng.uniform(-9, 9, 2),
        tilt=rng.uniform(-6, 6, 2),
        breath=rng.normal(0, 1.3, (slices, 2)),
        towards_right=np.deg2rad(160) + rng.normal(0, 0.3),
        lobes=rng.normal(0, [[0.05], [0.025]], (2, 2)),
        warp=np.stack([_stretched(knots, shape[:2]) for knots in rng.normal(0, 1.8, (2, 4, 4))]),
        blobs=rng.uniform(0, 1, (14, 4)),
        levels=levels,
        bias=rng.normal(0, 0.3 if hard else 0.18, (4, 4, 2)),
        noise=rng.uniform(0.07, 0.09) if hard else rng.uniform(0.03, 0.06),
    )


def _frame(heart: _Heart, frame: int, seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Image and labels (X, Y, Z) of a frame. Frames are counted from 1."""
    rng = np.random.default_rng([seed, heart.number, frame])
    contraction = _contraction(heart, frame)
    labels = np.zeros(heart.shape, dtype=np.uint8)
    brightness = np.zeros(heart.shape)
    _, _, thick = heart.spacing
    for index in range(heart.shape[2]):
        # from the middle of a slice; what lies within its thickness is averaged, as a scanner does
        offsets = thick * (np.arange(_SUBSLICES) - (_SUBSLICES - 1) / 2) / _SUBSLICES
        drawn = [_drawn(heart, contraction, index, offset) for offset in offsets]
        labels[..., index] = drawn[_SUBSLICES // 2][0]
        brightness[..., index] = np.mean([light for _, light in drawn], axis=0)
    return _acquired(rng, heart, brightness), labels


def _contraction(heart: _Heart, frame: int) -> float:
    """The contraction in a frame: from 0 at end diastole to 1 at end systole and back, along half waves of a cosine."""
    before, after = heart.end_systole - _END_DIASTOLE, FRAMES + _END_DIASTOLE - heart.end_systole
    phase = (frame - _END_DIASTOLE) / before if frame <= heart.end_systole else (FRAMES + 1 - frame) / after
    return float((1 - np.cos(np.pi * phase)) / 2)


def _drawn(heart: _Heart, contraction: float, index: int, offset: float) -> tuple[NDArray[np.uint8], Field]:
    """Labels and brightness (X, Y) at ``offset`` mm above the middle of a slice."""
    view = _slice(heart, contraction, index, offset)
    light = _surroundings(heart, view)
    labels = np.zeros(light.shape, dtype=np.uint8)
    if view.below < 0:
        _paint_atria(heart, view, light)
        return labels, light
    inner, outer = _borders(heart, contraction, view)
    right, right_wall = _right_ventricle(heart, contraction, view, outer)
    muscle, blood = heart.levels["muscle"], heart.levels["blood"]
    light[right_wall] = muscle
    light[right] = heart.levels["right"]
    light[view.distance < outer] = muscle
    light[view.distance < inner] = blood
    for angle in (1.9, -2.4):  # papillary muscles are part of the cavity, as in ACDC
        reach = inner.mean() * 0.62
        near = np.hypot(view.x - reach * np.cos(angle), view.y - reach * np.sin(angle))
        light[(near < 0.17 * inner.mean()) & (view.distance < inner)] = muscle
    labels[right] = _RIGHT
    labels[view.distance < outer] = _WALL
    labels[view.distance < inner] = _LEFT
    return labels, light


def _slice(heart: _Heart, contraction: float, index: int, offset: float) -> _Slice:
    """The points of a slice; 0 is at the apex. In systole the base descends by 1/7 of the length; the apex stays."""
    (sx, sy, thick), (width, height, slices) = heart.spacing, heart.shape
    depth = (slices - 1 - index + 0.5) * thick - offset - heart.above
    descent = contraction * heart.length / 7
    below = (depth - descent) / (heart.length - descent)
    across = 1 - 2 * index / max(1, slices - 1)
    x0, y0 = heart.centre + heart.tilt * across + heart.breath[index]
    ticks_x, ticks_y = (np.arange(width) - (width - 1) / 2) * sx, (np.arange(height) - (height - 1) / 2) * sy
    x, y = np.meshgrid(ticks_x, ticks_y, indexing="ij")
    x, y = x + heart.warp[0] - x0, y + heart.warp[1] - y0
    cos, sin = np.cos(heart.towards_right), np.sin(heart.towards_right)
    along, beside = cos * x + sin * y, cos * y - sin * x
    return _Slice(along, beside, np.hypot(x, y), np.arctan2(beside, along), below)


def _stretched(knots: Field, shape: tuple[int, ...]) -> Field:
    """A field of ``shape`` that varies slowly: cubic splines through the knots."""
    factors = np.array(shape) / np.array(knots.shape)
    return np.asarray(ndimage.zoom(knots, factors, order=3, mode="nearest", grid_mode=True))


def _between(ends: tuple[float, float], contraction: float) -> float:
    return ends[0] + contraction * (ends[1] - ends[0])


def _borders(heart: _Heart, contraction: float, view: _Slice) -> tuple[Field, Field]:
    """The distance (X, Y) of endocardium and epicardium from the axis: half ellipsoids with a few lobes."""
    radius, wall = _between(heart.radius, contraction), _between(heart.wall, contraction)
    lobes = sum(
        a * np.cos(n * view.angle) + b * np.sin(n * view.angle)
        for n, (a, b) in zip((2, 3), heart.lobes, strict=True)
    )
    narrowing = np.sqrt(max(0.0, 1 - view.below**2.4))
    thickness = wall * (1 - 0.3 * min(view.below, 1.0)) * (1 + heart.septum * np.cos(view.angle))
    # past the cavity's end the apex is a cap of muscle, nearly as thick as the wall
    cap = max(0.0, 1 - (max(0.0, view.below - 1) * heart.length / (0.7 * wall)) ** 2)
    inner = radius * narrowing * (1 + lobes)
    return inner, np.asarray(inner + thickness * cap**0.5)


def _right_ventricle(
    heart: _Heart, contraction: float, view: _Slice, outer: Field
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks (X, Y) of the right ventricle and its thin wall: a crescent around the septum, absent towards the apex."""
    size = (heart.radius[0] + heart.wall[0]) * heart.right * (1 - 0.2 * contraction)
    narrowing = np.sqrt(max(0.0, 1 - (view.below / 0.82) ** 2))
    reach = size * 0.62 + heart.septum * _between(heart.wall, contraction)  # a thick septum pushes it aside
    along, beside = (1.0 * size * narrowing, 1.02 * size * narrowing)
    outside = view.distance >= outer
    offset = view.x - reach
    inside = (offset / max(along, 0.1)) ** 2 + (view.y / max(beside, 0.1)) ** 2 < 1
    wall = (offset / max(along + 3, 0.1)) ** 2 + (view.y / max(beside + 3, 0.1)) ** 2 < 1
    return inside & outside, wall & outside & (narrowing > 0)


def _paint_atria(heart: _Heart, view: _Slice, light: Field) -> None:
    """Paints blood above the base, unlabelled, in thin walls."""
    for centre, radius in ((-4.0, heart.radius[0] * 1.0), (heart.radius[0] * 1.9, heart.radius[0] * 0.8)):
        distance = np.hypot(view.x - centre, view.y + 3)
        light[distance < radius + 3] = heart.levels["muscle"]
        light[distance < radius] = heart.levels["blood"]


def _surroundings(heart: _Heart, view: _Slice) -> Field:
    """The brightness (X, Y) of the chest around the heart. None of it is labelled."""
    x, y, levels = view.x, view.y, heart.levels
    light = np.full(x.shape, levels["tissue"])
    size = heart.radius[0] + heart.wall[0]
    light[(x + 1.15 * size) ** 2 / 55**2 + (y - 35) ** 2 / 75**2 < 1] = levels["lung"]
    light[(x - 2.9 * size) ** 2 / 30**2 + (y - 10) ** 2 / 60**2 < 1] = levels["lung"]
    light[(x - 25) ** 2 / 70**2 + (y - 2.35 * size) ** 2 / 40**2 < 1] = levels["liver"]
    for a, b, c, d in heart.blobs[:6]:  # fat in the grooves around the heart
        angle, distance = 2 * np.pi * a, size * (1.35 + 0.5 * b)
        _paint_disc(
            light, view, distance * np.cos(angle), distance * np.sin(angle), 3 + 5 * c, levels["fat"], d
        )
    for a, b, c, _ in heart.blobs[6:11]:  # vessels of the liver
        _paint_disc(light, view, 60 * a - 5, size * (1.9 + 0.9 * b), 1.5 + 2.5 * c, levels["blood"], 0.5)
    (a, b, c, _), (d, e, f, _) = heart.blobs[11:13]
    # a stomach: bright within a dark wall, as the left ventricle is
    stomach = (-(1.1 + 0.4 * a) * size, (1.35 + 0.3 * b) * size, 9 + 6 * c)
    aorta = (-(1.0 + 0.4 * d) * size, -(1.3 + 0.3 * e) * size, 9 + 3 * f)
    for (left, up, radius), rim in ((stomach, 4.0), (aorta, 1.5)):
        _paint_disc(light, view, left, up, radius + rim, levels["muscle"], 0.5)
        _paint_disc(light, view, left, up, radius, levels["blood"], 0.5)
    return light


def _paint_disc(
    light: Field, view: _Slice, x: float, y: float, radius: float, level: float, flat: float
) -> None:
    """Paints a disc, or an ellipse where ``flat`` is not 0.5."""
    stretch = 0.6 + 0.8 * flat
    light[((view.x - x) / stretch) ** 2 + ((view.y - y) * stretch) ** 2 < radius**2] = level


def _acquired(rng: np.random.Generator, heart: _Heart, brightness: Field) -> NDArray[np.int16]:
    """The scan of a heart: blur, flow, a bias field and Rician noise, in its own intensity scale."""
    shape = brightness.shape
    blurred = ndimage.gaussian_filter(brightness, (0.7, 0.7, 0))
    knots = (9, 9, max(2, shape[2] // 2))
    flow = 1 + 0.07 * _stretched(rng.normal(0, 1, knots), shape)
    bias = np.exp(_stretched(heart.bias, shape))
    real, imaginary = rng.normal(0, heart.noise, (2, *shape))
    magnitude = np.hypot(blurred * flow * bias + real, imaginary)
    return np.asarray(np.round(400 * magnitude * (0.6 + heart.blobs[13, 0])), dtype=np.int16)
