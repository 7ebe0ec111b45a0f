"""Errors that a user can correct; all derive from `NetwrightError`.

If netwright can continue, it gives a `DatasetWarning` or a `SettingsWarning` instead.
"""


class NetwrightError(Exception):
    """The base class. A message says what is wrong, what was expected, what was found, and what to do.

    The command line prints it and exits with code 1.
    """


class DatasetError(NetwrightError):
    """A dataset, or one file of it, cannot be used."""


class DatasetWarning(UserWarning):
    """Something in a dataset is probably a mistake. The dataset can still be used."""


class SettingsWarning(UserWarning):
    """Settings that are probably a mistake. A search is still possible."""


class ExecutionError(NetwrightError):
    """Worker processes cannot be used on this machine, so no candidate can be trained."""


class StorageError(NetwrightError):
    """A disk is full, or a folder cannot be written."""


class SettingsError(NetwrightError):
    """A setting has a wrong name or value."""


class NetworkFailed(SettingsError):  # noqa: N818  whose it is, not what it is
    """A user's own network failed when it was made or called. In a worker only that candidate fails."""


class StrategyFailed(SettingsError):  # noqa: N818  as above
    """A strategy, such as a user's own, failed or proposed what is no choice. What was trained before is kept."""


class UntrustedCode(SettingsError):  # noqa: N818  nothing is wrong but whose it is
    """A run names code that this user's searches never ran. The code was not run."""


class RunError(NetwrightError):
    """A run folder is missing, damaged, in use, or already holds another run."""


class StudyFinished(RunError):  # noqa: N818  nothing is wrong: there is nothing left to do
    """The study that a process would take part in is finished. Nothing was written."""


class FolderTaken(RunError):  # noqa: N818  nothing is wrong but the place
    """The folder for a new run is not empty."""


class ExportError(NetwrightError):
    """A trained network cannot be written in the format that was asked for. Nothing was written."""


class InfeasibleArchitecture(NetwrightError):  # noqa: N818  a verdict on a choice, not a mishap
    """There is no network for a choice. The message says why."""


class MemoryShortage(NetwrightError):  # noqa: N818  nothing is wrong but the machine's size
    """There is not enough memory for an optional step. The message says how to leave it out."""


def concerns_all(error: BaseException) -> bool:
    """Whether the cause is the machine or the settings, such as a full disk, so that all candidates would fail."""
    return isinstance(error, NetwrightError) and not isinstance(error, NetworkFailed)


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the class name if it is empty."""
    return (str(error).strip().splitlines() or [error.__class__.__name__])[0]
