"""Machinery that a learner can skip: which devices there are, and what goes wrong on a GPU.

`selection` chooses a device, which `probing` has tried; `gpu_errors` and `forks` explain failures;
`transfers` guards against waiting for a GPU.
"""

from functools import partial

from xpnet import submodule
from xpnet.device.selection import Device as Device
from xpnet.device.selection import select_device as select_device
from xpnet.device.transfers import no_transfers as no_transfers

__getattr__ = partial(submodule, __name__)
