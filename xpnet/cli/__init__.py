"""The command line.  With its modules the one user of typer.

Exit codes: 0; 2 for wrong usage and for a device that was demanded and isn't there; 1 for
failure; 130 after Ctrl-C.  A mistake of the user's is answered in one line.

options.py has what commands share, train.py `train`, use.py `evaluate`, `predict` and `devices`,
learn.py `gradcheck` and `explain`, bench.py `bench`.
"""

import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from xpnet import __version__, packaged
from xpnet.cli import bench, learn, train, use
from xpnet.cli.options import app
from xpnet.errors import DeviceFallbackWarning, XpnetError

for _command in (train, use, learn, bench):
    _command.add()


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
    elsewhere = any(text.startswith(("--data", "--help", "-h")) for text in arguments)
    if arguments[:1] == ["train"] and not elsewhere:
        packaged.begin()  # before the options are looked through, which takes typer long
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", DeviceFallbackWarning)
        try:
            code = app(args=arguments, prog_name="xpnet", standalone_mode=False, obj=arguments)
            if sys.stdout is not None:
                sys.stdout.flush()
            # Typer turns Ctrl-C into 130; train says itself what it keeps.
            return _fail("interrupted", 130) if code == 130 else int(code or 0)
        except XpnetError as error:
            return _fail(str(error), error.exit_code)
        except TyperException as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                print(error.format_message())
                return 2
            return _fail(f"{error.format_message()} (xpnet --help)", error.exit_code)
        except KeyboardInterrupt:
            return _fail("interrupted", 130)
        except MemoryError as error:
            return _fail(f"out of memory ({error}); try a smaller --batch-size or network", 1)
        except BrokenPipeError:
            # Whoever read our output has left; keep the interpreter's last flush from complaining.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return _fail(f"{where}{error.strerror or error}", 1)


def _fail(message: str, code: int) -> int:
    print(f"xpnet: {' '.join(message.split())}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"xpnet: warning: {message}", file=sys.stderr)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"xpnet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass
