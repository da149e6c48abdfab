"""Fast paths: the same numbers as the core's, to rounding, in less time.

None is needed: without this folder xpnet is slower.
"""

from xpnet.fast.fuse import can_fuse as can_fuse
from xpnet.fast.fuse import fuse as fuse
