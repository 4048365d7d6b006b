"""Turns arguments of the library into options of the command line in printed messages."""
import re
from typing import Any

_PLAIN = ("lmbda", "clipnorm")  # names without an underscore that are not words


def as_options(text: str, names: dict[str, Any]) -> str:
    """A message with arguments written as options: "run_dir" becomes "--run_dir", "data=PATH"
    becomes "--data PATH".

    Args:
      text: of an error of the library.
      names: of the options of a command, without dashes.
    """
    text = text.replace(" (inspect=False skips this check.)", "")  # this is not an option
    if "condition" in names:
        text = text.replace("as_autoencoder(..., conditional=True)", "--condition NAME").replace(
            "conditional=True", "--condition")
    every = "|".join(map(re.escape, names))
    text = re.sub(r"(?:tfisovae\.)?as_autoencoder\(\.\.\., "
                  rf"({every})=(?:(True)|[\"']?(\w+)[\"']?)\)", _option, text)
    if "as_autoencoder" in text and "model" in names:
        text += " With --model FILE.py:NAME, NAME may be what tfisovae.as_autoencoder returns."
    text = re.sub(rf"(?<![\w/.\-])({every})=(?:(True)|'([^']*)'|(?=[\w\[]))", _option, text)
    lone = "|".join(re.escape(name) for name in names if "_" in name or name in _PLAIN)
    return re.sub(rf"(?<![\w/.\-])({lone})(?![\w/=(])", r"--\1", text) if lone else text


def _option(found):
    name, flag, quoted = found.groups()
    return f"--{name}" if flag else f"--{name} {quoted or ''}"
