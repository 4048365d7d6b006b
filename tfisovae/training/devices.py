"""Devices: the `tf.distribute` strategy and its workers, the threads of a CPU, and the precision
(float32 or 16 bits).
"""
import contextlib
import ctypes
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator

import tensorflow as tf

from tfisovae.training import PRECISIONS, STRATEGIES

_MOST_PARTS = 8
_UNITS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512_BF16"}  # flags of x86 processors under Linux
_LEAST_CAPABILITY = (8, 0)  # of a GPU with units for bfloat16
_FORM = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
_TOLD_EVERY = 10.0  # seconds between messages
_TRIED_EVERY = 0.2


class ClusterError(ValueError):
    """Workers did not connect; the message names them and says what to do."""


def make_strategy(name: str = "auto", worker_timeout: float = 300.0) -> tf.distribute.Strategy:
    """Makes the `tf.distribute` strategy of this name.

    "auto" takes every visible GPU (`MirroredStrategy` from two on), else the CPU; "one_device" the
    first GPU or the CPU; "mirrored" every GPU, or every logical CPU without GPUs; "multi_worker"
    the workers of `TF_CONFIG`.

    Args:
      name: of the strategy.
      worker_timeout: seconds to wait for the other workers of "multi_worker".

    Raises:
      ValueError: for an unknown name, or a `TF_CONFIG` that names no workers.
      ClusterError: if another worker does not start, or this one's port is in use.
    """
    if name not in STRATEGIES:
        raise ValueError(
            f"Unknown strategy {name!r}; use {', '.join(map(repr, STRATEGIES))}.")
    if name == "multi_worker":
        wait_for_workers(*read_config(), worker_timeout)
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        return tf.distribute.MirroredStrategy(
            [d.name for d in gpus or tf.config.list_logical_devices("CPU")])
    return tf.distribute.OneDeviceStrategy("GPU:0" if gpus else "CPU:0")


