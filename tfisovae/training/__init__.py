"""The life of a run: data order, devices, the loop, its directory."""
# Names for options; this module imports nothing.
SCHEDULES = ("constant", "cosine")  # schedules of the learning rate
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")
PRECISIONS = ("auto", "none", "bfloat16", "float16")
