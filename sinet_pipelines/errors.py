"""Every error of the platform; each message states what was found, what is allowed and what to do.

SinetError
├── UsageError               wrong usage or input: exit code 2
│   ├── UnknownRegionError   a region that the inventory does not list
│   ├── UnknownHardwareError a kind of hardware that the inventory does not list
│   ├── InventoryError       an invalid entry of inventory.yaml, regions.py or hardware.py
│   ├── NeedsError           needs that no region or hardware satisfies, or an invalid quantity
│   ├── PlacementInputError  a placement problem with an invalid figure, name or order
│   ├── SourceError          a folder or file of rows that is missing or not in the expected format
│   │   └── RejectedError    credentials, certificates or options that a broker or its client library rejects
│   ├── FleetError           a fleet that does not fit the home, or a layout that is not possible
│   └── ModelNotFoundError   a model, version or alias that is not in the registry
├── RefusedError             a check failed: exit code 1
│   ├── ContractError        rows that violate the contract of their table
│   ├── ResidencyError       data that may not leave its region
│   ├── DisagreementError    a served graph whose predictions differ from those of its source
│   └── QuantizationError    a graph that has no INT8 form, or whose INT8 form exceeds a limit
└── FailedError              the command failed: exit code 3
    ├── StorageError         a table, blob or object that could not be read or written completely
    │   ├── UnreachableError a store that does not respond in time
    │   ├── ForbiddenError   a store that rejects the credentials, or a request made with them
    │   ├── AbsentError      a bucket or an object that does not exist
    │   ├── ConflictError    a conditional write that failed because another writer was first
    │   └── DiskError        a disk of this machine that is full or not writable
    ├── BusyError            a home, port or lock that another process holds
    ├── ServingError         a model server that does not start or does not respond
    ├── PlacementError       a plan that breaks a hard rule or contradicts its own figures, or a solver that failed
    └── ClusterError         a region's cluster that rejects a request or does not respond
"""


class SinetError(Exception):
    """Base class of all errors of the platform; `exit_code` is the exit code of the command line."""

    exit_code = 3


class UsageError(SinetError):
    """Wrong usage or input: the caller can correct it."""

    exit_code = 2


class UnknownRegionError(UsageError):
    """A region that the inventory does not list."""


class UnknownHardwareError(UsageError):
    """A kind of hardware that the inventory does not list."""


class InventoryError(UsageError):
    """An invalid entry of `inventory.yaml`, or an invalid row of regions.py or hardware.py."""


class NeedsError(UsageError):
    """Needs that no region or hardware satisfies, or an invalid quantity."""


class PlacementInputError(UsageError):
    """A placement problem with an invalid figure, name or order: a negative price, a cycle."""


class SourceError(UsageError):
    """A folder or file of rows that is missing or not in the expected format."""


class RejectedError(SourceError):
    """Credentials, certificates or options that a broker of a stream, or its client library, rejects."""


class FleetError(UsageError):
    """A fleet that does not fit the home it is landed in, or a layout that is not possible."""


class ModelNotFoundError(UsageError):
    """A model, version or alias that is not in the registry."""


class RefusedError(SinetError):
    """A check failed."""

    exit_code = 1


class ContractError(RefusedError):
    """Rows that violate the contract of their table."""


class ResidencyError(RefusedError):
    """Data that may not leave its region."""


class DisagreementError(RefusedError):
    """A served graph whose predictions differ from those of its source."""


class QuantizationError(RefusedError):
    """A graph that has no INT8 form, or whose INT8 form exceeds a limit."""


class FailedError(SinetError):
    """The command failed although its usage was correct: a full disk, a port in use, a killed process."""

    exit_code = 3


class StorageError(FailedError):
    """A table or blob that could not be read or written completely."""


class UnreachableError(StorageError):
    """An object store that does not respond in time; it is unknown whether a write took effect."""


class ForbiddenError(StorageError):
    """An object store that rejects the credentials, or a request made with them."""


class AbsentError(StorageError):
    """A bucket or an object that does not exist."""


class ConflictError(StorageError):
    """A conditional write that failed, because another writer changed the object first."""


class DiskError(StorageError):
    """A disk of this machine that is full or not writable: no fault of the data, so none of them is set aside."""


class BusyError(FailedError):
    """A home, port or lock that another process holds."""


class ServingError(FailedError):
    """A model server that does not start or does not respond."""


class PlacementError(FailedError):
    """A plan that breaks a hard rule or contradicts its own figures, or a solver that failed."""


class ClusterError(FailedError):
    """A region's cluster that rejects a request or does not respond.

    Attributes:
        status: the HTTP status of the response; 0 where there was none.
        is_final: whether a repeated request would fail in the same way.
        is_untouched: whether it is certain that the request had no effect.
    """

    def __init__(self, message: str, *, status: int = 0, is_final: bool = False, is_untouched: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.is_final = is_final
        self.is_untouched = is_untouched


def first_line(error: Exception) -> str:
    r"""The first line of another library's error message, or the error's class where the message is empty.

    >>> first_line(OSError("no such file\n  at reader.cc:12")), first_line(KeyError())
    ('no such file', 'KeyError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]
