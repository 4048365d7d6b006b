"""Microseconds per step of one toy VAE when many are trained in one computation, against cells
trained side by side.

    python benchmarks/stacked_cells.py [--json FILE]

The other way to train an ablation: every weight is `[cells, ...]`, and one batched product serves
all cells. This is the bare step, without shuffling, logs or checkpoints: what stacking could gain
at most. benchmarks/toy_trial.py measures the way taken.
"""
import tensorflow as tf
import timing

SHAPES = [(16, 128), (128, 64), (64, 6), (3, 64), (64, 128), (128, 16)]
BATCH, STEPS = 128, 40


def microseconds(cells, compiled=False):
    """Per step and cell."""
    variables = [
        tf.Variable(tf.random.normal([cells, *shape], stddev=shape[0]**-0.5, seed=0))
        for shape in SHAPES
    ]
    variables += [tf.Variable(tf.zeros([cells, 1, shape[1]])) for shape in SHAPES]
    moments = [[tf.Variable(tf.zeros_like(v)) for v in variables] for _ in range(2)]
    x = tf.random.normal([cells, BATCH, 16], seed=0)

    def dense(inputs, layer):
        return tf.matmul(inputs, variables[layer]) + variables[len(SHAPES) + layer]

    def loss(noise):
        h = tf.tanh(dense(tf.tanh(dense(x, 0)), 1))
        mean, log_variance = tf.split(dense(h, 2), 2, -1)
        scale = tf.exp(log_variance / 2)
        x_hat = dense(tf.tanh(dense(tf.tanh(dense(mean + scale * noise, 3)), 4)), 5)
        kl = tf.reduce_sum(mean**2 + scale**2 - log_variance - 1, -1) / 2
        return tf.reduce_sum(100 * tf.reduce_sum((x - x_hat) ** 2, -1) + kl) / BATCH

    @tf.function(jit_compile=compiled)
    def steps():
        for step in tf.range(STEPS):
            with tf.GradientTape() as tape:
                total = loss(tf.random.stateless_normal([cells, BATCH, 3], [0, step]))
            for variable, m, v, gradient in zip(variables, *moments, tape.gradient(
                    total, variables)):
                tf.raw_ops.ResourceApplyAdam(var=variable.handle, m=m.handle, v=v.handle,
                                             beta1_power=0.9, beta2_power=0.999, lr=1e-3, beta1=0.9,
                                             beta2=0.999, epsilon=1e-7, grad=gradient)
        return tf.reduce_sum(variables[0])

    return timing.seconds(lambda: steps().numpy()) / STEPS / cells * 1e6


def main(argv=None):
    args = timing.parser(__doc__).parse_args(argv)
    timing.report(
        {
            "stacked_90_us": round(microseconds(90), 1), "stacked_15_us": round(
                microseconds(15), 1), "stacked_15_xla_us": round(microseconds(15, compiled=True), 1)
        }, args.json)


if __name__ == "__main__":
    main()
