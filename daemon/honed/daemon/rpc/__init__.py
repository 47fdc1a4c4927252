"""The gRPC edge of the daemon: one service a file. protobuf and grpc stop here."""
