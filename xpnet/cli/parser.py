"""A command is a function, and what its line may say are the function's parameters.

Each is annotated with its type and an `Option`, as in `epochs: Annotated[int, option(...)] = 10`;
argparse reads the line.  Libraries that do the same have to be imported first, which takes as long
as importing NumPy (typer and its pydantic 85 ms).
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import Parameter, cleandoc, signature
from typing import Any, NoReturn, get_args, get_origin

from xpnet.errors import UsageError, choose

ARGUMENTS = "Arguments"  # the panel of what has no name
METAVARS = {str: "TEXT", int: "INT", float: "FLOAT"}

Command = Callable[..., int | None]


@dataclass(frozen=True)
class Option:
    """What the help says of a parameter.

    Attributes
    ----------
    panel : str
        The heading that it stands under; of `ARGUMENTS` the line gives no names.
    text : str
        What it is.
    names : tuple of str
        By default `--` and the parameter's name.
    default : str
        What its default is, where the value does not tell.
    """

    panel: str
    text: str
    names: tuple[str, ...]
    default: str


def option(panel: str, text: str, *names: str, default: str = "") -> Option:
    """The annotation of a parameter."""
    return Option(panel, text, names, default)


@dataclass(frozen=True)
class Line:
    """The line itself; a parameter that is annotated with it gets it.

    Attributes
    ----------
    arguments : sequence of str
        What stands behind the name of the program.
    values : dict
        Of each parameter, by name.
    given : set of str
        The names of those whose value is not the default, but given.
    """

    arguments: Sequence[str]
    values: dict[str, Any]
    given: set[str]


class _Parser(argparse.ArgumentParser):
    def __init__(self, prog: str, description: str, **settings: Any) -> None:
        super().__init__(
            prog,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} ({self.prog} --help)")


def run(commands: Mapping[str, Command], arguments: Sequence[str], about: str, version: str) -> int:
    """Run the command that a line names, with the values that it gives; the exit code.

    Parameters
    ----------
    commands : mapping of str to function
        By name.
    arguments : sequence of str
        What stands behind the name of the program.
    about, version : str
        What `--help` and `--version` print.

    Raises
    ------
    UsageError
        There is something wrong with the line.
    SystemExit
        0, after `--help` and `--version`.
    """
    if not arguments or arguments[0].startswith("-"):
        parser = _overview(commands, about, version)
        parser.parse_args(arguments)
        parser.print_help()
        return 2
    name, *rest = arguments
    command = commands[choose("command", name, commands)]
    given = read(f"xpnet {name}", command, rest)
    parameters = signature(command).parameters.values()
    values = {one.name: one.default for one in parameters if one.annotation is not Line} | given
    line = Line(arguments, values, set(given))
    lines = {one.name: line for one in parameters if one.annotation is Line}
    return command(**values, **lines) or 0


def _overview(commands: Mapping[str, Command], about: str, version: str) -> _Parser:
    parser = _Parser("xpnet", about, usage="xpnet [--help] [--version] COMMAND ...")
    parser.add_argument("--version", action="version", version=version, help="Print it.")
    listed = parser.add_argument_group("Commands")
    for name, command in commands.items():
        listed.add_argument(name, nargs="?", help=_lines(command)[0])
    return parser


def _lines(command: Command) -> list[str]:
    return cleandoc(command.__doc__ or "").split("\n")  # under -OO there are none


def read(program: str, command: Command, arguments: Sequence[str]) -> dict[str, Any]:
    """The values that a line gives, by the names of the command's parameters.

    Raises
    ------
    UsageError, SystemExit
        As `run`.
    """
    parser = _Parser(program, "\n".join(_lines(command)), argument_default=argparse.SUPPRESS)
    panels: dict[str, Any] = {}
    usage, names = [program, "[options]"], ["--help"]
    for parameter in signature(command).parameters.values():
        if parameter.annotation is Line:
            continue
        kind, said = get_args(parameter.annotation)
        if said.panel not in panels:
            panels[said.panel] = parser.add_argument_group(said.panel)
        settings = _settings(parameter, kind, said)
        if said.panel == ARGUMENTS:
            (metavar,) = said.names
            usage.append({None: "{}", "?": "[{}]", "+": "{}..."}[settings["nargs"]].format(metavar))
            panels[ARGUMENTS].add_argument(parameter.name, metavar=metavar, **settings)
        else:
            flags = said.names or ("--" + parameter.name.replace("_", "-"),)
            names += flags
            panels[said.panel].add_argument(*flags, dest=parameter.name, **settings)
    parser.usage = " ".join(usage)
    namespace, extra = parser.parse_known_intermixed_args(arguments)
    for text in extra:
        if text.startswith("-"):
            near = get_close_matches(text, names, n=1)
            parser.error(f"unknown option {text}" + "".join(f", did you mean {a}?" for a in near))
    if extra:
        parser.error(f"{extra[0]!r} is one argument too many")
    return vars(namespace)


def _settings(parameter: Parameter, kind: Any, said: Option) -> dict[str, Any]:
    """For argparse: a parameter is a bool, or a str, int or float, a list of it, or it or None."""
    required = parameter.default is Parameter.empty
    known = said.default or parameter.default
    shown = "" if required or known is None or isinstance(known, bool) else f" [default: {known}]"
    settings: dict[str, Any] = {"help": (said.text + shown).replace("%", "%%")}
    if kind is bool:
        switch = argparse.BooleanOptionalAction if parameter.default else "store_true"
        return settings | {"action": switch}
    settings["type"] = next(one for one in (kind, *get_args(kind)) if one in METAVARS)
    if said.panel != ARGUMENTS:
        return settings | {"metavar": METAVARS[settings["type"]]}
    return settings | {"nargs": "+" if get_origin(kind) is list else None if required else "?"}
