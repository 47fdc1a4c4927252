"""What a tuning takes of the machine at this moment."""

import os
from pathlib import Path

import torch
from honed.tune import base

_STATM = Path("/proc/self/statm")  # in pages: the address space, what of it is resident, ...


def memory_bytes() -> int:
    """Memory of this process now: on a CPU what is resident, on a GPU what torch's allocator holds of it."""
    if base.device().type == "cuda":
        return torch.cuda.memory_reserved()
    return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
