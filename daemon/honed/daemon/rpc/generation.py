"""GenerationService: finds the engine and passes the bytes through, unparsed but for the name of the model."""

from collections.abc import AsyncIterator

from grpc import GenericRpcHandler, aio, method_handlers_generic_handler, unary_stream_rpc_method_handler
from honed.daemon.core import Core
from honed.daemon.rpc import convert
from honed.daemon.rpc.methods import require_served
from honed.daemon.rpc.names import check_name
from honed.daemon.store import Resource, cannot_generate
from honed.errors import WrongState
from honed.rpc_edge import DETAILS_KEY
from honed.v1 import generation_pb2

SERVICE = "honed.v1.GenerationService"


def generation_handler(core: Core) -> GenericRpcHandler:
    """The service as a handler of raw bytes."""

    async def generate(request: bytes, context: aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        name = generation_pb2.GenerateRequest.FromString(request).model
        check_name(name, "model", "exports", "adapters", "models")
        export = _servable(core, name)
        try:
            async for message in core.engines.generate(export, request, context.time_remaining()):
                yield message
        except aio.AioRpcError as error:
            details = [(key, value) for key, value in (error.trailing_metadata() or ()) if key == DETAILS_KEY]
            await context.abort(error.code(), error.details() or "", tuple(details))

    return method_handlers_generic_handler(SERVICE, {"Generate": unary_stream_rpc_method_handler(generate)})


def _servable(core: Core, name: str) -> Resource:
    """The export that answers for a name.

    Raises:
        NotFound: there is no such resource.
        InvalidInput: it is an adapter of a method that no export can serve.
        WrongState: it has not been exported, or writes no text.
    """
    resource = core.resources.get(name)
    if name.startswith("exports/"):
        return resource
    if why := cannot_generate(resource):
        raise WrongState(f"{name} {why}.", reason="CANNOT_GENERATE", resource=name)
    export = core.resources.newest_export_of(name)
    if export is None:
        if name.startswith("adapters/"):
            require_served(name, convert.adapter(resource).spec)
        raise WrongState(
            f"{name} has no export to serve; make one first: hone export ID {name}",
            reason="NOT_EXPORTED",
            resource=name,
        )
    return export
