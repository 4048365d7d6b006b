"""The command that trains a run again for twice the steps, from its manifest."""
import argparse
import functools
import importlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

_COMMANDS = {"toy": "toy", "mnist": "mnist", "celeba": "celeba", "celeba_large": "celeba"}
_IN_EPOCHS = ("log_every", "checkpoint_every")  # given in epochs, stored in steps


@functools.cache
def _defaults(command: str) -> dict[str, Any]:
    """The options of a command, with their defaults."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    importlib.import_module(f"tfisovae.commands.{command}").add_arguments(parser)
    return vars(parser.parse_args([]))


def options(config: Mapping[str, Any], **instead: Any) -> list[str]:
    """The options of a training command, as typed, that make this configuration again.

    Args:
      config: the manifest of a run of a known network.
      instead: options with other values.
    """
    defaults, made = _defaults(_COMMANDS[config["network"]]), []
    reading = (config.get("data_manifest") or {}).get("reading") or {}
    kept = {**(reading.get("options") or {}), **config}
    if "epochs" in defaults:
        kept = {name: value for name, value in kept.items() if name not in _IN_EPOCHS}
    for name, value in {**kept, **instead}.items():
        default = defaults.get(name)
        if name not in defaults or value in (None, default) or not (value or default):
            continue
        if isinstance(value, bool):
            made.append(f"--{name}" if value else f"--no-{name}")
        else:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            made += [f"--{name}", text]
    return made


def arguments(config: Mapping[str, Any], run: str) -> Sequence[str]:
    """The training command with all options of a run, but twice its steps and `RUN-longer` as
    directory.

    Args:
      config: the manifest of the run.
      run: its directory.

    Returns:
      The command's name and its options; nothing for an unknown network.
    """
    command = _COMMANDS.get(str(config.get("network")))
    if command is None:
        return ()
    longer = {name: 2 * config[name] for name in ("steps", "epochs") if config.get(name)}
    directory = os.path.abspath(f"{os.path.normpath(run)}-longer")
    return [command, *options(config, **longer, run_dir=directory)]
