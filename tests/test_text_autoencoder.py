"""Text autoencoders: exact before training, losses that add up, files, refusals."""

import keras
import numpy as np
import pytest
from keras import ops

from aelib import measure, objectives
from aelib.errors import BadInput, UnknownName
from aelib.models import TextAutoencoder, bottleneck, training
from aelib.models.aggressive import Aggressive
from aelib.models.binding import BindingDecoder, BindingEncoder, Codebook
from aelib.models.feeding import fed
from aelib.models.networks import SequenceDecoder
from aelib.text import EOS, FIRST, Tokenizer

WORDS = ["the", "a", "dog", "cat", "king", "sea", "saw", "heard", "loved", "old", "red", "and"]
rng = np.random.default_rng(0)


def sentences(n, seed=0, low=3, high=8):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(low, high))) + "." for _ in range(n)]


TRAIN, HELD = sentences(300), sentences(40, seed=1)
SMALL = {"latent_dim": 32, "width": 32, "vocabulary": 300, "candidates": 64}


def fitted(**options):
    model = TextAutoencoder(**{**SMALL, **options})
    return model.fit(TRAIN, epochs=1, verbose=0)


@pytest.fixture(scope="module")
def binding():
    return fitted(latent_dim=96, width=96)


def random_book(k=256, t=12, v=1000):
    book = Codebook(v, t, k, k, seed=3)
    book.build()
    decoder = BindingDecoder(book)
    decoder.build()
    return book, decoder


def test_places_are_orthonormal_and_unbinding_inverts_binding():
    book, _ = random_book(k=64)
    turn = ops.convert_to_numpy(book.places)
    eye = np.eye(64)
    assert max(np.abs(r @ r.T - eye).max() for r in turn) < 1e-5
    one = np.zeros((1, 12, 64), np.float32)
    one[0, 5] = rng.standard_normal(64)
    back = ops.convert_to_numpy(book.unbind(book.bind(ops.convert_to_tensor(one)), 12))
    assert np.allclose(back[0, 5], one[0, 5], atol=1e-5)


def test_superposition_is_the_sum_in_its_equation():
    book, _ = random_book(k=64)
    ids = np.array([[5, 9, EOS, 0], [7, 0, 8, EOS]], np.int32)  # a hole reads as nothing
    z = ops.convert_to_numpy(BindingEncoder(book)(ids))
    e, r = ops.convert_to_numpy(book.table), ops.convert_to_numpy(book.places)
    ends, g = ops.convert_to_numpy(book.ends), float(ops.convert_to_numpy(book.gain))
    first = g * (e[5] @ r[0] + e[9] @ r[1] + ends[2])
    second = g * (e[7] @ r[0] + e[8] @ r[2] + ends[3])
    assert np.allclose(z, [first, second], atol=1e-4)


def test_random_sequences_come_back_without_any_training():
    _, decoder = random_book(k=256)
    ids = rng.integers(FIRST, 1000, (50, 12)).astype(np.int32)
    ids[:, -1] = EOS
    z = BindingEncoder(decoder.codebook)(ids)
    one = (decoder.generate(z, sweeps=1) == ids).all(1).mean()
    many = (decoder.generate(z, sweeps=12) == ids).all(1).mean()
    assert one < 0.9 and many >= 0.98


def test_sampled_loss_tracks_the_exact_one():
    """With every word a candidate, the sampled NLL of one sweep is near the full one."""
    book, _ = random_book(k=32, v=200)
    decoder = BindingDecoder(book, sweeps=1, candidates=4000)
    decoder.build()
    ids = rng.integers(FIRST, 200, (64, 8)).astype(np.int32)
    ids[:, -1] = EOS
    decoder.adapt(ids)
    z = BindingEncoder(book)(ids)
    exact = ops.convert_to_numpy(decoder.nll(z, ids)).mean()
    sampled = ops.convert_to_numpy(decoder.nll(z, ids, training=True)).mean()
    assert abs(sampled - exact) < 0.03 * exact


def test_held_out_sentences_come_back(binding):
    score = binding.score(HELD)
    assert score["exact"] >= 0.9 and score["token_accuracy"] >= 0.9
    assert score["kl"] == 0 and score["sentences"] == 40
    assert binding.reconstruct("Ünseen wörds, 起初!")[0]  # spelt in bytes, no unknown token


