"""Tuning methods, one a file, behind one interface: attach to a base, save, load."""

from honed.tune.methods.full import FullModel
from honed.tune.methods.registry import (
    METHODS,
    TunedModel,
    attach,
    check,
    load,
    save,
    to_compensate,
    trainable_parameters,
)
from honed.tune.methods.settings import Settings
from honed.tune.methods.virtual import saved_virtual_tokens, virtual_cache, virtual_tokens

__all__ = [
    "METHODS",
    "FullModel",
    "Settings",
    "TunedModel",
    "attach",
    "check",
    "load",
    "save",
    "saved_virtual_tokens",
    "to_compensate",
    "trainable_parameters",
    "virtual_cache",
    "virtual_tokens",
]
