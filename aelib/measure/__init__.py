"""One module computes each figure, with its unit: the book, benchmarks and shell all call it.

Inputs may be lists, NumPy arrays or tensors of any Keras backend. Log-likelihoods come in nats;
rates and entropies go out in bits.
"""

from aelib.measure.baselines import PCA, WordTable, linear_probe, pca_error
from aelib.measure.compressors import compressors
from aelib.measure.generation import (
    copied_share,
    distinct_n,
    forward_perplexity,
    ngram_overlap,
    reverse_perplexity,
    self_bleu,
)
from aelib.measure.likelihood import (
    MutualInformation,
    active_units,
    bits_per_character,
    iw_nll,
    mutual_information,
    perplexity,
)
from aelib.measure.ngram import NGramModel, words
from aelib.measure.rate import (
    Quantiser,
    RatePoint,
    empirical_entropy_bits,
    gaussian_rate_bits,
    rate_distortion,
)
from aelib.measure.reconstruction import (
    bleu,
    character_error_rate,
    chrf,
    edit_distance,
    exact_match,
    mean_squared_error,
    token_accuracy,
)
from aelib.measure.retrieval import recall_at
from aelib.measure.samples import PrecisionRecall, frechet_distance, precision_recall

__all__ = [
    "PCA",
    "MutualInformation",
    "NGramModel",
    "PrecisionRecall",
    "Quantiser",
    "RatePoint",
    "WordTable",
    "active_units",
    "bits_per_character",
    "bleu",
    "character_error_rate",
    "chrf",
    "compressors",
    "copied_share",
    "distinct_n",
    "edit_distance",
    "empirical_entropy_bits",
    "exact_match",
    "forward_perplexity",
    "frechet_distance",
    "gaussian_rate_bits",
    "iw_nll",
    "linear_probe",
    "mean_squared_error",
    "mutual_information",
    "ngram_overlap",
    "pca_error",
    "perplexity",
    "precision_recall",
    "rate_distortion",
    "recall_at",
    "reverse_perplexity",
    "self_bleu",
    "token_accuracy",
    "words",
]
