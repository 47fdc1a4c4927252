"""What honed remembers: a SQLite file. Knows the worker's contract; knows no gRPC, no torch."""

from honed.daemon.store.database import Database
from honed.daemon.store.jobs import LIVE, Job, JobStore, Makes, NewJob
from honed.daemon.store.resources import Collection, NewResource, Resource, ResourceStore, cannot_generate
from honed.daemon.store.templates import TemplateStore, TemplateVersion

__all__ = [
    "LIVE",
    "Collection",
    "Database",
    "Job",
    "JobStore",
    "Makes",
    "NewJob",
    "NewResource",
    "Resource",
    "ResourceStore",
    "TemplateStore",
    "TemplateVersion",
    "cannot_generate",
]
