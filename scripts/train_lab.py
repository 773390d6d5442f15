"""Make the models of the book's lab: `python scripts/train_lab.py [NAME ...]`.

Each is written for the page (float16, `aelib.export.to_web`) to book/_extra/lab/models/NAME.js,
together with what the page shows before anything runs. Shipped corpora, seed 0, one thread; times
are CPU-seconds. `--kept` exports models that an earlier run left in _build/lab, without training.
"""

import argparse
import base64
import io
import json
import re
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

import aelib
from aelib import objectives
from aelib.codec.lossy import rate_distortion
from aelib.export import to_web
from aelib.export.parts import variables
from aelib.latent import Direction
from aelib.measure.compressors import compressors
from aelib.models import Autoencoder, VariationalAutoencoder
from aelib.text import BOS, FIRST, Tokenizer
from aelib.writing import whole

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "book" / "_extra" / "lab" / "models"
KEPT = ROOT / "_build" / "lab"
LETTER = """Dear Anna, thank you for your letter. The weather has been kind to us this week, and
the children spend every afternoon by the river. My brother wants to sell the old boat, but nobody
will buy it, because nobody knows how to mend it. On Sunday we are going to visit your mother. She
says that she would rather have a quiet house than a clean one. Write soon!""".replace("\n", " ")
Made = tuple[Any, dict[str, Any]]


def kept(name: str, make: Callable[[], Any], again: bool) -> tuple[Any, float]:
    """A model and the CPU-seconds it took, from `make` or from the file of an earlier run."""
    path, clock = KEPT / f"{name}.keras", KEPT / f"{name}.seconds"
    if again and path.exists():
        return keras.saving.load_model(path), float(clock.read_text())
    started = time.process_time()
    model = make()
    seconds = time.process_time() - started
    KEPT.mkdir(parents=True, exist_ok=True)
    model.save(path)
    clock.write_text(f"{seconds:.1f}")
    return model, seconds


def halve(model: Any) -> Any:
    """Weights as float16 holds them: every figure is then one of the page's model."""
    for variable in variables(model).values():
        variable.assign(ops.convert_to_numpy(variable).astype(np.float16))
    return model


def language(name: str, corpora: tuple[str, ...], again: bool, **options: Any) -> Made:
    """A model of bytes, and its bits per character on held-out text of each corpus."""
    texts = {each: aelib.data.load(each) for each in corpora}

    def train() -> Any:
        model = aelib.LanguageModel(tokens="byte", **options)
        stream = io.StringIO("\n".join(c.text("train") for c in texts.values()))
        return model.fit(stream, seconds=480, batch_size=12, learning_rate=3e-3, verbose=2)

    model, seconds = kept(name, train, again)
    halve(model)
    bits = {n: model.score(c.text("test")[:60_000])["bits_per_character"] for n, c in texts.items()}
    return model, {"bits": bits, "seconds": round(seconds), "corpora": list(corpora)}


def writer(again: bool) -> Made:
    """A GPT over bytes, trained on the World English Bible."""
    model, extra = language(
        "writer", ("web",), again, width=96, depth=4, heads=4, context=128, network="transformer"
    )
    extra["prompt"] = "In the morning "
    extra["example"] = model.generate(extra["prompt"], 300, 0.7, top_p=0.95, seed=0)[0]
    return model, extra


def reader(again: bool) -> Made:
    """A quasi-recurrent network over bytes of three corpora: the compressor's predictor."""
    model, extra = language(
        "reader", ("web", "sotu", "pydoc"), again, width=192, depth=2, context=128, network="qrnn"
    )
    ids = [BOS, *model.tokenizer.ids([LETTER])[0]]
    logits = ops.convert_to_numpy(model(np.array([ids[:-1]])))[0].astype(np.float64)
    logits[:, :FIRST] = -np.inf
    logp = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    bits = -logp[np.arange(len(ids) - 1), ids[1:]] / np.log(2)
    sizes = {k: v for k, v in compressors(LETTER.encode()).items() if isinstance(v, int)}
    extra["example"] = {"text": LETTER, "bits": np.round(bits, 2).tolist(), "peers": sizes}
    return model, extra


# ------------------------------------------------------------------------------- the digit map

SIDE = 33  # places of the plane, along each axis, where the distance to real digits is measured


def dense(variational: bool) -> Any:
    """64-128-2-128-64, as an autoencoder or a VAE, both with the Bernoulli likelihood."""
    x = aelib.data.load("digits").x_train
    if variational:
        model: Any = VariationalAutoencoder.dense(64, 2, 128)
        model.compile(keras.optimizers.Adam(2e-3))
    else:
        model = Autoencoder.dense(64, 2, hidden_dim=128, output_activation="sigmoid")
        model.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy")
    model.fit(x, None if variational else x, epochs=150, batch_size=32, verbose=0)
    return model


