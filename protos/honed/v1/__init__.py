"""The wire: honed.v1 messages and services. Generated from the .proto files beside it by `make protos`."""
