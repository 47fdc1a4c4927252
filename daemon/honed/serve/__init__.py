"""The engine: scheduler, key/value slots, sampling. Knows onnxruntime; no torch, no store."""