def distance(images: np.ndarray, train: np.ndarray) -> np.ndarray:
    """To the nearest training image, root of the mean squared difference: (n, 64) -> (n,)."""
    return np.array([np.sqrt(((train - x) ** 2).mean(axis=1).min()) for x in images])


def plane(low: np.ndarray, high: np.ndarray, side: int) -> np.ndarray:
    """Centres of side × side places, row by row from the top left: (side², 2)."""
    steps = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(low[0] + steps * (high[0] - low[0]), high[1] - steps * (high[1] - low[1]))
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def limit() -> float:
    """The distance that nineteen of twenty unseen digits stay below."""
    digits = aelib.data.load("digits")
    return float(np.quantile(distance(digits.x_test, digits.x_train), 0.95))


def digit_map(name: str, again: bool) -> Made:
    digits, variational = aelib.data.load("digits"), name == "digits-vae"
    model, seconds = kept(name, lambda: dense(variational), again)
    halve(model)
    codes = ops.convert_to_numpy(model.encode(digits.x_train))
    low, high = codes.min(axis=0), codes.max(axis=0)
    if variational:
        low, high = np.full(2, -3.5), np.full(2, 3.5)
    decode = lambda z: ops.convert_to_numpy(model.decode(z))  # noqa: E731
    far = distance(decode(plane(low, high, SIDE)), digits.x_train)
    atlas = decode(plane(low, high, 10)).reshape(10, 10, 8, 8)
    back = decode(ops.convert_to_numpy(model.encode(digits.x_test)))
    return model, {
        "seconds": round(seconds),
        "range": np.round([low[0], high[0], low[1], high[1]], 3).tolist(),
        "start": np.round(codes[digits.y_train == 3][0], 3).tolist(),
        "far": np.round(far, 3).tolist(),
        "holes": float((far > limit()).mean()),
        "mse": float(((back - digits.x_test) ** 2).mean()),
        "picture": png(atlas.transpose(0, 2, 1, 3).reshape(80, 80)),
    }


def png(ink: np.ndarray) -> str:
    """Base64 of a picture, 1 = black."""
    file = io.BytesIO()
    Image.fromarray(np.uint8(255 * (1 - np.clip(ink, 0, 1)))).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def digits_ae(again: bool) -> Made:
    """The plain autoencoder of the digit map."""
    return digit_map("digits-ae", again)


def digits_vae(again: bool) -> Made:
    """The variational autoencoder of the digit map."""
    return digit_map("digits-vae", again)


def digits(_: bool) -> Made:
    """The images themselves, for nearest neighbours and for training in the page."""
    data = aelib.data.load("digits")
    x, y = (np.concatenate([getattr(data, f"{n}_{part}") for part in ("train", "test")])
            for n in "xy")  # fmt: skip
    return None, {
        "images": base64.b64encode(np.uint8(np.round(16 * x)).tobytes()).decode(),
        "labels": "".join(map(str, y)),
        "train": len(data.x_train),
        "limit": limit(),
        "mean_digit_mse": float(((data.x_test - data.x_train.mean(axis=0)) ** 2).mean()),
    }


# ----------------------------------------------------------------------------- the latent piano

PAIR = ["He went up to the city.", "They were afraid of the sea."]
ATTRIBUTES = {
    "question": r"\?$",
    "negation": r"\b(not|no|never|nothing)\b",
    "the future": r"\b(will|shall)\b",
    "the speaker": r"\b(I|me|my)\b",
    "God": r"\b(God|Yahweh|Lord)\b",
    "length": r"^.{45}",
}


def short_sentences() -> list[str]:
    """Of three to ten words, from two corpora."""
    corpora = [aelib.data.load(name) for name in ("web", "sotu")]
    texts = [t for c in corpora for t in c.sentences("train", 3, 10)]
    return [t for t in dict.fromkeys(texts) if re.fullmatch(r"[A-Za-z' ,;:.!?-]+", t)]


def variational() -> Any:
    """Autoencoder first, then a fresh decoder while β rises (Li et al., 2019)."""
    model = aelib.TextAutoencoder(
        latent_dim=16, encoder="lstm", decoder="lstm", kind="variational", tokens="bpe",
        vocabulary=1200, width=128, length=24, beta=0.0, free_bits=0.5, dropout=0.1,
    )  # fmt: skip
    texts, quiet = short_sentences(), {"patience": 99, "verbose": 2, "learning_rate": 2e-3}
    model.fit(texts, seconds=192, **quiet)
    steps = int(model.optimizer.iterations)
    model.reset_decoder()
    rise = objectives.Anneal(objectives.Linear(int(0.6 * steps)))
    model.fit(texts, seconds=288, callbacks=[rise], **quiet)
    model.beta.assign(1.0)
    return model


