"""Seconds of SSIM and its gradient on a batch of 64 images of 64 x 64 x 3, against `tf.image.ssim`
in turn.
"""
import timing

import tfisovae


def main(argv=None):
    args = timing.parser(__doc__).parse_args(argv)
    import tensorflow as tf

    distortion = tfisovae.distortions.SSIM()
    x, y = tf.random.uniform([64, 64, 64, 3], seed=0), tf.random.uniform([64, 64, 64, 3], seed=1)

    def with_gradient(loss):
        @tf.function
        def both(x, y):
            with tf.GradientTape() as tape:
                tape.watch(y)
                value = tf.reduce_sum(loss(x, y))
            return value, tape.gradient(value, y)

        return lambda: both(x, y)[1].numpy()

    measured = timing.in_turn(with_gradient(distortion),
                              with_gradient(lambda x, y: 1 - tf.image.ssim(x, y, 1.0)), rounds=25)
    timing.report({**measured, "times_as_fast": round(1 / measured["ratio"], 2)}, args.json)


if __name__ == "__main__":
    main()
