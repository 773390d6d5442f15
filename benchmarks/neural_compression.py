"""Networks as compressors: language models, latents with and without a residual, and bits back.

World English Bible, whole books held out. Every coded figure is from bytes decoded and compared.

language    the neural codec's bits per character beside what `score` promises, and beside PPMd
            and the context-mixing codec, alone and after reading the last megabyte of the training
            text; kB per CPU-second; what rounding the weights would cost
sentences   rate and distortion through quantised latents; the same made lossless by a residual;
            bits back beside the negative ELBO; coding the sentences directly
digits      bits back beside the negative ELBO, on binarised digits

    python benchmarks/neural_compression.py                    all three, some 15 CPU-minutes
    python benchmarks/neural_compression.py --part digits      one, with a result file of its own
    python benchmarks/neural_compression.py --quick
"""

import io
import time
from typing import Any

import common
import keras
import numpy as np
import pyppmd
from keras import ops

import aelib
from aelib import codec
from aelib.codec.container import CRC
from aelib.codec.lossy import HEAD
from aelib.codec.peers import ppmd_decoder, ppmd_encoder
from aelib.models import VariationalAutoencoder

Row = dict[str, Any]
MODELS: dict[str, dict[str, Any]] = {
    "transformer 4x128": {"width": 128, "depth": 4, "network": "transformer"},
    "recurrent 256": {"width": 256, "depth": 1, "network": "recurrent"},
    "qrnn 2x192": {"width": 192, "depth": 2, "network": "qrnn", "ngrams": 4},
}
AUTOENCODERS: dict[str, dict[str, Any]] = {
    "binding 64": {"latent_dim": 64, "encoder": "binding", "decoder": "binding"},
    "binding 256": {"latent_dim": 256, "encoder": "binding", "decoder": "binding"},
    "recurrent 32": {"latent_dim": 32, "encoder": "recurrent", "decoder": "recurrent",
                     "width": 192},
}  # fmt: skip


def timed(call: Any, *arguments: Any) -> tuple[Any, float]:
    """(result, CPU seconds)."""
    started = time.process_time()
    return call(*arguments), time.process_time() - started


# --- language models --------------------------------------------------------------------------


def language(name: str, lm: Any, text: str) -> Row:
    """The codec's file on `text`, decoded and compared, beside the score."""
    promised = lm.score(text)["bits_per_character"]
    codec.compress("compile", model=lm)
    blob, encode_s = timed(lambda: codec.compress(text, model=lm))
    back, decode_s = timed(lambda: codec.decompress(blob, model=lm))
    assert back == text.encode()
    bits = 8 * len(blob) / len(text)
    return {
        "part": "language", "coder": name, "parameters": lm.count_params(),
        "bits_per_character": bits, "score_bits_per_character": float(promised),
        "over_score": bits / promised - 1, "encode_kB_per_cpu_s": len(text) / 1000 / encode_s,
        "decode_kB_per_cpu_s": len(text) / 1000 / decode_s,
    }  # fmt: skip


def rounded(name: str, lm: Any, text: str) -> list[Row]:
    """Score with weights rounded to float16, and to 8 bits an output: what integers would cost."""
    weights = lm.get_weights()

    def eight(w: np.ndarray) -> np.ndarray:
        step = np.abs(w).max(axis=0, keepdims=True) / 127 + 1e-12
        return (np.round(w / step) * step).astype(np.float32) if w.ndim > 1 else w

    changes = {
        "float32": lambda w: w,
        "float16": lambda w: w.astype(np.float16).astype(np.float32),
        "int8": eight,
    }
    rows = []
    for kind, change in changes.items():
        lm.set_weights([change(w) for w in weights])
        bits = float(lm.score(text)["bits_per_character"])
        rows.append({"part": "language", "coder": f"{name}, score only", "weights": kind,
                     "score_bits_per_character": bits})  # fmt: skip
    lm.set_weights(weights)
    return rows


