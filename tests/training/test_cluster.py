"""Workers that do not come together, by TF_CONFIG or at all: a plain word, and no hanging."""
import json
import signal
import socket
import threading
import time

import pytest

from tests.messages import refuses
from tests.support import free_ports
from tfisovae.training import devices


@pytest.mark.parametrize(
    "text, argument",
    [("", ""), ("{}", ""),
     ("{", ""), ("[]", ""),
     ('{"cluster": {"worker": ["a:1"]}}', ""),
     ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}}',
      ""),
     ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
      ""),
     ('{"cluster": {"worker": ["a", "b:2"]}, "task": {"type": "worker", "index": 0}}',
      ""),
     ('{"cluster": {"worker": ["a:x"]}, "task": {"type": "worker", "index": 0}}',
      "")])
def test_tf_config(monkeypatch, text, argument):
    monkeypatch.setenv("TF_CONFIG", text)
    with refuses(ValueError, argument):
        devices.make_strategy("multi_worker")


def test_what_tf_config_names(monkeypatch):
    monkeypatch.setenv(
        "TF_CONFIG",
        json.dumps({
            "cluster": {"chief": ["a:1"], "worker": ["b:2", "c:3"]},
            "task": {"type": "worker", "index": "1"}
        }))
    assert devices.read_config() == ({"chief 0": "a:1", "worker 0": "b:2",
                                      "worker 1": "c:3"}, "worker 1")


def workers(count):
    return {f"worker {i}": f"127.0.0.1:{port}" for i, port in enumerate(free_ports(count))}


def test_workers_wait_for_each_other():
    """The second starts later; each returns when it has reached the other, and leaves its port
    free.
    """
    both, done = workers(2), []

    def start(name, delay):
        time.sleep(delay)
        devices.wait_for_workers(both, name, 20)
        done.append(name)

    threads = [
        threading.Thread(target=start, args=(name, delay)) for name, delay in zip(both, (0, 0.3))
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while len(done) < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    first = both[done[0]]  # TensorFlow takes its place, as it does
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", int(first.rpartition(":")[2])))
        server.listen()
        for thread in threads:
            thread.join(10)
    assert sorted(done) == ["worker 0", "worker 1"]


def test_a_worker_that_never_starts_is_named(capsys, monkeypatch):
    monkeypatch.setattr(devices, "_TOLD_EVERY", 0.5)
    both = workers(2)
    with pytest.raises(devices.ClusterError,
                       match=rf"within 1.2 s: worker 1 \({both['worker 1']}\).*worker_timeout"):
        devices.wait_for_workers(both, "worker 0", 1.2)
    assert f"Waiting for worker 1 ({both['worker 1']})" in capsys.readouterr().err


def test_ctrl_c_ends_the_waiting():
    # A shell's background processes ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            devices.wait_for_workers(workers(2), "worker 0", 60)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_port_in_use_is_named():
    both = workers(2)
    with socket.socket() as other:
        other.bind(("", int(both["worker 0"].rpartition(":")[2])))
        other.listen()
        with pytest.raises(devices.ClusterError,
                           match=f"The port of worker 0, {both['worker 0']}, is in use"):
            devices.wait_for_workers(both, "worker 0", 5)


def test_a_lone_worker_waits_for_nobody():
    assert devices.wait_for_workers({"worker 0": "nowhere:1"}, "worker 0", 5) is None
