"""Fusing: a step of the core as a plan, which changes its arrays in place."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnet.device import remember
from xpnet.fast.plan import Plan, aligned
from xpnet.fast.record import NAMESPACE, HostArray, Recorded, constant, variable

remember(Recorded, NAMESPACE)


class Fused:
    def __init__(self, function, variables, arguments):
        self.arguments = [aligned(a.shape, a.dtype) for a in arguments]
        self.variables = variables
        recorded = [variable(a) for a in variables]
        given = [variable(a) for a in arguments]
        results = function(recorded, *given)
        inputs = [*zip(recorded, variables), *zip(given, self.arguments)]
        self.plan = Plan(
            [(r.node, a) for r, a in inputs],
            [(r.node, a) for r, a in zip(results, variables, strict=True)],
        )

    def __call__(self, *arguments):
        for mine, given in zip(self.arguments, arguments):
            np.copyto(mine, given)
        self.plan()


fuse = Fused
