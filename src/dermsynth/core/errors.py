"""Errors a user can act on. Each message is one line: the file, the row, the value, and what to do next."""


class DermsynthError(Exception):
    """Base of every error that dermsynth raises on purpose; the command line prints it as one line and exits with 2."""


class InputError(DermsynthError):
    """A file, a row or a value that cannot be used."""


class ConfigError(DermsynthError):
    """A configuration with an unknown key or a value out of range."""


class ArtefactError(DermsynthError):
    """A folder that is no complete artefact, is of another kind, or would be overwritten."""


class LeakageError(DermsynthError):
    """Synthetic rows, or what a generator learnt from, would reach validation or test."""


class DivergedError(DermsynthError):
    """A loss is no longer finite."""


class InterruptedRunError(DermsynthError):
    """The user stopped a run; its state is saved and the same command continues it."""
