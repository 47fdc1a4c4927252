"""Adapters merged, graphs built. Every conversion is measured by its caller (`honed.worker`)."""

from honed.export.graph import build
from honed.export.merge import merge, save_checkpoint

__all__ = ["build", "merge", "save_checkpoint"]