def test_what_a_bad_model_writes_is_not_the_users_text(recwarn):
    model = TextAutoencoder(8, "recurrent", "recurrent", width=16, length=24)
    model.fit(TRAIN, seconds=0, verbose=0)  # untrained: it goes on to the end of its room
    assert max(map(len, model.tokenizer.ids(model.reconstruct(HELD[:20])))) >= 24
    score = model.score(HELD[:20])
    assert score["exact"] == 0 and score["token_accuracy"] < 0.5
    assert not [w for w in recwarn if "were cut" in str(w.message)]


def test_z_has_about_unit_variance(binding):
    z = binding.encode(TRAIN)
    assert z.shape == (300, 96) and z.dtype == np.float32
    assert 0.5 < (z**2).mean() < 2


def test_interpolation_ends_at_both_sentences(binding):
    path = binding.interpolate("the dog saw a cat.", "the king heard the sea.", steps=5)
    assert len(path) == 5
    assert path[0] == "the dog saw a cat." and path[-1] == "the king heard the sea."


PAIRS = ["recurrent binding", "binding transformer", "transformer recurrent",
         "lstm convolutional"]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
def test_networks_mix_train_and_decode(pair):
    encoder, decoder = pair.split()
    model = TextAutoencoder(**SMALL, encoder=encoder, decoder=decoder)
    model.fit(TRAIN, epochs=5, patience=9, verbose=0, learning_rate=3e-3)
    losses = model.history.history["nll"]
    assert np.isfinite(losses).all() and min(losses[1:]) < losses[0]
    back = model.reconstruct(HELD[:3])
    assert len(back) == 3 and all(isinstance(text, str) for text in back)


def test_only_what_a_decoder_reads_is_trained():
    for decoder, read in (("binding", True), ("recurrent", False)):
        trained = fitted(decoder=decoder).trainable_variables
        assert read == any(v.name == "prior" for v in trained)


def test_variational_losses_add_up_in_training_and_testing():
    model = fitted(kind="variational", encoder="recurrent", decoder="recurrent", beta=0.3)
    log = {key: values[-1] for key, values in model.history.history.items()}
    assert log["loss"] == pytest.approx(log["nll"] + 0.3 * log["kl"], rel=1e-4)
    assert log["val_loss"] == pytest.approx(log["val_nll"] + 0.3 * log["val_kl"], rel=1e-4)
    assert log["kl"] > 0
    score = model.score(HELD)
    assert score["nll"] > 0 and score["kl"] > 0
    a, b = model.sample(2, seed=5), model.sample(2, seed=5)
    assert a == b and len(a) == 2


def test_denoising_input_is_noised_and_target_is_not():
    model = fitted(kind="denoising", noise_rate=0.5)
    ids = model.ids(TRAIN)
    noisy = model._corrupt()(ids, 0)
    assert not np.array_equal(noisy, ids)
    same = ops.convert_to_numpy(model((ids, ids))["nll"]).mean()
    harder = ops.convert_to_numpy(model((noisy, ids))["nll"]).mean()
    assert harder > same


@pytest.mark.parametrize("network", ["transformer", "convolutional"])
def test_z_does_not_drown_the_words_it_is_added_to(network):
    """With words a twentieth as large as z, a transformer could not tell them from each other."""
    decoder = SequenceDecoder(500, 32, 64, 16, network)
    decoder.build()
    words = decoder.table(rng.integers(FIRST, 500, (50,)))
    z = rng.normal(size=(50, 32)).astype("float32")
    alone = decoder._joined(words, np.zeros_like(z)), decoder._joined(0 * words, z)
    sizes = [float(np.std(ops.convert_to_numpy(part))) for part in alone]
    assert 0.2 < sizes[0] / sizes[1] < 2


@pytest.mark.parametrize("network", ["recurrent", "lstm", "transformer", "convolutional"])
def test_free_running_greedy_is_the_argmax_of_teacher_forcing(network):
    words = Tokenizer.train(TRAIN, "word", 300)
    options = {**SMALL, "length": 16, "tokenizer": words, "skip": True, "seed": 4}
    model = TextAutoencoder(encoder="convolutional", decoder=network, **options)
    z = ops.convert_to_tensor(model.encode(HELD[:4]))
    ids = model.decoder.generate(z)
    logits = ops.convert_to_numpy(model.decoder.logits(z, ops.convert_to_tensor(ids)))
    logits[..., :EOS] = -np.inf
    real = ids != 0
    assert (logits.argmax(-1)[real] == ids[real]).all()