def with_prefix(name: str, encode: Any, decode: Any, train: str, text: str) -> Row:
    """Bits on `text` alone, and as the growth of the file of train + text (decoded both times)."""

    def size(data: bytes) -> int:
        blob = encode(data)
        assert decode(blob) == data
        return len(blob)

    alone, seconds = timed(size, text.encode())
    grown = size((train + text).encode()) - size(train.encode())
    return {
        "part": "language", "coder": name, "bits_per_character": 8 * alone / len(text),
        "bits_per_character_after_training_text": 8 * grown / len(text),
        "both_ways_kB_per_cpu_s": len(text) / 1000 / seconds,
    }  # fmt: skip


def languages(options: Any, train: str, text: str) -> list[Row]:
    rows: list[Row] = []
    for name, shape in MODELS.items():
        keras.utils.set_random_seed(options.seed)
        lm = aelib.LanguageModel(**shape, context=64, seed=options.seed)
        steps = options.steps[name.split()[0]]
        batch = 12 if shape["network"] == "transformer" else 32
        _, spent = timed(lambda m=lm, n=steps, b=batch: m.fit(
            io.StringIO(train), steps=n, batch_size=b, learning_rate=3e-3, verbose=0))  # fmt: skip
        rows.append({**language(name, lm, text), "steps": steps, "fit_cpu_s": round(spent, 1)})
        print(rows[-1], flush=True)
        rows += rounded(name, lm, text[:50_000])
    train = train[-1_000_000:]
    ppmd = ppmd_encoder(pyppmd, 6), ppmd_decoder(pyppmd, 6)
    rows.append(with_prefix("PPMd o6", *ppmd, train, text))
    codec.compress(b"compile", primed=False)
    rows.append(with_prefix("context mixing, unprimed", lambda d: codec.compress(d, primed=False),
                            codec.decompress, train, text))  # fmt: skip
    return rows


# --- sentences --------------------------------------------------------------------------------


def trained(options: Any, name: str, kind: str, train: list[str]) -> Any:
    keras.utils.set_random_seed(options.seed)
    model = aelib.TextAutoencoder(kind=kind, seed=options.seed, **AUTOENCODERS[name])
    epochs = options.epochs[name.split()[0]]
    return model.fit(train, epochs=epochs, verbose=0, patience=100)


def direct(train: list[str], texts: list[str]) -> list[Row]:
    """The same sentences, one a line, by the codec that has read the training sentences, and alone.

    `end` of a sentence is paid for by the line's end, as it is in the latent codecs.
    """
    before, these = ("\n".join(t) + "\n" for t in (train, texts))
    rows = []
    for name, encode, decode in (
        ("PPMd o6", ppmd_encoder(pyppmd, 6), ppmd_decoder(pyppmd, 6)),
        ("context mixing", lambda d: codec.compress(d, primed=False), codec.decompress),
    ):
        bits = with_prefix(name, encode, decode, before, these)[
            "bits_per_character_after_training_text"
        ]
        rows.append({"part": "direct", "coder": f"{name}, after the training sentences",
                     "bits_per_sentence": bits * len(these) / len(texts),
                     "bits_per_character": bits})  # fmt: skip
    return rows


