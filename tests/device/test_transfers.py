"""The guard against copies and waits, where there is no CuPy."""

import numpy as np

from xpnet.device.transfers import no_transfers


def test_the_guard_needs_no_cupy(no_cupy: None) -> None:
    with no_transfers():
        assert float(np.ones(1)[0]) == 1