def words_only(**options):
    words = Tokenizer.train(TRAIN, "word", 300)
    return TextAutoencoder(**{**SMALL, "length": 16, "tokenizer": words, **options})


def gradients(loss, weights):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss()
    return [g for g in tape.gradient(value, weights) if g is not None]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="reads gradients by a tape")
def test_each_adversarial_player_gets_its_own_gradient_alone():
    net = bottleneck.Adversarial(4, seed=1)
    h = keras.Variable(rng.standard_normal((6, 4)).astype("float32"))
    net.build()
    own = net.trainable_weights
    assert all(not np.any(g) for g in gradients(lambda: net(h)[1]["generator"], own))
    assert any(np.any(g) for g in gradients(lambda: net(h)[1]["discriminator"], own))
    assert gradients(lambda: net(h)[1]["discriminator"], [h.value]) == []
    assert any(np.any(g) for g in gradients(lambda: net(h)[1]["generator"], [h.value]))


def test_adversarial_losses_add_up_and_the_noise_is_daaes():
    assert words_only(kind="adversarial")._corrupt() is None
    model = fitted(kind="denoising-adversarial", encoder="recurrent", decoder="recurrent", beta=3.0)
    log = {key: values[-1] for key, values in model.history.history.items()}
    for at in ("", "val_"):
        total = log[at + "nll"] + 3 * log[at + "generator"] + log[at + "discriminator"]
        assert log[at + "loss"] == pytest.approx(total, rel=1e-4)
    assert model._corrupt() is not None
    assert len(model.sample(2, seed=0)) == 2


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="reads gradients by a tape")
def test_the_game_moves_the_aggregate_to_the_prior():
    import tensorflow as tf

    net = bottleneck.Adversarial(2, seed=1, width=32)
    net.build()
    h = keras.Variable(0.1 * rng.standard_normal((256, 2)).astype("float32") + 2)
    optimizer = keras.optimizers.Adam(1e-2, beta_1=0.5)
    weights = [h, *net.trainable_weights]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = net.penalty(net(h.value)[1], 100.0, True)
        found = tape.gradient(loss, [w.value for w in weights])
        optimizer.apply_gradients(zip(found, weights, strict=True))

    optimizer.build(weights)
    for _ in range(600):
        step()
    z = ops.convert_to_numpy(h)
    assert np.abs(z.mean(axis=0)).max() < 0.7 and z.std(axis=0).min() > 0.3


def test_quantised_codes_lie_on_their_grid_and_pass_gradients(tmp_path):
    model = fitted(kind="quantised", encoder="recurrent", decoder="recurrent", levels=5)
    symbols = model.bottleneck.symbols(model.encode(HELD))
    assert symbols.min() >= 0 and symbols.max() <= 4
    assert np.allclose(model.encode(HELD), symbols / 2 - 1, atol=1e-6)
    assert set(np.unique(model.bottleneck.prior(50, seed=0))) == {-1, -0.5, 0, 0.5, 1}
    assert len(model.sample(2, seed=1)) == 2
    model.save(tmp_path / "fsq.keras")
    again = TextAutoencoder.load(tmp_path / "fsq.keras")
    assert np.array_equal(again.encode(HELD), model.encode(HELD))


def test_batch_normalised_posterior_has_its_least_rate():
    layer = bottleneck.Variational(8, family="batchnorm", min_rate=0.2)
    layer.build()
    for scale in (0.01, 10):  # a small μ is no way out
        h = rng.standard_normal((64, 16)).astype("float32") * scale + 5
        mean, logvar = layer.posterior(h, training=True)
        kl = ops.convert_to_numpy(objectives.kl_per_dimension(mean, logvar))
        assert kl.mean(axis=0).min() >= 0.2 * (1 - 2e-3)


@pytest.mark.parametrize("rate", [0.01, 0.15, 2.0])
def test_delta_posterior_has_its_least_rate_everywhere(rate):
    layer = bottleneck.Variational(8, family="delta", min_rate=rate)
    layer.build()
    h = rng.standard_normal((500, 16)).astype("float32") * 20
    h[0] = 0, *[0] * 7, *[50.0] * 8  # no mean, the largest variance
    kl = ops.convert_to_numpy(objectives.kl_per_dimension(*layer.posterior(h)))
    assert kl.min() >= rate * (1 - 1e-3) and np.allclose(kl[0], rate, rtol=1e-3)


