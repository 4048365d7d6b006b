"""Data sets of TensorFlow Datasets: prepared ones at once, others by download if there is a
network.
"""
import os
import socket
import typing

if typing.TYPE_CHECKING:
    import tensorflow_datasets as tfds

_HOSTS = {"celeb_a": ("drive.google.com", 443), "mnist": ("storage.googleapis.com", 443)}


def builder(name: str, data_dir: str | os.PathLike | None,
            other_ways: str) -> "tfds.core.DatasetBuilder":
    """TFDS' builder of a data set, prepared.

    Args:
      name: "celeb_a" or "mnist".
      data_dir: TFDS' own directory; its default if `None`.
      other_ways: alternatives for the user, for the end of the error's message.

    Raises:
      ConnectionError: within seconds, if the data are neither prepared nor reachable.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.utils import gcs_utils

    gcs_utils._is_gcs_disabled = True  # without a network, TFDS retries for minutes
    made = tfds.builder(name, data_dir=data_dir)
    if not made.is_prepared():
        host = _HOSTS[name]
        try:
            socket.create_connection(host, timeout=5).close()
        except OSError as error:
            raise ConnectionError(
                f"{name} is not prepared in {made.data_dir} and cannot be downloaded: {host[0]} is "
                f"not reachable ({error}). {other_ways}") from error
        try:
            made.download_and_prepare()
        except Exception as error:  # TFDS raises many kinds: quota, checksum, network
            raise ConnectionError(
                f"TFDS could not prepare {name}: {error}. {other_ways}") from error
    return made
