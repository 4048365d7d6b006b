"""Every distortion through one suite: value, metric tensor, inner product, scale, against closed
forms and oracles.
"""
import numpy as np
import pytest
import tensorflow as tf

from tests.messages import refuses
from tfisovae import distortions as D


class Quartic(D.Distortion):
    """A user's distortion, with `__call__` alone: sum of (e^x_hat - e^x)^2, so that G = diag(e^2x).
    """

    def __call__(self, x, x_hat):
        return tf.reduce_sum(tf.square(tf.exp(x_hat) - tf.exp(x)), range(1, len(x.shape)))


ALL = [
    D.SumSquaredError(),
    D.MeanSquaredError(),
    D.BinaryCrossentropy(),
    D.BinaryCrossentropy("sum"),
    D.SSIM(),
    D.SSIM(max_val=2.0),
    D.GaussianNLL(0.25),
    D.DownwardConvex(),
    D.UpwardConvex(),
    D.CategoricalCrossentropy(),
    D.CategoricalCrossentropy("mean"),
    D.Poisson(),
    D.ColumnBlocks([("sse", 2), (D.CategoricalCrossentropy(), 3), ("bce", 1, 0.5), ("poisson", 1)]),
    Quartic()
]
IDS = [repr(d) for d in ALL]


def data(distortion, seed=0, batch=3):
    """x inside (0.2, 0.8), or the simplex, and a displacement within the domain."""
    shape = (batch, 14, 13, 2) if isinstance(distortion, D.SSIM) else (batch, 7)
    rng = np.random.default_rng(seed)
    x = distortion.into_domain(rng.uniform(0.2, 0.8, shape))
    return x, distortion.tangent(rng.standard_normal(shape)).numpy()


def flat_sum(x):
    return tf.reduce_sum(tf.reshape(x, [len(x), -1]), -1).numpy()


@pytest.mark.parametrize("distortion", ALL, ids=IDS)
def test_excess_is_quadratic_in_small_displacements(distortion):
    """D(x, x + t v) - D(x, x) = t^2 v^T G v + O(t^3): the error of the quotient falls at least
    linearly in t.
    """
    x, v = data(distortion)
    form = distortion.inner(x, v, v).numpy()
    errors = [np.abs(distortion.excess(x, t * v).numpy() / t**2 - form).max() for t in (4e-3, 2e-3)]
    assert np.all(form > 0)
    assert errors[1] < 0.6 * errors[0] or errors[0] < 1e-9 * form.max()
    assert errors[1] < 0.02 * form.max()


@pytest.mark.parametrize("distortion", ALL, ids=IDS)
def test_excess_is_the_difference_of_values(distortion):
    x, v = data(distortion)
    v = 0.1 * v
    difference = distortion(x, x + v) - distortion(x, x)
    np.testing.assert_allclose(distortion.excess(x, v), difference, rtol=1e-9)


