"""PyTorch modules behind the door: derivatives against PyTorch's own in float64, measures against
the same VAE in Keras.
"""
import copy
import json
import types

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import linear_vae
from tfisovae import Codec, as_autoencoder
from tfisovae._autograph import compiled
from tfisovae.analysis import conditions, mean_gradient
from tfisovae.autoencoder.networks import Composed
from tfisovae.autoencoder.outputs import PartError
from tfisovae.codec import container
from tfisovae.geometry import pullback
from tfisovae.verdict import model_words

torch = pytest.importorskip("torch")
nn = torch.nn

M, N = 6, 3
Z = np.random.default_rng(0).standard_normal([8, N]).astype(np.float32)
X = np.random.default_rng(1).standard_normal([200, M]).astype(np.float32)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def decoder(activation=nn.ReLU):
    """With batch normalisation, whose moving averages differ from one batch, and dropout."""
    made = nn.Sequential(nn.Linear(N, 32), nn.BatchNorm1d(32), activation(), nn.Dropout(0.5),
                         nn.Linear(32, M))
    with torch.no_grad():
        made(torch.randn(500, N) + 1)  # moves the averages
    return made


class Encoder(nn.Module):
    """A trunk and two heads, in a dict whose order is another."""

    def __init__(self, trunk=None, heads=(M, M)):
        super().__init__()
        self.trunk = trunk or nn.Identity()
        self.mean, self.log_variance = (nn.Linear(size, N) for size in heads)

    def forward(self, x):
        h = self.trunk(x)
        return {"log_var": self.log_variance(h) - 4, "mu": self.mean(h)}


