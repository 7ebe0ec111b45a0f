"""A user's own network, made by a function with a name of the form ``package.module:factory``."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from functools import reduce
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import Tensor, nn

from netwright.errors import NetworkFailed, SettingsError
from netwright.execution.interrupts import passes
from netwright.spaces.layerwise.error_location import first_line
from netwright.spaces.layerwise.sources import INSTALLED, import_from_source, source_folder

EXAMPLE_BATCH = 2


def make_network(
    network: str, channels: int, classes: int, size: tuple[int, ...], folder: str | None = None
) -> nn.Module:
    """The module that the named factory makes. It gets those of channels, classes and size that it takes.

    Args:
        network: ``package.module:factory``; the current directory is importable, as with ``python -m``.
        channels: of the image.
        classes: of the output.
        size: of the image in voxels.
        folder: see `load_factory`.

    Raises:
        SettingsError: there is no such module or factory, the factory fails or needs other arguments, or its result
            is not a network.
    """
    factory = load_factory(network, folder)
    arguments = _accepted(network, factory, {"channels": channels, "classes": classes, "size": size})
    try:
        module = factory(**arguments)
    except BaseException as error:
        if passes(error):
            raise
        given = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise NetworkFailed(f"network: {network}({given}) failed: {told(error)}.") from error
    if not isinstance(module, nn.Module):
        raise SettingsError(
            f"network: {network} made {_article(type(module).__name__)}; expected a torch.nn.Module."
        )
    return module


def load_factory(network: str, folder: str | None = None, what: str = "network") -> Callable[..., Any]:
    """The function or class with the given name.

    Args:
        network: ``package.module:factory``.
        folder: the folder of its module if that is not installed, see `folder_of`; if the module is not there, the
            current directory is searched.
        what: it makes, for messages.

    Raises:
        SettingsError: the folder is not an absolute path, the name is not ``package.module:factory``, its module cannot
            be imported, or the module has nothing callable with that name.
    """
    path, _, attribute = network.partition(":")
    if not path or not attribute:
        raise SettingsError(
            f"{what}: expected package.module:factory, for example my_{what}s:make_{what}; got {network!r}."
        )
    _refuse_file(path, attribute, what)
    if folder is not None and not os.path.isabs(folder):
        raise SettingsError(
            f"space.folder: expected an absolute path, got {folder!r}, which would be another folder wherever "
            f"netwright is started. Leave it out, and start the search in the folder that holds the {what}."
        )
    module = _imported(path, folder, what)
    try:
        factory = reduce(getattr, attribute.split("."), module)
    except AttributeError:
        there = [
            name for name, item in vars(module).items() if callable(item) and _is_own(item, module.__name__)
        ]
        listed = f" It has: {', '.join(there)}." if there else ""
        raise SettingsError(f"{what}: {module.__file__} has no {attribute!r}.{listed}") from None
    if isinstance(factory, nn.Module) or not callable(factory):
        raise SettingsError(
            f"{what}: {network} is {_article(type(factory).__name__)}; expected a function or class that makes a "
            f"{what}. A module that is ready can be given by a function without arguments."
        )
    made: Callable[..., Any] = factory
    return made


def folder_of(network: str, folder: str | None = None) -> str | None:
    """The folder that contains the module of a network; None if it is installed. Arguments as in `load_factory`."""
    load_factory(network, folder)
    top = sys.modules[network.partition(":")[0].partition(".")[0]]
    location = next(iter(getattr(top, "__path__", ())), getattr(top, "__file__", None))
    parent = None if location is None else Path(location).resolve().parent
    return None if parent is None or INSTALLED & set(parent.parts) else str(parent)


def require_output(
    name: str, module: nn.Module, channels: int, classes: int, size: tuple[int, ...], dense: bool | None
) -> None:
    """Run the network on a batch of zeros in evaluation mode, and check the shape of its output.

    Args:
        name: of the network, for messages.
        module: images (batch, channels, *size) to logits.
        channels: of the image.
        classes: of the output.
        size: of the image in voxels.
        dense: True: logits are (batch, classes, *size); False: (batch, classes); None: either.

    Raises:
        SettingsError: the network fails on the batch, or its output has another shape.
    """
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            output = module(torch.zeros(EXAMPLE_BATCH, channels, *size))
    except BaseException as error:
        if passes(error):
            raise
        raise NetworkFailed(
            f"network: {name} fails on images of shape {(EXAMPLE_BATCH, channels, *size)} "
            f"(batch, channels, *size): {told(error)}."
        ) from error
    finally:
        module.train(was_training)
    if isinstance(output, tuple | list) and output:
        output = output[0]
    expected = {True: (EXAMPLE_BATCH, classes, *size), False: (EXAMPLE_BATCH, classes)}
    allowed = list(expected.values()) if dense is None else [expected[dense]]
    if not isinstance(output, Tensor):
        raise SettingsError(
            f"network: {name} returns {_article(type(output).__name__)}; expected a tensor of logits, or a tuple "
            "with the logits first."
        )
    if tuple(output.shape) not in allowed:
        kinds = {True: "segmentation", False: "classification"}
        what = " or ".join(
            f"{expected[kind]} for {kinds[kind]}" for kind in (True, False) if dense in (None, kind)
        )
        raise SettingsError(
            f"network: {name} gives an output of shape {tuple(output.shape)} for images of shape "
            f"{(EXAMPLE_BATCH, channels, *size)}; expected {what}."
        )


def _refuse_file(path: str, attribute: str, what: str) -> None:
    """Refuse the path of a file, because a module name is needed."""
    if "/" not in path and os.sep not in path and not path.endswith(".py"):
        return
    file = PurePath(path.removesuffix(".py"))
    if file.is_absolute() or {"..", "~"} & set(file.parts):
        advice = f"Start netwright in {file.parent}, and write {file.name}:{attribute}"
    else:
        advice = f"Write {'.'.join(file.parts)}:{attribute}"
    raise SettingsError(
        f"{what}: expected package.module:factory, got the path of a file, {path}. {advice} (dots, no .py)."
    )


def _imported(path: str, folder: str | None, what: str) -> Any:
    here, source = os.getcwd(), source_folder(path, folder)
    if source is not None:
        import_from_source(source)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(f"{error.name}.")):
            before, advice = "", "Start"
            if folder not in (None, here):
                before, advice = f"{folder}, where it was when the run began, in ", "Put it back, start"
            raise SettingsError(
                f"{what}: there is no module {error.name!r} in {before}{here} or among the installed packages. "
                f"{advice} netwright in the folder that holds it, or install it."
            ) from None
        raise SettingsError(f"{what}: importing {path} failed: {told(error)}.") from error
    except BaseException as error:
        if passes(error):
            raise
        raise SettingsError(f"{what}: importing {path} failed: {told(error)}.") from error


def _accepted(network: str, factory: Callable[..., Any], known: dict[str, Any]) -> dict[str, Any]:
    """The known arguments that the factory takes."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # some built-in callables have no signature
        return known
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        takes = set(known)
    else:
        takes = {
            parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY
        }
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and (parameter.name not in known or parameter.kind is parameter.POSITIONAL_ONLY)
    ]
    if needed:
        raise SettingsError(
            f"network: {network} needs {', '.join(map(repr, needed))}; what is known of the data is "
            f"{', '.join(known)}. Write a function of those (channels, classes, size) that returns the network, "
            "and name it instead."
        )
    return {name: value for name, value in known.items() if name in takes}


def told(error: BaseException) -> str:
    """An error of the user's code, and the line of the user's code where it was raised."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and frame.filename != __file__
    ]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {first_line(error).rstrip('.')}{where}"


def _is_own(item: Any, module: str) -> bool:
    return getattr(item, "__module__", None) == module


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"
