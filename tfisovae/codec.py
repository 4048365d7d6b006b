"""A trained VAE as a lossy codec: bits on a disk, whose rate and distortion are known in advance.

In the isometric variable y the posterior noise is beta / 2 in every dimension, whatever the input (section 3.3). A uniform
quantiser of the step sqrt(6 beta) has that noise, and so the distortion of the posterior; with an ideal entropy coder it costs

    KL + (n / 2) log2(pi e / 6)  bits                                     (App. H.3)

for n active dimensions of small sigma. Here y is quantised with a dither that makes the noise uniform and independent of the data
(`quantization="universal"`) or by rounding, its symbols are coded under the prior seen through the maps z_j -> y_j, or under the
distribution that the means really have, and decoded by the mean of the decoder at to_z(y_hat).

    codec = Codec.fit(model, data)
    codes = codec.compress(x)                  # bytes, one an example
    x_hat = codec.decompress(codes)
    codec.write("x.tfv", x)                    # one file, whole blocks of examples to a code: within 1 % of the ideal length
"""
import dataclasses
import functools
import hashlib
import json
import math
import numbers
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfisovae import container, entropy, files, streaming
from tfisovae.autoencoder import AutoencoderLike, as_autoencoder
from tfisovae.distortion import Distortion
from tfisovae.entropy import Tables
from tfisovae.examples import Data
from tfisovae.identity import Functions, Identity
from tfisovae.transform import GAP, Transform, check_shape

QUANTIZATIONS = ("universal", "rounding")
PRIORS = ("normal", "empirical")
BLOCK = 4_096  # examples to a code in a file
_DECODED = 256  # examples in the decoder at once
_SETTINGS, _ARRAYS = "codec.json", "arrays.npz"
_VERSION = 1


class Code(bytes):
    """The code of one example, which knows its place: the dither is a function of that.

    Attributes:
      place: the number of the example in the call that made it.
    """

    place: int

    def __new__(cls, code: bytes, place: int) -> "Code":
        made = super().__new__(cls, code)
        made.place = place
        return made


