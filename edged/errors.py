"""Every error edged raises on purpose, grouped by what the caller must do about it.

EdgedError            one line for a person: what is wrong and what would be right
├── UsageError        ask again, differently                    exit 2
├── ConfigError       a person must edit the config             exit 78, not restarted
├── Unavailable       something needed is not there (now)       exit 69, worth a retry
│   ├── SourceLost    a camera or file gave no (more) picture   reopen with back-off
│   ├── ModelError    a model is missing, altered or unusable   reinstall edged / `edged engines build`
│   └── StoreError    the database cannot be opened or written  keep running, retry
│       └── NotOurs   store.path leads to something else        exit 78, not restarted
└── Failed            the thing asked for was tried and failed  exit 1
"""

from typing import ClassVar


class EdgedError(Exception):
    """One line for a person, naming the thing, its value, and the remedy."""

    exit_code: ClassVar[int] = 1


class Failed(EdgedError):
    """What was asked for was tried, and failed."""


class UsageError(EdgedError):
    """The request itself makes no sense."""

    exit_code = 2


class Unavailable(EdgedError):
    """Something needed is not there now; trying again later may work."""

    exit_code = 69


class SourceLost(Unavailable):
    """A camera, stream or file cannot be opened, or stopped giving pictures."""


class ModelError(Unavailable):
    """A model file is missing, differs from the manifest, or cannot be run."""


class StoreError(Unavailable):
    """The database cannot be opened, read or written."""


class NotOurs(StoreError):
    """What `store.path` names is no database of edged's, and is left alone; a person must name another file."""

    exit_code = 78


class ConfigError(EdgedError):
    """The config is wrong; systemd must not restart the daemon until a person has edited it."""

    exit_code = 78