def test_importance_weights_average_to_the_bound():
    model = words_only(kind="variational", encoder="lstm", decoder="lstm", posterior="batchnorm")
    ids = model.ids(HELD[:10])
    weights = model.log_weights(ids, samples=400, most=500)
    assert weights.shape == (400, 10)
    parts = [model(ids) for _ in range(60)]
    bound = np.mean([ops.convert_to_numpy(p["nll"] + ops.sum(p["kl"], -1)) for p in parts])
    assert -weights.mean() == pytest.approx(bound, rel=0.02)
    assert measure.iw_nll(weights).mean() < -weights.mean()
    with pytest.raises(BadInput, match="no posterior"):
        words_only().log_weights(ids)


def test_a_reset_decoder_is_new_and_the_encoder_is_not():
    model = fitted(kind="variational", encoder="lstm", decoder="lstm", beta=0.0)
    before = model.encode(HELD)
    old = [ops.convert_to_numpy(w) for w in model.decoder.trainable_weights]
    model.reset_decoder()
    assert np.array_equal(model.encode(HELD), before)
    new = [ops.convert_to_numpy(w) for w in model.decoder.trainable_weights]
    assert sum(np.array_equal(a, b) for a, b in zip(old, new, strict=True)) <= 1
    assert int(model.optimizer.iterations) == 0
    with pytest.raises(BadInput, match="no reset"):
        words_only().reset_decoder()


def test_the_aggressive_encoder_leaves_the_decoder_alone_and_gives_up_in_time():
    model = words_only(kind="variational", encoder="recurrent", decoder="recurrent")
    ids = model.ids(TRAIN[:64])
    callback = Aggressive(training.Batches(ids, 32), ids, most=4, window=2)
    model.compile(keras.optimizers.Adam(1e-2))
    callback.set_model(model)
    callback.on_train_begin()
    before = [[ops.convert_to_numpy(w) for w in part.trainable_weights]
              for part in (model.encoder, model.decoder)]  # fmt: skip
    callback.on_train_batch_begin(0)
    moved = [[not np.array_equal(a, ops.convert_to_numpy(w)) for a, w in
              zip(old, part.trainable_weights, strict=True)]
             for old, part in zip(before, (model.encoder, model.decoder), strict=True)]  # fmt: skip
    assert any(moved[0]) and not any(moved[1]) and 2 < callback.steps <= 4
    callback.on_epoch_end(0)
    callback.information = 99.0  # it cannot rise above this
    callback.on_epoch_end(1)
    callback.on_train_batch_begin(1)
    assert not callback.active and callback.steps <= 4


def test_without_an_encoder_it_is_a_language_model():
    model = fitted(encoder="none", decoder="lstm")
    nll = ops.convert_to_numpy(model(model.ids(HELD))["nll"])
    other = ops.convert_to_numpy(model((model.ids(HELD[::-1]), model.ids(HELD)))["nll"])
    assert np.array_equal(nll, other) and not model.encode(HELD).any()


def test_skip_feeds_z_to_the_output():
    ids = words_only().ids(HELD[:5])
    z = rng.standard_normal((5, 32)).astype("float32")
    with_, without = (words_only(decoder="lstm", skip=skip).decoder for skip in (True, False))
    away = ops.convert_to_numpy(with_.hidden(z, ids) - without.hidden(z, ids))
    expected = z @ ops.convert_to_numpy(with_.bypass.kernel)
    assert np.allclose(away, expected[:, None], atol=1e-5)


def test_saved_and_loaded_model_is_the_same(binding, tmp_path):
    path = tmp_path / "model.keras"
    binding.save(path)
    again = TextAutoencoder.load(path)
    assert np.array_equal(again.encode(HELD), binding.encode(HELD))
    assert again.reconstruct(HELD) == binding.reconstruct(HELD)
    plain = keras.saving.load_model(path)
    assert isinstance(plain, TextAutoencoder)
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]
    before = again.score(HELD)["nll"]
    again.fit(TRAIN, epochs=1, verbose=0, learning_rate=1e-5)
    assert again.score(HELD)["nll"] == pytest.approx(before, rel=0.2, abs=0.05)


def test_same_seed_same_model():
    a, b, other = (fitted(seed=seed).encode(HELD) for seed in (7, 7, 8))
    assert np.abs(a - b).mean() < 1e-4 < np.abs(a - other).mean()


