"""`python -m xpnet` and the command `xpnet`."""

import gc
import sys


def main() -> None:
    """Run the command line; the exit code is 130 after Ctrl-C, even while it starts."""
    try:
        from xpnet.cli import run

        code = run()
    except KeyboardInterrupt:
        code = 130
    gc.freeze()  # at its end the interpreter need not look through all that was imported
    sys.exit(code)


if __name__ == "__main__":
    main()
