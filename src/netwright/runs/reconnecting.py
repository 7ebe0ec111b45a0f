"""Optuna's storage in a database on a server that may go away for a while. Nothing is stored twice."""

from __future__ import annotations

import functools
import json
import random
import re
import secrets
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Protocol, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from netwright.errors import StorageError, first_line
from netwright.execution.interrupts import raise_if_stopped
from netwright.execution.notes import say_once

AWAY_SECONDS = 1800.0
"""How long a search waits for a server that is away."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0
ROOM_SECONDS = 60.0
"""How long a process that begins waits for a server without a connection left."""
STOP_SECONDS = 0.5
"""How soon a signal that ends the search is noticed in a pause."""
TOKEN = "netwright:token"
"""The system attribute by which a trial is recognised if the answer to its creation was lost."""

_LOST = ("08", "57P", "40", "53300")
"""The beginnings of SQLSTATEs after which the same may succeed: connection lost, server stopping or starting,
transaction given up for another one, too many connections."""
FULL = re.compile("too many (clients|connections)|remaining connection slots|connection limit exceeded")
"""What a server says that has no connection left."""

T = TypeVar("T")


def connection_lost(error: BaseException) -> bool:
    """Whether an error is of the connection, so that the same may succeed later."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DBAPIError):  # Optuna wraps it, and may go on after it
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return False
    state = getattr(cause.orig, "sqlstate", None)
    if state is None:
        return cause.connection_invalidated or isinstance(cause, OperationalError | InterfaceError)
    return str(state).startswith(_LOST)


def server_full(error: BaseException) -> bool:
    """Whether the server has no connection left, be it for this user or this database.

    The client's library gives no SQLSTATE where no connection was made, only the server's words.
    """
    return connection_lost(error) and FULL.search(_reason(error)) is not None


def persistently(action: Callable[[], T], server: str) -> T:
    """The result of an action on the server. While the connection is lost it is tried again, in growing pauses.

    Args:
        action: may be called again after it succeeded, because its answer may be lost.
        server: its name, for messages.

    Raises:
        StorageError: the server was away for too long.
    """
    try:
        return tried_while(connection_lost, action, server, AWAY_SECONDS)
    except (StorageInternalError, DBAPIError) as error:
        if not connection_lost(error):
            raise
        raise StorageError(
            f"{server} has been away for {AWAY_SECONDS / 60:.0f} minutes ({_reason(error)}). When it is back, go on "
            "with 'netwright resume'; nothing that was stored is lost."
        ) from error


def tried_while(
    passing: Callable[[BaseException], bool], action: Callable[[], T], server: str, seconds: float
) -> T:
    """The result of an action on the server, which is tried again in growing pauses. Its last error is raised.

    Args:
        passing: whether the action may succeed after this error.
        action: may be called again after it succeeded, because its answer may be lost.
        server: its name, for messages.
        seconds: for how long.
    """
    began, pause = None, FIRST_PAUSE
    while True:
        try:
            return action()
        except (StorageInternalError, DBAPIError) as error:
            began = time.monotonic() if began is None else began
            if not passing(error) or time.monotonic() - began > seconds:
                raise
            if server_full(error):
                say_once(f"No connection is left for this process at {server}; it is asked again.")
            else:
                say_once(f"The connection to {server} was lost; it is tried again until the server is back.")
        _sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)


def _reason(error: BaseException) -> str:
    return first_line(getattr(error.__cause__ or error, "orig", error))


def _sleep(seconds: float) -> None:
    """Waits. Nothing is half done on the server now, so whoever stops the search need not wait for its return."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        raise_if_stopped()
        time.sleep(min(left, STOP_SECONDS))


class OnCreation(Protocol):
    """Called in the transaction that creates a trial, with the study locked. An exception undoes the creation."""

    def __call__(self, session: Session, trial: models.TrialModel) -> None:
        """Checks or adds what must be stored with the trial or not at all."""


class OnEnd(Protocol):
    """Called in the transaction that finishes a trial. An exception keeps the trial as it is."""

    def __call__(self, session: Session, trial: int) -> None:
        """Checks whether the trial, by its id in the storage, may be finished here."""


def _persistent(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of `RDBStorage`, tried until the server answers. For methods that may be called twice."""

    @functools.wraps(method)
    def wrapped(self: ReconnectingStorage, *arguments: Any, **named: Any) -> Any:
        return persistently(lambda: method(self, *arguments, **named), self.server)

    return wrapped