def piano_vae(again: bool) -> Made:
    """A small variational autoencoder of short sentences, with directions for attributes."""
    model, seconds = kept("piano-vae", variational, again)
    halve(model)
    texts = short_sentences()[:8000]
    z, directions = model.encode(texts), []
    for name, pattern in ATTRIBUTES.items():
        has = np.array([bool(re.search(pattern, text)) for text in texts])
        found = Direction.between(z[~has], z[has])
        vector = np.round(found.gap * found.unit, 4).tolist()
        directions.append({"name": name, "vector": vector, "accuracy": found.accuracy})
    held = aelib.data.load("web").sentences("test", 3, 10)[:500]
    return model, {
        "seconds": round(seconds), "pair": PAIR, "directions": directions, "span": 3,
        "held": {k: float(v) for k, v in model.score(held).items()}, **played(model),
    }  # fmt: skip


def played(model: Any) -> dict[str, Any]:
    """What the page shows before it starts: two sentences, and the way from one to the other."""
    return {
        "back": model.decode(model.encode(PAIR)),
        "walk": list(dict.fromkeys(model.interpolate(*PAIR, steps=9))),
    }


def sentences(_: bool) -> Made:
    """The shipped preset, for the piano: it copies, and has nothing between two sentences."""
    model = aelib.TextAutoencoder.from_preset("sentences")
    return halve(model), {"pair": PAIR, "span": 3, **played(model)}


# -------------------------------------------------------------------------------- the bottleneck

SIZES, BITS = (48, 64, 96, 128, 192, 256), (1, 2, 3, 4, 6)


@cache
def bound(size: int) -> Any:
    """A position-bound autoencoder; only token frequencies are learned."""
    texts = [t for name in ("web", "sotu") for t in aelib.data.load(name).sentences("train", 4, 12)]
    model = aelib.TextAutoencoder(
        latent_dim=size, length=24, tokenizer=Tokenizer.train(texts, "bpe", 3000)
    )
    return halve(model.fit(texts, seconds=0, verbose=0))


def some(split: str, n: int) -> list[str]:
    """n sentences of four to twelve words, from both corpora."""
    texts = [t for name in ("web", "sotu") for t in aelib.data.load(name).sentences(split, 4, 12)]
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:n]]


def bottleneck_of(size: int) -> Made:
    model = bound(size)
    codes = model.encode(some("train", 1000))
    ends = {"low": np.round(codes.min(axis=0), 4), "high": np.round(codes.max(axis=0), 4)}
    return model, {"range": {name: value.tolist() for name, value in ends.items()}}


def bottleneck(_: bool) -> Made:
    """Rate and distortion of every size with every number of bits."""
    points: list[dict[str, Any]] = []
    for size in SIZES:
        curve = rate_distortion(bound(size), some("test", 300), BITS, some("train", 1000))
        points += [
            {"size": size, "bits": p.bits, "rate": round(p.rate_bits, 1),
             "distortion": round(p.distortion, 4), "exact": round(p.exact, 4)} for p in curve
        ]  # fmt: skip
    sentence = "We went down to the river, and nobody said a word."
    return None, {"sizes": SIZES, "bits": BITS, "points": points, "sentence": sentence,
                  "rows": [_row(size, sentence) for size in SIZES]}  # fmt: skip


def _row(size: int, sentence: str) -> dict[str, Any]:
    """The sentence through one size at each number of bits, as the page does it."""
    model, extra = bottleneck_of(size)
    low, high = (np.array(extra["range"][name], np.float32) for name in ("low", "high"))
    z, back = model.encode([sentence])[0], {}
    for bits in BITS:
        step = (high - low) / 2**bits
        cells = np.clip(np.floor((z - low) / step), 0, 2**bits - 1)
        back[bits] = model.decode((low + (cells + 0.5) * step)[None])[0]
    return {"size": size, "back": back}


MAKERS: dict[str, Callable[[bool], Made]] = {
    "digits-ae": digits_ae,
    "digits-vae": digits_vae,
    "digits": digits,
    "writer": writer,
    "reader": reader,
    "piano-vae": piano_vae,
    "sentences": sentences,
    **{f"bottleneck-{size}": partial(lambda size, _: bottleneck_of(size), size) for size in SIZES},
    "bottleneck": bottleneck,
}


def to_data(path: Path, data: dict[str, Any]) -> Path:
    """Data without a model, as a script in the same manner."""
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    with whole(path) as part:
        part.write_text(f'(globalThis.aelibData ??= {{}})["{path.stem}"] = {body};\n')
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MAKERS))
    parser.add_argument("--kept", action="store_true", help="export what an earlier run trained")
    parser.add_argument("--out", type=Path, default=MODELS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        keras.utils.set_random_seed(0)
        model, extra = MAKERS[name](options.kept)
        path = options.out / f"{name}.js"
        path = to_web(model, path, extra=extra) if model is not None else to_data(path, extra)
        shown = {k: v for k, v in extra.items() if len(str(v)) < 400}
        print(f"{path}: {path.stat().st_size:,} bytes", shown, flush=True)


if __name__ == "__main__":
    main()
