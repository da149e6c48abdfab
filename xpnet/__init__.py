"""A neural network from scratch, its derivatives worked out by hand, on any array library.

    model = xpnet.mlp(784, 128, 10)
    result = xpnet.fit(model, x, y)
    result.model.predict(x)

To learn how it works, read layers, activations, losses, network, optimizers, train, in this
order.  Names are imported when first used, so that `import xpnet` costs next to nothing; editors
and type checkers read them from `__init__.pyi`, written by `scripts/generate.py`.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from xpnet import registry

__version__ = "0.1.0"
__all__ = sorted(registry.PUBLIC)


def submodule(package: str, name: str) -> Any:
    """Return a module of a package, imported when it is first accessed as an attribute."""
    if "." in name or find_spec(f"{package}.{name}") is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return import_module(f"{package}.{name}")


def __getattr__(name: str) -> Any:
    if name not in registry.PUBLIC:
        try:
            return submodule("xpnet", name)
        except AttributeError:
            from xpnet.checks import name_elsewhere

            return name_elsewhere("xpnet", name)
    value = registry.look_up(registry.PUBLIC[name])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
