"""A trained VAE as a lossy codec, with a rate and distortion that are known in advance.

In the isometric variable y the posterior noise is beta / 2 in every dimension, whatever the input
(section 3.3). A uniform quantiser with step sqrt(6 beta) has this noise, and so the distortion of
the posterior. With an ideal entropy coder it costs

    KL + (n / 2) log2(pi e / 6)  bits                                     (App. H.3)

for n active dimensions of small sigma. y is quantised with a dither that makes the noise uniform
and independent of the data (`quantization="universal"`), or by rounding. Its symbols are coded
under the prior, mapped by z_j -> y_j, or under the actual distribution of the means. The decoder is
applied at to_z(y_hat).

    codec = Codec.fit(model, data)
    codes = codec.compress(x)  # a list of bytes, one per example
    x_hat = codec.decompress(codes)
    codec.write("x.tfv", x)  # one file with blocks of examples: within 1 % of the ideal length
"""
import dataclasses
import functools
import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfisovae import arguments, files
from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.autoencoder import AutoencoderLike, as_autoencoder, refuse
from tfisovae.autoencoder.data import Data
from tfisovae.codec import PRIORS, QUANTIZATIONS, container, directory
from tfisovae.codec.entropy import Code, Tables
from tfisovae.codec.identity import Functions, Identity
from tfisovae.codec.quantizer import Quantized, Quantizer
from tfisovae.codec.transform import Prediction, Transform
from tfisovae.distortions.base import Distortion

BLOCK = 4_096  # examples to a code in a file
_MAX_FACTOR = 1_000_000  # of the step
_DECODED = 256  # examples in the decoder at once


