"""What is measured on is named."""

import numpy as np

from xpnet.tools.machine_description import machine, version


def test_the_machine_is_named() -> None:
    told = machine("threadpoolctl", "no-such-distribution")
    assert f"NumPy {np.__version__}" in told
    assert " cores, load " in told
    assert f"threadpoolctl {version('threadpoolctl')}" in told
    assert "no-such" not in told
