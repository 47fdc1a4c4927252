"""The control plane: store, queue, identities and the gRPC edge. Never loads torch, onnxruntime or transformers."""
