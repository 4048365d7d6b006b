"""The life of a run: data order, devices, the loop, its directory."""
