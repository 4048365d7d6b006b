"""Progress bars: at a terminal and in notebooks, and nowhere else."""
import sys
from typing import Any

import tqdm


def visible() -> bool:
    """Whether somebody watches: standard error is a terminal, or this is a notebook."""
    return "ipykernel" in sys.modules or sys.stderr.isatty()


def bar(*args: Any, progress: bool = True, **options: Any) -> tqdm.tqdm:
    """`tqdm.tqdm(*args, **options)`, hidden without `progress` or where nobody watches."""
    return tqdm.tqdm(*args, disable=not (progress and visible()), **options)