@pytest.mark.parametrize("distortion", ALL, ids=IDS)
def test_metric_product_is_half_the_hessian(distortion):
    """The closed form against automatic differentiation of the value (float64: rounding alone)."""
    x, v = map(tf.constant, data(distortion))
    np.testing.assert_allclose(distortion.metric_product(x, v),
                               D.Distortion.metric_product(distortion, x, v), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("distortion", ALL, ids=IDS)
def test_metric_is_symmetric_and_positive(distortion):
    x, u = data(distortion)
    v = data(distortion, 1)[1]
    np.testing.assert_allclose(distortion.inner(x, u, v), distortion.inner(x, v, u), rtol=1e-8)
    np.testing.assert_allclose(distortion.inner(x, u, v),
                               flat_sum(u * distortion.metric_product(x, v)), rtol=1e-12)
    assert np.all(distortion.inner(x, u, u).numpy() > 0)


@pytest.mark.parametrize("distortion", ALL, ids=IDS)
def test_scale_is_the_metric_or_not_implemented(distortion):
    x, v = data(distortion)
    if not distortion.has_scale:
        with refuses(NotImplementedError):
            distortion.scale(x)
    else:
        scale = distortion.scale(tf.constant(x)).numpy()
        assert scale.shape == (3,)
        np.testing.assert_allclose(distortion.metric_product(tf.constant(x), v), scale[:, None] * v,
                                   rtol=1e-12)


@pytest.mark.parametrize("distortion", ALL, ids=IDS)
def test_graph_and_batches_agree_with_eager(distortion):
    x, v = (a.astype(np.float32) for a in data(distortion, batch=5))

    @tf.function
    def value(x, v):
        return distortion(x, x + 0.1 * v), distortion.metric_product(x, v)

    whole = value(x, v)
    parts = [value(x[a:b], v[a:b]) for a, b in ((0, 2), (2, 5))]
    np.testing.assert_allclose(whole[0], distortion(x, x + 0.1 * v), rtol=2e-5)
    np.testing.assert_allclose(np.concatenate([p[0] for p in parts]), whole[0], rtol=1e-5)
    np.testing.assert_allclose(np.concatenate([p[1] for p in parts]), whole[1], rtol=1e-4,
                               atol=1e-7)


@pytest.mark.parametrize("distortion", ALL[:-1], ids=IDS[:-1])
def test_configuration_round_trip(distortion):
    copy = tf.keras.utils.deserialize_keras_object(
        tf.keras.utils.serialize_keras_object(distortion))
    assert repr(copy) == repr(distortion)


def test_exact_numbers():
    """Closed forms computed by hand."""
    x = tf.constant([[0.2, 0.7]], tf.float64)
    bce = D.BinaryCrossentropy("sum")
    np.testing.assert_allclose(bce(x, x), [1.111267], rtol=1e-6)
    np.testing.assert_allclose(bce.metric_product(x, tf.ones_like(x)), [[3.125, 2.380952]],
                               rtol=1e-6)
    np.testing.assert_allclose(D.BinaryCrossentropy().metric_product(x, tf.ones_like(x)),
                               [[1.5625, 1.190476]], rtol=1e-6)
    np.testing.assert_allclose(D.GaussianNLL(0.25).scale(x), [2.0])
    np.testing.assert_allclose(D.MeanSquaredError().scale(x), [0.5])
    points = tf.constant([[0.0, 0.0], [3.0, 4.0]], tf.float64)
    np.testing.assert_allclose(D.DownwardConvex().scale(points), [0.666667, 3.047619], rtol=1e-6)
    np.testing.assert_allclose(D.UpwardConvex().scale(points), [1.5, 0.328125], rtol=1e-6)
    np.testing.assert_allclose(D.SumSquaredError()(points, points + 1.0), [2.0, 2.0])


def ssim_by_windows(x, y, max_val):
    """The textbook formula over explicit windows, NumPy, float64."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps /= taps.sum()
    c1, c2 = (0.01 * max_val) ** 2, (0.03 * max_val) ** 2

    def blur(v):
        windows = np.lib.stride_tricks.sliding_window_view(v, (11, 11), (1, 2))
        return np.einsum("bijckl,k,l->bijc", windows, taps, taps)

    x, y = x.astype(np.float64), y.astype(np.float64)
    mx, my = blur(x), blur(y)
    vx, vy, covariance = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    ssim = (2 * mx * my + c1) / (mx**2 + my**2 + c1) * (2 * covariance + c2) / (vx + vy + c2)
    return ssim.mean((1, 2, 3))


@pytest.mark.parametrize("max_val", [1.0, 255.0])
@pytest.mark.parametrize("shape", [(4, 64, 64, 3), (2, 11, 30, 1), (2, 12, 11, 3)])
def test_ssim_is_the_textbooks_and_tensorflows(shape, max_val):
    rng = np.random.default_rng(0)
    x = rng.uniform(0, max_val, shape).astype(np.float32)
    for y in (rng.uniform(0, max_val, shape).astype(np.float32), (0.9 * x + 0.05 * max_val).astype(
            np.float32), max_val - x, x):
        ours = D.SSIM(max_val)(x, y)
        np.testing.assert_allclose(ours, 1 - ssim_by_windows(x, y, max_val), atol=1e-6)
        # tf.image.ssim itself is up to 1.04e-5 from the textbook in float32, where x and y are much
        # alike.
        np.testing.assert_allclose(ours, 1 - tf.image.ssim(x, y, max_val), atol=1.2e-5)


def test_ssim_metric_against_its_dense_matrix():
    """G = M / (2 mu^2 + c1) + V / (2 var + c2) for the one window of an 11 x 11 image, built with
    NumPy.
    """
    x = np.random.default_rng(0).uniform(size=(1, 11, 11, 1))
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    w = np.outer(taps, taps).ravel() / taps.sum() ** 2
    mean = w @ x.ravel()
    variance = w @ x.ravel() ** 2 - mean**2
    dense = np.outer(
        w, w) / (2 * mean**2 + 1e-4) + (np.diag(w) - np.outer(w, w)) / (2 * variance + 9e-4)
    v = np.random.default_rng(1).standard_normal(x.shape)
    np.testing.assert_allclose(
        D.SSIM().metric_product(tf.constant(x), tf.constant(v)).numpy().ravel(), dense @ v.ravel(),
        rtol=1e-9)


def test_ssim_of_images_with_their_channels_in_front():
    """The same number, and the same metric tensor with its axes turned; a side below 11 is refused.
    """
    rng = np.random.default_rng(0)
    x, y, v = (rng.uniform(size=[2, 14, 13, 3]).astype(np.float32) for _ in range(3))
    turned = [np.moveaxis(a, -1, 1) for a in (x, y, v)]
    ssim = D.SSIM()
    ssim.check(turned[0])
    np.testing.assert_array_equal(ssim(*turned[:2]), ssim(x, y))
    np.testing.assert_array_equal(ssim.metric_product(turned[0], turned[2]),
                                  np.moveaxis(ssim.metric_product(x, v).numpy(), -1, 1))
    for call in (ssim.check, lambda x: ssim(x, x)):
        with refuses(ValueError, "height"):
            call(turned[0][:, :, :10])


def test_ssim_has_finite_gradients_at_degenerate_images():
    noise = np.random.default_rng(0).uniform(size=(1, 16, 16, 3)).astype(np.float32)
    black, gray = np.zeros_like(noise), np.full_like(noise, 0.5)
    for x, y in ((black, black), (gray, gray), (gray, black), (noise, noise), (noise, 1 - noise),
                 (black, noise)):
        x, y = tf.constant(x), tf.constant(y)
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            loss = D.SSIM()(x, y)
        assert np.all(np.isfinite(loss))
        for gradient in tape.gradient(loss, [x, y]):
            assert np.all(np.isfinite(gradient))


def test_ssim_of_small_displacements_keeps_its_digits_in_float32():
    """At |v| = 1e-4 the textbook formula has no correct digit left; the excess has four."""
    x, v = (a.astype(np.float32) for a in data(D.SSIM()))
    form = D.SSIM().inner(x.astype(np.float64), v.astype(np.float64), v.astype(np.float64))
    np.testing.assert_allclose(D.SSIM().excess(x, 1e-4 * v) / 1e-8, form, rtol=1e-3)


def test_bce_excess_does_not_carry_the_entropy():
    """D(x, x) is not 0: its share would be D(x, x) / eps^2 = 11,113 in D'."""
    x = np.array([[0.2, 0.7]], np.float32)
    v = np.array([[1.0, 0.0]], np.float32)
    np.testing.assert_allclose(
        D.BinaryCrossentropy("sum").excess(x, 0.01 * v) / 0.01**2, [3.125], rtol=0.05)


def test_data_outside_the_domain_are_refused():
    image = np.full((2, 16, 16, 1), 0.5, np.float32)
    with refuses(ValueError):
        D.SSIM().check(tf.constant(np.concatenate([image, 510 * image])))
    with refuses(ValueError):
        D.BinaryCrossentropy().check(tf.constant([[-0.1, 0.5]]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="between 0 and 1"):
        tf.function(D.SSIM().check)(tf.constant(2 * image + 1))
    with refuses(ValueError):
        D.SSIM()(image[:, :10], image[:, :10])
    with refuses(ValueError):
        D.SSIM().check(tf.zeros([2, 7]))
    D.SumSquaredError().check(tf.constant([[1e9]]))


def test_names():
    assert isinstance(D.get("ssim"), D.SSIM)
    assert D.get("gaussian_nll", variance=0.5).variance == 0.5
    own = Quartic()
    assert D.get(own) is own
    with refuses(ValueError):
        D.get("l2")


@pytest.mark.parametrize("make", [
    lambda: D.GaussianNLL(0.0), lambda: D.GaussianNLL(np.nan), lambda: D.SSIM(-1.0),
    lambda: D.BinaryCrossentropy("none")
])
def test_bad_arguments(make):
    with refuses(ValueError):
        make()


def test_the_metric_of_bce_ends_where_its_clip_begins():
    """Beyond 1e-7 of 0 and 1 D does not change with x_hat: G is 0, as half the Hessian and the
    excess are.
    """
    x = tf.constant([[0.0, 1.0, 1e-9, 1 - 1e-9, 2e-7, 1 - 2e-7, 0.3]], tf.float64)
    for bce in (D.BinaryCrossentropy(), D.BinaryCrossentropy("sum")):
        product = bce.metric_product(x, tf.ones_like(x))
        np.testing.assert_allclose(product, D.Distortion.metric_product(bce, x, tf.ones_like(x)),
                                   rtol=1e-7)
        assert (product.numpy()[0, :4] == 0).all() and (product.numpy()[0, 4:6] > 1e5).all()
        # One entry at a time, towards the inside, by a step that stays on its side of the clip.
        for j in range(6):
            v = tf.constant((-1.0) ** j * 1e-10 * np.eye(7)[j:j + 1])
            np.testing.assert_allclose(bce.excess(x, v) / 1e-20, product[:, j], rtol=0.01)


class Absolute(D.Distortion):
    """The sum of |x_hat - x|: no metric tensor, and norms of 0 in silence."""

    def __call__(self, x, x_hat):
        return tf.reduce_sum(tf.abs(x_hat - x), range(1, len(x.shape)))


class Root(Absolute):
    """|x_hat - x| itself, whose slope at x is not even a number."""

    def __call__(self, x, x_hat):
        return tf.sqrt(tf.reduce_sum(tf.square(x_hat - x), range(1, len(x.shape))))


class Mixed(Absolute):
    def __call__(self, x, x_hat):
        return super().__call__(x, x_hat) + tf.reduce_sum(tf.square(x_hat - x),
                                                          range(1, len(x.shape)))


class Elsewhere(D.Distortion):
    def __call__(self, x, x_hat):
        return tf.reduce_sum(tf.square(x_hat - 2 * x), range(1, len(x.shape)))


class WrongMetric(D.SumSquaredError):
    def metric_product(self, x, v):
        return 2 * v


class TheirCrossentropy(D.Distortion):
    """As users write it: Keras' function, no domain, no closed form."""

    def __call__(self, x, x_hat):
        return tf.reduce_sum(tf.keras.losses.binary_crossentropy(x[..., None], x_hat[..., None]),
                             range(1, len(x.shape)))


class TheirSSIM(D.Distortion):
    def __call__(self, x, x_hat):
        return 1 - tf.image.ssim(x, x_hat, 1.0)


class SingleOnly(D.Distortion):
    """A distortion with a constant of its own in float32, which takes no float64."""

    def __call__(self, x, x_hat):
        return tf.reduce_sum(tf.square(x_hat - x) * tf.constant([4.0]), range(1, len(x.shape)))


RNG = np.random.default_rng(0)
IMAGES = {
    "photographs": RNG.uniform(0, 1, (3, 16, 16, 3)), "black": np.zeros((3, 16, 16, 3)),
    "white": np.ones((3, 16, 16, 3)), "gray": np.full((3, 16, 16, 3), 0.5), "binary": RNG.binomial(
        1, 0.1, (3, 16, 16, 3)).astype(float), "one": RNG.uniform(0, 1, (1, 16, 16, 3))
}


@pytest.mark.parametrize("images", IMAGES.values(), ids=IMAGES)
def test_smooth_distortions_are_quadratic(images):
    """Constant images, and images of 0 and 1 alone, are no fault of a distortion."""
    for distortion in ALL[:-1] + [Quartic(), TheirSSIM(), SingleOnly()]:
        if isinstance(distortion, D.ColumnBlocks):
            continue  # of tables
        if not isinstance(distortion, D.SSIM) or distortion.max_val == 1:
            assert distortion.check_quadratic(images.astype(np.float32)) is None  # it raises
    if images.std() > 0:  # on black images alone it could not know that x_hat lies above 0
        TheirCrossentropy().check_quadratic(images.astype(np.float32))


@pytest.mark.parametrize("images", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("distortion, message", [
    (Absolute(), ""),
    (Root(), ""),
    (Mixed(), ""),
    (WrongMetric(), ""),
])
def test_distortions_without_a_metric_are_refused(distortion, message, images):
    with refuses(ValueError, message):
        distortion.check_quadratic(images.astype(np.float32))


def test_a_distortion_that_is_smallest_elsewhere_is_refused():
    with refuses(ValueError):
        Elsewhere().check_quadratic(IMAGES["photographs"])


class PerPixel(D.Distortion):
    def __call__(self, x, x_hat):
        return tf.reduce_sum(tf.square(x_hat - x), -1)


def test_a_distortion_that_is_not_one_number_an_example_is_refused():
    with refuses(ValueError):
        PerPixel().check_quadratic(IMAGES["photographs"])


def fitted_probability(decomposed, x, lmbda=0.2, steps=150):
    """Trains mu = x A, sigma, sigmoid(z B + c) on `x` `[N, m]` by gradient descent; the mean of
    x_check.
    """
    count, m = x.shape
    noise = tf.constant(np.random.default_rng(1).standard_normal((count, 2)), tf.float32)
    a, b, c = (tf.Variable(0.1 * np.random.default_rng(k).standard_normal(shape), dtype=tf.float32)
               for k, shape in enumerate([(m, 2), (2, m), (m,)]))
    log_scale, optimizer = tf.Variable(tf.zeros([2])), tf.keras.optimizers.Adam(0.1)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            mean, scale = x @ a, tf.exp(log_scale)
            x_check, x_hat = tf.sigmoid(mean @ b + c), tf.sigmoid((mean + scale * noise) @ b + c)
            kl = tf.reduce_sum(mean**2 + scale**2 - 2 * log_scale - 1, 1) / 2
            loss = tf.reduce_mean(lmbda * decomposed(D.BinaryCrossentropy("sum"), x, x_check, x_hat)
                                  + kl)
        variables = [a, b, c, log_scale]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return tf.reduce_mean(x_check)

    for _ in range(steps):
        p = step()
    return float(p)


@pytest.mark.slow
def test_the_decomposed_loss_does_not_train_the_entropy_away():
    """Independent pixels, 1 in 30 % of the examples: reconstructed as .30. With D(x_check, x_hat)
    in full they come out as .10.
    """
    x = tf.constant(np.random.default_rng(0).binomial(1, 0.3, (20_000, 4)), tf.float32)
    assert fitted_probability(D.decomposed, x) == pytest.approx(float(tf.reduce_mean(x)), abs=0.01)
    with_entropy = fitted_probability(
        lambda d, x, x_check, x_hat: d(x, x_check) + d(x_check, x_hat), x)
    assert with_entropy == pytest.approx(0.10, abs=0.01)


@pytest.mark.parametrize("distortion", ALL, ids=IDS)
def test_the_decomposed_distortion_and_its_gradients(distortion):
    """D(x, x_check) + D(x_check, x_hat) - D(x_check, x_check), in value and in the slopes of all
    three.
    """
    x, v = data(distortion)
    points = [tf.constant(value) for value in (x, x + 0.05 * v, x + 0.1 * np.roll(v, 1, 0))]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(points)
        ours = D.decomposed(distortion, *points)
        direct = distortion(points[0], points[1]) + distortion(points[1], points[2]) - distortion(
            points[1], points[1])
    np.testing.assert_allclose(ours, direct, rtol=1e-9)
    for a, b in zip(tape.gradient(ours, points), tape.gradient(direct, points)):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(D.decomposed(distortion, *points, excess=True),
                               direct - distortion(points[0], points[0]), rtol=1e-8)


def test_categories_and_counts_by_hand():
    """Keras' categorical cross-entropy, TensorFlow's Poisson loss, metric tensors in closed form.
    """
    x = np.array([[[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]]])
    p = np.array([[[0.25, 0.25, 0.5], [0.1, 0.8, 0.1]]])
    expected = tf.keras.losses.categorical_crossentropy(x, p).numpy()
    np.testing.assert_allclose(D.CategoricalCrossentropy()(x, p), expected.sum(1), rtol=1e-12)
    np.testing.assert_allclose(D.CategoricalCrossentropy("mean")(x, p), expected.mean(1),
                               rtol=1e-12)
    v = np.array([[[1.0, -2.0, 1.0], [0.5, 0.0, -0.5]]])
    np.testing.assert_allclose(D.CategoricalCrossentropy().inner(p, v, v),
                               [np.sum(v**2 / p / 2)], rtol=1e-12)
    # One-hot rows have no entropy, and a zero of x no metric: D does not move with x_hat there.
    assert float(D.CategoricalCrossentropy()(x[:, 1:], x[:, 1:])[0]) == pytest.approx(0, abs=1e-6)
    counts, rates = np.array([[0.0, 3.0, 10.0]]), np.array([[0.5, 2.0, 12.0]])
    poisson = tf.nn.log_poisson_loss(counts, np.log(rates)).numpy().sum(1)
    np.testing.assert_allclose(D.Poisson()(counts, rates), poisson, rtol=1e-12)
    np.testing.assert_allclose(D.Poisson().metric_product(rates, np.ones([1, 3])), 0.5 / rates)


def test_a_sum_over_blocks_of_columns():
    x, v = np.random.default_rng(0).uniform(0.1, 0.9, [2, 5, 4])
    blocks = D.ColumnBlocks([("sse", 3), ("bce", 1, 0.25)])
    own = D.SumSquaredError(), D.BinaryCrossentropy()
    for name in ("__call__", "excess"):
        parts = [getattr(one, name)(x[:, at], v[:, at])
                 for one, at in zip(own, (slice(0, 3), slice(3, 4)))]
        np.testing.assert_allclose(getattr(blocks, name)(x, v), parts[0] + 0.25 * parts[1])
    blocks.check(x)
    for wrong in (x[:, :3], np.where(np.arange(4) == 3, 2 * x + 1, x)):
        with refuses(ValueError):
            blocks.check(wrong)
    for bad in ([], [("sse",)], [("sse", 0)], [("sse", 2, -1.0)], ["sse"]):
        with refuses(ValueError, "block"):
            D.ColumnBlocks(bad)


class OpenDomain(D.Distortion):
    """sum of (log x_hat - log x)^2, for x above 0, by autodiff alone."""

    domain = (0.0, np.inf)

    def __call__(self, x, x_hat):
        return tf.reduce_sum(tf.square(tf.math.log(x_hat) - tf.math.log(x)), -1)


ONE_HOT = np.eye(5)[np.random.default_rng(0).integers(5, size=(40, 3))]
TOKENS = {
    "one-hot": (D.CategoricalCrossentropy(), ONE_HOT),
    "one-hot, mean": (D.CategoricalCrossentropy("mean"), ONE_HOT),
    "probabilities": (D.CategoricalCrossentropy(), np.random.default_rng(0).dirichlet([1] * 6, 40)),
    "counts": (D.Poisson(), np.random.default_rng(0).poisson(2.0, [40, 6])),
    "no counts": (D.Poisson(), np.zeros([40, 6])),
    "an open domain": (OpenDomain(), np.random.default_rng(0).lognormal(size=[40, 6])),
    "blocks": (D.ColumnBlocks([("sse", 2), ("cce", 5), ("poisson", 1)]), np.concatenate(
        [np.random.default_rng(0).normal(size=[40, 2]), ONE_HOT[:, 0], np.ones([40, 1])], 1)),
}


@pytest.mark.parametrize("name", TOKENS)
def test_the_check_stays_in_the_domain(name):
    """Distortions with a domain of their own have a metric tensor, and are found to."""
    distortion, x = TOKENS[name]
    x = x.astype(np.float32)
    distortion.check(x)
    distortion.check_quadratic(x)
    assert not distortion.outside(x).any() and distortion.outside(x - 0.5).any()
    assert not distortion.outside(distortion.into_domain(x - 0.5)).any()
    assert not distortion.outside(distortion.inner_point(x, 0.2)).any()


def test_a_distortion_must_be_finite_at_x():
    """Also at the border of its domain."""
    class Counts(D.Distortion):
        domain = (0.0, np.inf)

        def __call__(self, x, x_hat):
            return tf.reduce_sum(x_hat - x * tf.math.log(x_hat), -1)

    x = tf.constant([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]])
    Counts().check_quadratic(x[:2])
    with refuses(ValueError, "example 2"):
        Counts().check_quadratic(x)


def test_what_is_no_distribution_is_refused():
    for wrong in (0.5 * ONE_HOT, -ONE_HOT, 2 * ONE_HOT):
        with refuses(ValueError, "probabilities"):
            D.CategoricalCrossentropy().check(wrong)
    with refuses(ValueError, "at least 0"):
        D.Poisson().check(np.array([[-1.0, 2.0]]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="probabilities"):
        tf.function(D.CategoricalCrossentropy().check)(tf.constant(0.5 * ONE_HOT))
