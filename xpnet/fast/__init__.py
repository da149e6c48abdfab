"""Fast paths: the same numbers as the core's, to rounding, in less time.

None is needed: without this folder xpnet is slower.
"""

from xpnet.fast.fuse import Fused, fuse

__all__ = ["Fused", "fuse"]
