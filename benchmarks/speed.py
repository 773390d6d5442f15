"""Speed: the library beside plain Keras and PyTorch on the same models and data, in one run.

    OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 python benchmarks/speed.py    (--quick: a smoke test)

PyTorch's rows need `pip install torch==2.13.0` in the same environment and are left out without it.
Contenders take turns on one core; times are medians of CPU seconds, compilation apart. `ratio` is
a contender's time over ours: above 1 we are faster. `peak` is the share of the machine's measured
float32 matrix product. Generation: characters from the GPT of nanoGPT's CPU recipe and from a GRU.
Training: one step of it. step: one step of the sentence VAE, with the whole softmax on every side,
and with our sampled one. vae and ae: CPU seconds until the held-out −ELBO (nats a sentence)
or the share of tokens given back (greedy) is as good as PyTorch's after `--budget` CPU seconds.
"""

import io
import time
from collections.abc import Callable, Iterable
from typing import Any

from _torch_first import torch  # isort: split

import common
import keras
import numpy as np
from keras import layers, ops

import aelib
from aelib.models.training import Batches

TORCH = torch is not None
GPT = {"width": 128, "depth": 4, "heads": 4, "context": 64}
GRU = {"width": 256, "depth": 1, "context": 64, "network": "recurrent"}
BATCH, LATENT, WIDTH, LENGTH = 12, 32, 256, 32
BUDGETS = (2, 4, 8, 15, 30, 40, 48, 60, 120)
Row = dict[str, Any]


