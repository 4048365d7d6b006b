"""The library speaks of arguments, the command line of options: one becomes the other where a
message is printed.
"""
import re
from typing import Any

_PLAIN = ("lmbda", "clipnorm")  # names without an underscore that are no words


def as_options(text: str, names: dict[str, Any]) -> str:
    """A message with the arguments that are options written as such: "run_dir" to "--run_dir",
    "data=PATH" to "--data PATH".

    Args:
      text: of an error of the library.
      names: of the options of a command, without dashes.
    """
    text = text.replace(" (inspect=False skips this check.)", "")  # which is no option
    every = "|".join(map(re.escape, names))
    text = re.sub(rf"(?<![\w/.\-])({every})=(?:(True)|'([^']*)'|(?=[\w\[]))", _option, text)
    lone = "|".join(re.escape(name) for name in names if "_" in name or name in _PLAIN)
    return re.sub(rf"(?<![\w/.\-])({lone})(?![\w/=(])", r"--\1", text) if lone else text


def _option(found):
    name, flag, quoted = found.groups()
    return f"--{name}" if flag else f"--{name} {quoted or ''}"
