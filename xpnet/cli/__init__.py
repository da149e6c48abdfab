"""Machinery that a learner can skip: the command line.

Exit codes: 0; 2 for wrong usage and for a device that was demanded and isn't there; 1 for failure;
130 after Ctrl-C; 141 if the reader of the output has left, as in `xpnet devices | head -1`.  A
mistake of the user's is answered in one line, and several faults of a file in a line each.

parser.py reads the line, options.py has what commands share, train.py `train`, use.py `evaluate`
and `devices`, predict.py `predict`, learn.py `gradcheck` and `explain`, bench.py `bench`;
run_folder.py has the files of a run, record.py what run.json says, report.py what `train` prints,
tasks.py what is to be predicted of some data.
"""

import io
import os
import sys
import warnings
from collections.abc import Sequence
from inspect import signature
from typing import Any

import click
from click.exceptions import Exit

from xpnet import __version__
from xpnet.cli.parser import Commands
from xpnet.errors import NEXT_FAULT, DeviceFallbackWarning, XpnetError
from xpnet.registry import COMMANDS

program = Commands(
    COMMANDS, "A neural network from scratch: train it, evaluate it, predict with it."
)
click.version_option(__version__, message="xpnet %(version)s", help="Print it.")(program)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a label may have letters that a terminal lacks
            stream.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", DeviceFallbackWarning)
        try:
            line = [*arguments] or ["--help"]  # click takes the list to pieces
            with program.make_context("xpnet", line, obj=arguments) as context:
                code = int(program.invoke(context) or 0)
            _flush()
            return code
        except Exit as ended:  # after --help and --version, which click has written
            return ended.exit_code if arguments else 2
        except XpnetError as error:
            return _fail(_by_option(error, arguments), error.exit_code)
        except click.ClickException as error:
            command = f"{arguments[0]} " if arguments[0] in program.functions else ""
            return _fail(f"{error.format_message()} (xpnet {command}--help)", error.exit_code)
        except KeyboardInterrupt:
            return _fail("interrupted", 130)
        except MemoryError as error:
            told = f" ({error})" if str(error) else ""
            return _fail(f"out of memory{told}; try a smaller --batch-size or network", 1)
        except OSError as error:
            _end_output()
            if isinstance(error, BrokenPipeError):  # whoever read our output has left
                return 141  # as a shell says of a program that SIGPIPE ends
            where = f"{error.filename}: " if error.filename else ""
            return _fail(f"{where}{error.strerror or error}", 1)


def _by_option(error: XpnetError, arguments: Sequence[str]) -> str:
    """Return the message of an error, in which an argument of the command is its option."""
    message, name = str(error), getattr(error, "argument", None)
    command = COMMANDS.get(arguments[0]) if arguments else None
    if name and command and name in signature(command).parameters and message.startswith(name):
        return f"--{name.replace('_', '-')}{message[len(name) :]}"
    return message


def _end_output() -> None:
    """Write what is still to be written; where that fails, the interpreter shall not try again."""
    try:
        _flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _flush() -> None:
    print(end="", flush=True)  # nothing where there is no standard output


def _fail(message: str, code: int) -> int:
    lines = [" ".join(line.splitlines()) for line in message.split(NEXT_FAULT)]
    print("xpnet:", NEXT_FAULT.join(lines), file=sys.stderr)
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"xpnet: warning: {message}", file=sys.stderr)
