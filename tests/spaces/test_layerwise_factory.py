"""A user's own network by its name, Table III and the values given in its place: what is taken and refused."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path

import pytest
import torch

from netwright.errors import SettingsError
from netwright.execution.interrupts import Stopped
from netwright.execution.signals import ended_by_signals
from netwright.own_code.loading import OwnCode, folder_of
from netwright.spaces.layerwise.factory import load_network, make_network, require_output
from netwright.spaces.layerwise.space import from_module
from netwright.spaces.layerwise.table3 import TABLE_3, table_3_values
from netwright.spaces.layerwise.values import checked_values
from processes import run

NETWORKS = """
import torch
from torch import nn

def small(channels, classes, size):
    return nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, classes, 1))

def classifier(classes, **others):
    assert set(others) == {"channels", "size"}
    return nn.Sequential(nn.Conv2d(others["channels"], 8, 3), nn.Flatten(), nn.LazyLinear(classes))

def fixed():
    return nn.Conv2d(1, 3, 1)

class Module(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 1)

    def forward(self, images):
        return self.last(self.first(images).relu())

class Needy(nn.Module):
    def __init__(self, spatial_dims, in_channels, classes=2):
        super().__init__()

def failing(channels):
    raise ValueError("this factory is broken")

def no_network(channels):
    return [channels]

class Wrong(nn.Module):
    def forward(self, images):
        return images @ torch.zeros(1, 1, 77, 77)

class Texts(nn.Module):
    def forward(self, images):
        return "logits"

ready = nn.Conv2d(1, 1, 1)
number = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with a module ``nets_of_<folder>`` and others that cannot be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / f"{name_of(tmp_path)}.py").write_text(NETWORKS)
    (tmp_path / f"needs_{name_of(tmp_path)}.py").write_text("import not_there_at_all\n")
    (tmp_path / f"broken_{name_of(tmp_path)}.py").write_text("value = 1\nvalue =\n")
    (tmp_path / f"ends_{name_of(tmp_path)}.py").write_text("raise SystemExit(2)\n")
    return tmp_path


def name_of(folder: Path) -> str:
    """Modules are imported once a process, so each test has its own."""
    return f"nets_of_{folder.name}"


def test_table_3_has_the_paper_s_numbers_of_actions() -> None:
    """400 = 20 x 20 and 1764 = 42 x 42 episodes at least (Section VIII-D); the printed GoogLeNet has 60."""
    actions = {
        name: prod(len(values[key]) for key in ("kernels", "kernel_size", "stride"))
        for name, values in TABLE_3.items()
    }
    assert actions["vgg16"] ** 2 == 400
    assert actions["unet"] ** 2 == 1764
    assert actions["googlenet"] == 10 * 3 * 2
    assert [len(TABLE_3[name].get("units", ())) for name in TABLE_3] == [6, 6, 0]


def test_given_values_replace_those_of_table_3() -> None:
    values = table_3_values("vgg16", {"kernels": (8, 16), "stride": None, "pool_size": ()})
    assert values == {"kernels": (8, 16), "kernel_size": (3, 5), "units": TABLE_3["vgg16"]["units"]}
    assert table_3_values("unet", None) == dict(TABLE_3["unet"])
    assert table_3_values("unet", {"kernels": [16, 8, 16]})["kernels"] == (8, 16)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kernel": (1,)}, "no 'kernel'.*kernels, kernel_size"),
        ({"stride": (0, 1)}, "values.stride: expected positive whole numbers, got 0"),
        ({"stride": (True,)}, "values.stride: .* got True"),
        ({"units": (1.5,)}, "values.units: .* got 1.5"),
        ({"pool_size": 3}, "values.pool_size: expected a list of positive whole numbers, got 3"),
        ({"pool_size": "23"}, "values.pool_size: expected a list"),
        ((("kernels", (8,)),), "values: expected a table"),
    ],
)
def test_wrong_values_are_named(values: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        checked_values(values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attribute", "channels", "shape"),
    [
        ("small", 2, (2, 3, 16, 16)),
        ("classifier", 2, (2, 3)),
        ("fixed", 1, (2, 3, 16, 16)),
        ("Module", 4, (2, 3, 16, 16)),
    ],
)
def test_a_factory_gets_what_it_names(
    here: Path, attribute: str, channels: int, shape: tuple[int, ...]
) -> None:
    network = f"{name_of(here)}:{attribute}"
    module = make_network(network, channels, 3, (16, 16))
    assert module(torch.zeros(2, channels, 16, 16)).shape == shape
    dense = len(shape) == 4
    for known in (None, dense):
        require_output(network, module, channels, 3, (16, 16), known)
    assert module.training
    with pytest.raises(SettingsError, match=rf"{attribute} gives an output of shape .*; expected \(2, 3"):
        require_output(network, module, channels, 3, (16, 16), not dense)
    with pytest.raises(SettingsError, match=r"for segmentation or .* for classification"):
        require_output(network, module, channels, 5, (16, 16), None)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("{}", "expected package.module:factory"),
        ("{}:", "expected package.module:factory"),
        (":small", "expected package.module:factory"),
        ("no_such_package.networks:small", "there is no module 'no_such_package' in .*Start netwright in"),
        ("{}.inner:small", "there is no module '{}.inner'"),
        ("{}.py:small", r"the path of a file, {}.py. Write {}:small \(dots, no .py\)"),
        ("nets/mine.py:small", r"nets/mine.py. Write nets.mine:small \(dots"),
        ("./{}:small", r"got the path of a file, \./{}. Write {}:small"),
        ("../nets.py:small", r"Start netwright in \.\., and write nets:small"),
        ("/home/me/nets.py:Net", r"Start netwright in /home/me, and write nets:Net"),
        ("needs_{}:small", r"importing needs_{} failed: .*'not_there_at_all' .*needs_{}.py, line 1"),
        ("broken_{}:small", "importing broken_{} failed: SyntaxError.*line 2"),
        ("ends_{}:small", "importing ends_{} failed: SystemExit"),
        ("{}:smal", r"{}.py has no 'smal'. It has: small, classifier, fixed, Module"),
        ("{}:number", "is an int; expected a function or class"),
        ("{}:ready", "is a Conv2d; expected a function or class"),
        (
            "{}:failing",
            r"failing\(channels=2\) failed: ValueError: this factory is broken \(.*{}.py, line 29\)",
        ),
        ("{}:no_network", "made a list; expected a torch.nn.Module"),
        (
            "{}:Needy",
            "needs 'spatial_dims', 'in_channels'; what is known of the data is channels, classes, size",
        ),
    ],
)
def test_what_is_no_factory_is_said(here: Path, network: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("{}", name_of(here))):
        make_network(network.replace("{}", name_of(here)), 2, 3, (16, 16))


