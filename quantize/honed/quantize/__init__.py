"""Number formats of weights, one file each. Knows torch, nothing of models or data."""

from honed.quantize.nf4 import Nf4, relative_error

__all__ = ["Nf4", "relative_error"]
