"""How many held-out sentences come back letter for letter, at one latent width and CPU budget.

World English Bible, sentences of 4–16 words, whole books held out, free-running greedy decoding.
Rows: the position-bound autoencoder before any training, and after the budget; the same with a
quantised latent (FSQ, eight values a dimension) and with an adversary (AAE); recurrent and
transformer networks at the same width and budget, and until they have converged: until the
negative log-likelihood of held-out training sentences has not fallen for `PATIENCE` epochs, or
`--long` seconds are over. Three seeds.

    python benchmarks/reconstruction.py            python benchmarks/reconstruction.py --quick
"""

import time
from typing import Any

import common
import numpy as np

import aelib

NETWORKS = {
    "position-bound": {"encoder": "binding", "decoder": "binding"},
    "position-bound, quantised": {"kind": "quantised"},
    "position-bound, adversarial": {"kind": "adversarial"},
    "recurrent": {"encoder": "recurrent", "decoder": "recurrent"},
    "transformer": {"encoder": "transformer", "decoder": "transformer"},
}
PATIENCE = 6  # epochs without a better one


def run(network: str, latent_dim: int, seconds: float, seed: int, data: Any, options: Any) -> dict:
    """Train for `seconds` (0: only vocabulary and word counts), then score n held-out sentences."""
    train, test = data
    model = aelib.TextAutoencoder(latent_dim, **NETWORKS[network], seed=seed)
    patience = PATIENCE if seconds == options.long else 10_000
    started = time.process_time()
    model.fit(train, seconds=seconds, verbose=0, patience=patience)
    used = time.process_time() - started
    curve = model.history.history["val_nll"] if seconds else []
    chosen = np.random.default_rng(0).permutation(len(test))[: options.n]
    score = model.score([test[i] for i in chosen])
    return {
        "network": network, "latent_dim": latent_dim, "budget_cpu_s": seconds,
        "fit_cpu_s": round(used, 1), "seed": seed, "sentences": score["sentences"],
        "exact": score["exact"], "token_accuracy": score["token_accuracy"],
        "nll": score["nll"], "epochs": len(curve),
        "best_epoch": int(np.argmin(curve)) + 1 if curve else 0,
    }  # fmt: skip


def options_of(parser: Any) -> None:
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU budget of each model")
    parser.add_argument(
        "--long",
        type=float,
        default=0.0,
        help="CPU-seconds, at most, for recurrent and transformer to converge",
    )
    parser.add_argument("--latent-dim", type=int, nargs="+", default=[256])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-n", type=int, default=1000, help="held-out sentences")


def main() -> None:
    options = common.arguments(__doc__, options_of)
    if options.quick:
        options.seconds, options.seeds, options.n = 8.0, 1, 100
    web = aelib.data.load("web")
    data = (web.sentences("train"), web.sentences("test"))
    rows = []
    for seed in range(options.seeds):
        for width in options.latent_dim:
            for network in options.networks:
                budgets = [0.0] if network == "position-bound" else []
                budgets += [options.seconds]
                if options.long and not network.startswith("position-bound"):
                    budgets += [options.long]
                for seconds in budgets:
                    rows.append(run(network, width, seconds, seed, data, options))
                    print(rows[-1], flush=True)
    common.write("reconstruction", options, rows)


if __name__ == "__main__":
    main()
