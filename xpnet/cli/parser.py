"""Commands of click from functions: the parameters are the arguments and options.

Each is annotated with its type and an `Option`, as in `epochs: Annotated[int, option(...)] = 10`;
click reads the line.  typer does the same, but needs 85 ms to be imported with its pydantic, as
long as NumPy; click needs 8.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, cleandoc, signature
from typing import Any, get_args, get_origin

import click

from xpnet.checks import choose

ARGUMENTS = "Arguments"  # the panel of what has no name in the line
TYPES = (bool, str, int, float)

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


class Commands(click.Group):
    """The program: commands by name; each is made when it is asked for.

    Parameters
    ----------
    functions : mapping of str to function
        A first parameter that is annotated as a `click.Context` gets that.
    about : str
        For the help.
    """

    def __init__(self, functions: Mapping[str, Command], about: str) -> None:
        names = {"help_option_names": ["-h", "--help"]}
        super().__init__("xpnet", help=about, context_settings=names)
        self.functions = functions

    def list_commands(self, context: click.Context) -> list[str]:
        return [*self.functions]

    def get_command(self, context: click.Context, name: str) -> "_Command":
        return _Command(name, self.functions[choose("command", name, self.functions)])

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            lines = {name: _text(function) for name, function in self.functions.items()}
            formatter.write_dl([(name, text.partition("\n")[0]) for name, text in lines.items()])


class _Command(click.Command):
    """A function, whose parameters stand in panels in the help."""

    def __init__(self, name: str, function: Command) -> None:
        parameters = [*signature(function).parameters.values()]
        if parameters and parameters[0].annotation is click.Context:
            function = click.pass_context(function)
            del parameters[0]
        self.said: dict[str | None, Option] = {}
        params = []
        for one in parameters:
            kind, self.said[one.name] = get_args(one.annotation)
            params.append(_parameter(one, kind, self.said[one.name]))
        super().__init__(name, callback=function, params=params, help=_text(function))

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for one in self.get_params(context):
            said = self.said.get(one.name)
            if isinstance(one, click.Argument) and said is not None:
                default = f"  [default: ({said.default})]" if said.default else ""
                record: tuple[str, str] | None = (said.names[0], said.text + default)
            else:
                record = one.get_help_record(context)
            if record is not None:
                panels.setdefault(said.panel if said else "Options", []).append(record)
        for panel, records in panels.items():
            with formatter.section(panel):
                formatter.write_dl(records)


def _text(function: Command) -> str:
    return cleandoc(function.__doc__ or "")  # under -OO there is none


def _parameter(parameter: Parameter, kind: Any, said: Option) -> click.Parameter:
    """A parameter is a bool, str, int or float, or that or None; or a tuple of str."""
    name, default = parameter.name, parameter.default
    settings: dict[str, Any] = {"required": default is Parameter.empty}
    settings["type"] = next(one for one in (kind, *get_args(kind)) if one in TYPES)
    if default is not Parameter.empty:
        settings["default"] = default
    if said.panel == ARGUMENTS:
        settings["nargs"] = -1 if get_origin(kind) is tuple else 1
        return click.Argument([name], metavar=said.names[0], **settings)
    flag, is_flag = "--" + name.replace("_", "-"), settings["type"] is bool
    if is_flag and default is not False:
        flag += "/--no-" + flag[2:]
    shown = said.default or not (default is None or default is False)
    return click.Option(
        [*(said.names or (flag,)), name],
        is_flag=is_flag, show_default=shown, help=said.text, **settings,
    )  # fmt: skip
