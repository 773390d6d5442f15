"""Language models: the step equals the whole, scores are probabilities, generation obeys."""

import io

import keras
import numpy as np
import pytest
from keras import ops

from aelib.errors import BadInput, UnknownName
from aelib.generate import BeamSearch
from aelib.measure import NGramModel
from aelib.models import LanguageModel
from aelib.models.cores import ReadsWords, RecurrentCore, TransformerCore
from aelib.models.language import FEW
from aelib.models.qrnn import QuasiRecurrentCore, linear_recurrence, ngram_rows
from aelib.text import Tokenizer

TEXT = "the cat sat on the mat. the dog sat on the log. " * 60
LINES = ["the cat sat.", "the dog ran.", "a cat ran."] * 40
SMALL = {"width": 32, "depth": 2, "heads": 2, "context": 16}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("lm") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return LanguageModel(**SMALL).fit(path, steps=150, batch_size=8, learning_rate=3e-3, verbose=0)


CORES = [TransformerCore(32, 2, 2, context=12), RecurrentCore(32, 2), QuasiRecurrentCore(32, 2)]


@pytest.mark.parametrize("core", CORES)
def test_step_by_step_equals_all_at_once(core):
    core.build((None, None, 32))
    x = np.random.default_rng(0).standard_normal((3, 12, 32)).astype(np.float32)
    whole = ops.convert_to_numpy(core(x))
    state = core.start(3)
    for t in range(12):
        y, state = core.step(ops.convert_to_tensor(x[:, t]), state, ops.convert_to_tensor(t))
        assert np.allclose(ops.convert_to_numpy(y), whole[:, t], atol=2e-5)


def test_small_word_vectors_are_read_as_if_of_deviation_one():
    shape, plain = (40, 96), keras.initializers.GlorotUniform(3)((40, 96))
    initializer = ReadsWords(rows=32, deviation=0.05, seed=3)
    kernel, plain = (ops.convert_to_numpy(w) for w in (initializer(shape), plain))
    assert np.allclose(kernel[:32], plain[:32] / 0.05) and np.array_equal(kernel[32:], plain[32:])
    again = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    assert np.array_equal(ops.convert_to_numpy(again(shape)), kernel)


def test_models_hand_their_deviation_to_the_first_layer_alone():
    model = LanguageModel(network="recurrent", width=32, depth=2, context=16, tokens="char")
    model.fit(LINES, steps=1, verbose=0)
    first, second = (gru.kernel_initializer.deviation for gru in model.core.grus)
    assert (first, second) == (0.02, 1.0)
    assert np.std(model.core.grus[0].cell.kernel) > 20 * np.std(model.core.grus[1].cell.kernel)


def test_the_cache_is_a_ring():
    """With one block the output depends on the last `context` tokens alone."""
    core = TransformerCore(16, 1, 2, context=4)
    core.build((None, None, 16))
    x = np.random.default_rng(1).standard_normal((1, 9, 16)).astype(np.float32)
    state = core.start(1)
    for t in range(9):
        y, state = core.step(ops.convert_to_tensor(x[:, t]), state, ops.convert_to_tensor(t))
    window = ops.convert_to_numpy(core(x[:, 5:]))[:, -1]
    assert np.allclose(ops.convert_to_numpy(y), window, atol=1e-5)


def test_the_future_is_not_seen(model):
    ids = np.random.default_rng(0).integers(3, 20, (1, 10)).astype(np.int32)
    other = ids.copy()
    other[0, 6:] = 4
    a, b = (ops.convert_to_numpy(model(rows)) for rows in (ids, other))
    assert np.allclose(a[0, :6], b[0, :6], atol=1e-5) and not np.allclose(a[0, 6:], b[0, 6:])


def test_it_learns_and_scores_in_the_units_it_says(model):
    score = model.score(TEXT[:480])
    assert score["bits_per_character"] < 1.5
    assert score["bits_per_character"] == pytest.approx(
        score["nll"] * score["tokens"] / np.log(2) / 480
    )
    assert score["perplexity"] == pytest.approx(np.exp(score["nll"]))
    assert score["tokens"] == score["characters"] == 480


