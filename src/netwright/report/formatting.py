"""Formats numbers for the report and its sentences: Dice with three digits, h and m, M and MB."""

from __future__ import annotations

import math

STATUS_WORDS = {
    "complete": "complete",
    "infeasible": "infeasible",
    "out_of_memory": "out of memory",
    "too_slow": "too slow",
    "loss_stalled": "loss stalled",
    "diverged": "diverged",
    "crashed": "crashed",
    "left_out": "of another space",
}

DASH = "–"  # between the ends of an interval, and where there is no value


def dice(value: float | None) -> str:
    """Three digits; a dash for what was not measured."""
    return DASH if value is None or math.isnan(value) else f"{value:.3f}"


def interval(low: float, high: float) -> str:
    """``0.876–0.891``; with "to" where a minus sign would be misread; empty where there is no interval."""
    if math.isnan(low) or math.isnan(high):
        return ""
    if low < 0:
        return f"{signed(low)} to {signed(high)}"
    return f"{dice(low)}{DASH}{dice(high)}"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign: ``+0.013``, ``−0.002``. A value that rounds to zero has no sign."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'−' if value < 0 else '+'}{text}"


def reward(value: float | None) -> str:
    """A trial's reward, of any size: ``0.884``, ``31.2``, ``−1``; a dash for what was not measured."""
    if value is None or math.isnan(value):
        return DASH
    text = (
        f"{abs(value):.0f}" if float(value).is_integer() else f"{abs(value):.{3 if abs(value) < 10 else 1}f}"
    )
    return f"−{text}" if value < 0 else text


def counted(count: int, word: str) -> str:
    """``1 worker``, ``2 workers``."""
    return f"{count} {word}{'s' * (count != 1)}"


def parameters(count: int | None) -> str:
    """``0.41 M``, ``23.4 k`` or ``312``."""
    if count is None:
        return DASH
    if count >= 100_000:
        return f"{count / 1e6:.2f} M"
    return f"{count / 1e3:.1f} k" if count >= 1000 else str(count)


def objective_value(name: str, value: float | None) -> str:
    """A value of an objective: ``0.884`` of a metric, ``23.4 k`` parameters, ``1.25e+09`` of another cost."""
    if value is None or math.isnan(value):
        return DASH
    if name == "parameters":
        return parameters(int(value))
    return f"{value:.3g}" if abs(value) >= 10 else reward(value)


def megabytes(count: int | None) -> str:
    """The size of this many parameters in float32; 1 MB = 1e6 bytes."""
    if count is None:
        return DASH
    size = 4 * count / 1e6
    return mb(size)


def mb(size: float | None) -> str:
    """A size in MB: ``31.0 MB``, ``0.094 MB``."""
    if size is None:
        return DASH
    return f"{size:.1f} MB" if size >= 0.1 else f"{size:.2g} MB"


def duration(seconds: float | None) -> str:
    """``1 h 14 m``, ``14 m``, ``3 m 12 s``, ``48 s`` or ``4.2 s``."""
    if seconds is None or math.isnan(seconds):
        return DASH
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} m {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes} m" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} m"


def device_time(seconds: float, device: str) -> str:
    """Time multiplied by devices: ``0.05 GPU days``, as papers have it, or ``0.47 core hours``."""
    if math.isnan(seconds):
        return DASH
    return f"{_digits(seconds / 86400)} GPU days" if device == "GPU" else f"{hours(seconds)} {device} hours"


def hours(seconds: float) -> str:
    """Hours with two digits or more: ``0.47``, ``4.7``, ``471``."""
    return _digits(seconds / 3600)


def energy(joules: float) -> str:
    """``1.32 kWh``, ``132 Wh`` or ``0.52 Wh``."""
    hours = joules / 3600
    return f"{_digits(hours / 1000)} kWh" if hours >= 1000 else f"{_digits(hours)} Wh"


def _digits(value: float) -> str:
    """Two digits or more: ``0.047``, ``0.47``, ``4.7``, ``47``, ``471``."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def milliseconds(value: float | None) -> str:
    """``46 ms``, ``8.3 ms`` or ``1.24 s``."""
    if value is None or math.isnan(value):
        return DASH
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    if value < 1:
        return f"{value:.2g} ms"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def p_value(value: float) -> str:
    """``p = 0.004`` or ``p < 0.001``; empty where there is none."""
    if math.isnan(value):
        return ""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def status(value: str) -> str:
    """A status in words."""
    return STATUS_WORDS.get(value, value.replace("_", " "))


def names(items: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def sentence_case(text: str) -> str:
    """The text with a capital first letter. The other letters do not change, as in ``3D U-Net``."""
    return text[:1].upper() + text[1:]
