import resource

import numpy as np
from honed.tune.usage import memory_bytes


def test_memory_is_what_is_resident_now():
    before = memory_bytes()
    block = np.ones(1 << 26, np.uint8)
    with_block = memory_bytes()
    assert with_block - before > 0.9 * block.nbytes  # other threads may give some back meanwhile
    del block
    assert memory_bytes() - before < 0.5 * (1 << 26)
    assert with_block <= 1.1 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
