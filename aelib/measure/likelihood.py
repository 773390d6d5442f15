"""How well a model predicts: perplexity, bits per character, and the latent model's own measures.

All negative log-likelihoods (NLL) are in nats.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from aelib.errors import BadInput
from aelib.measure.arrays import matrix, same_length, to_numpy


def perplexity(nll_nats: Any, texts: Sequence[str] | Sequence[int]) -> float:
    """Perplexity per word: exp(Σ NLL / Σ (words + 1)).

    The end-of-sentence token counts as a word, the start token does not; ``<unk>`` is an ordinary
    word. Sentences are independent.

    Args:
        nll_nats: NLL of each sentence in nats, its end-of-sentence token included; (n,).
        texts: the n sentences (words are what spaces separate), or their numbers of words.
    """
    nll = to_numpy(nll_nats).astype(np.float64).reshape(-1)
    same_length(nll, texts, "perplexity")
    words = [len(text.split()) if isinstance(text, str) else int(text) for text in texts]
    return math.exp(nll.sum() / (sum(words) + len(words)))


def bits_per_character(nll_nats: Any, texts: str | Sequence[str]) -> float:
    """Bits per character of the raw text: Σ NLL / (ln 2 · characters).

    Comparable between tokenisers and with compressors. What ends a sentence is paid for in the
    NLL but is not a character, unless the texts contain it.

    Args:
        nll_nats: NLL in nats, one number or one for each text; only the sum matters.
        texts: the raw text or texts that the NLL belongs to.
    """
    characters = len(texts) if isinstance(texts, str) else sum(len(text) for text in texts)
    if characters == 0:
        raise BadInput("bits_per_character: the text is empty")
    return float(to_numpy(nll_nats).astype(np.float64).sum()) / (math.log(2) * characters)


def iw_nll(log_weights: Any) -> np.ndarray:
    """Importance-weighted NLL of each example in nats: −(logsumexp_s log w_s − log S).

    log w = log p(x|z) + log p(z) − log q(z|x) for S draws z ~ q(z|x) (Burda et al. 2016, eq. 8).
    With S = 1 it is the negative ELBO; in expectation it falls towards −log p(x) as S grows.

    Args:
        log_weights: (S, n), in nats.

    Returns:
        (n,) nats.
    """
    weights = matrix(log_weights, "log_weights")
    return -(logsumexp(weights, axis=0) - math.log(len(weights)))


def active_units(means: Any, threshold: float = 0.01) -> int:
    """Latent dimensions in use: variance of E[z|x] over the data (n − 1) at least ``threshold``.

    Burda et al. (2016), appendix C. ``means``: (n, latent_dim), one posterior mean per example.
    """
    means = matrix(means, "means")
    if len(means) < 2:
        raise BadInput("active_units needs at least two examples")
    return int((means.var(axis=0, ddof=1) >= threshold).sum())


class MutualInformation(NamedTuple):
    """I(x; z) in nats, from ``examples`` posteriors; it cannot pass ``cap_nats`` = ln examples."""

    nats: float
    examples: int
    cap_nats: float


def mutual_information(
    means: Any, log_variances: Any, seed: int = 0, block: int = 512
) -> MutualInformation:
    """I(x; z) = E log q(z|x) − E log q(z) under the aggregate posterior, in nats.

    One z is drawn for each x, and q(z) = (1/N) Σ_j q(z|x_j) over all N examples (Hoffman & Johnson
    2016; Dieng et al. 2019), so that the estimate is at most ln N, which is reported with it.

    Args:
        means: (N, latent_dim) of the Gaussian posteriors.
        log_variances: (N, latent_dim), natural logarithms.
        seed: of the draws.
        block: rows handled at a time; changes memory only.
    """
    mean, logvar = matrix(means, "means"), matrix(log_variances, "log_variances")
    if mean.shape != logvar.shape:
        raise BadInput(f"means {mean.shape} and log_variances {logvar.shape} differ in shape")
    n = len(mean)
    noise = np.random.default_rng(seed).standard_normal(mean.shape)
    z = mean + np.exp(logvar / 2) * noise  # (N, dim)
    total = 0.0
    for i in range(0, n, block):
        log_q = _log_normal(z[i : i + block], mean, logvar)  # (block, N)
        own = log_q[np.arange(len(log_q)), np.arange(i, i + len(log_q))]
        total += float((own - (logsumexp(log_q, axis=1) - math.log(n))).sum())
    return MutualInformation(total / n, n, math.log(n))


def _log_normal(z: np.ndarray, mean: np.ndarray, logvar: np.ndarray) -> np.ndarray:
    """log N(z_i; mean_j, exp(logvar_j)) for each i and j: (a, dim), (b, dim) -> (a, b)."""
    log_q = np.zeros((len(z), len(mean)))
    for d in range(z.shape[1]):  # a dimension at a time: no cancellation, no (a, b, dim) array
        squared = (z[:, d, None] - mean[None, :, d]) ** 2 * np.exp(-logvar[None, :, d])
        log_q -= 0.5 * (squared + logvar[None, :, d] + math.log(2 * math.pi))
    return log_q