def keeps_data(strategy: tf.distribute.Strategy) -> bool:
    """Whether data can stay on the device of a strategy: only a one-device strategy takes several
    steps in one compiled call.
    """
    return isinstance(strategy, tf.distribute.OneDeviceStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files."""
    resolver = strategy.cluster_resolver
    if not resolver or resolver.task_type not in ("chief", "worker"):
        return True
    if "chief" in resolver.cluster_spec().as_dict():
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def prepare_cpu(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Sets up a CPU for `train`; does nothing with a GPU. Call it before TensorFlow computes
    anything.

    `train` splits a batch into parts that run in parallel (`num_parts`). With one thread per
    operation and one operation per core this takes 0.8 of the time of all cores on each operation.
    glibc keeps freed blocks instead of returning them between steps.

    Args:
      batch_size: of the coming training; a batch with a single part leaves threads unchanged.
      strategy: name of the coming strategy; several replicas leave threads unchanged.
    """
    if tf.config.list_physical_devices("GPU"):
        return
    try:
        parts = _parts(batch_size)
        if strategy in ("auto", "one_device") and (parts > 1 or num_cores() == 1):
            tf.config.threading.set_intra_op_parallelism_threads(-(-num_cores() // parts))
            tf.config.threading.set_inter_op_parallelism_threads(parts)
    except RuntimeError:  # TensorFlow has begun to compute: slower, but otherwise the same
        pass
    if sys.platform == "linux":
        try:
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(-3, 2**31 - 1)  # M_MMAP_THRESHOLD
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        except (OSError, AttributeError):  # another C library: nothing to tune
            pass


def num_gpus() -> int:
    """GPUs this process may use."""
    return len(tf.config.list_physical_devices("GPU"))


def num_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def num_parts(batch_size: int, strategy: tf.distribute.Strategy) -> int:
    """The number of parts of each replica's batch: on a single CPU one per core, at most 8;
    otherwise one.
    """
    if strategy.num_replicas_in_sync > 1 or tf.config.list_physical_devices("GPU"):
        return 1
    return _parts(batch_size)


def _parts(batch_size):
    """The largest number of equal parts of a batch with one core each.

    Every part is a copy of the graph. 64 copies take a minute to compile, and threads mostly wait.
    """
    return max(parts for parts in range(1,
                                        min(_MOST_PARTS, num_cores()) + 1)
               if batch_size % parts == 0)


def read_config() -> tuple[dict[str, str], str]:
    """The workers in `TF_CONFIG`, as `{name: "host:port"}`, and the name of this one ("worker 0").

    Raises:
      ValueError: if it is missing, or names no workers, or this process is not one of them.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        raise ValueError(
            "The strategy 'multi_worker' needs the environment variable TF_CONFIG, which names "
            f"the workers and this one: {_FORM}.")
    try:
        config = json.loads(text)
        groups, task = config["cluster"], config["task"]
        workers = {
            f"{kind} {i}": str(address)
            for kind in ("chief", "worker")
            for i, address in enumerate(groups.get(kind, ()))
        }
        own = f"{task['type']} {int(task['index'])}"
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"TF_CONFIG must be JSON of the form {_FORM}; got {text}.") from None
    if own.startswith("evaluator"):
        raise ValueError("TF_CONFIG makes this process an evaluator, but training has no "
                         "evaluators. Use the measuring commands instead, also during training.")
    if own not in workers:
        raise ValueError(f"TF_CONFIG makes this process {own!r}, which is not one of its workers: "
                         f"{', '.join(workers) or 'there are none'}.")
    for name, address in workers.items():
        _, colon, port = address.rpartition(":")
        if not colon or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise ValueError(
                f"TF_CONFIG gives {name} the address {address!r}; it must be host:port.")
    return workers, own


def wait_for_workers(workers: dict[str, str], own: str, timeout: float) -> None:
    """Waits until every worker is reachable, and reports the missing ones from time to time.

    TensorFlow itself waits without a message, and ignores Ctrl-C. Each worker listens at its own
    address until it has reached all others, and then leaves the port to TensorFlow.

    Args:
      workers: `{name: "host:port"}`.
      own: name of this one.
      timeout: seconds.

    Raises:
      ClusterError: if a worker was not reached in time, or this one's port is in use.
    """
    missing = {name: address for name, address in workers.items() if name != own}
    if not missing:
        return
    started = time.monotonic()
    told = started - _TOLD_EVERY + 1
    with _listening(workers[own], own):
        while missing := {name: at for name, at in missing.items() if not _reached(at)}:
            now = time.monotonic()
            left = timeout - (now - started)
            names = ", ".join(f"{name} ({address})" for name, address in missing.items())
            if left < 0:
                raise ClusterError(
                    f"Not started, or not reachable, within {timeout:g} s: {names}. Start every "
                    "worker of TF_CONFIG with the same command, or wait longer with "
                    "worker_timeout.")
            if now - told > _TOLD_EVERY:
                print(f"Waiting for {names}, {left:.0f} s more. Ctrl-C ends this.",
                      file=sys.stderr, flush=True)
                told = now
            time.sleep(_TRIED_EVERY)


def _listening(address, own):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("", int(address.rpartition(":")[2])))
        made.listen(128)
    except OSError as error:
        made.close()
        what = f"cannot be listened on ({error.strerror})"
        if error.errno == errno.EADDRINUSE:
            what = "is in use by another process. End it, or choose another port in TF_CONFIG"
        raise ClusterError(f"The port of {own}, {address}, {what}.") from None
    return made


def _reached(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def bfloat16_units(cpuinfo: str = "/proc/cpuinfo") -> str | None:
    """The name of the device for bfloat16 here: "AVX512_BF16", "AMX" or a GPU; None without one.

    GPUs are used if there are any, and each needs compute capability 8.0. Otherwise it is the
    processor, with oneDNN, under Linux on x86. Other systems are unknown or were not measured.

    Args:
      cpuinfo: file in which the kernel describes the processor.
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
    return next((name for flag, name in _UNITS.items() if flag in _flags(cpuinfo)), None)


def _flags(cpuinfo):
    """What an x86 processor has, as Linux says it; nothing elsewhere."""
    try:
        with open(cpuinfo, encoding="utf-8", errors="replace") as file:
            return next((line.partition(":")[2].split() for line in file
                         if line.partition(":")[0].strip() == "flags"), ())
    except OSError:
        return ()


def aborts_in_bfloat16(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether the first step in bfloat16 would end this process: with oneDNN, on an x86 processor
    that has AVX2 but no AVX-512, and without a GPU.

    Args:
      cpuinfo: file in which the kernel describes the processor.
    """
    if tf.config.list_physical_devices("GPU") or os.environ.get(
            "TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false"):
        return False
    flags = _flags(cpuinfo)
    return "avx2" in flags and "avx512f" not in flags


def choose_precision(name: str, several_machines: bool = False) -> tuple[str | None, str | None]:
    """The precision of a training on this machine.

    Args:
      name: one of `PRECISIONS`. "auto" is bfloat16 if a device has units for it, else float32;
        "none" is float32.
      several_machines: whether other machines train with this one. "auto" could differ there.

    Returns:
      "bfloat16", "float16", or None for float32; and a line for the log, or None.

    Raises:
      ValueError: for an unknown name, and for "auto" on several machines.
    """
    if name not in PRECISIONS:
        raise ValueError(f"mixed_precision must be one of {', '.join(PRECISIONS)}; got {name!r}.")
    if name == "auto" and several_machines:
        raise ValueError("mixed_precision auto depends on the machine. With several workers, give "
                         "each the same: bfloat16, float16 or none.")
    found = bfloat16_units()
    if name == "auto" and found:
        return "bfloat16", (f"Training computes in bfloat16, for which there is {found}. Weights, "
                            "losses and measurements are float32.")
    if name == "auto":
        return None, "Training computes in float32: bfloat16 is not known to be faster here."
    if name == "none":
        return None, found and (
            "Training computes in float32, as the paper does. bfloat16 is faster here "
            f"(mixed_precision auto): there is {found}.")
    if name == "bfloat16" and aborts_in_bfloat16():
        raise ValueError(
            "mixed_precision bfloat16 ends the process on this processor: oneDNN computes in "
            "bfloat16 with AVX-512, and there is AVX2 alone. Give mixed_precision none, or set "
            "TF_ENABLE_ONEDNN_OPTS=0.")
    if name == "bfloat16" and not found:
        return name, ("No device here is known to be faster in bfloat16. If it is emulated, a step "
                      "takes twice as long as in float32.")
    return name, None


@contextlib.contextmanager
def using_precision(name: str | None) -> Iterator[None]:
    """Networks made in the block compute in "float16" or "bfloat16", with float32 weights; `None`:
    in float32.
    """
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(f"mixed_{name}" if name else "float32")
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)
