"""Families of models that honed knows, by config.json's `model_type`. Standard library only."""

# Those whose forward is decoder, then head, with nothing in between (no soft cap, no scaling of the logits), and that
# the model builder and the tests of this project cover.
DECODERS = ("llama", "mistral", "qwen2", "qwen3")

# Those that read a text and write none: they are tuned to classify, with a head.
ENCODERS = ("bert",)