class VAE(nn.Module):
    """With methods, as people write it. Its `encoder` is only a part of `encode`."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(M, 16), decoder(nn.SiLU)
        self.mu, self.log_var = nn.Linear(16, N), nn.Linear(16, N)

    def encode(self, x):
        h = torch.relu(self.encoder(x))
        return self.mu(h), self.log_var(h)

    def decode(self, z):
        return torch.sigmoid(self.decoder(z))


def exact(function, z):
    """The Jacobian `[n, B, ...]` by PyTorch, backwards and in float64."""
    whole = [torch.autograd.functional.jacobian(function, torch.tensor(row[None]).double())
             for row in z]
    return np.stack([np.moveaxis(one.numpy()[0], -1, 0)[:, ..., 0] for one in whole], 1)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_tangents_are_exact(activation):
    """To float32, eager and traced, at once and by nested gradients. Differences are 1,000 times
    as far off a ReLU decoder.
    """
    module = decoder(activation)
    expected = exact(copy.deepcopy(module).double().eval(), Z)
    decode = as_autoencoder((Encoder(), module), "sse", 0.1).decode
    z = tf.constant(Z)
    assert pullback.tangent_method(decode, z) == "autodiff"
    traced = compiled(lambda z: pullback.jacobian(decode, z))
    composed = compiled(lambda z: pullback.jacobian(Composed(decode, lambda z: z + 0), z))
    for jacobian in (lambda z: pullback.jacobian(decode, z), traced, composed):
        x, stack = jacobian(z)
        np.testing.assert_allclose(x, decode(z), atol=1e-6)
        np.testing.assert_allclose(stack, expected, atol=2e-6)
    differences = pullback.jacobian(decode, z, "differences")[1]
    if activation is nn.ReLU:
        assert np.abs(differences - expected).max() > 1e-3
    # The gradient of a distortion, which takes the cotangents backwards.
    slopes = pullback.distortion_slopes(decode, z, decode(z + 0.1), tfisovae.distortions.get("sse"))
    residual = (decode(z) - decode(z + 0.1)).numpy()
    np.testing.assert_allclose(slopes, np.einsum("jbk,bk->bj", expected, 2 * residual), atol=1e-5)


def test_second_derivatives():
    """Of x = tanh(z W): the derivative of sum_k c_k J_kj t_j by z."""
    module = nn.Sequential(nn.Linear(N, M, bias=False), nn.Tanh())
    decode = as_autoencoder((Encoder(), module), "sse", 0.1).decode
    z, w = tf.constant(Z), module[0].weight.detach().numpy()
    with tf.GradientTape() as second:
        second.watch(z)
        with tf.GradientTape() as first:
            first.watch(z)
            total = tf.reduce_sum(decode(z))
        gradient = tf.reduce_sum(first.gradient(total, z))
    y = np.tanh(Z @ w.T)
    expected = (-2 * y * (1 - y**2) * w.sum(1)) @ w
    np.testing.assert_allclose(second.gradient(gradient, z), expected, atol=1e-5)


def test_modes_and_gradients_are_left_as_they_were():
    """Evaluation mode inside, whatever the mode of each part; and no buffer moves."""
    module, encoder = decoder(), Encoder(nn.Dropout(0.9))
    module.train()
    module[1].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    made = as_autoencoder((encoder, module), "sse", 0.1)
    np.testing.assert_array_equal(made.encode(X)[0], made.encode(X)[0])
    pullback.jacobian(made.decode, tf.constant(Z))
    assert module.training and module[3].training and not module[1].training
    assert encoder.trunk.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_outputs_by_name_and_methods_of_one_module():
    encoder, vae = Encoder(), VAE().eval()
    mean, scale = as_autoencoder((encoder, decoder()), "sse", 0.1).encode(X)
    said = encoder(torch.from_numpy(X))
    np.testing.assert_allclose(mean, said["mu"].detach(), atol=1e-6)
    np.testing.assert_allclose(scale, torch.exp(said["log_var"] / 2).detach(), atol=1e-6)
    for model in (vae, (vae.encode, vae.decode)):
        made = as_autoencoder(model, "sse", 0.1)
        mean = made.encode(X)[0]
        np.testing.assert_allclose(mean, vae.encode(torch.from_numpy(X))[0].detach(), atol=1e-6)
        np.testing.assert_allclose(made.decode(mean),
                                   vae.decode(torch.from_numpy(mean.numpy())).detach(), atol=1e-6)
        # Both halves use all of it, and each weight counts once.
        weights = mean_gradient.weights_of(made)
        assert len(weights) == len(list(vae.parameters()))


def test_a_module_in_float64():
    vae = VAE().double()
    made = as_autoencoder(vae, "sse", 0.1)
    assert made.decode.precision == tf.float64
    assert made.decode(tf.constant(Z)).dtype == tf.float32
    z = tf.constant(Z, tf.float64)
    stack = pullback.jacobian(made.decode, z)[1]
    assert stack.dtype == tf.float64
    np.testing.assert_allclose(stack, exact(vae.eval().decode, Z), atol=1e-13)


@pytest.fixture(scope="module")
def both():
    """The same linear VAE in Keras and in PyTorch, away from its optimum."""
    rng = np.random.default_rng(2)
    a, b, scale = rng.normal(size=[M, N]), rng.normal(size=[N, M]), np.array([0.1, 0.2, 0.3])
    keras = linear_vae(a, b, scale, 10.0)
    encoder, decoder = nn.Linear(M, 2 * N), nn.Linear(N, M)
    with torch.no_grad():
        for layer, network in ((encoder, keras.encoder), (decoder, keras.decoder)):
            kernel, bias = network.get_weights()
            layer.weight.copy_(torch.from_numpy(kernel.T))
            layer.bias.copy_(torch.from_numpy(bias))
    return keras, (encoder, decoder)


def test_measures_are_those_of_the_same_vae_in_keras(both):
    keras, pair = both
    a, b = tfisovae.analyze(keras, X), tfisovae.analyze(as_autoencoder(pair, "sse", 0.1), X)
    assert b.tangents == "autodiff"
    for name in ("norm_mean", "importance", "kl_mean", "gram_mean", "loss", "transform_loss"):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name), rtol=1e-4, atol=1e-5)


def test_the_mean_gradient_is_that_of_the_same_vae_in_keras(both):
    """Inner products of gradients do not depend on the order of the weights."""
    keras, pair = both
    grams = [mean_gradient.block_gradients(model, X, num_blocks=8)
             for model in (tfisovae.Autoencoder(keras.encode, keras.decode, "sse", 0.1,
                                                networks=keras.networks),
                           as_autoencoder(pair, "sse", 0.1))]
    assert grams[0].num_weights == grams[1].num_weights == (M + 1) * 2 * N + (N + 1) * M
    np.testing.assert_allclose(grams[1].gram, grams[0].gram, rtol=1e-4)


def test_frozen_weights_have_no_gradient(both):
    encoder = nn.Linear(M, 2 * N)
    encoder.weight.requires_grad_(False)
    made = as_autoencoder((encoder, both[1][1]), "sse", 0.1)
    assert mean_gradient.block_gradients(made, X, num_blocks=8).num_weights == 2 * N + (N + 1) * M


class Clipped(torch.autograd.Function):
    """tanh, in the style of before `torch.func`."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 - torch.tanh(ctx.saved_tensors[0])**2)


class Refused(nn.Linear):
    """A module that `torch.func` refuses."""

    def forward(self, z):
        return Clipped.apply(super().forward(z))