@pytest.mark.parametrize("killed", [1, 2])
def test_a_killed_run_remembers_its_best_weights(tmp_path, killed):
    """Every epoch but the first begins with a blow: the best lies before the interruption."""

    class Blow(keras.callbacks.Callback):
        def __init__(self, stop):
            super().__init__()
            self.stop = stop

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == self.stop:
                raise KeyboardInterrupt
            for weight in self.model.trainable_variables if epoch else ():
                weight.assign(weight * -3)

    def run(name, stop=None):
        model = TextAutoencoder(**SMALL)
        backup = keras.callbacks.BackupAndRestore(str(tmp_path / name), double_checkpoint=True)
        model.fit(TRAIN, HELD, epochs=4, patience=2, callbacks=[backup, Blow(stop)], verbose=0)
        return model

    with pytest.raises(KeyboardInterrupt):
        run("again", killed)
    resumed, unbroken = run("again"), run("once")
    assert np.argmin(unbroken.history.history["val_nll"]) == 0
    assert len(unbroken.history.epoch) == 3  # patience is counted over the interruption, too
    assert resumed.history.epoch == unbroken.history.epoch[killed:]
    for a, b in zip(resumed.get_weights(), unbroken.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not list(tmp_path.iterdir())


def test_the_order_of_batches_is_the_models_own(monkeypatch):
    """Keras would shuffle them by Python's `random`, which no seed of a model sets."""
    seen, get = [], training.Batches.__getitem__

    def watched(self, i):
        seen.extend([i] if self.shuffle else [])
        return get(self, i)

    monkeypatch.setattr(training.Batches, "__getitem__", watched)
    model = TextAutoencoder(**SMALL).fit(TRAIN, HELD, epochs=1, batch_size=16, verbose=0)
    steps = int(model.optimizer.iterations)
    assert steps > 10 and seen[-steps:] == list(range(steps))


def test_own_training_loop_needs_only_ids():
    model = TextAutoencoder(**SMALL, length=16, tokenizer=Tokenizer.train(TRAIN, "word", 300))
    parts = model(model.ids(HELD))
    assert parts["nll"].shape == (40,) and np.isfinite(ops.convert_to_numpy(parts["nll"])).all()


def test_an_open_file_and_a_budget(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("\n".join(TRAIN), encoding="utf-8")
    with path.open(encoding="utf-8") as lines:
        model = TextAutoencoder(**SMALL).fit(lines, seconds=1.0, verbose=0)
    assert model.history.epoch and model.reconstruct(HELD[:1])


def test_one_word_corpus_is_no_problem():
    model = TextAutoencoder(latent_dim=16, width=16).fit(["word"], epochs=1, verbose=0)
    assert model.reconstruct("word") == ["word"]


def test_refusals(binding, tmp_path):
    with pytest.raises(UnknownName, match="choose one of"):
        TextAutoencoder(encoder="rnn")
    with pytest.raises(UnknownName, match="choose one of"):
        TextAutoencoder(kind="magic")
    with pytest.raises(BadInput, match="call fit"):
        TextAutoencoder().encode(["a"])
    with pytest.raises(BadInput, match=r"shape \(n, 96\)"):
        binding.decode(np.zeros((1, 5)))
    with pytest.raises(BadInput, match="NaN"):
        binding.decode(np.full((1, 96), np.nan))
    with pytest.raises(BadInput, match="no text"):
        TextAutoencoder().fit([])
    with pytest.raises(BadInput, match=r"end in \.keras"):
        binding.save(tmp_path / "model.h5")
    damaged = tmp_path / "damaged.keras"
    binding.save(damaged)
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    with pytest.raises(BadInput, match=r"damaged|cannot be read"):
        TextAutoencoder.load(damaged)
    other = tmp_path / "other.keras"
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(other)
    with pytest.raises(BadInput, match="holds a Sequential"):
        TextAutoencoder.load(other)
    with pytest.raises(BadInput, match="no model file"):
        TextAutoencoder.load(tmp_path / "none.keras")


def test_a_file_with_code_in_it_is_refused(tmp_path):
    path = tmp_path / "lambda.keras"
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Lambda(lambda x: x * 2)]).save(path)
    with pytest.raises(BadInput, match="cannot be read"):
        TextAutoencoder.load(path)


# Conditional models


def told(n, seed=0):
    """(sentence, label): the label decides the verb's form, nothing else does."""
    rng = np.random.default_rng(seed)
    pairs = [(f"{rng.choice(['cat', 'dog', 'king'])} {('saith', 'says')[label]} so .", label)
             for label in rng.integers(0, 2, n)]  # fmt: skip
    return [(text, int(label)) for text, label in pairs]


