"""Derivatives of operations that TensorFlow has none for: importing this module registers them.

Jacobian-vector products are derivatives of vector-Jacobian products (`geometry`), so every
operation of a decoder needs a gradient of its *gradient*. Resizing an image is linear, x -> R x;
its gradient is g -> R^T g, which is linear too, and has the gradient v -> R v: the resize itself.
TensorFlow 2.14 has no entry for the second of these, which is what `tf.keras.layers.UpSampling2D`
and `tf.image.resize` are made of. TensorFlow 2.21 has an entry for `ResizeBilinearGrad` that says
"no gradient", and derivatives through it would be 0. SavedModels use the same registry when they
are loaded.
"""
import tensorflow as tf
from tensorflow.python.framework import ops  # the registry has no public name

_RESIZES = {
    "ResizeNearestNeighborGrad": tf.raw_ops.ResizeNearestNeighbor,
    "ResizeBilinearGrad": tf.raw_ops.ResizeBilinear,
    "ResizeBicubicGrad": tf.raw_ops.ResizeBicubic,
}


def _gradient_of(resize):
    """The gradient of v = R^T g in g, for the operation `resize`: x -> R x.

    The second input of R^T is the size of x (nearest) or x itself, which gives size and type alone
    (bilinear, bicubic): it has no derivative.
    """
    def gradient(op, cotangent):
        size = tf.shape(op.inputs[0])[1:3]
        resized = resize(images=cotangent, size=size, align_corners=op.get_attr("align_corners"),
                         half_pixel_centers=op.get_attr("half_pixel_centers"))
        return tf.cast(resized, op.inputs[0].dtype), None

    return gradient


def _register():
    registry = ops.gradient_registry
    for name, resize in _RESIZES.items():
        if name in registry.list():
            if registry.lookup(name) is not None:
                continue  # by this module before it was reloaded, or by a TensorFlow that has it
            registry._registry.pop(name)  # the entry that says "no gradient"
        tf.RegisterGradient(name)(_gradient_of(resize))


_register()