def test_what_torch_func_refuses_is_differenced():
    """The result says so. Gradients still come from PyTorch."""
    module = Refused(N, M)
    made = as_autoencoder((Encoder(), module), "sse", 0.1)
    assert pullback.tangent_method(made.decode, tf.constant(Z)) == "differences"
    found = tfisovae.analyze(made, X)
    assert found.tangents == "differences"
    assert "finite differences of the decoder" in found.table()
    plain = nn.Sequential(nn.Linear(N, M), nn.Tanh())
    plain[0].load_state_dict(module.state_dict())
    encoder = Encoder()
    grams = [mean_gradient.block_gradients(as_autoencoder((encoder, half), "sse", 0.1), X,
                                           num_blocks=8).gram for half in (module, plain)]
    np.testing.assert_allclose(*grams, rtol=1e-4)


class Detached(nn.Linear):
    @torch.no_grad()
    def forward(self, z):
        return super().forward(z)


def test_a_decoder_without_a_gradient_has_no_mean_gradient():
    made = as_autoencoder((Encoder(), Detached(N, M)), "sse", 0.1)
    with refuses(mean_gradient.NoGradient):
        mean_gradient.block_gradients(made, X, num_blocks=8)


def test_gradients_that_nobody_asks_for_are_not_taken(monkeypatch):
    """A graph leaves them out: slopes by z take no gradient by the weights, nor curvature."""
    made = as_autoencoder((Encoder(), decoder()), "sse", 0.1)
    half = made.networks.decoder
    taken = []
    for name in ("_backward", "_of_weights", "_second"):
        function = getattr(half, name)
        monkeypatch.setattr(half, name, lambda *of, name=name, function=function: (
            taken.append(name), function(*of))[1])
    sse = tfisovae.distortions.get("sse")
    compiled(lambda z: pullback.distortion_slopes(made.decode, z, tf.zeros([8, M]), sse))(
        tf.constant(Z))
    assert taken == ["_backward"]


def test_a_codec_knows_the_weights_and_buffers(tmp_path):
    """Another weight, or another moving average, is another model; in memory and from a disk."""
    encoder, module = Encoder(), decoder()
    codec = Codec.fit(as_autoencoder((encoder, module), "sse", 0.1), X, active=np.ones(N, bool))
    assert codec.identity.fingerprint is not None
    codec.save(tmp_path / "codec")
    codes = codec.compress(X[:5])
    again = Codec.load(tmp_path / "codec", (encoder, module), distortion="sse")
    np.testing.assert_allclose(again.decompress(codes), codec.decompress(codes), atol=1e-6)
    for tensor in (module[0].weight, module[1].running_mean):
        kept = tensor.detach().clone()
        with torch.no_grad():
            tensor.mul_(1.01)
        with refuses(container.OtherModel):
            codec.decompress(codes)
        with torch.no_grad():
            tensor.copy_(kept)
    codec.decompress(codes)


class Branching(Encoder):
    """`torch.fx` cannot follow it."""

    def forward(self, x):
        return super().forward(-x if x.sum() > 0 else x)


def frozen(layer):
    layer.weight.requires_grad_(False)
    return layer


@pytest.mark.parametrize("encoder, decoder, moments, balance, why", [
    (nn.Linear(M, 2 * N), nn.Linear(N, M), True, True, "affine with biases"),
    (nn.Sequential(nn.Linear(M, 9), nn.ReLU(), nn.Linear(9, 2 * N)),
     nn.Sequential(nn.Identity(), nn.Linear(N, 9), nn.ReLU(), nn.Linear(9, M)), True, True,
     "affine with biases"),
    (VAE(), None, True, False, "affine with biases"),  # its decoder has dropout
    (nn.Linear(M, 2 * N, bias=False), nn.Linear(N, M), False, False, "has no bias"),
    (nn.Linear(M, 2 * N), nn.Linear(N, M, bias=False), False, True, "has no bias"),
    (nn.Linear(M, 2 * N), frozen(nn.Linear(N, M)), False, True, "is not trained"),
    (nn.Sequential(nn.Linear(M, 2 * N), nn.ReLU()), nn.Linear(N, M), False, False, "ReLU"),
    (nn.Linear(M, 2 * N), nn.Sequential(nn.Dropout(0.1), nn.Linear(N, M)), False, False,
     "drops parts of z"),
    (nn.Sequential(nn.Dropout(0.1), nn.Linear(M, 2 * N)), nn.Linear(N, M), False, False,
     "is random in training"),
    (Branching(), nn.Linear(N, M), None, None, "torch.fx cannot trace the encoder"),
    (Encoder(), nn.Linear(N, M), None, None, "unknown kind"),
], ids=str)
def test_conditions_of_stationarity(encoder, decoder, moments, balance, why):
    made = as_autoencoder(encoder if decoder is None else (encoder, decoder), "sse", 0.1)
    found = conditions.of_model(made)
    assert (found.moments, found.balance) == (moments, balance)
    assert why in model_words.why(found.moments_why)


