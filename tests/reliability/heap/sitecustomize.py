"""Makes every process that finds it on its path report how many blocks of memory its objects take.

The resident set does not show a leak that is smaller than the tables, which fill and empty in turn. The count of living
blocks does: the interpreter counts the blocks that it has given out. Each process writes the count every second into a
file of its own in the folder $STANCHION_HEAP. While there is a file `collect`, it first collects garbage and empties
the functions' caches (`lru_cache`), which are bounded and fill for hours.
"""

import gc
import os
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path

EVERY_S = 1.0
Cached = type(lru_cache(lambda: None))


def forget() -> None:
    """Empty the caches of functions."""
    for module in list(sys.modules.values()):
        for value in list(getattr(module, "__dict__", {}).values()):
            if isinstance(value, Cached):
                value.cache_clear()


def count(file: Path) -> None:
    while True:
        if file.with_name("collect").exists():
            forget()
            gc.collect()
        file.with_suffix(".new").write_text(str(sys.getallocatedblocks()))
        file.with_suffix(".new").replace(file)
        time.sleep(EVERY_S)


if folder := os.environ.get("STANCHION_HEAP"):
    threading.Thread(target=count, args=(Path(folder) / f"{os.getpid()}",), daemon=True).start()
