"""The precision that a training computes in: float32, or 16 bits where the processor is faster at
it.
"""
import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

CHOICES = ("auto", "none", "bfloat16", "float16")
_UNITS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512_BF16"}  # flags of x86 processors under Linux
_LEAST_CAPABILITY = (8, 0)  # of a GPU with units for bfloat16


def units(cpuinfo: str = "/proc/cpuinfo") -> str | None:
    """What computes products in bfloat16 here, in a word ("AVX512_BF16", "AMX", or the name of a
    GPU); None where nothing does.

    Where there are GPUs they compute, and each must have compute capability 8.0 or more. Else it is
    the processor, by way of oneDNN, under Linux on x86. Other systems do not say, or were not
    measured: None.

    Args:
      cpuinfo: file of the kernel's words on the processor.
    """
    gpus = [
        tf.config.experimental.get_device_details(gpu)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    if gpus:
        able = all(gpu.get("compute_capability", (0, 0)) >= _LEAST_CAPABILITY for gpu in gpus)
        return gpus[0].get("device_name", "GPU") if able else None
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false"):
        return None
    flags = _flags(cpuinfo)
    return next((name for flag, name in _UNITS.items() if flag in flags), None)


def _flags(cpuinfo):
    """The flags of the first processor in the file; none where there is no such file, or it says
    none.
    """
    try:
        with open(cpuinfo, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() == "flags":
                    return set(value.split())
    except OSError:
        pass
    return set()


def choose(name: str, several_machines: bool = False) -> tuple[str | None, str | None]:
    """What an asked-for precision comes to on this machine.

    Args:
      name: one of `CHOICES`. "auto" is bfloat16 where something here has units for it, else
        float32; "none" is float32.
      several_machines: whether other machines train with this one, on which "auto" might come to
        something else.
    Returns:
      "bfloat16", "float16" or, for float32, None; and a line for the log, or None where there is
      nothing to say.
    Raises:
      ValueError: for another name, and for "auto" on several machines.
    """
    if name not in CHOICES:
        raise ValueError(f"mixed_precision must be one of {', '.join(CHOICES)}; got {name!r}.")
    if name == "auto" and several_machines:
        raise ValueError(
            "mixed_precision auto looks at one machine, and others may come to something else. "
            "With several "
            "workers, give "
            "each the same: bfloat16, float16 or none.")
    found = units()
    if name == "auto" and found:
        return "bfloat16", (
            f"Training computes in bfloat16, for which there is {found}. Weights, losses and "
            f"measurements are "
            "float32.")
    if name == "auto":
        return None, "Training computes in float32: nothing was found here that is faster in bfloat16."
    if name == "none":
        return None, found and (
            "Training computes in float32, as the paper's. With mixed_precision auto it would be "
            "in "
            f"bfloat16, for which there is {found}, and faster.")
    if name == "bfloat16" and not found:
        return name, "Nothing was found here that is faster in bfloat16; emulated, a step takes twice the time of float32."
    return name, None


@contextlib.contextmanager
def using(name: str | None) -> Iterator[None]:
    """Networks that are made inside compute in "float16" or "bfloat16", with float32 weights;
    `None`: in float32.
    """
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(f"mixed_{name}" if name else "float32")
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