@pytest.mark.parametrize("module, kind", [
    (nn.Linear(N, M).bfloat16(), PartError), (nn.Flatten(0), PartError),
    (nn.Linear(N + 1, M), PartError)])
def test_modules_that_cannot_be_measured(module, kind):
    with refuses(kind):
        as_autoencoder((Encoder(), module), "sse", 0.1).decode(tf.constant(Z))


class Lookup(nn.Module):
    """A module that fails for a reason of its own."""

    def forward(self, z):
        return {}["weights"]


class Wrapped(nn.Module):
    """Returns an object that holds tensors, as models of Diffusers do."""

    def forward(self, z):
        return types.SimpleNamespace(sample=z)


@pytest.mark.parametrize("module, said", [(Lookup(), "KeyError"), (Wrapped(), "SimpleNamespace")])
def test_what_a_module_does_wrong_is_said_with_its_part(module, said):
    for pair in ((Encoder(), module), (module, Encoder())):
        part = "decoder" if module is pair[1] else "encoder"
        with pytest.raises(PartError, match=f"The {part} .*{said}"):
            model = as_autoencoder(pair, "sse", 0.1)
            model.decode(model.encode(tf.zeros([3, M]))[0])


MODEL = """
import torch
from torch import nn


class Images(nn.Module):
    # Images have their channels in front, `[B, 3, 12, 14]`.

    def __init__(self):
        super().__init__()
        self.head, self.first = nn.Linear(8 * 6 * 7, 4), nn.Linear(2, 8 * 6 * 7)
        self.down, self.up = nn.Conv2d(3, 8, 4, 2, 1), nn.ConvTranspose2d(8, 3, 4, 2, 1)

    def encode(self, x):
        return self.head(torch.tanh(self.down(x)).flatten(1))

    def decode(self, z):
        h = torch.relu(self.first(z)).unflatten(1, (8, 6, 7))
        return torch.sigmoid(self.up(h))


torch.manual_seed(0)
model = Images()


def make():
    return model.encode, model.decode
"""


@pytest.mark.slow
def test_an_audit_of_images_with_their_channels_in_front(main, tmp_path):
    """Images are files with their channels last, as everywhere. All pictures are drawn, and the
    gradient of training is taken.
    """
    images = np.random.default_rng(0).uniform(size=[300, 12, 14, 3]).astype(np.float32)
    np.save(tmp_path / "x.npy", images)
    (tmp_path / "torch_vae.py").write_text(MODEL)
    done = main("audit", "--model", f"{tmp_path / 'torch_vae.py'}:make", "--data",
                tmp_path / "x.npy", "--train_data", tmp_path / "x.npy", "--distortion", "ssim",
                "--beta", 0.01, "--out", tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "isometry.json").read_text())
    assert saved["model"] == f"{tmp_path / 'torch_vae.py'}:make" and saved["tangents"] == "autodiff"
    assert saved["verdict"]["gradient"]["noise"] > 0
    assert "Training: " in done.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"isometry.png", "scree.png", "reconstructions.png", "report.html"} <= names
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/webp") >= 2


def test_priors_of_pytorch():
    """A distribution, a module with `log_prob`, its method, and a function of arrays."""
    class Prior(nn.Module):
        def __init__(self):
            super().__init__()
            self.center = nn.Parameter(torch.ones(N))

        def log_prob(self, z):
            return torch.distributions.Normal(self.center, 1.0).log_prob(z).sum(-1)

    module = Prior()
    whole = torch.distributions.MultivariateNormal(torch.ones(N), torch.eye(N))
    expected = -0.5 * np.sum((Z - 1)**2, 1) - N / 2 * np.log(2 * np.pi)
    for prior in (module, module.log_prob, whole, lambda z: expected[:len(z)] + 0 * z[:, 0]):
        model = as_autoencoder((Encoder(), decoder()), "sse", 0.1, prior=prior)
        np.testing.assert_allclose(model.prior(tf.constant(Z)), expected, rtol=1e-5)
    found = tfisovae.measure_totals(as_autoencoder((Encoder(), decoder()), "sse", 0.1,
                                                   prior=module), X, inspect=False)
    assert np.isfinite(found.rate)
    z = tf.constant(Z)
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = as_autoencoder((Encoder(), decoder()), "sse", 0.1, prior=module).prior(z)
    np.testing.assert_allclose(tape.gradient(value, z), 1 - Z, atol=1e-5)
