"""Every error of the house; each message says what was found, what is allowed and what to do.

SinetError
├── UsageError               asked wrongly: exit code 2
│   ├── UnknownRegionError   a region that regions.py does not list
│   ├── UnknownHardwareError a kind of hardware that hardware.py does not list
│   ├── RegistryError        a line of registry.yaml, or a row, that says what cannot be
│   ├── NeedsError           a need that nothing satisfies, or a quantity that is none
│   ├── SourceError          a folder or file of rows that cannot be read as what it should be
│   ├── FleetError           a fleet that does not fit the home, or a layout that cannot be made
│   └── ModelNotFoundError   a model, version or alias that the registry does not hold
├── RefusedError             a check said no: exit code 1
│   ├── ContractError        rows that break the contract of their table
│   ├── ResidencyError       data that may not leave its region
│   ├── DisagreementError    a served graph that does not answer as its source does
│   └── QuantizationError    a graph that has no INT8 form, or whose INT8 form breaks a limit
└── FailedError              it failed: exit code 3
    ├── StorageError         a table or blob that could not be written or read whole
    ├── BusyError            another process holds what is needed (a home, a port, a lock)
    ├── ServingError         a model server that does not start or does not answer
    └── ClusterError         a region's cluster that refuses what it is asked, or does not answer
"""


class SinetError(Exception):
    """Whatever went wrong in this house; `exit_code` is what the command line ends with."""

    exit_code = 3


class UsageError(SinetError):
    """Asked wrongly: the caller can mend it by asking otherwise."""

    exit_code = 2


class UnknownRegionError(UsageError):
    """A region that regions.py does not list."""


class UnknownHardwareError(UsageError):
    """A kind of hardware that hardware.py does not list."""


class RegistryError(UsageError):
    """A line of `registry.yaml`, or a row of regions.py or hardware.py, that says what cannot be."""


class NeedsError(UsageError):
    """A need that no place satisfies, or a quantity that is no quantity."""


class SourceError(UsageError):
    """A folder or file of rows that is missing or cannot be read as what it should be."""


class FleetError(UsageError):
    """A fleet that does not fit the home it should go to, or a layout that cannot be made."""


class ModelNotFoundError(UsageError):
    """A model, version or alias that the registry does not hold."""


class RefusedError(SinetError):
    """A check said no."""

    exit_code = 1


class ContractError(RefusedError):
    """Rows that break the contract of their table."""


class ResidencyError(RefusedError):
    """Data that may not leave its region."""


class DisagreementError(RefusedError):
    """A served graph that does not answer as its source does."""


class QuantizationError(RefusedError):
    """A graph that has no INT8 form, or whose INT8 form breaks a limit."""


class FailedError(SinetError):
    """It failed, through nobody's wrong asking: a full disk, a taken port, a killed process."""

    exit_code = 3


class StorageError(FailedError):
    """A table or blob that could not be written or read whole."""


class BusyError(FailedError):
    """Another process holds what is needed: a home, a port, a lock."""


class ServingError(FailedError):
    """A model server that does not start or does not answer."""


class ClusterError(FailedError):
    """A region's cluster that refuses what it is asked, or does not answer.

    Attributes:
        status: the HTTP status it answered with; 0 where it did not answer.
        is_final: whether asking again changes nothing.
        is_untouched: whether the request certainly had no effect.
    """

    def __init__(self, message: str, *, status: int = 0, is_final: bool = False, is_untouched: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.is_final = is_final
        self.is_untouched = is_untouched


def first_line(error: Exception) -> str:
    r"""What a foreign error says first, or its class where it says nothing; the rest is of its own insides.

    >>> first_line(OSError("no such file\n  at reader.cc:12")), first_line(KeyError())
    ('no such file', 'KeyError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]
