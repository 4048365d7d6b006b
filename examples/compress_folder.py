"""Compress a folder of images with a VAE, and compare the file's size with the prediction of
theory.

    python examples/compress_folder.py            # draws faces first, and trains for a moment
    python examples/compress_folder.py MY_IMAGES

The images are read from the folder at 16 x 16 pixels, which keeps this short. All are written into
one file and read back from it.
"""
import argparse  # noqa: I001  (tfisovae before TensorFlow)
import os
import sys
import tempfile

import tfisovae  # before TensorFlow: it turns oneDNN on

import numpy as np
import tensorflow as tf
from PIL import Image

from tfisovae import networks
from tfisovae import sources
from tfisovae.autoencoder.data import as_float


def draw(folder, count=1_000):
    """Fills a folder with drawn faces, PNG files."""
    for number, image in enumerate(sources.faces(count, seed=0).images):
        Image.fromarray(image).resize((16, 16), Image.Resampling.LANCZOS).save(
            os.path.join(folder, f"{number:05d}.png"))


def main(folder=None, steps=400):
    """Trains, compresses, decompresses; returns what was written, the codec, the images and those
    that came back.
    """
    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            folder = os.path.join(temporary, "faces")
            os.mkdir(folder)
            draw(folder)
        source = sources.load_images(folder, os.path.join(temporary, "cache"), progress=False,
                                     image_size=16)
        x = np.concatenate(
            [as_float(rows[np.arange(len(rows))]) for rows in (source.train, source.eval)])
        tf.keras.utils.set_random_seed(0)
        vae = tfisovae.VAE(*networks.celeba(latent_dim=8, image_size=16), "sse", lmbda=20)
        vae.compile(tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(2e-3,
                                                                                       steps)))
        vae.fit(
            tf.data.Dataset.from_tensor_slices(x).shuffle(len(x), seed=0).repeat().batch(32),
            steps_per_epoch=steps, verbose=0)

        codec = tfisovae.Codec.fit(vae, x)
        written = codec.write(os.path.join(temporary, "images.tfv"), x)
        back = np.concatenate(list(codec.read(os.path.join(temporary, "images.tfv"))))
        on_disk = os.path.getsize(os.path.join(temporary, "images.tfv"))
        as_files = sum(
            os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(folder)
            for name in names)
    measured, predicted = np.square(back - x).sum((1, 2, 3)).mean(), codec.predicted
    print(
        f"{len(x)} images, {as_files:,} bytes in the folder, {x.size:,} bytes of 16 x 16 pixels, "
        f"{on_disk:,} bytes compressed."
    )
    print(
        f"{on_disk * 8 / len(x):.1f} bits an image; theory said {predicted.exact.sum():.1f}, of "
        f"{len(codec.dimensions)} "
        "dimensions.")
    print(
        f"Squared error {measured:.3f} an image; theory said {predicted.distortion:.3f}. "
        f"That is {-10 * np.log10(measured / x[0].size):.1f} dB.")
    return written, codec, x, back


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?", help="of images (default: faces are drawn)")
    try:
        main(p.parse_args().folder)
    except (ValueError, OSError) as error:
        sys.exit(f"compress_folder: {error}")
