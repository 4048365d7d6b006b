"""Writes codec_2_14/: a codec and a file of compressed examples, by TensorFlow 2.14 with the tables
and the range coder of tensorflow-compression 2.14.1.

They were written by commit 97111b2, which was the last to use tensorflow-compression. Later
versions must read them; `tests/codec/test_codec.py` holds them to that.
"""
import pathlib

import numpy as np

from tests.support import linear_vae
from tfisovae import Codec

PLACE = pathlib.Path(__file__).parent / "codec_2_14"


def made_vae():
    """Its weights are short binary fractions: they have the same hash everywhere."""
    vae = linear_vae([[2, 0], [0, 1.5], [1, -1]], [[0.5, 0, 0.25], [0, 0.5, -0.25]], 1, 64)
    vae.encoder.layers[-1].bias.assign([0, 0.25, -3, -2.5])
    return vae


if __name__ == "__main__":
    vae, rng = made_vae(), np.random.default_rng(0)
    codec = Codec.fit(vae, rng.normal(0, 0.5, [500, 3]).astype(np.float32))
    PLACE.mkdir(exist_ok=True)
    codec.save(PLACE / "codec")
    x = np.concatenate([rng.normal(0, 0.5, [100, 3]), [[50, -1e3, 9]]]).astype(np.float32)
    codec.write(PLACE / "x.tfv", x)
    np.savez(PLACE / "examples.npz", symbols=codec.quantize(x).symbols,
             x_hat=np.concatenate(list(codec.read(PLACE / "x.tfv"))),
             codes=[code.hex() for code in codec.compress(x)])