class Codec:
    """A trained VAE as a lossy compressor. Create it with `fit` or `load`.

    Attributes:
      model: the `Autoencoder`.
      n: its latent dimensions.
      example_shape: of one x.
      dimensions: indices of the coded latent dimensions, `[n_active]`; vectors are in this order.
      quantization: "universal" or "rounding".
      prior: "normal" or "empirical".
      step_factor: f.
      step: of the quantiser, in units of y: f sqrt(6 beta).
      transform: the maps and measurements: `tfisovae.codec.transform.Transform`.
      quantizer: `tfisovae.codec.quantizer.Quantizer`.
      tables: `tfisovae.codec.entropy.Tables`.
      fingerprint: a hash of all data for decoding except the model.
      model_fingerprint: of the model. 32 hexadecimal digits each.

    Example:
      >>> codec = tfisovae.Codec.fit(vae, x)
      >>> codes = codec.compress(x[:10])  # a list of bytes
      >>> x_hat = codec.decompress(codes)
    """

    def __init__(self, model: AutoencoderLike, transform: Transform, example_shape: Sequence[int],
                 quantization: str = "universal", step_factor: float = 1.0, prior: str = "normal",
                 *, tables: Tables | None = None, identity: Identity | None = None,
                 functions: Functions | None = None) -> None:
        _check_choices(quantization, step_factor, prior)
        self.model, self.transform, self.example_shape = as_autoencoder(model), transform, tuple(
            example_shape)
        self.quantization, self.step_factor, self.prior = quantization, float(step_factor), prior
        self.n, self.dimensions = len(transform.active), transform.dimensions
        self.step = self.step_factor * math.sqrt(6 * self.model.beta)
        self.quantizer = Quantizer(self.step, len(self.dimensions), quantization == "universal")
        if prior == "empirical" and transform.means is None:
            raise ValueError(
                f'prior="empirical" uses the distribution of the means, but '
                f'{transform.num_examples} examples are too few: fit the codec to 400 or more, '
                f'or use prior="normal".')
        self.functions = functions or Functions(self.model, self.example_shape, self.n)
        self.identity = identity or Identity.of(self.functions, self.n)
        self.tables = tables or Tables.of(transform.pushed(prior == "empirical"), [self.step]
                                          * len(self.dimensions), self.quantizer.dithered)

    @classmethod
    def fit(cls, model: AutoencoderLike, data: Data, *, active: npt.ArrayLike | None = None,
            quantization: str = "universal", step_factor: float = 1.0, prior: str = "normal",
            distortion: Distortion | str | None = None, beta: float | None = None,
            scale: str = "log_variance", num_examples: int | None = None,
            progress: bool = False, inspect: bool = True) -> "Codec":
        """Makes a codec for a trained VAE, in one pass over data.

        It learns the maps z_j <-> y_j of the active dimensions and the probability tables.

        Args:
          model: `Autoencoder`, or anything that `as_autoencoder` takes. Its beta must be known
            (`estimate_beta` finds it from data).
          data: `[N, ...]`, or batches of examples, as for `tfisovae.autoencoder.data.batches`; best
            thousands of training examples.
          active: `[n]`, bool, which dimensions to code; by default all with a mean KL above
            `posterior.ACTIVE_KL`. The others cost nothing and are decoded at their mean.
          quantization: "universal", with a dither, or "rounding".
          step_factor: f in the step f sqrt(6 beta): values above 1 give fewer bits and more
            distortion.
          prior: "normal", N(0, 1) mapped to y, or "empirical", the smoothed distribution of the
            data's own means.
          distortion, beta, scale: as `as_autoencoder` takes them.
          num_examples: of the data; all by default.
          progress: whether to show a progress bar.
          inspect: as of `tfisovae.analyze`.

        Raises:
          ValueError: for an unknown option; a model without a known beta, or a collapsed one; fewer
            than 20 examples (400 for "empirical"); examples that are not finite or of different
            shapes.

        Cost: an encode of each example, and two decodes of the first 2,000.
        """
        _check_choices(quantization, step_factor, prior)
        model = as_autoencoder(model, distortion, beta, scale)
        refuse(model, "Codec.fit", "conditional", "prior", "covariance")
        transform, shape = Transform.fit(model, data, active, num_examples, progress, inspect)
        return cls(model, transform, shape, quantization, step_factor, prior)

    def at(self, step_factor: float | None = None, quantization: str | None = None,
           prior: str | None = None) -> "Codec":
        """This codec with another step, quantiser or prior: new tables, over the same maps."""
        given = {"quantization": quantization, "step_factor": step_factor, "prior": prior}
        settled = {
            **self._choices, **{name: value
                                for name, value in given.items() if value is not None}
        }
        return Codec(self.model, self.transform, self.example_shape, **settled,
                     identity=self.identity, functions=self.functions)

    @functools.cached_property
    def predicted(self) -> Prediction:
        """The predicted rate and distortion, from the measurements of `fit`."""
        return self.transform.predict(self.model.beta, self.step_factor)

    @property
    def saving(self) -> np.ndarray | None:
        """KL of the aggregate posterior from the prior by dimension, bits `[n_active]`: the saving
        of "empirical" for small sigma.
        """
        return self.transform.divergence

    @functools.cached_property
    def fingerprint(self) -> str:
        settings = json.dumps([self.quantization, self.step, self.n,
                               list(self.example_shape)]).encode()
        arrays = [
            self.tables.cdf, self.tables.offset, self.tables.index, self.transform.active,
            self.transform.resting
        ]
        arrays += [
            array for mapped in self.transform.maps for array in (mapped.x, mapped.y, mapped.slopes)
        ]
        parts = [settings, *(array.tobytes() for array in arrays)]
        return hashlib.sha256(b"".join(
            hashlib.sha256(part).digest() for part in parts)).hexdigest()[:2 * container.HASH]

    @property
    def model_fingerprint(self) -> str:
        return self.identity.digest[:2 * container.HASH]

    def quantize(self, x: Data, first: int = 0) -> Quantized:
        """y of examples, its symbols, and their ideal code lengths, without running the coder.

        Args:
          x: as for `compress`.
          first: the place of the first example, which determines the dither.
        """
        y = self.transform.to_y(np.concatenate(list(self._means(x))))
        dither = self.quantizer.dither(_places(first, len(y)))
        symbols = self.quantizer.quantize(y, dither, first)
        return Quantized(y, symbols, self.quantizer.dequantize(symbols, dither),
                         self.tables.bits(symbols, dither))

    def dequantize(self, symbols: npt.ArrayLike, first: int = 0) -> np.ndarray:
        """y_hat `[B, n_active]` from symbols, float64, for examples with places from `first` on."""
        symbols = self._rows("symbols", symbols)
        return self.quantizer.dequantize(symbols, self.quantizer.dither(_places(
            first, len(symbols))))

    def decode(self, y: npt.ArrayLike) -> np.ndarray:
        """x_hat `[B, ...]`, float32, of y `[B, n_active]`: Dec(to_z(y))."""
        return np.concatenate(
            list(self._decoded(self._rows("y", y)))
            or [np.zeros([0, *self.example_shape], np.float32)])

    def compress(self, x: Data, num_examples: int | None = None,
                 progress: bool = False) -> list[Code]:
        """Compresses examples: one code per example, in order.

        Args:
          x: `[N, ...]`, or batches, as `tfisovae.autoencoder.data.batches` takes them.
          num_examples: how many; all by default.
          progress: whether to show a progress bar.

        Returns:
          list of `Code`, bytes that know their places: they can be decoded in any order. If you
          store them as plain bytes, also keep their places or their order.

        Raises:
          ValueError: for examples of another shape or not finite, a changed model, or a mean that
            is too large to code.
        """
        codes: list[Code] = []
        for symbols, dither in self._symbols(x, num_examples, progress):
            codes += map(Code, self.tables.encode(symbols, dither),
                         range(len(codes),
                               len(codes) + len(symbols)))
        return codes

    def decompress(self, codes: Sequence[bytes], places: npt.ArrayLike | None = None) -> np.ndarray:
        """Decompresses codes of `compress`: x_hat `[B, ...]`, float32.

        Args:
          codes: bytes, one string per example.
          places: places of the examples in the call of `compress`, integers `[B]`; by default the
            codes' own places, and for plain bytes their order.

        Raises:
          ValueError: for codes of another codec, as far as the coder can see (`write` adds
            checksums), for places that do not fit, or for a changed model.
        """
        if isinstance(codes, (bytes, str)) or not all(isinstance(code, bytes) for code in codes):
            raise ValueError(
                "codes must be a list of bytes, one string per example, as compress returns.")
        if places is None:
            places = [getattr(code, "place", number) for number, code in enumerate(codes)]
        places = np.asarray(places)
        if places.shape != (len(codes), ) or (len(codes) and
                                              (places.dtype.kind not in "iu" or places.min() < 0)):
            raise ValueError(
                f"places must be {len(codes)} integers of at least 0, one per code; got "
                f"{places!r}.")
        self._check_model()
        dither = self.quantizer.dither(places)
        symbols = self.tables.decode(codes, dither) if len(codes) else np.zeros(dither.shape)
        return self.decode(self.quantizer.dequantize(symbols, dither))

    def write(self, path: str | os.PathLike, x: Data, num_examples: int | None = None,
              progress: bool = False) -> container.Written:
        """Compresses examples into a file (`tfisovae.codec.container`), completely or not at all.
        It needs memory for the means of 4,096 examples.

        Args:
          path: of the file; an existing file is replaced.
          x, num_examples, progress: as `compress` takes them.

        Raises:
          ValueError: as `compress` does.
        """
        header = container.Header(self.model_fingerprint, self.fingerprint, len(self.dimensions),
                                  self.example_shape)
        total = np.zeros(len(self.dimensions))
        with container.Writer(path, header) as writer:
            for symbols, dither in self._symbols(x, num_examples, progress):
                writer.write(len(symbols), *self.tables.encode(symbols, dither, together=True))
                total += self.tables.bits(symbols, dither).sum(0)
        return container.Written(writer.num_examples, writer.size, writer.code_bytes,
                                 total / writer.num_examples)

    def open(self, path: str | os.PathLike, progress: bool = False) -> container.Reader:
        """Opens and checks the file at `path`: it must be complete, unchanged, and from this model
        and this codec.

        Raises:
          container.ContainerError: (a ValueError) otherwise; its class names the fault.
        """
        reader = container.Reader(path, progress)
        try:
            self.check(reader)
        except BaseException:
            reader.__exit__()
            raise
        return reader

    def check(self, reader: container.Reader) -> None:
        """Checks that a file is from this model and this codec, and that its blocks can hold the
        stated number of examples. So the file's size bounds the time and memory of decoding.

        Raises:
          container.ContainerError: as `open` does.
        """
        path = reader.path
        self._check_model()
        if reader.header.model != self.model_fingerprint:
            raise container.OtherModel(
                f"{path} belongs to another model: it was written by {reader.header.model[:8]}, "
                f"and this is {self.model_fingerprint[:8]}. Decompress it with the model that "
                "compressed it."
            )
        if reader.header.codec != self.fingerprint:
            raise container.OtherCodec(
                f"{path} belongs to another codec of this model: it was written by "
                f"{reader.header.codec[:8]}, and this is {self.fingerprint[:8]}. Load the codec of "
                "that time.")
        for number, (count, length) in enumerate(reader.sizes):
            if count > (most := min(BLOCK, self.tables.most_examples(length))):
                raise container.Altered(
                    f"{path} has been altered: block {number} should hold {count:,} examples, but "
                    f"its {length:,} bytes can hold {most:,} at most. Use an intact copy.")

    def read(self, path: str | os.PathLike) -> Iterator[np.ndarray]:
        """Yields x_hat `[b, ...]`, float32, of all examples of a file in order; raises as `open`
        does, before the first.
        """
        with self.open(path) as reader:
            yield from self.decoded(reader)

    def decoded(self, reader: container.Reader) -> Iterator[np.ndarray]:
        """The same for a file after `open` or `check`."""
        for block in reader.blocks():
            dither = self.quantizer.dither(_places(block.first, block.count))
            symbols = self.tables.decode([block.code], dither, together=True)
            yield from self._decoded(self.quantizer.dequantize(symbols, dither))

    def save(self, path: str | os.PathLike) -> None:
        """Saves the codec, without the model, as a directory, completely or not at all.

        An existing codec is replaced.

        Raises:
          FileExistsError: if something else is there.
        """
        settings = {
            **self._choices, "beta": self.model.beta, "example_shape": list(self.example_shape),
            "fingerprint": self.fingerprint, "model_fingerprint": self.model_fingerprint,
            "weights": self.identity.fingerprint
        }
        directory.write(
            path, settings, {
                **self.transform.arrays(), **self.identity.arrays(), "cdf": self.tables.cdf,
                "offset": self.tables.offset, "index": self.tables.index
            })

    @classmethod
    def load(cls, path: str | os.PathLike, model: AutoencoderLike, *,
             distortion: Distortion | str | None = None, scale: str = "log_variance") -> "Codec":
        """Loads a codec that `save` wrote.

        Args:
          path: the directory.
          model: the model of `fit`, in any form. If it has no beta, the codec's beta is used.
          distortion, scale: as `as_autoencoder` takes them.

        Raises:
          FileNotFoundError: if there is none.
          files.DamagedFile: if it is incomplete or changed.
          container.OtherModel: if it is another model, or the model has changed.
        """
        said, arrays = directory.read(path)
        model = as_autoencoder(model, distortion, None, scale, needs_beta=False)
        refuse(model, "Codec.load", "conditional", "prior", "covariance")
        transform, shape, beta = Transform.from_arrays(arrays), tuple(
            said["example_shape"]), said["beta"]
        identity = Identity.from_arrays(said["weights"], arrays)
        try:
            functions = Functions(model, shape, len(transform.active))
            difference = identity.difference(functions)
        except (ValueError, tf.errors.OpError):
            difference = "it takes or returns other shapes"
        if difference is None and model.beta is not None and not math.isclose(
                model.beta, beta, rel_tol=1e-6):
            difference = f"its beta is {model.beta:.6g}, and was {beta:.6g}"
        if difference is not None:
            raise _of_another_model(
                f"The codec {os.fspath(path)} was fitted to another model, or to this one before "
                f"it changed",
                difference)
        tables = Tables(arrays["cdf"], arrays["offset"], arrays["index"])
        made = cls(dataclasses.replace(model, beta=beta), transform, shape, said["quantization"],
                   said["step_factor"], said["prior"], tables=tables, identity=identity,
                   functions=functions)
        if made.fingerprint != said["fingerprint"]:
            raise files.DamagedFile(
                f"{os.fspath(path)} has unexpected content. Fit the codec again.")
        return made

    @property
    def _choices(self):
        return {name: getattr(self, name) for name in ("quantization", "step_factor", "prior")}

    def _rows(self, name, values):
        values = np.asarray(values)
        if values.ndim != 2 or values.shape[1] != len(self.dimensions):
            raise ValueError(
                f"{name} must have the shape [B, {len(self.dimensions)}], a column for each coded "
                f"dimension; got "
                f"{list(values.shape)}.")
        return values

    def _check_model(self):
        difference = self.identity.difference(self.functions, thorough=False)
        if difference is not None:
            raise _of_another_model("The model has changed since the codec was fitted", difference)

    def _means(self, x, num_examples=None, progress=False):
        """Yields the posterior means `[b, n]` of batches of examples."""
        self._check_model()
        for batch, _ in streaming.examples_of(self.model, x, num_examples, "compressing", progress,
                                              tuple(self.example_shape)):
            yield self.functions.encode(batch)[0].numpy()

    def _symbols(self, x, num_examples, progress):
        """Yields `(symbols, dither)` of blocks of examples."""
        first = 0
        for mean in streaming.rejoined(self._means(x, num_examples, progress), BLOCK):
            dither = self.quantizer.dither(_places(first, len(mean)))
            yield self.quantizer.quantize(self.transform.to_y(mean), dither, first), dither
            first += len(mean)

    def _decoded(self, y):
        for start in range(0, len(y), _DECODED):
            z = self.transform.to_z(y[start:start + _DECODED])
            yield self.functions.decode(tf.constant(z, tf.float32)).numpy()


def _check_choices(quantization, step_factor, prior):
    for name, value, known in (("quantization", quantization, QUANTIZATIONS), ("prior", prior,
                                                                               PRIORS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}.")
    if arguments.positive("step_factor", step_factor) > _MAX_FACTOR:
        raise ValueError(
            f"step_factor must be at most {_MAX_FACTOR:,}, since larger steps keep nothing of the "
            f"data; got {step_factor!r}.")


def _of_another_model(what, difference):
    return container.OtherModel(
        f"{what}: {difference}. Give the unchanged model, or fit a new codec.")


def _places(first, count):
    if first < 0:
        raise ValueError(f"first must be at least 0; got {first!r}.")
    return np.arange(first, first + count, dtype=np.uint64)
