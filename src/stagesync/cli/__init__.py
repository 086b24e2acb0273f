"""The command line: reads arguments, shows results, returns the documented exit codes. It decides nothing else."""

import atexit
import gc
import os

# What a command imports lives until it ends: to look for garbage among it again and again finds none.
gc.set_threshold(50_000, 20, 100)
# Nor at the end, when all memory is given back at once.
atexit.register(gc.freeze)
# pydantic would read the metadata of every installed package to find plugins, and we have none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