def cpu(run: Callable[[], Any]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def turns(part: str, runs: dict[str, tuple[Callable[[], Any], int]], repeats: int) -> list[Row]:
    """Each run in turn, `repeats` times; seconds per unit, and over the first contender's."""
    first = {name: cpu(run) for name, (run, _) in runs.items()}  # compiles
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, (run, units) in runs.items():
            taken[name].append(cpu(run) / units)
    ours = np.median(next(iter(taken.values())))
    return [{"part": part, "contender": name, "ms": 1e3 * float(np.median(times)),
             "spread_ms": 1e3 * float(np.ptp(times)), "ratio": float(np.median(times) / ours),
             "first_s": round(first[name], 1)} for name, times in taken.items()]  # fmt: skip


def peak(n: int = 1024, times: int = 20) -> float:
    """GFLOP a CPU second of a float32 matrix product."""
    a = ops.convert_to_tensor(np.random.default_rng(0).random((n, n), "float32"))
    ops.convert_to_numpy(a @ a)
    spent = cpu(lambda: [ops.convert_to_numpy(a @ a) for _ in range(times)])
    return 2e-9 * n**3 * times / spent


# ---------------------------------------------------------------------------------- generation


def window_predict(model: aelib.LanguageModel, batch: int, length: int) -> Callable[[], Any]:
    """What one writes with Keras alone: `predict` on the whole window for each character."""
    rng = np.random.default_rng(0)

    def run() -> np.ndarray:
        ids = np.zeros((batch, model.context), np.int32)
        for _ in range(length):
            logits = model.predict(ids, verbose=0)[:, -1]  # (batch, V)
            drawn = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
            ids = np.concatenate([ids[:, 1:], drawn[:, None].astype(np.int32)], 1)
        return ids

    return run


def with_peak(rows: list[Row], gigaflops: float, best: float, less: str = "") -> list[Row]:
    """Adds the share of the matrix product's peak that `gigaflops` a unit come to.

    The contender `less` does less work, and gets none.
    """
    return [row if row["contender"] == less
            else {**row, "peak": gigaflops / (row["ms"] / 1e3) / best} for row in rows]  # fmt: skip


def generation(text: str, quick: bool) -> list[Row]:
    rows, length, best = [], 63, peak()
    for name, options in (("GPT", GPT), ("GRU", GRU)):
        model = aelib.LanguageModel(tokens="char", **options)
        model.fit(io.StringIO(text), steps=10, verbose=0)
        vocabulary = model.tokenizer.size
        for batch in (1, 64):
            few = 4 if batch == 1 else 2
            runs = {"aelib": (lambda b=batch, m=model: m.generate("", length, n=b, seed=0),
                              length * batch),
                    "Keras predict": (window_predict(model, batch, few), few * batch)}  # fmt: skip
            if TORCH:
                runs |= torch_generation(name, vocabulary, batch, length)
            found = turns(f"generate, {name}, batch {batch}, a character", runs, 1 if quick else 7)
            rows += with_peak(found, 2e-9 * model.count_params(), best)
    return rows


def torch_generation(name: str, vocabulary: int, batch: int, length: int) -> dict[str, Any]:
    import _torch_peers as peers

    if name == "GRU":
        model = peers.Recurrent(vocabulary, GRU["width"])
        return {"PyTorch, state": (lambda: model.generate(batch, length), length * batch)}
    gpt = peers.GPT(vocabulary, **GPT).eval()
    return {"PyTorch, cache": (lambda: gpt.generate(batch, length), length * batch),
            "PyTorch, window": (lambda: gpt.generate(batch, length // 4, False),
                                length // 4 * batch)}  # fmt: skip


# ------------------------------------------------------------------------------------ training


def plain_gpt(vocabulary: int) -> keras.Model:
    """The recipe from Keras's own layers."""
    ids = keras.Input((GPT["context"],), dtype="int32")
    places = layers.Embedding(GPT["context"], GPT["width"])(ops.arange(GPT["context"])[None])
    x = layers.Embedding(vocabulary, GPT["width"])(ids) + places
    for _ in range(GPT["depth"]):
        h = layers.LayerNormalization()(x)
        heads = layers.MultiHeadAttention(GPT["heads"], GPT["width"] // GPT["heads"])
        x = x + heads(h, h, use_causal_mask=True)
        h = layers.Dense(4 * GPT["width"], "gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(GPT["width"])(h)
    return keras.Model(ids, layers.Dense(vocabulary)(layers.LayerNormalization()(x)))


def training(text: str, quick: bool) -> list[Row]:
    steps = 20 if quick else 100
    ours = aelib.LanguageModel(tokens="char", **GPT)
    ours.fit(io.StringIO(text), steps=1, batch_size=BATCH, verbose=0)
    stream = np.array(ours.tokenizer.ids([text])[0], np.int32)
    starts = np.random.default_rng(0).integers(0, len(stream) - 65, (steps * BATCH, 1))
    rows = stream[starts + np.arange(GPT["context"] + 1)]  # (steps · batch, context + 1)
    x, y = rows[:, :-1], rows[:, 1:]
    plain = plain_gpt(ours.tokenizer.size)
    plain.compile(keras.optimizers.AdamW(1e-3, clipnorm=1.0),
                  keras.losses.SparseCategoricalCrossentropy(from_logits=True))  # fmt: skip
    runs = {"aelib": (lambda: ours.fit(io.StringIO(text), steps=steps, batch_size=BATCH, verbose=0),
                      steps),
            "Keras fit": (lambda: plain.fit(x, y, batch_size=BATCH, verbose=0), steps)}  # fmt: skip
    if TORCH:
        runs |= torch_training(ours.tokenizer.size, x, y, steps)
    found = turns("train, nanoGPT's CPU recipe, a step", runs, 1 if quick else 5)
    work = 6e-9 * plain.count_params() * BATCH * GPT["context"]  # GFLOP a step, forth and back
    return with_peak(found, work, peak())


def torch_training(vocabulary: int, x: np.ndarray, y: np.ndarray, steps: int) -> dict[str, Any]:
    import _torch_peers as peers
    from torch.nn import functional as F

    def runner(compiled: bool) -> Callable[[], Any]:
        model: Any = peers.GPT(vocabulary, **GPT)
        run = torch.compile(model) if compiled else model
        step = peers.step_of(model, lambda a, b: F.cross_entropy(run(a).flatten(0, 1), b.flatten()))
        return lambda: [step(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, len(x), BATCH)]

    found = {"PyTorch": (runner(False), steps)}
    compiled = runner(True)
    try:
        compiled()
    except Exception as error:  # no C++ compiler, most often
        print(f"torch.compile does not work here ({type(error).__name__}): its row is left out")
        return found
    return found | {"PyTorch, compiled": (compiled, steps)}


# ------------------------------------------------------------------------ the sentence VAE's step


class PlainLatent(layers.Layer):
    """μ and log σ² (batch, 2k) -> z (batch, k); adds the KL to the loss."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(0)

    def call(self, h: Any) -> Any:
        mean, logvar = ops.split(h, 2, axis=-1)
        kl = 0.5 * (ops.square(mean) + ops.exp(logvar) - 1 - logvar)
        self.add_loss(ops.mean(ops.sum(kl, axis=-1)))
        noise = keras.random.normal(ops.shape(mean), seed=self.generator)
        return mean + ops.exp(0.5 * logvar) * noise


def plain_vae(vocabulary: int) -> keras.Model:
    """Bowman et al.'s model from Keras's own layers: (ids, ids moved by one) -> logits."""
    ids, before = (keras.Input((None,), dtype="int32") for _ in range(2))
    table = layers.Embedding(vocabulary, WIDTH, mask_zero=True)
    z = PlainLatent()(layers.Dense(2 * LATENT)(layers.GRU(WIDTH)(table(ids))))
    words = layers.Embedding(vocabulary, WIDTH)(before)
    each = layers.Lambda(lambda pair: ops.repeat(pair[0][:, None], ops.shape(pair[1])[1], axis=1))
    x = layers.Concatenate()([words, each([z, before])])
    first = layers.Dense(WIDTH, "tanh")(z)
    h = layers.GRU(WIDTH, return_sequences=True)(x, initial_state=first)
    return keras.Model([ids, before], layers.Dense(vocabulary)(h))


def vae_step(quick: bool) -> list[Row]:
    train, _ = sentences()
    tokenizer = aelib.text.Tokenizer.train(train, "word", 8000)
    ids = tokenizer.encode(train, LENGTH)
    ids = ids[(ids != 0).sum(1) > 16][: 64 * (4 if quick else 40)]  # 17 to 32 tokens
    before = np.pad(ids[:, :-1], ((0, 0), (1, 0)), constant_values=1)
    runs = {}
    for name, candidates in (("aelib, whole softmax", 8000), ("aelib, sampled softmax", 512)):
        model = aelib.TextAutoencoder(LATENT, "recurrent", "recurrent", kind="variational",
                                      width=WIDTH, length=LENGTH, candidates=candidates,
                                      tokenizer=tokenizer.to_json())  # fmt: skip
        model.decoder.adapt(ids)
        model.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0))
        runs[name] = lambda m=model: keras.Model.fit(m, ids, batch_size=64, verbose=0)
    plain = plain_vae(tokenizer.size)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    plain.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0), loss)
    runs["Keras fit"] = lambda: plain.fit([ids, before], ids, batch_size=64, verbose=0)
    if TORCH:
        import _torch_peers as peers

        other = peers.SentenceVAE(tokenizer.size, LATENT, WIDTH)
        step = peers.step_of(other, lambda b: sum(v.mean() for v in other.losses(b)))
        runs["PyTorch"] = lambda: [step(ids[i : i + 64]) for i in range(0, len(ids), 64)]
    steps = -(-len(ids) // 64)
    found = turns("step, sentence VAE, batch 64", {n: (r, steps) for n, r in runs.items()},
                  1 if quick else 5)  # fmt: skip
    tables = 2 * tokenizer.size * WIDTH  # looked up, not multiplied
    work = 6e-9 * (plain.count_params() - tables) * 64 * LENGTH
    return with_peak(found, work, peak(), less="aelib, sampled softmax")


# ------------------------------------------------------- as good as PyTorch after its budget


def sentences() -> tuple[list[str], list[str]]:
    web = aelib.data.load("web")
    return web.sentences("train"), web.sentences("test")[:1000]


def torch_sentences(variational: bool, budget: float) -> tuple[Any, np.ndarray, float]:
    """(model, held-out ids, CPU ms a step) after `budget` CPU seconds of training."""
    import _torch_peers as peers

    train, test = sentences()
    tokenizer = aelib.text.Tokenizer.train(train, "word", 8000)
    batches = Batches(tokenizer.encode(train, LENGTH), 64)
    torch.manual_seed(0)
    model = peers.SentenceVAE(tokenizer.size, LATENT if variational else WIDTH, WIDTH, variational)
    step = peers.step_of(model, lambda ids: sum(v.mean() for v in model.losses(ids)))
    started, steps = time.process_time(), 0
    while time.process_time() - started < budget:
        if steps % len(batches) == len(batches) - 1:
            batches.on_epoch_end()
        step(batches[steps % len(batches)][1])
        steps += 1
    spent = time.process_time() - started
    return model.eval(), tokenizer.encode(test, LENGTH), 1e3 * spent / steps


def first_budget(make: Callable[[float], float], target: float, budgets: Iterable[float]) -> Row:
    """The smallest budget whose model reaches the target (larger is better)."""
    values = {}
    for seconds in budgets:
        values[seconds] = make(seconds)
        if values[seconds] >= target:
            return {"cpu_s": seconds, "reached": values[seconds]}
    return {"cpu_s": None, "reached": max(values.values())}


def same_quality(variational: bool, budget: float, budgets: Iterable[float]) -> list[Row]:
    model, held, ms = torch_sentences(variational, budget)
    train, test = sentences()
    options = {"kind": "variational", "encoder": "recurrent", "decoder": "recurrent"}
    with torch.no_grad():
        ids = torch.from_numpy(held.astype(np.int64))
        if variational:
            target = -float(sum(v.mean() for v in model.losses(ids)))
        else:
            given = model.decode(model.encode(ids), LENGTH).numpy()
            target = float((given == held)[held != 0].mean())

    def make(seconds: float) -> float:
        shape = {"latent_dim": LATENT, "width": WIDTH, **options} if variational else {}
        ours = aelib.TextAutoencoder(vocabulary=8000, length=LENGTH, **shape)
        ours.fit(train, seconds=seconds, verbose=0, epochs=100, patience=1000)
        score = ours.score(test)
        return -score["nll"] if variational else score["token_accuracy"]

    ours = first_budget(make, target, budgets)
    part = "vae, −ELBO as good as PyTorch's" if variational else "ae, tokens as good as PyTorch's"
    ratio = budget / (ours["cpu_s"] or float("inf"))
    return [{"part": part, "contender": "aelib", **ours, "ratio": 1.0},
            {"part": part, "contender": "PyTorch", "cpu_s": budget, "reached": target,
             "ms": ms, "ratio": ratio}]  # fmt: skip


def options_of(parser: Any) -> None:
    parser.add_argument("--parts", nargs="+", default=["generate", "train", "step", "vae", "ae"])
    parser.add_argument("--budget", type=float, default=120.0, help="PyTorch's CPU seconds")


def main() -> None:
    if torch:
        torch.set_num_threads(1)
    options = common.arguments(__doc__, options_of)
    budgets = BUDGETS[:2] if options.quick else BUDGETS
    options.budget = 5.0 if options.quick else options.budget
    text = aelib.data.load("web").text("train")[:60_000]
    rows: list[Row] = []
    if "generate" in options.parts:
        rows += generation(text, options.quick)
    if "train" in options.parts:
        rows += training(text, options.quick)
    if "step" in options.parts:
        rows += vae_step(options.quick)
    if not TORCH:
        print("PyTorch is not installed here: its rows, and the parts vae and ae, are left out")
    for part in ("vae", "ae"):
        if part in options.parts and TORCH:
            rows += same_quality(part == "vae", options.budget, budgets)
    common.write("speed", options, rows)


if __name__ == "__main__":
    main()