@pytest.fixture(scope="module")
def conditional():
    model = TextAutoencoder(4, "recurrent", "recurrent", "variational", classes=2, width=32, seed=1)
    return model.fit(told(600), epochs=12, learning_rate=1e-2, patience=99, verbose=0)


def test_the_label_changes_what_it_decides_and_nothing_else(conditional):
    texts = [f"{who} saith so ." for who in ("cat", "dog", "king")]
    for label, verb in enumerate(("saith", "says")):
        out = conditional.reconstruct(texts, label=label)
        assert all(f" {verb} " in text for text in out)
        mixed = conditional.decode(conditional.encode(texts), label=[label, 1 - label, label])
        assert [verb in t.split() for t in mixed] == [True, False, True]
    right, wrong = told(50, seed=1), [(text, 1 - label) for text, label in told(50, seed=1)]
    assert conditional.score(right)["nll"] < conditional.score(wrong)["nll"]
    assert all(" says " in text for text in conditional.sample(5, seed=0, label=1))


def test_importance_weights_of_a_conditional_model_are_those_of_its_label(conditional):
    texts, label = (list(column) for column in zip(*told(30, seed=2), strict=True))
    ids = conditional.ids(texts)
    right = conditional.log_weights(ids, samples=60, most=300, label=label)
    wrong = conditional.log_weights(ids, samples=60, label=[1 - c for c in label])
    assert right.shape == (60, 30) and right.mean() > wrong.mean() + 0.1
    bound = conditional.score(list(zip(texts, label, strict=True)))["nll"]
    assert -right.mean() == pytest.approx(bound, rel=0.1)
    assert measure.iw_nll(right).mean() < -right.mean()
    with pytest.raises(BadInput, match="say which of 2 classes"):
        conditional.log_weights(ids)


def test_conditional_models_come_back_from_disk(conditional, tmp_path):
    conditional.save(tmp_path / "c.keras")
    again = TextAutoencoder.load(tmp_path / "c.keras")
    assert again.reconstruct("dog saith so .", label=1) == conditional.reconstruct(
        "dog saith so .", label=1
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.reconstruct("dog saith so ."), "say which of 2 classes"),
        (lambda m: m.reconstruct("dog saith so .", label=2), "no label 2"),
        (lambda m: m.fit(["a text"]), "pairs, labels from 0 to 1"),
        (lambda m: m.score([("x", 7)]), "pairs, labels from 0 to 1"),
        (lambda m: TextAutoencoder(classes=2).fit(told(9), verbose=0), "autoregressive decoder"),
        (lambda m: TextAutoencoder(8).fit(["a b"] * 9, seconds=0).decode(np.zeros(8), label=1),
         "no label 1"),
    ],
)  # fmt: skip
def test_conditional_refusals(conditional, call, message):
    with pytest.raises(BadInput, match=message):
        call(conditional)


def test_a_sentence_that_is_too_long_is_cut_with_a_warning(binding):
    long = " ".join(WORDS * 20)
    with pytest.warns(UserWarning, match="1 of 2 texts have more than"):
        assert binding.encode([long, TRAIN[0]]).shape == (2, 96)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's traces")
def test_training_is_traced_once(monkeypatch):
    """An optimiser whose variables are made inside the step would have it traced twice."""
    model, traces = TextAutoencoder(latent_dim=8, vocabulary=60, width=16), []
    step = model.train_step
    monkeypatch.setattr(model, "train_step", lambda *a: traces.append(a) or step(*a))
    model.fit(["one two three", "four five"] * 20, epochs=1, batch_size=8, verbose=0)
    assert len(traces) == 1


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's pipeline")
def test_pipeline_gives_the_batches_without_a_tuning_thread():
    """In order, epoch by epoch; the sizes that the first two batches share are fixed."""
    ids = np.arange(1, 200).reshape(-1, 1).repeat(24, axis=1).astype(np.int32)
    ids[::3, 9:] = 0
    data = training.Batches(ids, 32)
    pipeline = fed(data)
    assert not pipeline.options().autotune.enabled and len(pipeline) == len(data)
    assert [spec.shape.as_list() for spec in pipeline.element_spec] == [[None, None]] * 2
    for epoch in (0, 1):
        data.start(epoch)
        for (ours, _), (theirs, _) in zip(
            pipeline, (data[i] for i in range(len(data))), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    assert fed(training.Batches(ids[1::3], 32)).element_spec[0].shape.as_list() == [None, 24]
    assert fed(None) is None
