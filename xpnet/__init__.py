"""A neural network from scratch, its derivatives worked out by hand, on any array library.

    model = xpnet.mlp(784, 128, 10)
    result = xpnet.fit(model, x, y)
    result.model.predict(x)

To learn how it works, read layers, activations, losses, network, optimizers, train, in this
order.  Names are imported when first used, so that `import xpnet` costs next to nothing.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from xpnet.builder import mlp as mlp
    from xpnet.device.selection import Device as Device
    from xpnet.device.selection import select as select
    from xpnet.errors import DataError as DataError
    from xpnet.errors import DeviceError as DeviceError
    from xpnet.errors import DeviceFallbackWarning as DeviceFallbackWarning
    from xpnet.errors import DivergedError as DivergedError
    from xpnet.errors import UsageError as UsageError
    from xpnet.errors import XpnetError as XpnetError
    from xpnet.fitting.evaluation import evaluate as evaluate
    from xpnet.fitting.results import Result as Result
    from xpnet.fitting.training import fit as fit
    from xpnet.losses import AbsoluteError as AbsoluteError
    from xpnet.losses import BinaryCrossEntropy as BinaryCrossEntropy
    from xpnet.losses import BinaryFocal as BinaryFocal
    from xpnet.losses import Focal as Focal
    from xpnet.losses import Hinge as Hinge
    from xpnet.losses import Huber as Huber
    from xpnet.losses import Pinball as Pinball
    from xpnet.losses import Poisson as Poisson
    from xpnet.losses import SoftmaxCrossEntropy as SoftmaxCrossEntropy
    from xpnet.losses import SoftmaxSquaredError as SoftmaxSquaredError
    from xpnet.losses import SquaredError as SquaredError
    from xpnet.model import Model as Model
    from xpnet.model import load as load
    from xpnet.network import Network as Network
    from xpnet.optimizers import SGD as SGD
    from xpnet.optimizers import Adagrad as Adagrad
    from xpnet.optimizers import Adam as Adam
    from xpnet.optimizers import AdamW as AdamW
    from xpnet.optimizers import Lion as Lion
    from xpnet.optimizers import RMSprop as RMSprop
    from xpnet.train import train_step as train_step

_MODULES = {
    "AbsoluteError": "losses",
    "Adagrad": "optimizers",
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "BinaryCrossEntropy": "losses",
    "BinaryFocal": "losses",
    "DataError": "errors",
    "Device": "device",
    "DeviceError": "errors",
    "DeviceFallbackWarning": "errors",
    "DivergedError": "errors",
    "Focal": "losses",
    "Hinge": "losses",
    "Huber": "losses",
    "Lion": "optimizers",
    "Model": "model",
    "Network": "network",
    "Pinball": "losses",
    "Poisson": "losses",
    "RMSprop": "optimizers",
    "Result": "fitting.results",
    "SGD": "optimizers",
    "SoftmaxCrossEntropy": "losses",
    "SoftmaxSquaredError": "losses",
    "SquaredError": "losses",
    "UsageError": "errors",
    "XpnetError": "errors",
    "evaluate": "fitting.evaluation",
    "fit": "fitting.training",
    "load": "model",
    "mlp": "builder",
    "select": "device",
    "train_step": "train",
}
__all__ = sorted(_MODULES)


def submodule(package: str, name: str) -> Any:
    """Return a module of a package, imported when it is first accessed as an attribute."""
    if find_spec(f"{package}.{name}") is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return import_module(f"{package}.{name}")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        return submodule("xpnet", name)
    value = getattr(import_module(f"xpnet.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
