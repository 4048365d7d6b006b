"""What computes: the `tf.distribute` strategy, and how a CPU is set up for training."""
import ctypes
import os
import sys

import tensorflow as tf

from tfisovae.training import cluster

_MOST_PARTS = 8
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")


def make_strategy(name="auto", worker_timeout=300.0):
    """The `tf.distribute` strategy of that name.

    "auto" takes every visible GPU (`MirroredStrategy` from two on), else the CPU; "one_device" the
    first GPU or the CPU; "mirrored" every GPU, or every logical CPU where there is none;
    "multi_worker" the workers of `TF_CONFIG`.

    Args:
      name: of the strategy.
      worker_timeout: seconds to wait for the other workers of "multi_worker".
    Raises:
      ValueError: for an unknown name, or a `TF_CONFIG` that names no workers.
      cluster.ClusterError: if another worker does not start, or this one's port is in use.
    """
    if name not in STRATEGIES:
        raise ValueError(
            f"Unknown strategy {name!r}; there are {', '.join(map(repr, STRATEGIES))}.")
    if name == "multi_worker":
        cluster.wait_for_workers(*cluster.read_config(), worker_timeout)
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        return tf.distribute.MirroredStrategy(
            [d.name for d in gpus or tf.config.list_logical_devices("CPU")])
    return tf.distribute.OneDeviceStrategy("GPU:0" if gpus else "CPU:0")


def keeps_data(strategy):
    """Whether data can stay on the device of a strategy: only that of one device takes several
    steps in one compiled call.
    """
    return isinstance(strategy, tf.distribute.OneDeviceStrategy)


def is_chief(strategy):
    """Whether this process writes the run's files."""
    resolver = strategy.cluster_resolver
    if not resolver or resolver.task_type not in ("chief", "worker"):
        return True
    if "chief" in resolver.cluster_spec().as_dict():
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def prepare_cpu(batch_size, strategy):
    """Sets a CPU up for `train`; does nothing where there is a GPU. Call it before TensorFlow
    computes anything.

    `train` splits a batch into parts that are worked on side by side (`num_parts`), each with its
    share of the cores: with one thread to an operation and one operation to a core that takes 0.8
    of the time of all cores on each operation. glibc keeps freed blocks instead of returning them
    between steps.

    Args:
      batch_size: of the training to come; threads are left alone where it makes a single part.
      strategy: name of the strategy to come; they are left alone where there are several replicas.
    """
    if tf.config.list_physical_devices("GPU"):
        return
    try:
        parts = _parts(batch_size)
        if strategy in ("auto", "one_device") and (parts > 1 or num_cores() == 1):
            tf.config.threading.set_intra_op_parallelism_threads(-(-num_cores() // parts))
            tf.config.threading.set_inter_op_parallelism_threads(parts)
    except RuntimeError:  # TensorFlow has begun to compute: slower, and the same otherwise
        pass
    if sys.platform == "linux":
        try:
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(-3, 2**31 - 1)  # M_MMAP_THRESHOLD
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        except (OSError, AttributeError):  # another C library: nothing to tune
            pass


def num_gpus():
    """GPUs this process may use."""
    return len(tf.config.list_physical_devices("GPU"))


def num_cores():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def num_parts(batch_size, strategy):
    """Into how many parts to split each replica's batch: at most 8, and one to a core, on a lone
    CPU; else one.
    """
    if strategy.num_replicas_in_sync > 1 or tf.config.list_physical_devices("GPU"):
        return 1
    return _parts(batch_size)


def _parts(batch_size):
    """The largest number of equal parts of a batch, of which each has a core of its own.

    Every part is a copy of the graph: 64 of them take a minute to compile, and give the threads
    more to wait for than to do.
    """
    return max(parts for parts in range(1,
                                        min(_MOST_PARTS, num_cores()) + 1)
               if batch_size % parts == 0)
