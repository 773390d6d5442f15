"""Samplers fitted to the aggregate posterior: where the encoder really puts the sentences.

For a plain autoencoder, and whenever a VAE's latents do not fill N(0, I), drawing from a density
fitted to encoded sentences (Ghosh et al., 2020) gives better text than the prior.
"""

from typing import Any

import numpy as np
from sklearn.mixture import GaussianMixture

from aelib.errors import BadInput


class MixtureSampler:
    """A mixture of `components` Gaussians with full covariances, fitted by EM to latents (n, k)."""

    def __init__(self, z: Any, components: int = 10, seed: int = 0, covariance: str = "full"):
        z = np.asarray(z, np.float64)
        if z.ndim != 2 or len(z) < max(2, components) or not np.isfinite(z).all():
            raise BadInput(f"{components} components need at least as many finite rows (n, k)")
        self.mixture = GaussianMixture(
            components, covariance_type=covariance, random_state=seed, reg_covar=1e-4
        ).fit(z)

    def sample(self, n: int, seed: int | None = None) -> np.ndarray:
        """n latents, (n, k) float32."""
        rng = np.random.default_rng(seed)
        which = rng.choice(len(self.mixture.weights_), n, p=self.mixture.weights_)
        noise = rng.standard_normal((n, self.mixture.means_.shape[1]))
        return (self.mixture.means_[which] + self._scaled(noise, which)).astype(np.float32)

    def _scaled(self, noise: np.ndarray, which: np.ndarray) -> np.ndarray:
        if self.mixture.covariance_type == "diag":
            return noise * np.sqrt(self.mixture.covariances_[which])
        roots = np.linalg.cholesky(self.mixture.covariances_)  # (components, k, k)
        return np.einsum("nij,nj->ni", roots[which], noise)

    def log_density(self, z: Any) -> np.ndarray:
        """log q(z) in nats, (n,)."""
        return self.mixture.score_samples(np.asarray(z, np.float64))


class GaussianSampler(MixtureSampler):
    """One Gaussian with the latents' mean and covariance."""

    def __init__(self, z: Any, seed: int = 0):
        super().__init__(z, components=1, seed=seed)


class FlowSampler:
    """A normalising flow fitted by maximum likelihood to standardised latents (n, k).

    `epochs` is the most; training stops when a tenth that is held out gets no likelier.
    """

    def __init__(self, z: Any, depth: int = 8, width: int = 64, epochs: int = 100, seed: int = 0):
        import keras

        from aelib.models.flow import Flow

        z = np.asarray(z, np.float32)
        if z.ndim != 2 or len(z) < 100 or not np.isfinite(z).all():
            raise BadInput("a flow needs at least a hundred finite rows (n, k)")
        self.mean, self.scale = z.mean(0), z.std(0) + 1e-6
        x = ((z - self.mean) / self.scale)[np.random.default_rng(seed).permutation(len(z))]
        keras.utils.set_random_seed(seed)
        self.flow = Flow(z.shape[1], depth, width, seed)
        self.flow.compile(keras.optimizers.Adam(2e-3, clipnorm=1.0))
        stop = keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)
        held = len(x) // 10
        self.flow.fit(x[held:], epochs=epochs, batch_size=128, verbose=0, callbacks=[stop],
                      validation_data=(x[:held], None))  # fmt: skip

    def sample(self, n: int, seed: int | None = None) -> np.ndarray:
        """n latents, (n, k) float32."""
        noise = np.random.default_rng(seed).standard_normal((n, self.flow.dim), np.float32)
        return np.asarray(self.flow.inverse(noise)) * self.scale + self.mean

    def log_density(self, z: Any) -> np.ndarray:
        """log q(z) in nats, (n,)."""
        x = (np.asarray(z, np.float32) - self.mean) / self.scale
        return np.asarray(self.flow(x)) - np.log(self.scale).sum()
