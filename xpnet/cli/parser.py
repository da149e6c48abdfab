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
from textwrap import fill, wrap
from typing import Any, NamedTuple, NoReturn, get_args, get_origin

from xpnet.errors import UsageError, choose

ARGUMENTS = "Arguments"  # the panel of what has no name in the line
KINDS = {str: ("TEXT", "a text"), int: ("INT", "a whole number"), float: ("FLOAT", "a number")}

Command = Callable[..., int | None]


@dataclass(frozen=True)
class Option:
    """What the help says of a parameter.

    Attributes
    ----------
    panel : str
        The heading that it stands under; `ARGUMENTS` for what has no name in the line.
    text : str
        What it is.
    names : tuple of str
        By default `--` and the parameter's name.  In `ARGUMENTS` what the help calls it.
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


def run(commands: Mapping[str, Command], arguments: Sequence[str], about: str, version: str) -> int:
    """Run the command that a line names, with the values that it gives; the exit code.

    Parameters
    ----------
    commands : mapping of str to function
        By name.  One parameter of each may be in the panel `ARGUMENTS`.
    arguments : sequence of str
        What stands behind the name of the program.
    about, version : str
        What `--help` and `--version` print.

    Raises
    ------
    UsageError
        There is something wrong with the line.
    SystemExit
        0, after `--help`.
    """
    if not arguments or arguments[0].startswith("-"):
        return _overview(commands, arguments, about, version)
    name, *rest = arguments
    command = commands[choose("command", name, commands)]
    parameters = signature(command).parameters.values()
    given = _Parser.of(f"xpnet {name}", command).values(rest)
    values = {one.name: one.default for one in parameters if one.annotation is not Line} | given
    line = Line(arguments, values, set(given))
    lines = {one.name: line for one in parameters if one.annotation is Line}
    return command(**values, **lines) or 0


def _overview(
    commands: Mapping[str, Command], arguments: Sequence[str], about: str, version: str
) -> int:
    """Print what a line without a command asks for."""
    parser = _Parser("xpnet", "xpnet COMMAND [options]", about)
    parser.add(parser, "--version", action="store_true", help="Print it.")
    panel = parser.add_argument_group("Commands (xpnet COMMAND --help tells their options)")
    for name, command in commands.items():
        panel.add_argument(name, nargs="*", help=_description(command).partition("\n")[0])
    found, others = parser.read(arguments)
    if others and not found:
        parser.error(f"a command comes before {arguments[0]}")
    print(version if found else parser.format_help().rstrip())
    return 0 if found else 2


def _description(command: Command) -> str:
    return cleandoc(command.__doc__ or "")  # under -OO there is none


class _Formatter(argparse.HelpFormatter):
    """The help: paragraphs stay apart, and names with a hyphen, which are copied, in one line."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap(text, width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.split("\n\n")
        return "\n\n".join(fill(part, width, break_on_hyphens=False) for part in paragraphs)


class _Place(NamedTuple):
    """The parameter that has no name in the line."""

    name: str
    what: str
    required: bool
    many: bool

    def __str__(self) -> str:
        what = f"{self.what}..." if self.many else self.what
        return what if self.required else f"[{what}]"


class _Parser(argparse.ArgumentParser):
    """Of a command's line, or of one without a command."""

    def __init__(self, program: str, usage: str, about: str) -> None:
        super().__init__(
            program,
            usage,
            about,
            formatter_class=_Formatter,
            argument_default=argparse.SUPPRESS,  # the defaults are the function's
            allow_abbrev=False,
            add_help=False,
        )
        self.names: list[str] = []  # of options
        self.valued: set[str] = set()  # those that take a value
        self.kinds: dict[str, tuple[str, Any]] = {}  # for a parameter its option and type
        self.place: _Place | None = None
        self.add(self, "-h", "--help", action="store_true", help="Print this.")

    @classmethod
    def of(cls, program: str, command: Command) -> "_Parser":
        """The parser of a command."""
        parser = cls(program, f"{program} [options]", _description(command))
        panels: dict[str, Any] = {}
        for parameter in signature(command).parameters.values():
            if parameter.annotation is Line:
                continue
            kind, said = get_args(parameter.annotation)
            if said.panel not in panels:
                panels[said.panel] = parser.add_argument_group(said.panel)
            parser.add_parameter(panels[said.panel], parameter, kind, said)
        return parser

    def add(self, panel: Any, *names: str, **settings: Any) -> None:
        """Add an option to a panel."""
        action = panel.add_argument(*names, **settings)
        self.names += action.option_strings
        if action.nargs is None:
            self.valued |= set(action.option_strings)

    def add_parameter(self, panel: Any, parameter: Parameter, kind: Any, said: Option) -> None:
        """A parameter is a bool; a str, int or float, or that or None; or a list of str."""
        name, default = parameter.name, parameter.default
        known = said.default or default
        shown = (
            "" if known in (Parameter.empty, None, "") or known is False else f" [default: {known}]"
        )
        text = (said.text + shown).replace("%", "%%")
        names = said.names or ("--" + name.replace("_", "-"),)
        if said.panel == ARGUMENTS:
            required, many = default is Parameter.empty, get_origin(kind) is list
            self.place = _Place(name, names[0], required, many)
            self.usage = f"{self.usage} {self.place}"
            panel.add_argument(name, nargs="*", metavar=names[0], help=text)
        elif kind is bool:
            action = argparse.BooleanOptionalAction if default else "store_true"
            self.add(panel, *names, dest=name, action=action, help=text)
        else:
            kind = next(one for one in (kind, *get_args(kind)) if one in KINDS)
            self.kinds[name] = names[0], kind
            self.add(panel, *names, dest=name, metavar=KINDS[kind][0], help=text)

    def read(self, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """What options give, by parameter, and all that is no option.

        Options may stand anywhere before a `--`, and what follows one that takes a value is that
        value: argparse by itself takes -1e-3 for an option, and texts from one place only.
        """
        options: list[str] = []
        others: list[str] = []
        rest = iter(arguments)
        for text in rest:
            name = text.partition("=")[0]
            if text == "--":
                others += rest
            elif not text.startswith("-") or text == "-":
                others.append(text)
            elif name not in self.names:
                near = get_close_matches(name, self.names, n=1, cutoff=0.7)
                self.error(f"unknown option {name}" + "".join(f", did you mean {a}?" for a in near))
            elif text in self.valued:
                value = next(rest, None)
                if value is None:
                    self.error(f"{text}: expected a value")
                options.append(f"{text}={value}")
            else:
                options.append(text)
        if {"-h", "--help"} & {*options}:
            print(self.format_help(), end="")
            self.exit()
        return vars(self.parse_args(options)), others

    def values(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The values that a line gives, by parameter."""
        given, others = self.read(arguments)
        for name in given.keys() & self.kinds.keys():
            option, kind = self.kinds[name]
            try:
                given[name] = kind(given[name])
            except ValueError:
                self.error(f"{option} {given[name]}: expected {KINDS[kind][1]}")
        place = self.place
        room = 0 if place is None else len(others) if place.many else 1
        if len(others) > room:
            self.error(f"{others[room]!r} is one argument too many")
        if place is not None and others:
            given[place.name] = others if place.many else others[0]
        elif place is not None and place.required:
            self.error(f"expected {place}")
        return given

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message.removeprefix('argument ')} ({self.prog} --help)")
