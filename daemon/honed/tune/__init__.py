"""Tuning: the frozen base, the methods, the loop, and the tuned model as a predictor. Knows torch; no gRPC."""
