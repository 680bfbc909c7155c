"""Every error the package raises, one class per decision a caller makes.

::

    MlgovError
    ├── ConfigurationError          fix the configuration: an option, a URL, a connection
    ├── InvalidInputError           refuse: the input can never be right (also a ValueError)
    │   ├── InvalidNameError            a name with an empty part or a control character
    │   └── InvalidEventError           an event that is not OpenLineage
    ├── CatalogError
    │   ├── CatalogUnavailableError     keep everything and wait: the catalogue as a whole is not usable
    │   │   └── ForeignAnswerError          the same, unless it takes other calls: somebody else answered this one
    │   ├── CatalogPendingError         wait and look again: it was handed over, and its effect is not seen yet
    │   ├── CatalogBusyError            try the same call again: overload, time-out, deadlock
    │   │   └── CatalogDroppedError         try it in smaller parts: it was handed over and dropped without a word
    │   └── CatalogRefusedError         give this one up: Atlas named what is wrong with it
    │       └── EntityNotFoundError         what was asked for is not there
    ├── TypesConflictError          refuse: the server's types differ in a way Atlas cannot change
    ├── SpoolError                  the spool cannot be written or holds something foreign
    └── UnresolvedBuildError        refuse: nothing decides which build is meant

A message says what was found, what was wanted and what to do.
"""

from __future__ import annotations


class MlgovError(Exception):
    """Base class of all errors of this package."""


class ConfigurationError(MlgovError):
    """An option, a URL or a connection is wrong; somebody has to change it."""


class InvalidInputError(MlgovError, ValueError):
    """The input can never be accepted as it is."""


class InvalidNameError(InvalidInputError):
    """A name is empty, holds a control character or does not have the form of its kind."""


class InvalidEventError(InvalidInputError):
    """A document is not an OpenLineage run, job or dataset event."""


class CatalogError(MlgovError):
    """A call to the catalogue did not succeed."""


class CatalogUnavailableError(CatalogError):
    """The catalogue as a whole is not usable: no connection, refused login, an answer that is not Atlas's, types missing."""


class ForeignAnswerError(CatalogUnavailableError):
    """An answer that is not the catalogue's: a login page, another server, or a proxy that dislikes what this call holds."""


class CatalogBusyError(CatalogError):
    """The same call may succeed later: 408, 429, 5xx, a deadlock, a time-out."""

    def __init__(self, message: str, *, retry_after: float | None = None, unanswered: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds the server asked to wait, if it did."""
        self.unanswered = unanswered
        """The call was sent and no answer of the server itself was seen: it may still be at work on it."""


def asks_for_time(error: Exception | None) -> bool:
    """Whether who is busy says when to come again."""
    return isinstance(error, CatalogBusyError) and error.retry_after is not None


def names_one(error: Exception) -> bool:
    """Whether the catalogue itself says that it is what was sent, and not anything else."""
    return isinstance(error, CatalogRefusedError) and not error.may_concern_all


class CatalogDroppedError(CatalogBusyError):
    """What was handed over was dropped without a word: something in it is wrong, or the catalogue could not write it."""


class CatalogPendingError(CatalogError):
    """What was handed over to the catalogue has no effect yet; nothing else may be written before that is known."""


class CatalogRefusedError(CatalogError):
    """The catalogue understood the call and refused it, with an error code of Atlas's."""

    def __init__(self, message: str, *, error_code: str, status: int) -> None:
        super().__init__(message)
        self.error_code = error_code
        """Atlas's own code, such as ``ATLAS-404-00-00A``."""
        self.status = status
        """The HTTP status that Atlas sends with it."""

    @property
    def may_concern_all(self) -> bool:
        """Whether all may be refused so: the user lacks a right, or a proxy lets nothing through that has any size."""
        return self.status in (403, 413, 414)


class EntityNotFoundError(CatalogRefusedError):
    """No active entity has this guid or unique attribute."""


class TypesConflictError(MlgovError):
    """A type of the server differs from ours in a way that Atlas does not let anyone change."""


class SpoolError(MlgovError):
    """The spool cannot be written, or a file in it is not one of ours."""


class UnresolvedBuildError(MlgovError):
    """Neither key, XCom, asset event nor alias says which build is meant."""
