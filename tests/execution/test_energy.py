"""Counters of energy, as Linux shows them: made-up copies of /sys/class/powercap, which tests let count."""

from __future__ import annotations

from pathlib import Path

import pytest

from netwright.execution.energy import MEMORY, PROCESSORS, energy_counters

SPAN = 262_143_328_850
"""Of a Xeon, in microjoules."""


def zone(powercap: Path, place: str, name: str, energy: int, span: int = SPAN) -> Path:
    """Zones of packages, and those within them, lie side by side in the class folder."""
    folder = powercap / place
    folder.mkdir(parents=True)
    for file, value in (("name", name), ("energy_uj", energy), ("max_energy_range_uj", span), ("enabled", 1)):
        (folder / file).write_text(f"{value}\n")
    return folder / "energy_uj"


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    (tmp_path / "intel-rapl").mkdir()
    (tmp_path / "intel-rapl" / "enabled").write_text("1\n")
    return tmp_path


def test_packages_and_memory_are_counted_once(powercap: Path) -> None:
    counting = {
        zone(powercap, "intel-rapl:0", "package-0", 100): 5_000_000,
        zone(powercap, "intel-rapl:1", "package-1-die-0", 9): 1_500_000,
        zone(powercap, "intel-rapl:0:2", "dram", 70): 250_000,
        zone(powercap, "intel-rapl:0:0", "core", 50): 4_000_000,
        zone(powercap, "intel-rapl:0:1", "uncore", 50): 1_000_000,
        zone(powercap, "intel-rapl:2", "psys", 50): 9_000_000,
        zone(powercap, "intel-rapl-mmio:0", "package-0", 100): 5_000_000,
    }
    counters = energy_counters(("cpu",), powercap)
    for file, more in counting.items():
        file.write_text(f"{int(file.read_text()) + more}\n")
    used = [(counter.part, counter.update()) for counter in counters]
    assert sorted(used) == [(MEMORY, 0.25), (PROCESSORS, 1.5), (PROCESSORS, 5.0)]


def test_a_counter_that_begins_again_counts_on(powercap: Path) -> None:
    file = zone(powercap, "intel-rapl:0", "package-0", SPAN - 3_000_000)
    (counter,) = energy_counters(("cpu",), powercap)
    readings = [SPAN - 1_000_000, 4_000_000, 4_000_000, 7_000_000]
    for reading in readings:
        file.write_text(f"{reading}\n")
        counter.update()
    assert counter.used == pytest.approx(2 + 5 + 0 + 3)


def test_what_cannot_be_read_is_not_counted(powercap: Path, tmp_path: Path) -> None:
    assert energy_counters(("cpu",), powercap) == []
    assert energy_counters(("cpu",), tmp_path / "nothing") == []
    zone(powercap, "intel-rapl:0", "package-0", 5).unlink()
    zone(powercap, "intel-rapl:1", "package-1", 5).write_text("not a number\n")
    (zone(powercap, "intel-rapl:2", "package-2", 5).with_name("max_energy_range_uj")).write_text("")
    closed = zone(powercap, "intel-rapl:3", "package-3", 5)
    closed.unlink()
    closed.mkdir()  # reading it fails for root, too, as reading without permission does for others
    assert energy_counters(("cpu", "cuda:0"), powercap) == [], "nor a GPU that is not there"
