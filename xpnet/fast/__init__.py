"""Fast paths: the same numbers as the core's, to rounding, in less time.

None is needed: without this folder xpnet is slower.  Both begin with what the core does, written
down once (`record`).

On NumPy (`fused`) it becomes a list of calls on arrays that are there already (`plan`), long
vectors block by block (`blocks`), random numbers drawn ahead (`draws`).

On CuPy (`gpu`) it becomes kernels: which there are (`schedule`), their source (`kernels`,
`expressions`, `indices`), matrix products beside them (`cublas`), and all of a step on the device's
memory (`program`), launched one after another or as a CUDA graph.
"""

from xpnet.fast.fused import can_fuse as can_fuse
from xpnet.fast.fused import fuse as fuse
