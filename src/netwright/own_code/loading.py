"""A function or class of the user's code, by a name of the form ``package.module:factory``."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path, PurePath
from typing import Any, Literal

from netwright.errors import SettingsError, first_line
from netwright.execution.interrupts import passes
from netwright.own_code.sources import INSTALLED, import_from_source, source_folder

OWN_FILES = str(Path(__file__).parents[1])


@dataclass(frozen=True)
class OwnCode:
    """A function or class of the user's that settings name.

    Args:
        what: it makes.
        name: ``package.module:factory``.
        folder: the folder of its module if that is not installed, see `folder_of`; if the module is not there, the
            current directory is searched.
    """

    what: Literal["network", "space", "strategy"]
    name: str
    folder: str | None = None

    @property
    def table(self) -> str:
        """The table of the settings that name it."""
        return "strategy" if self.what == "strategy" else "space"

    @property
    def setting(self) -> str:
        """The setting with its name."""
        return f"{self.table}.{'network' if self.what == 'network' else 'code'}"


def load(code: OwnCode) -> Callable[..., Any]:
    """The function or class with the given name.

    Raises:
        SettingsError: the folder is not an absolute path, the name is not ``package.module:factory``, its module cannot
            be imported, or the module has nothing callable with that name.
    """
    what, folder = code.what, code.folder
    path, _, attribute = code.name.partition(":")
    if not path or not attribute:
        raise SettingsError(
            f"{what}: expected package.module:factory, for example my_{_several(what)}:make_{what}; got {code.name!r}."
        )
    _refuse_file(path, attribute, what)
    if folder is not None and not (isinstance(folder, str) and os.path.isabs(folder)):
        raise SettingsError(
            f"{code.table}.folder: expected an absolute path, got {folder!r}, which would be another folder wherever "
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
    if not callable(factory):
        raise no_maker(code, factory)
    made: Callable[..., Any] = factory
    return made


def no_maker(code: OwnCode, found: object) -> SettingsError:
    """The error for a name of something that makes nothing."""
    return SettingsError(
        f"{code.what}: {code.name} is {article(type(found).__name__)}; expected a function or class that makes a "
        f"{code.what}. One that is ready can be given by a function without arguments."
    )


def folder_of(code: OwnCode) -> str | None:
    """The folder that contains the module; None if it is installed.

    Raises:
        SettingsError: as `load`.
    """
    load(code)
    top = sys.modules[code.name.partition(":")[0].partition(".")[0]]
    location = next(iter(getattr(top, "__path__", ())), getattr(top, "__file__", None))
    parent = None if location is None else Path(location).resolve().parent
    return None if parent is None or INSTALLED & set(parent.parts) else str(parent)


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


def told(error: BaseException) -> str:
    """An error of the user's code, and the line of the user's code where it was raised."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", OWN_FILES))
    ]
    own = [frame for frame in frames if not INSTALLED & set(Path(frame.filename).parts)] or frames
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {first_line(error).rstrip('.')}{where}"


def _several(what: str) -> str:
    return "strategies" if what == "strategy" else f"{what}s"


def _is_own(item: Any, module: str) -> bool:
    return getattr(item, "__module__", None) == module


def article(noun: str) -> str:
    """A noun with its article."""
    return f"{'an' if noun[0] in 'aeiouAEIOU' else 'a'} {noun}"
