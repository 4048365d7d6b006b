"""The life of a run: data order, devices, the loop, its directory."""
# The names that options take; this module imports nothing.
SCHEDULES = ("constant", "cosine")  # of the learning rate
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")
PRECISIONS = ("auto", "none", "bfloat16", "float16")