class ReconnectingStorage(RDBStorage):
    """Optuna's storage, whose calls are tried again while the connection is lost.

    A call may have taken effect though its answer was lost. Attributes and parameters can be set again without harm.
    A trial is created with a token, by which it is found in the next attempt; and a trial that is finished as it was to
    be counts as told.

    Args:
        url: of the database.
        server: its name, for messages.
        on_creation: see `OnCreation`.
        on_created: called when a trial is there that others can see.
        on_end: see `OnEnd`.
        options: of `RDBStorage`.
    """

    def __init__(
        self,
        url: str,
        server: str,
        *,
        on_creation: OnCreation | None = None,
        on_created: Callable[[], None] | None = None,
        on_end: OnEnd | None = None,
        **options: Any,
    ) -> None:
        begin = super().__init__
        tried_while(server_full, lambda: begin(url, **options), server, ROOM_SECONDS)
        self.server = server
        self.on_creation = on_creation
        self.on_created = on_created
        self.on_end = on_end
        self._tried: str | None = None

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        template = (
            optuna.trial.create_trial(state=TrialState.RUNNING)
            if template_trial is None
            else deepcopy(template_trial)
        )
        token = secrets.token_hex(8)
        template.system_attrs[TOKEN] = token
        create = super()._create_new_trial
        made = persistently(lambda: create(study_id, template), self.server)
        if self.on_created is not None:
            self.on_created()
        return made

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        """Called in the transaction of each attempt. If an earlier one was committed, its trial is the new one."""
        assert template_trial is not None
        token = template_trial.system_attrs[TOKEN]
        again, self._tried = self._tried == token, token
        if again and (made := _with_token(session, study_id, token)) is not None:
            return made
        trial = super()._get_prepared_new_trial(study_id, template_trial, session)
        if self.on_creation is not None:
            self.on_creation(session, trial)
        return trial

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """As in `RDBStorage`. A trial that an earlier attempt has brought into this state counts as told.

        Args:
            trial_id: in the storage.
            state: that it is to have.
            values: of a complete trial.
        """
        tell, attempts = super().set_trial_state_values, 0

        def attempt() -> bool:
            nonlocal attempts
            attempts += 1
            if attempts > 1 and self.get_trial(trial_id).state == state:
                return True
            with _create_scoped_session(self.scoped_session) as session:  # that of `tell`, too
                if self.on_end is not None and state.is_finished():
                    self.on_end(session, trial_id)
                return tell(trial_id, state, values)

        return persistently(attempt, self.server)


def _with_token(session: Session, study_id: int, token: str) -> models.TrialModel | None:
    attribute = models.TrialSystemAttributeModel
    return (
        session.query(models.TrialModel)
        .join(attribute, attribute.trial_id == models.TrialModel.trial_id)
        .filter(
            models.TrialModel.study_id == study_id,
            attribute.key == TOKEN,
            attribute.value_json == json.dumps(token),
        )
        .one_or_none()
    )


for _name in (
    "create_new_study",
    "get_all_studies",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_directions",
    "get_study_user_attrs",
    "get_study_system_attrs",
    "set_study_user_attr",
    "set_study_system_attr",
    "get_trial",
    "get_trial_id_from_study_id_trial_number",
    "_get_trials",
    "_get_best_trial_id",
    "_set_trial_param",
    "set_trial_user_attr",
    "set_trial_system_attr",
    "set_trial_intermediate_value",
):
    setattr(ReconnectingStorage, _name, _persistent(getattr(RDBStorage, _name)))