class Quantized(NamedTuple):
    """What became of some examples.

    Attributes:
      y: isometric variables of the posterior means, `[B, n_active]`, float64.
      symbols: integers, `[B, n_active]`, int32.
      y_hat: `step * (symbols + u)`, likewise.
      bits: ideal code lengths of the symbols under the integer tables, `[B, n_active]`.
    """

    y: np.ndarray
    symbols: np.ndarray
    y_hat: np.ndarray
    bits: np.ndarray


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the theory says of a codec before anything is coded. Vectors are `[n_active]`, bits an example.

    Attributes:
      kl: E[KL_j] over the data that the codec was fitted to.
      high_rate: kl + 1/2 log2(pi e / 6) - log2 f, for sigma << 1; f is the step factor.
      exact: kl and the exact excess at finite sigma: `theory.exact_quantizer_rate`, over posteriors and dither.
      inactive_kl: E[KL] of all dimensions that are not coded, bits: what their rest costs is not the rate, but distortion.
      saving: KL of the aggregate posterior from the prior: what the prior "empirical" saves; None where the data were too few.
      coding_loss: n_active f^2 beta / 2, in units of D.
      distortion: E[D(x, Dec(mean))] + coding_loss.
      posterior_distortion: E[D(x, Dec(mean))] + f^2 E[D(x_check, x_hat)], the coding loss that the posterior's own samples have;
        the same where the embedding is isometric and sigma small.
    """

    kl: np.ndarray
    high_rate: np.ndarray
    exact: np.ndarray
    inactive_kl: float
    saving: np.ndarray | None
    coding_loss: float
    distortion: float
    posterior_distortion: float


class Written(NamedTuple):
    """What was written: examples; bytes of the file, and of the codes in it; mean ideal code length by dimension, bits."""

    num_examples: int
    size: int
    code_bytes: int
    bits: np.ndarray


class Codec:
    """A lossy codec for the examples of a trained VAE: `fit`, or `load`.

    Attributes:
      model: the `Autoencoder`. n: its latent dimensions. example_shape: of one x.
      dimensions: the numbers of the coded latent dimensions, `[n_active]`; vectors are in this order.
      step: of the quantiser, in units of y: f sqrt(6 beta). step_factor: f.
      quantization: "universal" or "rounding". prior: "normal" or "empirical".
      transform: the maps and what was measured: `tfisovae.transform.Transform`. tables: `tfisovae.entropy.Tables`.
      fingerprint: a hash of all that decoding needs but the model; 32 hexadecimal digits. model_fingerprint: of the model.
    """

    def __init__(self, model: AutoencoderLike, transform: Transform, example_shape: Sequence[int], quantization: str = "universal",
                 step_factor: float = 1.0, prior: str = "normal", *, tables: Tables | None = None,
                 identity: Identity | None = None, functions: Functions | None = None) -> None:
        _check_choices(quantization, step_factor, prior)
        self.model, self.transform, self.example_shape = model, transform, tuple(example_shape)
        self.quantization, self.step_factor, self.prior = quantization, float(step_factor), prior
        self.n, self.dimensions = len(transform.active), transform.dimensions
        self.step = self.step_factor * math.sqrt(6 * float(model.beta))
        if prior == "empirical" and transform.means is None:
            raise ValueError(f'prior="empirical" takes the distribution of the means, for which {transform.num_examples} examples '
                             'are too few: fit the codec to 400 or more, or take prior="normal".')
        self.functions = functions or Functions(model, self.example_shape, self.n)
        self.identity = identity or Identity.of(self.functions, self.n)
        self.tables = tables or Tables.of(self._maps_of_prior(), np.full(len(self.dimensions), self.step),
                                          quantization == "universal")

    @classmethod
    def fit(cls, model: AutoencoderLike, data: Data, *, active: npt.ArrayLike | None = None, quantization: str = "universal",
            step_factor: float = 1.0, prior: str = "normal", distortion: Distortion | str | None = None, beta: float | None = None,
            scale: str = "log_variance", num_examples: int | None = None, progress: bool = False) -> "Codec":
        """Learns the maps z_j <-> y_j of the active dimensions and the probability tables, in one pass over data.

        Args:
          model: `Autoencoder`, or whatever `as_autoencoder` takes. Its beta must be known (`estimate_beta` tells it of the data).
          data: `[N, ...]`, or batches of examples, as `tfisovae.examples.batches` takes them: best those of training, thousands.
          active: `[n]`, bool, which dimensions to code; by default those with a mean KL above `posterior.ACTIVE_KL`. The others
            cost nothing and are decoded at their mean.
          quantization: "universal", with a dither, or "rounding".
          step_factor: f of the step f sqrt(6 beta): larger than 1 costs fewer bits and more distortion.
          prior: "normal", N(0, 1) seen through the maps, or "empirical", the smoothed distribution of the data's own means.
          distortion, beta, scale: as `as_autoencoder` takes them, for models that do not say them.
          num_examples: of the data; all by default.
          progress: whether to show a progress bar.
        Raises:
          ValueError: for an unknown option; a model whose beta is not known, or that has collapsed; fewer than 20 examples (400 for
            "empirical"), or examples that are not finite or of different shapes.
        Cost: an encode of each example, and two decodes of the first 2,000.
        """
        _check_choices(quantization, step_factor, prior)
        model = as_autoencoder(model, distortion, beta, scale)
        transform, shape = Transform.fit(model, data, active, num_examples, progress)
        return cls(model, transform, shape, quantization, step_factor, prior)

    def at(self, step_factor: float | None = None, quantization: str | None = None, prior: str | None = None) -> "Codec":
        """This codec with another step, quantiser or prior: new tables, over the same maps."""
        given = {"quantization": quantization, "step_factor": step_factor, "prior": prior}
        settled = {name: getattr(self, name) if value is None else value for name, value in given.items()}
        return Codec(self.model, self.transform, self.example_shape, **settled, identity=self.identity, functions=self.functions)

    @functools.cached_property
    def predicted(self) -> Prediction:
        """What rate and distortion theory says, from what was measured when the codec was fitted."""
        found = self.transform
        kl, coding_loss = found.kl[self.dimensions], len(self.dimensions) * self.step**2 / 12
        return Prediction(kl, kl + GAP - math.log2(self.step_factor), kl + found.exact_excess(self.step_factor),
                          float(found.kl[~found.active].sum()), found.divergence, coding_loss, found.distortion + coding_loss,
                          found.distortion + self.step_factor**2 * found.coding_loss)

    @property
    def saving(self) -> np.ndarray | None:
        """KL of the aggregate posterior from the prior by dimension, bits `[n_active]`: what the prior "empirical" saves."""
        return self.transform.divergence

    @functools.cached_property
    def fingerprint(self) -> str:
        parts = [json.dumps([self.quantization, self.step, self.n, list(self.example_shape)]).encode(), self.tables.cdf.tobytes(),
                 self.tables.offset.tobytes(), self.transform.active.tobytes(), self.transform.resting.tobytes()]
        parts += [array.tobytes() for mapped in self.transform.maps for array in (mapped.x, mapped.y, mapped.slopes)]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:2 * container.HASH]

    @functools.cached_property
    def model_fingerprint(self) -> str:
        outputs = self.identity.x_hat.tobytes() + self.identity.mean.tobytes()
        return (self.identity.fingerprint or hashlib.sha256(outputs).hexdigest())[:2 * container.HASH]

    def quantize(self, x: Data, first: int = 0) -> Quantized:
        """What coding makes of examples, without the coder: y, its symbols, and their ideal code lengths.

        Args:
          x: as `compress` takes it.
          first: the place of the first example, of which the dither is a function.
        """
        y = self.transform.to_y(np.concatenate([mean for _, mean in self._encoded(x)]))
        dither = self._dither(_places(first, len(y)))
        symbols = self._symbols(y, dither, first)
        return Quantized(y, symbols, self._dequantized(symbols, dither), self.tables.bits(symbols, dither))

    def dequantize(self, symbols: npt.ArrayLike, first: int = 0) -> np.ndarray:
        """y_hat `[B, n_active]` of symbols, float64, of examples whose places begin at `first`."""
        symbols = np.asarray(symbols)
        return self._dequantized(symbols, self._dither(_places(first, len(symbols))))

    def decode(self, y: npt.ArrayLike) -> np.ndarray:
        """x_hat `[B, ...]`, float32, of y `[B, n_active]`: Dec(to_z(y))."""
        return np.concatenate(list(self._decoded(np.asarray(y))) or [np.zeros([0, *self.example_shape], np.float32)])

    def compress(self, x: Data, num_examples: int | None = None, progress: bool = False) -> list[Code]:
        """The codes of examples, one each, in order.

        Args:
          x: `[N, ...]`, or batches, as `tfisovae.examples.batches` takes them.
          num_examples: how many; all by default.
          progress: whether to show a progress bar.
        Returns:
          list of `Code`, bytes that know their places: any of them, in any order, are decoded rightly. Where they are stored as
          plain bytes, their places are to be kept beside them, or their order.
        Raises:
          ValueError: for examples of another shape, or that are not finite; a model that has changed; a mean too far out to be
            coded.
        """
        codes = []
        for first, mean in _joined(self._encoded(x, num_examples, "compressing", progress), BLOCK):
            dither = self._dither(_places(first, len(mean)))
            symbols = self._symbols(self.transform.to_y(mean), dither, first)
            codes += map(Code, self.tables.encode(symbols, dither), range(first, first + len(mean)))
        return codes

    def decompress(self, codes: Sequence[bytes], places: npt.ArrayLike | None = None) -> np.ndarray:
        """x_hat `[B, ...]`, float32, of codes that `compress` made.

        Args:
          codes: bytes, one string an example.
          places: of the examples in the call that made the codes, integers `[B]`; by default those that the codes know, and of
            plain bytes the order that they come in.
        Raises:
          ValueError: for what are no codes of this codec, as far as the coder can tell; `write` adds what tells it for certain. For
            places that do not fit; for a model that has changed.
        """
        if isinstance(codes, (bytes, str)) or not all(isinstance(code, bytes) for code in codes):
            raise ValueError("codes must be a list of bytes, one string an example, as compress returns them.")
        if places is None:
            places = [getattr(code, "place", number) for number, code in enumerate(codes)]
        places = np.asarray(places)
        if places.shape != (len(codes),) or (len(codes) and (places.dtype.kind not in "iu" or places.min() < 0)):
            raise ValueError(f"places must be {len(codes)} integers of at least 0, one a code; got {places!r}.")
        self._check_model()
        if not len(codes):
            return self.decode(np.zeros([0, len(self.dimensions)]))
        dither = self._dither(places.astype(np.uint64))
        return self.decode(self._dequantized(self.tables.decode(list(codes), dither), dither))

    def write(self, path: str | os.PathLike, x: Data, num_examples: int | None = None, progress: bool = False) -> Written:
        """Compresses examples into a file (`tfisovae.container`), whole or not at all; memory is that of the means of 4,096.

        Args:
          path: of the file; one that is there is replaced.
          x, num_examples, progress: as `compress` takes them.
        Raises:
          ValueError: as `compress` does.
        """
        header = container.Header(self.model_fingerprint, self.fingerprint, len(self.dimensions), self.example_shape)
        total = np.zeros(len(self.dimensions))
        with container.Writer(path, header) as writer:
            for first, mean in _joined(self._encoded(x, num_examples, "compressing", progress), BLOCK):
                dither = self._dither(_places(first, len(mean)))
                symbols = self._symbols(self.transform.to_y(mean), dither, first)
                writer.write(len(mean), *self.tables.encode(symbols, dither, together=True))
                total += self.tables.bits(symbols, dither).sum(0)
        return Written(writer.num_examples, writer.size, writer.code_bytes, total / writer.num_examples)

    def open(self, path: str | os.PathLike, progress: bool = False) -> container.Reader:
        """The file at `path`, looked through: that it is whole, as it was written, of this model and of this codec.

        Raises:
          container.ContainerError: which is a ValueError, where it is not; its class says what.
        """
        reader = container.Reader(path, progress)
        try:
            self._check_model()
            if reader.header.model != self.model_fingerprint:
                raise container.OtherModel(f"{path} is of another model: it was written by {reader.header.model[:8]}, and this is "
                                           f"{self.model_fingerprint[:8]}. Decompress it with the model that compressed it.")
            if reader.header.codec != self.fingerprint:
                raise container.OtherCodec(f"{path} is of another codec of this model: it was written by "
                                           f"{reader.header.codec[:8]}, and this is {self.fingerprint[:8]}. Load the codec that "
                                           "was saved when it was written.")
        except BaseException:
            reader.__exit__()
            raise
        return reader

    def read(self, path: str | os.PathLike) -> Iterator[np.ndarray]:
        """Yields x_hat `[b, ...]`, float32, of all examples of a file in order; raises as `open` does, before the first."""
        with self.open(path) as reader:
            yield from self.decoded(reader)

    def decoded(self, reader: container.Reader) -> Iterator[np.ndarray]:
        """The same of a file that `open` has opened."""
        for block in reader.blocks():
            dither = self._dither(_places(block.first, block.count))
            yield from self._decoded(self._dequantized(self.tables.decode([block.code], dither, together=True), dither))

    def save(self, path: str | os.PathLike) -> None:
        """Writes all that decoding needs beside the model into a directory, whole or not at all; one that is there is replaced."""
        identity = {f"identity_{field.name}": getattr(self.identity, field.name) for field in dataclasses.fields(Identity)[1:]}
        arrays = {**self.transform.arrays(), **identity, "cdf": self.tables.cdf, "offset": self.tables.offset}
        with files.replacing_directory(path) as new:
            os.makedirs(new)
            np.savez(os.path.join(new, _ARRAYS), **arrays)
            files.write_json(os.path.join(new, _SETTINGS), {
                "version": _VERSION, "quantization": self.quantization, "step_factor": self.step_factor, "prior": self.prior,
                "beta": float(self.model.beta), "example_shape": list(self.example_shape), "model": self.identity.fingerprint,
                "fingerprint": self.fingerprint, "files": files.digests([os.path.join(new, _ARRAYS)])}, digits=None)

    @classmethod
    def load(cls, path: str | os.PathLike, model: AutoencoderLike, *, distortion: Distortion | str | None = None,
             scale: str = "log_variance") -> "Codec":
        """The codec that `save` wrote.

        Args:
          path: the directory.
          model: the model that it was fitted to, in whatever form. Of one that does not say its beta, that of the codec is taken.
          distortion, scale: as `as_autoencoder` takes them.
        Raises:
          FileNotFoundError: if there is none.
          files.DamagedFile: if it is not whole, or not as it was written.
          container.OtherModel: if the model is another, or has changed.
        """
        said, arrays = _read(os.fspath(path))
        model = as_autoencoder(model, distortion, None, scale, needs_beta=False)
        if model.beta is None:
            model = dataclasses.replace(model, beta=said["beta"])
        transform, shape = Transform.from_arrays(arrays), tuple(said["example_shape"])
        identity = Identity(said["model"], *(arrays[f"identity_{field.name}"] for field in dataclasses.fields(Identity)[1:]))
        try:
            functions = Functions(model, shape, len(transform.active))
            difference = identity.difference(functions)
        except (ValueError, tf.errors.OpError):
            difference = "it takes or returns other shapes"
        if difference is None and not math.isclose(float(model.beta), said["beta"], rel_tol=1e-6):
            difference = f"its beta is {float(model.beta):.6g}, and was {said['beta']:.6g}"
        if difference is not None:
            raise _of_another_model(f"The codec {path} was fitted to another model, or to this one before it changed", difference)
        tables = Tables(arrays["cdf"], arrays["offset"], len(transform.dimensions))
        made = cls(dataclasses.replace(model, beta=said["beta"]), transform, shape, said["quantization"], said["step_factor"],
                   said["prior"], tables=tables, identity=identity, functions=functions)
        if made.fingerprint != said["fingerprint"]:
            raise files.DamagedFile(f"{path} is not as it was written. Fit the codec anew, or take a copy that is whole.")
        return made

    def _maps_of_prior(self):
        if self.prior == "normal":
            return self.transform.maps
        return [mapped.after(means) for mapped, means in zip(self.transform.maps, self.transform.means)]

    def _check_model(self):
        difference = self.identity.difference(self.functions, thorough=False)
        if difference is not None:
            raise _of_another_model("The model has changed since the codec was fitted", difference)

    def _encoded(self, x, num_examples=None, description="compressing", progress=False):
        """Yields `(first place, means [B, n])` of batches."""
        self._check_model()
        for batch, row in streaming.examples_of(self.model, x, num_examples, description, progress):
            check_shape(batch, self.example_shape, row)
            yield row, self.functions.encode(batch)[0].numpy()

    def _dither(self, places):
        if self.quantization == "rounding":
            return np.zeros([len(places), len(self.dimensions)], np.uint16)
        return entropy.dither(places, len(self.dimensions))

    def _offsets(self, dither):
        return 0.0 if self.quantization == "rounding" else entropy.offsets(dither)

    def _symbols(self, y, dither, first):
        found = np.rint(y / self.step - self._offsets(dither))
        far = ~(np.abs(found) <= entropy.MAX_SYMBOL).all(1)  # NaN too
        if far.any():
            raise ValueError(f"The posterior mean of example {first + int(np.argmax(far))} (counted from 0) is not finite, or too "
                             "far out to be coded: such data are none of what the model was trained on.")
        return found.astype(np.int32)

    def _dequantized(self, symbols, dither):
        return self.step * (symbols + self._offsets(dither))

    def _decoded(self, y):
        for start in range(0, len(y), _DECODED):
            z = self.transform.to_z(y[start:start + _DECODED])
            yield self.functions.decode(tf.constant(z, tf.float32)).numpy()


def _check_choices(quantization, step_factor, prior):
    for name, value, known in (("quantization", quantization, QUANTIZATIONS), ("prior", prior, PRIORS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}.")
    if isinstance(step_factor, bool) or not isinstance(step_factor, numbers.Real) or not 0 < step_factor < math.inf:
        raise ValueError(f"step_factor must be positive and finite; got {step_factor!r}.")


def _of_another_model(what, difference):
    return container.OtherModel(f"{what}: {difference}. Give the model as it was, or fit a codec anew.")


def _places(first, count):
    return np.arange(first, first + count, dtype=np.uint64)


def _joined(batches, size):
    """Batches `(first, array)` joined to arrays of `size` rows, the last of which may be shorter."""
    kept, start = [], 0
    for first, batch in batches:
        start = first if not kept else start
        kept.append(batch)
        if sum(map(len, kept)) >= size:
            joined = np.concatenate(kept)
            whole = len(joined) // size * size
            for at in range(0, whole, size):
                yield start + at, joined[at:at + size]
            kept, start = ([joined[whole:]] if whole < len(joined) else []), start + whole
    if kept:
        yield start, np.concatenate(kept)


def _read(path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The settings and arrays of a codec's directory."""
    settings, arrays = os.path.join(path, _SETTINGS), os.path.join(path, _ARRAYS)
    way_out = "Fit the codec anew, or take a copy that is whole."
    if not os.path.exists(settings):
        raise FileNotFoundError(f"No codec at {path}.")
    said = files.read_json(settings, way_out)
    if said.get("version") != _VERSION:
        raise ValueError(f"{path} is a codec of version {said.get('version')!r}; this tfisovae reads version {_VERSION}.")
    try:
        if files.digests([arrays]) != said["files"]:
            raise files.DamagedFile(f"{arrays} is not as it was written. {way_out}")
        with np.load(arrays, allow_pickle=False) as found:
            return said, dict(found)
    except FileNotFoundError:
        raise files.DamagedFile(f"{arrays} is missing. {way_out}") from None
    except KeyError as error:
        raise files.DamagedFile(f"{settings} has no {error}. {way_out}") from None
