"""A run: its directory, its manifest, its strategy, its checkpoints, and how it goes on after it was stopped.

A run directory holds `config.json` (every option resolved, seeds, versions, fingerprint of the data), `history.csv`,
`checkpoints/`, `tensorboard/` and `model/` (the SavedModel). Everything random is a function of the seed and the step, so a
run that was killed and started again ends with the weights of one that never stopped.
"""
import ctypes
import fcntl
import functools
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile

import numpy as np
import tensorflow as tf

from tfisovae import callbacks
from tfisovae.optimizers import FusedAdam
from tfisovae.sources import Source
from tfisovae.vae import load

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")
_MAY_CHANGE = ("steps", "checkpoint_every", "log_every", "versions")  # without making it another run


class RunError(Exception):
    """A run that cannot start or go on; the message says why and what to do."""


class Run:
    """A run directory, held by one process at a time.

    Args:
      directory: made if it is missing.
      config: every option of the run, JSON-serialisable; the manifest.
      chief: whether this process writes. The other workers of a multi-worker run share the directory and only read.
    Raises:
      RunError: if the directory belongs to another process now, or holds a run of another configuration.
    """

    def __init__(self, directory, config, chief=True):
        self.directory = os.path.abspath(os.fspath(directory))
        self.config = {**config, "versions": versions()}
        self._lock = None
        if not chief:
            return
        os.makedirs(self.directory, exist_ok=True)
        self._lock = open(self.path("lock"), "a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go of it when the process dies
        except OSError:
            self._lock.close()
            raise RunError(f"Another process is writing {self.directory} now. Wait for it, or choose another --run_dir.") from None
        self._write_manifest()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def close(self):
        if self._lock:
            self._lock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _write_manifest(self):
        if os.path.exists(self.path("config.json")):
            before = load_config(self.directory)
            now = json.loads(json.dumps(self.config))
            differences = [f"  {key}: {before.get(key, '(unset)')!r} there, {now.get(key, '(unset)')!r} here"
                           for key in sorted({*before, *now} - {*_MAY_CHANGE})
                           if before.get(key) != now.get(key)]
            if differences:
                raise RunError("\n".join([f"{self.directory} holds a run of another configuration:", *differences,
                                          "Choose another --run_dir, or remove that one."]))
        elif set(os.listdir(self.directory)) - {"lock"}:
            raise RunError(f"{self.directory} is not empty and holds no run (no config.json). Choose another --run_dir.")
        write_atomically(self.path("config.json"), json.dumps(self.config, indent=1) + "\n")


def load_config(directory):
    """The manifest of a run.

    Raises:
      RunError: if `directory` holds no run.
    """
    try:
        with open(os.path.join(directory, "config.json")) as file:
            return json.load(file)
    except FileNotFoundError:
        raise RunError(f"{directory} holds no run: it has no config.json. A run directory is what train/*.py write.") from None


def load_run(directory):
    """The manifest and the trained `VAE` of a run.

    Raises:
      RunError: if there is no run, or its training has not ended.
    """
    config = load_config(directory)
    model = os.path.join(directory, "model")
    if not os.path.exists(model):
        raise RunError(f"{directory} has no model yet: its training has not ended. Give the training command again, and it goes "
                       "on from the last checkpoint.")
    return config, load(model)


def write_atomically(path, text):
    """Writes a file so that a reader, or a crash, finds the old one or the new one whole."""
    temporary = f"{path}.writing"
    with open(temporary, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def versions():
    """Versions of what computes the results."""
    packages = ("tensorflow", "tensorflow-compression", "keras", "numpy")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}


def make_strategy(name="auto"):
    """The `tf.distribute` strategy of that name.

    "auto" takes every visible GPU (`MirroredStrategy` from two on), else the CPU; "one_device" the first GPU or the CPU;
    "mirrored" every GPU, or every logical CPU where there is none; "multi_worker" the workers of `TF_CONFIG`.
    """
    if name not in STRATEGIES:
        raise ValueError(f"Unknown strategy {name!r}; there are {', '.join(map(repr, STRATEGIES))}.")
    if name == "multi_worker":
        if not os.environ.get("TF_CONFIG"):
            raise ValueError("The strategy 'multi_worker' needs the environment variable TF_CONFIG, which names the workers and "
                             'this one: {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.')
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        return tf.distribute.MirroredStrategy([d.name for d in gpus or tf.config.list_logical_devices("CPU")])
    return tf.distribute.OneDeviceStrategy("GPU:0" if gpus else "CPU:0")


def is_chief(strategy):
    """Whether this process writes the run's files."""
    resolver = strategy.cluster_resolver
    return not (resolver and resolver.task_type == "worker" and resolver.task_id != 0)


def training_batches(rows, batch_size, seed, first_step, strategy):
    """Endless batches of float32 examples, a function of the seed and the step alone.

    Epochs are permutations of all rows, one after the other without a gap; step t takes positions t * batch_size onwards.
    Each replica, on whichever worker, reads its own rows of the global batch.

    Args:
      rows: `Rows`, or any array that can be indexed by an integer array.
      batch_size: of the global batch.
      seed: integer.
      first_step: the step to begin with.
      strategy: `tf.distribute.Strategy`.
    Returns:
      A distributed data set.
    """
    replicas, size = strategy.num_replicas_in_sync, len(rows)
    if batch_size < 1 or batch_size % replicas:
        raise ValueError(f"batch_size must be a positive multiple of the {replicas} replica(s); got {batch_size!r}.")
    share = batch_size // replicas

    @functools.lru_cache(2)
    def order(epoch):
        return np.random.default_rng([seed, epoch]).permutation(size)

    def for_worker(context):
        local = replicas // context.num_input_pipelines
        first_replica = context.input_pipeline_id * local

        def read(element):
            step, replica = divmod(int(element), local)
            start = step * batch_size + (first_replica + replica) * share
            positions = np.arange(start, start + share)
            index = np.concatenate([order(epoch)[positions[positions // size == epoch] % size]
                                    for epoch in range(positions[0] // size, positions[-1] // size + 1)])
            return rows[index]

        def load(element):
            batch = tf.numpy_function(read, [element], rows.dtype)
            return as_float(tf.ensure_shape(batch, (share, *rows.shape[1:])))

        elements = tf.data.Dataset.range(first_step * local, tf.int64.max)
        return elements.map(load, num_parallel_calls=2, deterministic=True).prefetch(2 * local)

    return strategy.distribute_datasets_from_function(for_worker)


def evaluation_batches(rows, batch_size=100):
    """The rows in order, float32, as a finite data set of known length."""
    starts = tf.data.Dataset.range(0, len(rows), batch_size)

    def load(start):
        batch = tf.numpy_function(lambda s: rows[np.arange(s, min(s + batch_size, len(rows)))], [start], rows.dtype)
        return as_float(tf.ensure_shape(batch, (None, *rows.shape[1:])))

    return starts.map(load).prefetch(2).apply(tf.data.experimental.assert_cardinality(-(-len(rows) // batch_size)))


def as_float(batch):
    """float32; 8-bit images are scaled to [0, 1]."""
    return tf.cast(batch, tf.float32) / 255 if batch.dtype == tf.uint8 else tf.cast(batch, tf.float32)


def train(run, make_vae, source: Source, strategy, extra_callbacks=()):
    """Trains to `run.config["steps"]` steps, going on from the last checkpoint if there is one.

    Args:
      run: `Run`. Its config has `steps`, `batch_size`, `learning_rate`, `clipnorm`, `seed`, `log_every`, `checkpoint_every`.
      make_vae: function of no arguments that makes the `VAE`; called under the strategy's scope after seeding.
      source: `Source`.
      strategy: of `make_strategy`, made before TensorFlow computes anything.
      extra_callbacks: Keras callbacks beside those of the run.
    Returns:
      The trained `VAE`, which is also saved in `model/`.
    Raises:
      RunError: if the loss or a weight became non-finite; the last finite checkpoint is kept.
    """
    config, chief = run.config, is_chief(strategy)
    tf.keras.utils.set_random_seed(config["seed"])
    with strategy.scope():
        vae = make_vae()
        vae.compile(FusedAdam(config["learning_rate"], clipnorm=config["clipnorm"]),
                    num_parts=num_parts(config["batch_size"], strategy))
        vae.optimizer.build(vae.trainable_variables)
        checkpoint = tf.train.Checkpoint(encoder=vae.encoder, decoder=vae.decoder, optimizer=vae.optimizer)
        latest = tf.train.latest_checkpoint(run.path("checkpoints"))
        if latest:
            checkpoint.restore(latest).assert_existing_objects_matched()
    step = int(vae.optimizer.iterations.numpy())
    # Saving is collective: every worker saves, all but the chief to where it is thrown away.
    checkpoints = run.path("checkpoints") if chief else tempfile.mkdtemp()
    keeper = callbacks.Checkpoints(checkpoint, checkpoints, config["checkpoint_every"], config["steps"])
    attached = [callbacks.StopAtNonFinite(), *extra_callbacks]
    if not chief:
        attached.append(keeper)
    else:
        if latest:
            print(f"{run.directory}: going on from step {step}." if step < config["steps"]
                  else f"{run.directory}: already trained to step {step}.", file=sys.stderr)
        examples = as_float(source.eval[np.arange(min(8, len(source.eval)))])
        # History before checkpoint: killed between the two, a run goes on from before the row, which is then dropped.
        attached += [callbacks.History(run.path("history.csv"), step), keeper,
                     callbacks.TensorBoard(run.path("tensorboard"), examples), callbacks.Progress(config),
                     callbacks.CollapseWarning(config)]
    _fit(vae, source.train, strategy, config, attached)
    if chief:
        vae.save(run.path("model"))
    else:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return vae


def _fit(vae, rows, strategy, config, attached):
    """Keras `fit` over epochs of `log_every` steps, the last one shorter where steps is not a multiple."""
    every, step = config["log_every"], int(vae.optimizer.iterations.numpy())
    whole = config["steps"] // every
    try:
        for last_epoch, length in ((whole, every), (whole + 1, config["steps"] % every)):
            first_epoch = step // every
            if step >= config["steps"] or length == 0 or first_epoch >= last_epoch:
                continue
            batches = training_batches(rows, config["batch_size"], config["seed"], step, strategy)
            vae.fit(batches, initial_epoch=first_epoch, epochs=last_epoch, steps_per_epoch=length, verbose=0, callbacks=attached)
            step = int(vae.optimizer.iterations.numpy())
    except tf.errors.InvalidArgumentError as error:
        message = " ".join(error.message.split())
        if "loss is not finite" not in message:
            raise
        raise RunError(f"The loss is not finite at step {int(vae.optimizer.iterations.numpy()) + 1}. The last checkpoint is "
                       "kept. Lower --learning_rate, or set --clipnorm 1.") from None


def prepare_cpu():
    """Sets a CPU up for `train`; does nothing where there is a GPU. Call it before TensorFlow computes anything.

    One thread to an operation and one operation to a core: `train` then gives each core a part of the batch, which takes 0.8
    of the time of all cores on each operation. glibc keeps freed blocks instead of returning them between steps.
    """
    if tf.config.list_physical_devices("GPU"):
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(num_cores())
    except RuntimeError:  # TensorFlow has begun to compute: slower, and the same otherwise
        pass
    if sys.platform == "linux":
        try:
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(-3, 2**31 - 1)  # M_MMAP_THRESHOLD
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
        except (OSError, AttributeError):  # another C library: nothing to tune
            pass


def num_cores():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def num_parts(batch_size, strategy):
    """Into how many parts to split each replica's batch: one to a core on a lone CPU, else one."""
    if strategy.num_replicas_in_sync > 1 or tf.config.list_physical_devices("GPU"):
        return 1
    return next(parts for parts in range(num_cores(), 0, -1) if batch_size % parts == 0)
