"""The variational autoencoder: its two networks, its objective, and its SavedModel."""
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfisovae import _keras, arguments, distortions
from tfisovae.autoencoder import graph, noise
from tfisovae.autoencoder.data import as_x, x_of
from tfisovae.autoencoder.networks import Decoder, Encoder, Networks, as_part
from tfisovae.autoencoder.posterior import Posterior, check_reading
from tfisovae.autoencoder.shapes import settle
from tfisovae.distortions import Distortion
from tfisovae.metrics.measurement import Measurement, measure
from tfisovae.vae import copying, saving
from tfisovae.vae.training import Trainable

_ONLY_SAVED_MODELS = (
    "Save a VAE with vae.save(PATH), as a SavedModel directory. The formats .keras and .h5 lose "
    "parameters of tensorflow-compression's layers: they load back with wrong weights, or not at "
    "all.")


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class VAE(Trainable):
    """A variational autoencoder that can be measured.

    The loss, in nats per example, averaged over the batch, is Eq. 54 with beta = 1 / lmbda:

        L = lmbda D(x, x_hat) + KL,                          x_hat = Dec(mean + scale * noise)
        L = lmbda (D(x, x_check) + D(x_check, x_hat)) + KL   decomposed, x_check = Dec(mean)

    and the networks' own losses (regularisers, `add_loss`) on top. `fit` and `evaluate` report
    `loss`, all of that (nats); `distortion` (of D), `rate` (nats) and `active_dimensions`;
    `evaluate` adds the metrics given to `compile(metrics=[...])`. Data are arrays or data sets of
    x, of pairs whose first is x, or of dicts (`tfisovae.autoencoder.data.x_of`).

    Layers are in training mode only in `fit`: batch normalisation and dropout work as in any Keras
    model. All measurements (`encode`, `decode`, `evaluate`, `predict`, `analyze`) are in inference
    mode and in float32, whatever the mixed-precision policy. With several replicas, batch
    normalisation sees each replica's part of the batch, as in Keras, unless it is `synchronized`.
    Dropout draws TensorFlow's own random numbers, which do not depend on the step: a run with
    dropout can be resumed, but not to the bit.

    Args:
      encoder: Keras model from `[B, ...]` to `[B, 2n]`, the posterior's mean, then its
        log-variance; or to the two as separate outputs; or to these and a sample, as in Keras'
        examples (the sample is not used).
      decoder: Keras model from `[B, n]` to the shape of x.
      distortion: a `Distortion`, or the name of one.
      lmbda: weight of the distortion, positive. `vae.lmbda` is a variable that every step reads. A
        callback can set `vae.lmbda = 10.0`; `tfisovae.callbacks.LambdaSchedule` anneals it.
      decomposed: whether to train the decomposed loss of section 4.2.
      warmup_steps: steps of the conventional loss before the decomposed one, which tends to
        collapse from scratch. 500 is a good number. The logs show the decomposed loss from the
        first step on.
      seed: seed of the posterior noise. The noise depends on the seed, the step and the row of the
        global batch.
      scale: the meaning of the encoder's second half or second output: "log_variance", "variance",
        "log_scale" or "scale".
      example_shape: shape of one example, for networks without a known input shape; by default the
        first data give it.

    Attributes:
      example_shape: shape of one example; open entries are None. None until it is known.
      n: latent dimensions; None until they are known.
      pruning: the removed variables of a larger VAE and their cost (`tfisovae.prune`); None for
        other and for loaded VAEs.
      treats_examples_apart: whether no layer looks at a whole batch (batch normalisation or unknown
        layers may do so).

    Example:
      >>> encoder, decoder = tfisovae.networks.toy()
      >>> vae = tfisovae.VAE(encoder, decoder, "sse", lmbda=100.0)
      >>> vae.compile("adam")
      >>> history = vae.fit(x, epochs=1, verbose=0)
    """

    pruning = None

    def __init__(self, encoder: tf.keras.Model, decoder: tf.keras.Model,
                 distortion: Distortion | str, lmbda: float, decomposed: bool = False, *,
                 warmup_steps: int = 0, seed: int = 0, scale: str = "log_variance",
                 example_shape: Sequence[int | None] | None = None, name: str = "vae") -> None:
        super().__init__(name)
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps must be at least 0; got {warmup_steps!r}.")
        check_reading(scale)
        self.encoder, self.decoder = encoder, decoder
        self.distortion = distortions.get(distortion)
        self._lmbda = tf.Variable(arguments.positive("lmbda", lmbda), trainable=False,
                                  dtype=tf.float64, name="lmbda",
                                  aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
        self.decomposed = bool(decomposed)
        self.warmup_steps = int(warmup_steps)
        self.seed = int(seed)
        noise.check_seed(self.seed)
        self.scale = scale
        self.example_shape = self.n = self.treats_examples_apart = None
        self._settle(example_shape)

    def _settle(self, example_shape):
        """Builds the networks, and learns shapes and n from them and from the shape of an example.
        """
        with tf.init_scope(), self.distribute_strategy.scope():
            settled = settle(self.encoder, self.decoder,
                             None if example_shape is None else tuple(example_shape))
            if settled is None:
                return
            shape, self.n = settled
            self.__dict__["example_shape"] = shape  # Keras would wrap the tuple
            self.treats_examples_apart = all(
                map(graph.treats_examples_apart, (self.encoder, self.decoder)))
            for metric in self.metrics:
                metric.build(self.n)
        self.built = True

    def _settle_by(self, x):
        if self.n is None:
            self._settle(x.shape[1:])
            if self.n is None:
                raise ValueError(
                    "Neither the networks nor the data give the input shape. Give VAE(..., "
                    "example_shape=...)."
                )

    @property
    def lmbda(self) -> tf.Variable:
        """The weight of the distortion: a scalar `tf.Variable`, float64. `vae.lmbda = value`
        assigns; `.numpy()` reads it.
        """
        return self._lmbda

    @lmbda.setter
    def lmbda(self, value: float | tf.Tensor) -> None:
        value = float(value) if tf.is_tensor(value) else value
        self._lmbda.assign(arguments.positive("lmbda", value))

    @property
    def beta(self) -> float | tf.Tensor:
        """1 / lmbda now, as a float; inside a graph a scalar tensor, float32, read at every call.
        """
        return 1 / float(self.lmbda.numpy()) if tf.executing_eagerly() else tf.cast(
            1 / self.lmbda, tf.float32)

    def encode(self, x: tf.Tensor, training: bool = False) -> Posterior:
        """The posterior for `x` `[B, ...]`: a `Posterior` with mean and scale, `[B, n]` each."""
        return self._encoder(x, training)

    def decode(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The decoder's output x_hat, `[B, ...]`, for `z` `[B, n]`."""
        return Decoder(as_part(self.decoder, "decoder"))(z, training)

    @property
    def _encoder(self):
        return Encoder(as_part(self.encoder, "encoder"), self.scale, latents=self.n)

    @property
    def networks(self) -> Networks:
        """Known facts about the encoder, the decoder and their training."""
        return Networks(
            self.encoder, self.decoder, self._encoder.parameters, self.scale,
            example_shape=self.example_shape, n=self.n, model=self, check=self.check,
            training_objective=self.training_objective,
            treats_examples_apart=bool(self.treats_examples_apart), seed=self.seed)

    def call(self, x: tf.Tensor | tuple | dict, training: bool = False) -> tf.Tensor:
        """Dec(mean): the reconstruction without posterior noise, as `predict` returns it."""
        return self.decode(self.encode(x_of(x), training).mean, training)

    @property
    def weights(self) -> list[tf.Variable]:
        """The networks' weights; Keras would count the metrics' accumulators too."""
        return self.encoder.weights + self.decoder.weights

    def check(self, x: tf.Tensor) -> None:
        """Raises ValueError if `x` does not fit this VAE: another shape, or values outside the
        distortion's domain. The first x sets shapes that the networks leave open.
        """
        self._settle_by(x)
        shape = self.example_shape
        if shape is not None and not tf.TensorShape([None, *shape]).is_compatible_with(x.shape):
            raise ValueError(
                f"x must have the shape [batch, {', '.join(map(str, shape))}]; got "
                f"{tuple(x.shape)}."
            )
        self.distortion.check(x)

    def _prepare(self, data):
        x = as_x(x_of(data))
        self.check(x)
        if self.distribute_strategy.num_replicas_in_sync > 1:
            # TensorFlow may compute in the memory of x, which can belong to a generator's array.
            x = tf.raw_ops.DeepCopy(x=x)
        return x

    def measure(self, x: tf.Tensor, first_row: int | tf.Tensor = 0) -> Measurement:
        """All measurements on the examples `x` `[B, ...]`: a
        `tfisovae.metrics.measurement.Measurement`.

        Its posterior noise depends only on the seed and on `first_row`, the number of examples
        before these.
        """
        return measure(self, x, first_row, self.seed)

    def get_config(self) -> dict[str, Any]:
        return {
            "encoder": tf.keras.utils.serialize_keras_object(
                self.encoder), "decoder": tf.keras.utils.serialize_keras_object(self.decoder),
            "distortion": tf.keras.utils.serialize_keras_object(self.distortion), "lmbda": float(
                self.lmbda.numpy()), "decomposed": self.decomposed,
            "warmup_steps": self.warmup_steps, "seed": self.seed, "scale": self.scale,
            "example_shape": self.example_shape and list(self.example_shape), "name": self.name
        }

    @classmethod
    def from_config(cls, config: dict[str, Any],
                    custom_objects: Mapping[str, type] | None = None) -> "VAE":
        parts = {
            key: tf.keras.utils.deserialize_keras_object(
                _keras.readable(config[key]), custom_objects=custom_objects)
            for key in ("encoder", "decoder", "distortion")
        }
        return cls(**{**config, **parts})

    def save(self, filepath: str | os.PathLike, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the VAE as a SavedModel with the signatures `encode` (x to mean and scale) and
        `decode` (z to x_hat).

        `tf.saved_model.load` gives the signatures anywhere; `tfisovae.load` gives the VAE again.

        Args:
          filepath: directory to write.
          overwrite: whether an existing SavedModel there may be replaced.

        Raises:
          ValueError: for `.keras` and `.h5`, which lose the weights of GDN layers; for networks, a
            distortion or a subclass of `VAE` that cannot be made from its configuration (no
            `get_config`, `Lambda`).
          FileExistsError: if something at the path may not be replaced.
        """
        path = os.fspath(filepath).rstrip(os.sep)
        if path.endswith(
            (".keras", ".h5", ".hdf5")) or kwargs.get("save_format") in ("keras", "h5"):
            raise ValueError(
                f"{_ONLY_SAVED_MODELS} Got {filepath!r}; use a name without this extension.")
        if self.n is None:
            raise ValueError(
                "The networks have no weights yet: call them on an example before saving."
            )
        config = copying.checked(self, self.config_now, "saved")
        if type(self) is not VAE:
            config["class"] = tf.keras.utils.get_registered_name(type(self))
        saving.write(path, saving.Weights(self.encoder, self.decoder),
                     self._signatures(), config, overwrite)

    def save_weights(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """`tf.keras.Model.save_weights`; except that Keras 2 refuses the format that loses weights
        of tensorflow-compression's layers.

        Raises:
          ValueError: for a name that ends in `.weights.h5`, in Keras 2; in Keras 3 for any other.
        """
        self._check_weights_name(filepath)
        return super().save_weights(filepath, *args, **kwargs)

    def load_weights(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> Any:
        """`tf.keras.Model.load_weights`, for files of `save_weights`."""
        self._check_weights_name(filepath)
        return super().load_weights(filepath, *args, **kwargs)

    def _check_weights_name(self, filepath):
        if not _keras.KERAS_3 and os.fspath(filepath).endswith(".weights.h5"):
            raise ValueError(
                "filepath: the format .weights.h5 loses parameters of tensorflow-compression's "
                f"layers; got {filepath!r}. Use another name that ends in .h5 or has no extension, "
                f"or vae.save."
            )

    def save_own_variables(self, store: Any) -> None:
        """Keras calls this to write .keras files and, in Keras 3, weights."""
        if not _keras.KERAS_3:
            raise ValueError(_ONLY_SAVED_MODELS)
        super().save_own_variables(store)

    def __deepcopy__(self, memo: dict[int, Any]) -> "VAE":
        function, state = copying.reduced(self)
        memo[id(self)] = made = function(*state)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return copying.reduced(self)

    def config_now(self) -> dict[str, Any]:
        """The configuration for further training: a finished warm-up is not repeated."""
        config, optimizer = self.get_config(), getattr(self, "optimizer", None)
        if optimizer is not None and int(optimizer.iterations.numpy()) >= self.warmup_steps:
            config["warmup_steps"] = 0
        return config

    def _signatures(self):
        @tf.function(
            input_signature=[tf.TensorSpec([None, *self.example_shape], tf.float32, name="x")])
        def encode(x):
            posterior = self.encode(x)
            return {"mean": posterior.mean, "scale": posterior.scale}

        @tf.function(input_signature=[tf.TensorSpec([None, self.n], tf.float32, name="z")])
        def decode(z):
            return {"x_hat": self.decode(z)}

        return {"encode": encode, "decode": decode}


def load(path: str | os.PathLike, custom_objects: Mapping[str, type] | None = None) -> VAE:
    """Loads a VAE from `vae.save(path)`, ready to measure, or to compile and train further.

    Args:
      path: the SavedModel's directory.
      custom_objects: classes by name, for distortions, layers or subclasses of `VAE` that are not
        registered with Keras.

    Raises:
      FileNotFoundError: if there is nothing at `path`.
      ValueError: if it is not a VAE, was saved by another version, has parts of an unknown class,
        or has networks of the other Keras that this one cannot make.

    Example:
      >>> vae.save("model")
      >>> vae = tfisovae.load("model")
    """
    config = saving.read_config(path)
    writer = config.pop("keras", "2")  # which older configurations lack
    cls = saving.class_of(config.pop("class", None), VAE, path, custom_objects)
    try:
        vae = cls.from_config(config, custom_objects)
    except Exception as error:
        own = _keras.VERSION
        if writer.partition(".")[0] != own.partition(".")[0]:
            raise ValueError(
                f"{path} was saved with Keras {writer}. Keras {own} cannot make the VAE from its "
                f"configuration ({' '.join(str(error).split())[:200]}). Load it with Keras "
                f"{writer}, or measure it without its configuration: "
                f"tfisovae.as_autoencoder({os.fspath(path)!r})."
            ) from None
        unknown = re.search(r"Could not locate class '(?:\w+>)?(\w+)'", str(error))
        if unknown is None or not isinstance(error, TypeError):
            raise
        raise ValueError(
            f"{path} has parts of the class {unknown[1]}, which is not registered with Keras here. "
            f"Import the module that registers it, or give custom_objects={{{unknown[1]!r}: "
            f"{unknown[1]}}}.") from None
    saving.restore(path, saving.Weights(vae.encoder, vae.decoder))
    return vae
