"""What can go wrong, in words: each error says what was given, what is expected, what to do.

The command line prints the message alone and exits with the class's `exit_code`.
"""

NEXT_FAULT = "\n  "  # between the faults of a table in one message


class XpnetError(Exception):
    """Something that the user can put right; the base of all errors of xpnet."""

    exit_code = 1


class UsageError(XpnetError, ValueError):
    """An argument or option that no data could make right.

    Attributes
    ----------
    argument : str or None
        The argument that the message begins with, if it begins with one.  The command line writes
        the name of the option instead.
    """

    exit_code = 2

    def __init__(self, message: str, argument: str | None = None) -> None:
        super().__init__(message)
        self.argument = argument


class WrongAttributeError(UsageError, AttributeError):
    """An attribute of other libraries' models; the message says what to write here."""


class WrongNameError(UsageError, ImportError):
    """A name of other libraries; the message says what to write here.

    It is no AttributeError, in whose place `from xpnet import NAME` raises one without the message.
    """


class DataError(XpnetError, ValueError):
    """A file or an array that isn't what it should be."""


class DeviceError(XpnetError, RuntimeError):
    """A device that was demanded and cannot be used."""

    exit_code = 2


class DeviceFailedError(XpnetError, RuntimeError):
    """A device that failed while it computed, or had no memory left.

    Attributes
    ----------
    result : xpnet.Result or None
        In training the best model and the history up to the last whole epoch.
    """

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class TransferError(XpnetError, RuntimeError):
    """A copy from a device, or a wait for it, where there should be none."""


class DivergedError(XpnetError, ArithmeticError):
    """The loss became NaN or infinite.

    Attributes
    ----------
    result : xpnet.Result
        The last good model and the history up to it.
    """

    def __init__(self, message: str, result: object) -> None:
        super().__init__(message)
        self.result = result


class DeviceFallbackWarning(UserWarning):
    """The GPU that was asked for cannot be used, and the CPU took its place."""
