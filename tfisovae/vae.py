"""The variational autoencoder: its objective, its Keras steps, and its SavedModel."""
import numbers
import os

import tensorflow as tf

from tfisovae import distortions, examples, saving
from tfisovae import metrics as metrics_lib
from tfisovae.measurement import Measurement, measure
from tfisovae.posterior import Posterior, noise_rows
from tfisovae.resident import Resident


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class VAE(tf.keras.Model):
    """A variational autoencoder that can be measured.

    The loss, in nats per example, averaged over the batch, is that of Eq. 54 with beta = 1 / lmbda:

        L = lmbda D(x, x_hat) + KL,                                  x_hat = Dec(mean + scale * noise)
        L = lmbda (D(x, x_check) + D(x_check, x_hat)) + KL           decomposed, x_check = Dec(mean)

    Data sets yield `x` alone. `fit` reports `loss` (nats), `distortion` (of D), `rate` (nats) and `active_dimensions`;
    `evaluate` adds the metrics given to `compile(metrics=[...])`, which are measured in evaluation only.

    Args:
      encoder: Keras model from `[B, ...]` to `[B, 2n]`: the posterior's mean, then its log-variance.
      decoder: Keras model from `[B, n]` to the shape of x.
      distortion: a `Distortion`, or the name of one.
      lmbda: weight of the distortion, positive.
      decomposed: whether to train the decomposed loss of section 4.2.
      warmup_steps: steps of the conventional loss before the decomposed one, which from scratch tends to collapse (500 is a
        good number; the logs give the decomposed loss from the first step on).
      seed: seed of the posterior noise. Noise is a function of the seed, the step and the row of the global batch.
    """

    def __init__(self, encoder, decoder, distortion, lmbda, decomposed=False, *, warmup_steps=0, seed=0, name="vae"):
        super().__init__(name=name)
        if isinstance(lmbda, bool) or not isinstance(lmbda, numbers.Real) or not 0 < lmbda < float("inf"):
            raise ValueError(f"lmbda must be a positive, finite number; got {lmbda!r}.")
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps must be at least 0; got {warmup_steps!r}.")
        outputs, latents = encoder.output_shape[-1], decoder.input_shape[-1]
        if outputs != 2 * latents:
            raise ValueError("The encoder must return [batch, 2n], means then log-variances, for the decoder's n inputs; "
                             f"the encoder returns {outputs} numbers, the decoder takes {latents}.")
        if decoder.output_shape[1:] != encoder.input_shape[1:]:
            raise ValueError(f"The decoder returns {decoder.output_shape[1:]}, the encoder takes "
                             f"{encoder.input_shape[1:]}: a VAE returns what it takes.")
        self.encoder, self.decoder = encoder, decoder
        self.distortion = distortions.get(distortion)
        self.lmbda = float(lmbda)
        self.decomposed = bool(decomposed)
        self.warmup_steps = int(warmup_steps)
        self.seed = int(seed)
        self.n = int(latents)
        self._trackers = [metrics_lib.Loss(), metrics_lib.Distortion(), metrics_lib.Rate(), metrics_lib.ActiveDimensions()]
        for tracker in self._trackers:
            tracker.build(self.n)
        self._measures, self.num_parts, self._resident = [], 1, None
        self.build(encoder.input_shape)

    @property
    def beta(self):
        return 1 / self.lmbda

    def encode(self, x):
        """The posterior of `x` `[B, ...]`: a `Posterior` of mean and scale, `[B, n]` each."""
        return Posterior.from_parameters(self.encoder(x))

    def decode(self, z):
        """x_hat, `[B, ...]`, of `z` `[B, n]`."""
        return self.decoder(z)

    def call(self, x):
        """Dec(mean): the reconstruction without posterior noise, which `predict` returns too."""
        return self.decode(self.encode(x).mean)

    def _training_objective(self, measurement):
        if not (self.decomposed and self.warmup_steps):
            return measurement.objective
        warming_up = self.optimizer.iterations < self.warmup_steps
        conventional = self.distortion(measurement.x, measurement.x_hat)
        distortion = tf.where(warming_up, conventional, measurement.distortion)
        return self.lmbda * distortion + tf.reduce_sum(measurement.kl, -1)

    def compile(self, optimizer="adam", metrics=None, num_parts=1, resident=None, **kwargs):
        """Prepares for `fit` and `evaluate`.

        Args:
          optimizer: a Keras optimizer, or the name of one.
          metrics: instances of `tfisovae.metrics`, measured by `evaluate`.
          num_parts: how many equal parts of a batch `fit` works on side by side. The step is the same to rounding; on a CPU
            one part to a core is faster than all cores on one operation after the other.
          resident: `[N, ...]`, examples to keep on the device. `fit` then takes data sets of row numbers `[steps, B]`, int32
            (`tfisovae.batches.resident_batches`), and does the steps of each element in one call compiled by XLA. The weights
            are those of ordinary batches to rounding; small networks train several times faster.
          **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile` of `tf.keras.Model.compile`.
        """
        for name in ("loss", "loss_weights", "weighted_metrics"):
            if kwargs.pop(name, None) is not None:
                raise ValueError(f"compile({name}=...) has no meaning for a VAE: its loss is lmbda D + KL, and D is the "
                                 "distortion that the VAE was made with.")
        for metric in metrics or []:
            if not hasattr(metric, "measure"):
                raise ValueError(f"metrics must be instances of tfisovae.metrics, which measure a VAE; got {metric!r}.")
            metric.build(self.n)
        if num_parts < 1:
            raise ValueError(f"num_parts must be at least 1; got {num_parts!r}.")
        self._measures, self.num_parts = list(metrics or []), int(num_parts)
        super().compile(optimizer=optimizer, **kwargs)
        self._resident = None if resident is None else Resident(self, self._prepare(resident))

    @property
    def weights(self):
        """The networks' weights; Keras would count the metrics' accumulators too."""
        return self.encoder.weights + self.decoder.weights

    @property
    def metrics(self):
        return [*self._trackers, *self._measures]

    def _noise(self, x, step):
        """Noise of this replica's rows of a global batch."""
        context, rows = tf.distribute.get_replica_context(), tf.shape(x)[0]
        replica = context.replica_id_in_sync_group if context else 0
        return noise_rows(rows, self.n, self.seed, step, replica * rows)

    def check(self, x):
        """Raises ValueError if `x` are no examples of this VAE: their shape, or values outside the distortion's domain."""
        if x.shape.rank != len(self.encoder.input_shape) or not self.encoder.input_shape[1:] == tuple(x.shape[1:]):
            raise ValueError(f"x must have the shape [batch, {', '.join(map(str, self.encoder.input_shape[1:]))}]; "
                             f"got {tuple(x.shape)}.")
        self.distortion.check(x)

    def _prepare(self, data):
        x = tf.cast(examples.x_of(data), tf.float32)
        self.check(x)
        return x

    def train_step(self, data):
        if self._resident is not None:
            return self._report([self._resident.train(data)], self._trackers)
        x = self._prepare(data)
        return self._report(self.train_on(x, self._noise(x, self.optimizer.iterations)), self._trackers)

    def train_on(self, x, noise):
        """One step of the optimizer on `x` `[B, ...]` with posterior `noise` `[B, n]`: the `Measurement`s of its parts."""
        step, replicas = self.optimizer.iterations, tf.distribute.get_strategy().num_replicas_in_sync
        measurements, losses, gradients = [], [], []
        # Parts have no data in common: on a CPU the executor runs them side by side, one to a core.
        for x_part, noise_part in zip(tf.split(x, self.num_parts), tf.split(noise, self.num_parts)):
            with tf.GradientTape() as tape:
                measurement = Measurement(self, x_part, noise_part)
                loss = tf.reduce_mean(self._training_objective(measurement)) / (self.num_parts * replicas)
                scaled = self.optimizer.get_scaled_loss(loss) if self._scales_loss() else loss
            measurements.append(measurement)
            losses.append(loss)
            gradients.append(tape.gradient(scaled, self.trainable_variables))
        finite = tf.debugging.Assert(tf.math.is_finite(tf.add_n(losses)),
                                     ["The loss is not finite at step", step + 1, "- lower the learning rate, or set clipnorm"])
        with tf.control_dependencies([finite] if finite is not None else []):
            total = [tf.add_n(parts) for parts in zip(*gradients)]
            if self._scales_loss():
                total = self.optimizer.get_unscaled_gradients(total)
            self.optimizer.apply_gradients(zip(total, self.trainable_variables))
        return measurements

    def _scales_loss(self):
        return isinstance(self.optimizer, tf.keras.mixed_precision.LossScaleOptimizer)

    def test_step(self, data):
        x = self._prepare(data)
        seen = tf.cast(self._trackers[0].count, tf.int32) * tf.distribute.get_strategy().num_replicas_in_sync
        return self._report([self.measure(x, seen)], self.metrics)

    def measure(self, x, first_row=0):
        """What can be measured on the examples `x` `[B, ...]`: a `tfisovae.measurement.Measurement`.

        Its posterior noise depends on the seed and on `first_row`, the number of examples before these ones, alone.
        """
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context else 0
        return measure(self, x, first_row + replica * tf.shape(x)[0], self.seed)

    def _report(self, measurements, metrics):
        logs = {}
        for metric in metrics:
            for measurement in measurements:
                metric.update_state(measurement)
        for metric in metrics:
            result = metric.result()
            logs.update(result if isinstance(result, dict) else {metric.name: result})
        return logs

    def get_config(self):
        return {"encoder": tf.keras.utils.serialize_keras_object(self.encoder),
                "decoder": tf.keras.utils.serialize_keras_object(self.decoder),
                "distortion": tf.keras.utils.serialize_keras_object(self.distortion),
                "lmbda": self.lmbda, "decomposed": self.decomposed, "warmup_steps": self.warmup_steps,
                "seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {key: tf.keras.utils.deserialize_keras_object(config[key], custom_objects=custom_objects)
                 for key in ("encoder", "decoder", "distortion")}
        return cls(**{**config, **parts})

    def save(self, filepath, overwrite=True, **kwargs):
        """Writes a SavedModel with the signatures `encode` (x to mean and scale) and `decode` (z to x_hat).

        `tf.saved_model.load` gives the signatures anywhere; `tfisovae.load` gives the VAE back.

        Args:
          filepath: directory to write.
          overwrite: whether an existing SavedModel there may be replaced.
        Raises:
          ValueError: for `.keras` and `.h5`, which do not keep the weights of GDN layers.
          FileExistsError: if something is there that may not be replaced.
        """
        path = os.fspath(filepath).rstrip(os.sep)
        if path.endswith((".keras", ".h5", ".hdf5")) or kwargs.get("save_format") in ("keras", "h5"):
            raise ValueError("A VAE is saved as a SavedModel directory. The formats .keras and .h5 do not keep the parameters "
                             "of tensorflow-compression's layers: they load back with wrong weights, or not at all. "
                             f"Got {filepath!r}; use a name without that ending.")
        saving.write(path, saving.Weights(self.encoder.weights, self.decoder.weights), self._signatures(), self._config_now(),
                     overwrite)

    def _config_now(self):
        """The configuration to go on from: a warm-up that is over is not repeated."""
        config, optimizer = self.get_config(), getattr(self, "optimizer", None)
        if optimizer is not None and int(optimizer.iterations.numpy()) >= self.warmup_steps:
            config["warmup_steps"] = 0
        return config

    def _signatures(self):
        @tf.function(input_signature=[tf.TensorSpec(self.encoder.input_shape, tf.float32, name="x")])
        def encode(x):
            posterior = self.encode(x)
            return {"mean": posterior.mean, "scale": posterior.scale}

        @tf.function(input_signature=[tf.TensorSpec([None, self.n], tf.float32, name="z")])
        def decode(z):
            return {"x_hat": self.decode(z)}

        return {"encode": encode, "decode": decode}


def load(path, custom_objects=None):
    """The VAE that `vae.save(path)` wrote, ready to be measured, or compiled and trained on.

    Args:
      path: the SavedModel's directory.
      custom_objects: classes by name, for distortions or layers that are not registered with Keras.
    Raises:
      FileNotFoundError: if there is nothing at `path`.
      ValueError: if what is there is not a VAE.
    """
    vae = VAE.from_config(saving.read_config(path), custom_objects)
    saving.restore(path, saving.Weights(vae.encoder.weights, vae.decoder.weights))
    return vae
