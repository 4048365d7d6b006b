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


class Later:
    """A bar that shows only when its work starts: a refusal before that leaves none behind.

    Args:
      options: as for `bar`.
    """

    def __init__(self, **options: Any) -> None:
        self._options, self._bar = options, None

    def start(self) -> None:
        """Shows the bar."""
        if self._bar is None:
            self._bar = bar(**self._options)

    def update(self, count: int) -> None:
        """Shows the bar, and adds `count`."""
        self.start()
        self._bar.update(count)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