def test_a_network_is_found_in_its_folder_from_anywhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    network = f"{name_of(here)}:small"
    with pytest.raises(SettingsError, match="there is no module"):
        load_network(network)
    gone = str(here / "gone")
    with pytest.raises(
        SettingsError, match=rf"{gone}, where it was when .*, in .*elsewhere or .*Put it back, start"
    ):
        load_network(network, gone)
    assert load_network(network, str(here)).__name__ == "small"
    assert folder_of(OwnCode("network", network)) == str(here)


def test_packages_have_the_folder_that_holds_them_and_installed_ones_none(here: Path) -> None:
    package = here / f"package_{name_of(here)}" / "inner"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from torch.nn import Identity\n")
    assert folder_of(OwnCode("network", f"package_{name_of(here)}.inner:Identity")) == str(here)
    assert folder_of(OwnCode("network", "torch.nn:Identity")) is None


def test_a_network_that_fails_or_gives_no_tensor_is_said(here: Path) -> None:
    wrong = load_network(f"{name_of(here)}:Wrong")()
    with pytest.raises(
        SettingsError, match=rf"shape \(2, 1, 16, 16\).*RuntimeError.*{name_of(here)}.py, line 36"
    ):
        require_output("Wrong", wrong, 1, 3, (16, 16), None)
    with pytest.raises(SettingsError, match="returns a str; expected a tensor of logits"):
        require_output("Texts", load_network(f"{name_of(here)}:Texts")(), 1, 3, (16, 16), None)


def test_the_current_directory_is_importable(here: Path) -> None:
    """As an installed script does not have it on its path, which is that of the script's own folder."""
    code = (
        "import sys; sys.path = [p for p in sys.path if p not in ('', %r)]\n"
        "from netwright.spaces.layerwise.factory import load_network\n"
        "print(load_network(%r).__name__)"
    )
    done = run([sys.executable, "-c", code % (os.getcwd(), f"{name_of(here)}:small")])
    assert done.stdout.strip() == "small", done.stderr


class Ending(torch.nn.Module):
    """Raises what does not derive from ``Exception`` in its forward pass."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise self.error


@pytest.fixture
def told_signals() -> Iterator[None]:
    """Ctrl-C raises `Stopped`, as while a verb of the command line runs."""
    with ended_by_signals():
        yield


ENDS = [SystemExit(0), KeyboardInterrupt(), GeneratorExit()]


@pytest.mark.usefixtures("told_signals")
@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_a_network_that_ends_the_program_is_an_error_of_its_own(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"ending_{type(error).__name__}"
    raised = f"raise {type(error).__name__}"
    Path(f"{name}.py").write_text(raised)
    Path(f"{name}_factory.py").write_text(f"def make():\n    {raised}\n")
    with pytest.raises(SettingsError, match=f"importing {name} failed: {type(error).__name__}"):
        load_network(f"{name}:make")
    with pytest.raises(SettingsError, match=f"{name}_factory:make.* failed: {type(error).__name__}"):
        make_network(f"{name}_factory:make", 1, 2, (8, 8))
    with pytest.raises(SettingsError, match=f"{type(error).__name__}"):
        require_output("ending", Ending(error), 1, 2, (8, 8), None)
    with pytest.raises(SettingsError, match=f"Ending ends the program.*{type(error).__name__}"):
        from_module(Ending(error), torch.zeros(2, 1, 8, 8))


@pytest.mark.usefixtures("told_signals")
def test_ctrl_c_in_a_users_code_still_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("long_factory.py").write_text(
        "import os, signal, time\ndef make():\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(60)\n"
    )
    with pytest.raises(Stopped):
        make_network("long_factory:make", 1, 2, (8, 8))


def test_where_python_handles_ctrl_c_an_interrupt_passes() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        require_output("ending", Ending(KeyboardInterrupt()), 1, 2, (8, 8), None)
