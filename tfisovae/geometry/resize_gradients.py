"""Derivatives that TensorFlow lacks: importing this module registers them.

Jacobian-vector products are derivatives of vector-Jacobian products (`geometry`), so every
operation of a decoder needs a gradient of its *gradient*. Resizing an image is linear, x -> R x;
its gradient is g -> R^T g, which is linear too, and has the gradient v -> R v: the resize itself.
TensorFlow 2.14 has no entry for the second of these, so `tf.keras.layers.UpSampling2D` and
`tf.image.resize` lack it. TensorFlow 2.21 declares that `ResizeBilinearGrad` has no gradient, and
derivatives through it would be 0. Loaded SavedModels use the same registry.
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

    The second input of R^T is the size of x (nearest), or x itself, used only for its size and type
    (bilinear, bicubic). It has no derivative.
    """
    def gradient(op, cotangent):
        size = tf.shape(op.inputs[0])[1:3]
        resized = resize(images=cotangent, size=size, align_corners=op.get_attr("align_corners"),
                         half_pixel_centers=op.get_attr("half_pixel_centers"))
        return tf.cast(resized, op.inputs[0].dtype), None

    return gradient


def _twice_differentiable(resize, pull):
    """The gradient g -> R^T g of the operation `resize`, with its own gradient v -> R v.

    It is for operations whose R^T has no gradient according to TensorFlow. In eager mode TensorFlow
    then drops the inputs of R^T, so a registered gradient would not work.
    """
    def gradient(op, cotangent):
        how = {name: op.get_attr(name) for name in ("align_corners", "half_pixel_centers")}
        image = op.inputs[0]

        @tf.custom_gradient
        def pulled_back(g):
            def again(v):
                return tf.cast(resize(images=v, size=tf.shape(g)[1:3], **how), g.dtype)

            return pull(grads=g, original_image=image, **how), again

        return pulled_back(cotangent), None

    return gradient


def _register():
    registry = ops.gradient_registry
    for name, resize in _RESIZES.items():
        if name not in registry.list():
            tf.RegisterGradient(name)(_gradient_of(resize))
        elif registry.lookup(name) is None:
            forward = name.removesuffix("Grad")
            registry._registry.pop(forward)
            tf.RegisterGradient(forward)(_twice_differentiable(resize, getattr(tf.raw_ops, name)))


_register()