def test_uniform_model_costs_log_v():
    tokenizer = Tokenizer.train([TEXT], "byte")
    model = LanguageModel(**SMALL, tokenizer=tokenizer)
    model.table.embeddings.assign(np.zeros((tokenizer.size, 32)))
    assert model.score(TEXT[:100])["nll"] == pytest.approx(np.log(259), rel=1e-5)
    assert model.score(["abc", "d"])["tokens"] == 6  # three and one, and two ends


def test_stream_score_counts_each_token_once(model):
    long = model.score(TEXT[:200])
    assert long["tokens"] == 200
    assert model.score(TEXT[:5])["tokens"] == 5


def test_reading_on_is_scored_before_it_is_learned_from(model):
    before = [w.copy() for w in model.get_weights()]
    new = "owls hoot at dusk; owls hoot at dawn; " * 80
    fixed, first = model.score(new), model.score(new[:64])
    adapting = model.score(new, adapt=0.3)
    assert adapting["bits_per_character"] < 0.7 * fixed["bits_per_character"]
    assert (adapting["tokens"], adapting["characters"]) == (fixed["tokens"], fixed["characters"])
    # Eight windows are the first batch: their score comes before the first step.
    assert model.score(new[:64], adapt=0.3)["nll"] == pytest.approx(first["nll"], rel=1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(BadInput, match="one stream"):
        model.score(LINES, adapt=0.3)
    with pytest.raises(BadInput, match="0 or more"):
        model.score(new, adapt=-0.1)
    with pytest.raises(BadInput, match="ran away"):
        model.score(new, adapt=1e30)


def test_token_nll_is_what_score_adds_up(model):
    for texts in (TEXT[:300], LINES[:5]):
        parts = model.token_nll(texts)
        score = model.score(texts)
        assert sum(map(len, parts)) == score["tokens"]
        assert np.concatenate(parts).mean() == pytest.approx(score["nll"], rel=1e-6)
    alone = [model.token_nll([line])[0] for line in LINES[:5]]
    for one, among in zip(alone, model.token_nll(LINES[:5]), strict=True):
        assert np.allclose(one, among, atol=1e-4)


def test_counts_beside_the_network_are_mixed_token_by_token(model):
    counts = NGramModel(3, model.tokenizer).fit([TEXT[:400]])
    for texts, listed in ((TEXT[400:700], [TEXT[400:700]]), (LINES[:4], LINES[:4])):
        own, other = model.token_nll(texts), counts.token_nll_nats(listed)
        p = [0.6 * np.exp(-a) + 0.4 * np.exp(-b[: len(a)])
             for a, b in zip(own, other, strict=True)]  # fmt: skip
        mixed = model.score(texts, beside=counts, share=0.4)
        assert mixed["nll"] == pytest.approx(-np.log(np.concatenate(p)).mean(), rel=1e-6)
    with pytest.raises(BadInput, match="other tokens"):
        model.score(TEXT, beside=NGramModel(3, "character").fit([TEXT]))
    with pytest.raises(BadInput, match="between 0 and 1"):
        model.score(TEXT, beside=counts, share=1.0)
    with pytest.raises(BadInput, match="do not go together"):
        model.score(TEXT, beside=counts, adapt=0.3)


def test_a_small_table_is_read_by_a_product_with_the_same_result(model):
    ids = np.random.default_rng(2).integers(0, model.tokenizer.size, (2, 9)).astype(np.int32)
    assert model.tokenizer.size < FEW
    looked_up = ops.convert_to_numpy(model.table(ids))
    assert np.array_equal(ops.convert_to_numpy(model._vectors(ops.convert_to_tensor(ids))),
                          looked_up)  # fmt: skip


def test_generation_is_seeded_greedy_is_not_random_and_stops(model):
    assert model.generate("the", 30, seed=1) == model.generate("the", 30, seed=1)
    assert model.generate("the", 30, seed=1) != model.generate("the", 30, seed=2)
    greedy = model.generate("the", 20, temperature=0, seed=1)
    assert greedy == model.generate("the", 20, temperature=0, seed=9)
    assert greedy[0].startswith("the") and len(greedy[0]) == 23
    assert greedy == model.generate("the", 20, top_k=1, seed=4)
    assert "." not in model.generate("the", 60, temperature=0, stop=".")[0]
    assert len(model.generate(["a", "the cat"], 5, n=2)) == 4
    assert all(t.startswith("the cat") for t in model.generate(["a", "the cat"], 5, n=2)[2:])


def test_greedy_equals_the_argmax_of_the_whole(model):
    text = model.generate("the c", 8, temperature=0)[0]
    ids = np.array([[1, *model.tokenizer.ids([text])[0]]], np.int32)
    logits = ops.convert_to_numpy(model(ids))[0]
    logits[:, :2] = -np.inf
    assert (logits[5:-1].argmax(-1) == ids[0, 6:]).all()


def test_documents_end_by_themselves():
    model = LanguageModel(**SMALL, tokens="word").fit(
        LINES, steps=150, learning_rate=3e-3, verbose=0
    )
    assert model.documents
    texts = model.sample(8, seed=0)
    assert sum(text in LINES for text in texts) >= 5
    assert model.score(LINES[:3])["perplexity"] < 3
    assert model.generate("the", 10, temperature=0)[0].endswith(".")


def test_recurrent_network_learns_too():
    model = LanguageModel(**SMALL, network="recurrent", tokens="word").fit(
        LINES, steps=200, learning_rate=1e-2, verbose=0
    )
    assert model.score(LINES[:3])["perplexity"] < 4
    assert model.generate("a", 6, seed=0)


def test_save_and_load(model, tmp_path):
    model.save(tmp_path / "lm.keras")
    again = LanguageModel.load(tmp_path / "lm.keras")
    assert again.score(TEXT[:100]) == model.score(TEXT[:100])
    assert again.generate("the", 20, seed=3) == model.generate("the", 20, seed=3)


def test_refusals(model):
    with pytest.raises(UnknownName, match="choose one of"):
        LanguageModel(network="lstm")
    with pytest.raises(BadInput, match="call fit"):
        LanguageModel().generate("a")
    with pytest.raises(BadInput, match="fewer than one window"):
        LanguageModel(tokenizer=Tokenizer.train(["a"], "byte"))._dataset("abc", 2, 1, 0)
    with pytest.raises(BadInput, match="temperature"):
        model.generate("a", temperature=-1)
    with pytest.raises(BadInput, match="nothing to score"):
        model.score("")
    with pytest.raises(BadInput, match="nothing to score"):
        model.score([])


def test_linear_recurrence_equals_its_definition():
    rng = np.random.default_rng(0)
    f, u = rng.random((2, 2, 7, 3)).astype(np.float32)
    c, expected = np.zeros((2, 3)), []
    for t in range(7):
        c = f[:, t] * c + u[:, t]
        expected.append(c)
    got = linear_recurrence(ops.convert_to_tensor(f), ops.convert_to_tensor(u))
    assert np.allclose(ops.convert_to_numpy(got), np.stack(expected, 1), atol=1e-6)


def test_ngram_rows_depend_on_their_tokens_alone():
    ids = np.array([[0, 0, 5, 6, 7, 5, 6, 7, 9, 6, 7]], np.int32)  # two places of padding
    rows = ops.convert_to_numpy(ngram_rows(ops.convert_to_tensor(ids), 3))[0]
    assert rows.shape == (9, 2)
    assert (rows[2] == rows[5]).all()  # both after 5 6 7
    assert rows[8, 0] == rows[5, 0] and rows[8, 1] != rows[5, 1]  # 6 7 alike, 9 6 7 not


@pytest.mark.parametrize("ngrams", [0, 3])
def test_qrnn_learns_steps_and_comes_back(ngrams, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    options = {**SMALL, "network": "qrnn", "ngrams": ngrams}
    model = LanguageModel(**options).fit(
        tmp_path / "text.txt", steps=120, batch_size=8, learning_rate=1e-2, verbose=0
    )
    assert model.score(TEXT[:480])["bits_per_character"] < 1.0
    text = model.generate("the c", 8, temperature=0)[0]
    ids = np.array([[1, *model.tokenizer.ids([text])[0]]], np.int32)
    logits = ops.convert_to_numpy(model(ids))[0]
    logits[:, :2] = -np.inf
    assert (logits[5:-1].argmax(-1) == ids[0, 6:]).all()
    model.save(tmp_path / "lm.keras")
    assert LanguageModel.load(tmp_path / "lm.keras").score(TEXT[:99]) == model.score(TEXT[:99])


def test_steps_are_batches():
    model = LanguageModel(**SMALL, network="qrnn", tokens="word")
    for total in (7, 14):  # five batches an epoch; the second call goes on
        model.fit(LINES, steps=7, batch_size=24, verbose=0)
        assert int(model.optimizer.iterations) == total


class Fork:
    """After the start: a (0.6) or b (0.4). After a all six tokens are alike, after b c is sure."""

    def start(self, batch, condition=None):
        return [ops.zeros((batch, 1))]

    def advance(self, tokens, state, t):
        p = np.full((7, 7), 1 / 7, np.float32)  # 2 is the end, 3 a, 4 b, 5 c
        p[1] = [0, 0, 1e-9, 0.6, 0.4, 1e-9, 1e-9]
        p[4] = [0, 0, 1e-9, 1e-9, 1e-9, 1, 1e-9]
        logits = ops.log(ops.convert_to_tensor(p) + 1e-12)
        return ops.take(logits, tokens, axis=0), state


def test_beam_search_finds_what_greedy_misses():
    search = BeamSearch(Fork())
    greedy, little = search([], 2, beams=1)
    best, more = search([], 2, beams=2)
    assert greedy[0] == 3 and little == pytest.approx(np.log(0.6 / 5), abs=1e-3)
    assert best == [4, 5] and more == pytest.approx(np.log(0.4), abs=1e-3)


def test_length_power_prefers_means():
    class Ends(Fork):
        def advance(self, tokens, state, t):
            p = np.full((7, 7), 1e-9, np.float32)
            p[1, 2:4] = 0.55, 0.45  # end at once, or go on with a, which is then nearly sure
            p[3, 3] = 1.0
            return ops.take(ops.log(ops.convert_to_tensor(p)), tokens, axis=0), state

    assert BeamSearch(Ends())([], 5, beams=2)[0] == [2]
    assert BeamSearch(Ends())([], 5, beams=2, length_power=1.0)[0] == [3] * 5


def test_generate_by_beam(model):
    assert model.generate("the c", 8, beams=1) == model.generate("the c", 8, temperature=0)
    text = model.generate(["the", "the cat"], 12, beams=3, stop=".")
    assert text == model.generate(["the", "the cat"], 12, beams=3, stop=".", seed=5)
    assert text[1].startswith("the cat") and all("." not in t for t in text)
    with pytest.raises(BadInput, match="beams"):
        model.generate("a", 5, beams=-1)


@pytest.mark.parametrize("network", ["transformer", "recurrent", "qrnn"])
def test_half_precision_scores_and_writes_like_full(network):
    """Under `mixed_bfloat16`: the same steps, to a twentieth of a bit, and logits in float32."""
    bits = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.mixed_precision.set_dtype_policy(policy)
        try:
            model = LanguageModel(32, 2, 2, 32, tokens="char", network=network)
            model.fit(io.StringIO(TEXT), steps=30, batch_size=4, verbose=0)
            assert len(model.generate("the ", 5, seed=0)[0]) >= 5
            assert keras.backend.standardize_dtype(model(np.array([[5, 6]])).dtype) == "float32"
            bits.append(model.score(TEXT[:400])["bits_per_character"])
        finally:
            keras.mixed_precision.set_dtype_policy("float32")
    assert bits[1] == pytest.approx(bits[0], abs=0.05)
