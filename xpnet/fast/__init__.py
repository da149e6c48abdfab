"""Fast paths: the same numbers as the core's, to rounding, in less time.

None is needed: without this folder xpnet is slower.
"""

from xpnet.fast.fused import can_fuse as can_fuse
from xpnet.fast.fused import fuse as fuse
