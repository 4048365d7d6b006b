"""The workers of a run on several machines: what `TF_CONFIG` says, and waiting for them."""
import errno
import json
import os
import socket
import sys
import time

_FORM = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
_TOLD_EVERY = 10.0  # seconds between messages
_TRIED_EVERY = 0.2


class ClusterError(ValueError):
    """Workers that do not come together; the message says which and what to do."""


def read_config():
    """The workers of `TF_CONFIG`, as `{name: "host:port"}`, and the name of this one ("worker 0").

    Raises:
      ValueError: if it is missing, or names no workers, or this process is none of them.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        raise ValueError(
            f"The strategy 'multi_worker' needs the environment variable TF_CONFIG, which names "
            f"the workers and this "
            f"one: {_FORM}.")
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
        raise ValueError(
            "TF_CONFIG makes this process an evaluator, of which training has none: measure the "
            "run, which can be "
            "done while it trains elsewhere, with the measuring commands.")
    if own not in workers:
        raise ValueError(f"TF_CONFIG makes this process {own!r}, which is none of its workers: "
                         f"{', '.join(workers) or 'there are none'}.")
    for name, address in workers.items():
        _, _, port = address.rpartition(":")
        if ":" not in address or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise ValueError(
                f"TF_CONFIG gives {name} the address {address!r}; it must be host:port.")
    return workers, own


def wait_for_workers(workers, own, timeout):
    """Returns when every worker has been reached; until then says, now and again, for which it
    waits.

    TensorFlow itself waits without a word, and hears no Ctrl-C. Each worker listens at its own
    address until it has reached all others, and then leaves the port to TensorFlow.

    Args:
      workers: `{name: "host:port"}`.
      own: name of this one.
      timeout: seconds.
    Raises:
      ClusterError: if a worker was not reached in time, or this one's port is in use.
    """
    if len(workers) == 1:
        return
    started = time.monotonic()
    told, missing = started - _TOLD_EVERY + 1, {
        name: address
        for name, address in workers.items() if name != own
    }
    with _listening(workers[own], own):
        while missing:
            missing = {name: address for name, address in missing.items() if not _reached(address)}
            now = time.monotonic()
            names = ", ".join(f"{name} ({address})" for name, address in missing.items())
            if missing and now - started > timeout:
                raise ClusterError(
                    f"Not started, or out of reach, within {timeout:g} s: {names}. Start every "
                    f"worker of TF_CONFIG "
                    "with the same command, or wait longer with worker_timeout.")
            if missing and now - told > _TOLD_EVERY:
                print(
                    f"Waiting for {names}, {timeout - (now - started):.0f} s more. Ctrl-C ends "
                    f"this.",
                    file=sys.stderr, flush=True)
                told = now
            if missing:
                time.sleep(_TRIED_EVERY)


def _listening(address, own):
    port = int(address.rpartition(":")[2])
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("", port))
        made.listen(128)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise ClusterError(
                f"The port of {own}, {address}, is in use by another process. End it, or choose "
                f"another in "
                "TF_CONFIG.") from None
        raise ClusterError(
            f"The port of {own}, {address}, cannot be listened on ({error.strerror}).") from None
    return made


def _reached(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except OSError:
        return False
    return True