def latents(name: str, model: Any, train: list[str], texts: list[str]) -> list[Row]:
    """Rate and distortion, and the residual on top, for each number of bits a dimension."""
    rows = []
    characters = sum(map(len, texts)) + len(texts)
    for point in codec.rate_distortion(model, texts, (1, 2, 3, 4, 6), train):
        coder = codec.SentenceCodec(model, point.bits).fit(train)
        blob = coder.encode(texts, lossless=True)
        assert coder.decode(blob) == texts
        total = 8 * (len(blob) - HEAD.size - CRC.size) / len(texts)
        rows.append({
            "part": "latent", "coder": name, "bits_a_dimension": point.bits,
            "rate_bits_per_sentence": point.rate_bits, "character_error_rate": point.distortion,
            "exact": point.exact, "residual_bits_per_sentence": total - point.rate_bits,
            "lossless_bits_per_sentence": total,
            "lossless_bits_per_character": total * len(texts) / characters,
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def bits_back(name: str, model: Any, examples: Any, elbo_bits: float) -> Row:
    """Net bits an example beside −ELBO (a mean over draws of z), decoded and compared."""
    coder = codec.BitsBack(model)
    packed, encode_s = timed(coder.encode, examples)
    back, decode_s = timed(coder.decode, packed)
    assert np.array_equal(back, examples)
    net = packed.net_bits / packed.examples
    return {
        "part": "bits back", "coder": name, "examples": packed.examples,
        "net_bits_per_example": net, "negative_elbo_bits_per_example": elbo_bits,
        "over_elbo": net / elbo_bits - 1, "initial_bits": packed.initial_bits,
        "encode_cpu_ms_per_example": 1000 * encode_s / packed.examples,
        "decode_cpu_ms_per_example": 1000 * decode_s / packed.examples,
    }  # fmt: skip


def sentence_elbo(model: Any, texts: list[str], draws: int = 10) -> float:
    """−ELBO in bits per sentence, a mean over draws of z."""
    ids, nats = model.ids(texts), []
    for _ in range(draws):
        parts = [model(ids[i : i + 100]) for i in range(0, len(ids), 100)]
        nats.append(sum(float(ops.sum(p["nll"]) + ops.sum(p["kl"])) for p in parts))
    return float(np.mean(nats)) / np.log(2) / len(texts)


def sentences(options: Any) -> list[Row]:
    web = aelib.data.load("web")
    train = web.sentences("train")[: options.sentences]
    held_out = web.sentences("test")
    chosen = np.random.default_rng(options.seed).permutation(len(held_out))[: options.n]
    texts = [held_out[i] for i in sorted(chosen)]
    rows = direct(train, texts)
    for name in options.autoencoders:
        if name != "recurrent 32":
            rows += latents(name, trained(options, name, "plain", train), train, texts)
        if name != "binding 256":
            model = trained(options, name, "variational", train)
            fitting = [t for t in texts if len(model.tokenizer.ids([t])[0]) < model.length]
            row = bits_back(name, model, fitting, sentence_elbo(model, fitting))
            characters = sum(map(len, fitting)) + len(fitting)
            row["bits_per_character"] = row["net_bits_per_example"] * len(fitting) / characters
            rows.append(row)
            print(rows[-1], flush=True)
    return rows


def digits(options: Any) -> list[Row]:
    keras.utils.set_random_seed(options.seed)
    found = aelib.data.load("digits")
    x, held_out = ((part > 0.5).astype(np.float32) for part in (found.x_train, found.x_test))
    vae = VariationalAutoencoder.dense(64, 8, 128, seed=options.seed)
    vae.compile(keras.optimizers.Adam(2e-3))
    vae.fit(x, x, epochs=options.epochs["digits"], batch_size=64, verbose=0)
    rows = []
    for name, part in (("trained on", x), ("held out", held_out)):
        elbo = -float(ops.mean(vae.log_weights(part, 100))) / np.log(2)
        row = bits_back(f"digits, {name}", vae, part, elbo)
        rows.append({**row, "bits_per_pixel": row["net_bits_per_example"] / 64})
    return rows


def options_of(parser: Any) -> None:
    parser.add_argument("--characters", type=int, default=200_000, help="held-out text")
    parser.add_argument("--sentences", type=int, default=12_000, help="to train autoencoders on")
    parser.add_argument("-n", type=int, default=200, help="held-out sentences")
    parser.add_argument("--part", choices=["language", "sentences", "digits"])
    parser.add_argument("--seed", type=int, default=0)


def main() -> None:
    options = common.arguments(__doc__, options_of)
    options.steps = {"transformer": 1300, "recurrent": 1300, "qrnn": 1300}
    options.epochs = {"binding": 6, "recurrent": 4, "digits": 150}
    options.autoencoders = list(AUTOENCODERS)
    web = aelib.data.load("web")
    train, text = "\n".join(web.train) + "\n", "\n".join(web.test)
    if options.quick:
        options.steps, options.characters = dict.fromkeys(options.steps, 60), 10_000
        options.epochs, options.autoencoders = {"binding": 1, "digits": 20}, ["binding 64"]
        options.sentences, options.n, train = 2000, 30, train[:200_000]
    parts = {
        "language": lambda: languages(options, train, text[: options.characters]),
        "sentences": lambda: sentences(options),
        "digits": lambda: digits(options),
    }
    common.by_parts("neural_compression", options, list(parts), lambda part, _: parts[part]())


if __name__ == "__main__":
    main()
