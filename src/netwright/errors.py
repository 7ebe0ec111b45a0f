"""The errors that netwright raises for what a user can mend. All derive from `NetwrightError`.

What can be gone on with is a `DatasetWarning` or a `SettingsWarning`.
"""


class NetwrightError(Exception):
    """What went wrong, what was expected, what came, and what to do; the command line prints it and exits 1."""


class DatasetError(NetwrightError):
    """A dataset, or one file of it, cannot be used."""


class DatasetWarning(UserWarning):
    """Something in a dataset that is probably not meant, with which it can be used all the same."""


class SettingsWarning(UserWarning):
    """Settings that are probably not meant, with which a search can be made all the same."""


class ExecutionError(NetwrightError):
    """This machine runs no worker processes, so that no candidate would fare better than another."""


class StorageError(NetwrightError):
    """A disk is full, or a folder cannot be written."""


class SettingsError(NetwrightError):
    """A setting has a wrong name or value."""


class NetworkFailed(SettingsError):  # noqa: N818  whose it is, not what it is
    """A user's own network failed as it was made or tried; in a worker it costs the one candidate."""


class UntrustedCode(SettingsError):  # noqa: N818  nothing is wrong but whose it is
    """A run names code that no search of this user ran; it is not run."""


class RunError(NetwrightError):
    """A run folder is missing, damaged, in use, or already holds another run."""


class FolderTaken(RunError):  # noqa: N818  nothing is wrong but the place
    """A folder for a new run holds something already."""


class InfeasibleArchitecture(NetwrightError):  # noqa: N818  a verdict on a choice, not a mishap
    """A choice makes no network; the message says why."""


class MemoryShortage(NetwrightError):  # noqa: N818  nothing is wrong but the machine's size
    """A step that a network does not need has not the memory that it takes; the message says how to leave it out."""


def concerns_all(error: BaseException) -> bool:
    """Whether machine or settings are at fault (a full disk, say): no other candidate would fare better."""
    return isinstance(error, NetwrightError) and not isinstance(error, NetworkFailed)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, which is the part that people can use."""
    return (str(error).strip().splitlines() or [error.__class__.__name__])[0]
