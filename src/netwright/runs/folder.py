"""The run folder: where the files of a run lie, and which process may write to it."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import yaml

from netwright.data.splits import Splits
from netwright.errors import FolderTaken, NetwrightError, RunError, StorageError
from netwright.files import file_stamp, read_json, remove_partial, write_json, write_text
from netwright.runs.versions import made_with
from netwright.settings import MADE_WITH, RunSettings, read_settings
from netwright.training.files import WEIGHTS

LOCK_TRIES = 20
START = "start"
SERIES = "series.json"
"""In the folder of a series of runs: how many runs there are to be, and of which folds."""


@dataclass(frozen=True)
class RunFolder:
    """The paths of a run's files."""

    root: Path

    @property
    def settings_file(self) -> Path:
        """Every resolved setting."""
        return self.root / "run.yaml"

    @property
    def database(self) -> Path:
        """Optuna's SQLite storage of the search."""
        return self.root / "study.db"

    @property
    def splits_file(self) -> Path:
        """The part of each case."""
        return self.root / "splits.json"

    @property
    def lock_file(self) -> Path:
        """The process that writes to the run holds it."""
        return self.root / "run.lock"

    @property
    def winner(self) -> Path:
        """The retrained winner: weights, architecture, preprocessing, metrics."""
        return self.root / "winner"

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.root / "report.html"

    @property
    def shared(self) -> Path:
        """The files of a search inside one training: checkpoint and snapshots."""
        return self.root / "supernet"

    @property
    def start_weights(self) -> Path:
        """The weights of another network that this run's networks begin with, if it was started from one."""
        return self.root / START / WEIGHTS

    def trained(self, number: int) -> Path:
        """The folder of a trial's network from ``train``."""
        return self.root / "trained" / f"{number:04d}"

    @property
    def shared_trials(self) -> Path | None:
        """The folder of trainings that several processes share, see `StorageSettings`; None: the run has its own."""
        return _shared_trials(self, file_stamp(self.settings_file))

    @property
    def trials(self) -> Path:
        """The folder of all candidates."""
        return self.shared_trials or self.root / "trials"

    def trial(self, number: int) -> Path:
        """The folder of one candidate."""
        return self.trials / f"{number:04d}"

    def contestant(self, name: str) -> Path:
        """The folder of one training of the final comparison. The searched network's is `winner`, and those with
        further seeds are below the first: ``searched/seed-2`` is ``winner/seed-2``.
        """
        network, _, seed = name.partition("/")
        return (self.winner if network == "searched" else self.root / "verdict" / network) / seed

    def settings(self) -> RunSettings:
        """The settings of the run.

        Raises:
            RunError: ``run.yaml`` is missing or damaged.
        """
        return read_settings(self.settings_file)

    def change_settings(self, changes: Mapping[str, Any]) -> None:
        """Changes settings of the run, by name: ``{"budget.hours": 2}``. Everything else in the file stays.

        Raises:
            StorageError: it cannot be written.
        """
        write_text(self.settings_file, self.changed_settings(changes))

    def changed_settings(self, changes: Mapping[str, Any]) -> str:
        """The text of ``run.yaml`` after `change_settings`, which is not written."""
        values = yaml.safe_load(self.settings_file.read_text(encoding="utf-8"))
        for name, value in changes.items():
            table, _, own = name.partition(".")
            values[table][own] = value
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)

    def splits(self) -> Splits:
        """The parts of the dataset, as drawn when the run was made.

        Raises:
            RunError: ``splits.json`` is missing or damaged.
        """
        return Splits.from_dict(read_json(self.splits_file))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run for writing. The system releases it however this process ends.

        What an earlier process was writing when it was killed is removed.

        Raises:
            RunError: another process holds it.
            StorageError: the run cannot be written to, or a link in it leads elsewhere.
        """
        self.require_within()
        with held(self.lock_file, self.root):
            remove_partial(self.root, self._has_own_lock)
            yield

    def _has_own_lock(self, folder: Path) -> bool:
        """Whether others say who may write to a folder: the locks of ``trained`` or of a run in this one, or the leases
        of those who share its trainings.
        """
        others = folder in (self.trained(0).parent, self.shared_trials)
        return others or (folder / self.lock_file.name).exists()

    def require_within(self) -> None:
        """Refuses to write to a run in which a link leads elsewhere.

        Such a link in somebody else's run could make us replace the user's own files, or write into them.

        Raises:
            StorageError: there is such a link.
        """
        root = self.root.resolve()
        for folder, folders, files in os.walk(root):
            for path in (Path(folder) / name for name in (*folders, *files)):
                if path.is_symlink() and not path.resolve().is_relative_to(root):
                    raise StorageError(
                        f"{path} is a link out of the run folder, to {path.resolve()}, which would be written to: "
                        "expected a file or folder. Put a copy in place of the link."
                    )

    def in_use(self) -> bool:
        """Whether a process holds the run now."""
        if not self.lock_file.exists():
            return False
        with self.lock_file.open() as file:  # for reading: the disk may not be writable
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


@lru_cache(maxsize=16)
def _shared_trials(folder: RunFolder, stamp: object) -> Path | None:
    """The settings are read again only when their file has changed: the path of a trial is asked for very often.

    The trainings may be in a run folder that was moved, with all that is in it. Their folder's name is random.
    """
    if stamp is None:
        return None
    try:
        shared = folder.settings().storage.trials
    except NetwrightError:  # whoever needs the settings says what is wrong with them
        return None
    if shared is None or shared.is_dir():
        return shared
    moved = folder.root.resolve() / shared.name
    return moved if moved.is_dir() else shared


@contextlib.contextmanager
def held(lock: Path, what: Path) -> Iterator[None]:
    """Holds a lock file for writing to ``what``. The system releases it however this process ends.

    Raises:
        RunError: another process holds it.
        StorageError: the file cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+")
    except OSError as error:
        raise StorageError(
            f"{what} cannot be written to ({error.strerror or error}). Copy the run to where you may write; to look at "
            "it and to use its networks it can stay where it is."
        ) from error
    with file:
        if not _acquired(file):
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise RunError(
                f"{what} is in use by another netwright process (number {owner}). Wait for it, look at it "
                f"with 'netwright status', or end it first."
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _acquired(file: IO[str]) -> bool:
    """Tries to take the lock for a second. A process that asks for the status holds it only for an instant."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(1.0 / LOCK_TRIES)
        else:
            return True
    return False


def require_new_folder(root: Path) -> None:
    """Refuses a folder that is not empty.

    Raises:
        FolderTaken: it is not empty. The message says what to do.
    """
    if root.exists() and (
        not root.is_dir() or any(not _left_by_a_kill(path.name) for path in root.iterdir())
    ):
        if not root.is_dir():
            raise FolderTaken(f"{root} is a file: expected a folder, new or empty. Name another one with -o.")
        contents = "a run" if (root / "run.yaml").exists() else "other files"
        advice = f"Go on with it by 'netwright resume {root}', or" if contents == "a run" else "Empty it, or"
        raise FolderTaken(f"{root} already holds {contents}. {advice} name another folder with -o.")


def _left_by_a_kill(name: str) -> bool:
    """Whether a file was left by a process that was killed while it made the folder, before it wrote the settings."""
    return name in ("splits.json", "run.lock", START) or name.startswith((".splits.json.", ".run.yaml."))


def default_output(dataset: Path, recipe: str) -> Path:
    """A new folder for a run: ``runs/<dataset>-<recipe>``, with a number where that exists."""
    return default_folder(f"{dataset.resolve().name}-{recipe}")


def default_folder(name: str) -> Path:
    """A new folder for a run: ``runs/<name>``, with a number where that exists."""
    return _numbered(Path("runs") / name)


def _numbered(base: Path) -> Path:
    """The first of ``base``, ``base-2``, ``base-3``, ... that does not exist."""
    others = (base.with_name(f"{base.name}-{i}") for i in itertools.count(2))
    return next(path for path in itertools.chain((base,), others) if not path.exists())


def create_run_folder(
    root: Path,
    settings: RunSettings,
    splits: Splits,
    *,
    numbered: bool = False,
    weights: Path | None = None,
) -> RunFolder:
    """Makes a new run folder. If several processes want the same folder at once, one gets it and the others are
    refused.

    A folder that does not exist appears complete: it is made under another name beside its path, and then renamed. The
    rename fails if a folder has appeared there meanwhile. An existing empty folder keeps its permissions, and may be a
    mounted disk. The process that holds its lock fills it, the settings last, because a folder without settings is no
    run.

    Args:
        root: the folder.
        settings: the settings of the run.
        splits: the parts of its dataset.
        numbered: where the folder is taken, make one whose name ends in a number.
        weights: a file that its networks begin with, which is copied; None: they begin anew.

    Raises:
        FolderTaken: the folder is not empty.
        RunError: another process is filling it.
        StorageError: it cannot be written.
    """
    folder = root
    while True:
        try:
            return _created(folder, settings, splits, weights)
        except FolderTaken:
            if not numbered:
                raise
            folder = _numbered(root)


def _created(root: Path, settings: RunSettings, splits: Splits, weights: Path | None) -> RunFolder:
    require_new_folder(root)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        if root.exists():
            return _filled(root, settings, splits, weights)
        making = root.with_name(f".{root.name}.{os.getpid()}.{secrets.token_hex(4)}")
        making.mkdir()
    except OSError as error:
        raise StorageError(
            f"{root} cannot be made ({error.strerror or error}). Name another folder with -o."
        ) from error
    try:
        _write_new(RunFolder(making), settings, splits, weights)
        making.rename(root)
    except OSError as error:
        require_new_folder(root)
        raise StorageError(
            f"{root} cannot be made ({error.strerror or error}). Name another folder with -o."
        ) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return RunFolder(root)


def _filled(root: Path, settings: RunSettings, splits: Splits, weights: Path | None) -> RunFolder:
    """Makes a run in an existing folder."""
    folder = RunFolder(root)
    with folder.locked():
        require_new_folder(root)  # another process may have filled it before this one got the lock
        _write_new(folder, settings, splits, weights)
    return folder


def _write_new(folder: RunFolder, settings: RunSettings, splits: Splits, weights: Path | None) -> None:
    if weights is not None:
        folder.start_weights.parent.mkdir(exist_ok=True)
        shutil.copyfile(weights, folder.start_weights)
    write_json(folder.splits_file, splits.to_dict())
    stated = yaml.safe_dump({MADE_WITH: made_with()}, sort_keys=False, allow_unicode=True)
    write_text(folder.settings_file, _with_own_parts(folder, settings).to_yaml() + stated)


def _with_own_parts(folder: RunFolder, settings: RunSettings) -> RunSettings:
    """Settings that name the run's own file of parts in place of the user's, which may change or go."""
    if settings.dataset.split_file is None:
        return settings
    own = {"split_file": Path(folder.splits_file.name), "fold": None}
    return settings.model_copy(update={"dataset": settings.dataset.model_copy(update=own)})


def open_run_folder(root: Path) -> RunFolder:
    """Opens an existing run folder.

    Raises:
        RunError: it does not exist, or holds no run.
    """
    folder = RunFolder(root)
    if not root.is_dir():
        raise RunError(f"There is no run folder {root}. A run is made by 'netwright search ... -o {root}'.")
    if not folder.settings_file.exists() and (root / SERIES).is_file():
        raise RunError(
            f"{root} holds several runs: expected one. Name one of them, such as {next(root.glob('*-1'), root)}. The "
            f"folds of a cross-validation are used as one when 'netwright resume {root}' has finished them."
        )
    if not folder.settings_file.exists():
        raise RunError(f"{root} holds no run: run.yaml is missing. Name the folder that was given to -o.")
    return folder
