"""The ways to run a network, by name."""

NAMES = ("eager", "frozen", "compiled", "onnxruntime")
DTYPES = ("float32", "bfloat16", "float16")
PACKAGES = ("onnxruntime",)
