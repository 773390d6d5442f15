"""The three levels, and how a predictor starts: empty, or primed from the shipped snapshot."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np

from aelib.codec import predictor
from aelib.codec.predictor import APM_ROWS, KINDS, LIMIT, REGISTERS, SQUASH, STRETCH, Model
from aelib.codec.snapshot import Known, join
from aelib.errors import DataUnavailable

MIXER_ROWS = (128, 256, 256, 64, 1024, 256, 128, 256)  # rows of each mixer, see select_rows
SNAPSHOT = Path(__file__).with_name("primed.npz")
KEPT = ("weights", "final", "maps", "counts", "direct", "match_maps")  # per level, plus the APMs
TREES = ("counts", "lengths", "checks", "payload", "probs")  # per context kind
APM_STEP = 20  # the snapshot keeps APM cells as logits in steps of 20/256


@dataclass(frozen=True)
class Level:
    """What a level uses: contexts of `set_contexts`, mixers of `select_rows`, maps, table size."""

    name: str
    kinds: tuple[int, ...]
    mixers: int
    apms: int
    log2_buckets: int  # largest table of one context, in buckets of 64 bytes

    @property
    def inputs(self) -> int:
        return 2 * len(self.kinds) + 3 + 4 + 1


FAST = Level("fast", (2, 3, 4, 6, 8), mixers=1, apms=2, log2_buckets=19)
DEFAULT = Level("default", tuple(range(1, 18)), mixers=7, apms=5, log2_buckets=18)
MAX = Level("max", tuple(range(1, 22)), mixers=8, apms=5, log2_buckets=19)
LEVELS = {level.name: level for level in (FAST, DEFAULT, MAX)}


class Snapshot:
    """The file that primes the predictor. `ident` (8 bytes) names it in every compressed file."""

    def __init__(self, path: Path = SNAPSHOT) -> None:
        blob = path.read_bytes()
        self.size = len(blob)
        self.ident = sha256(blob).digest()[:8]
        with np.load(BytesIO(blob), allow_pickle=False) as arrays:
            self.arrays = dict(arrays)

    def known(self, level: Level) -> Known:
        """The trees of a level's contexts, ready for `recall`."""
        return join([
            {name: self.arrays[f"trees/{kind}/{name}"] for name in TREES}
            if f"trees/{kind}/checks" in self.arrays else None
            for kind in level.kinds
        ])  # fmt: skip


@cache
def shipped() -> Snapshot:
    """The snapshot that came with the package. Raises DataUnavailable if it is not there."""
    if not SNAPSHOT.exists():
        raise DataUnavailable(
            "The codec's snapshot primed.npz is missing: install aelib again, or start "
            "unprimed (primed=False, --unprimed)."
        )
    try:
        return Snapshot(SNAPSHOT)
    except Exception as error:  # zip and NumPy raise many kinds
        raise DataUnavailable(
            "The codec's snapshot primed.npz is damaged: install aelib again, or start "
            "unprimed (primed=False, --unprimed)."
        ) from error


def _bits(length: int, most: int) -> int:
    return min(max(length.bit_length() + 1, 10), most)


def empty_model(level: Level, length: int = 1 << 24, known: Known | None = None) -> Model:
    """A predictor that has seen nothing, with room for `length` bytes of text."""
    K, S = len(level.kinds), level.mixers
    buckets = _bits(length, level.log2_buckets)
    rows = np.array(MIXER_ROWS[:S], np.int64)
    model = Model(
        reg=np.zeros(REGISTERS, np.int64),
        table=np.zeros(K * 16 << buckets, np.uint32),
        base=np.arange(K, dtype=np.int64) * (16 << buckets),
        mask=np.full(K, (1 << buckets) - 1, np.int64),
        kinds=np.array(level.kinds, np.int64),
        ctx=np.zeros(K, np.int64),
        bucket=np.zeros(K, np.int64),
        hashes=np.zeros(KINDS, np.int64),
        maps=np.tile(_history_odds(), (K, 4)),
        direct=np.full((3, 65536), 1 << 31, np.uint32),
        slots=np.zeros(3, np.int64),
        buf=np.zeros(1 << _bits(length, 24), np.uint8),
        heads=np.zeros((2, 1 << _bits(length, 18)), np.int32),
        match=np.zeros((2, 3), np.int64),
        match_maps=np.tile(_match_odds(), (2, 1)),
        match_slot=np.zeros(2, np.int64),
        x=np.zeros(level.inputs, np.int32),
        weights=np.full((int(rows.sum()), level.inputs), int(65536 * 0.16), np.int32),
        first_row=np.concatenate([[0], np.cumsum(rows)[:-1]]).astype(np.int64),
        row=np.zeros(S, np.int64),
        dots=np.zeros(S, np.int32),
        final=np.full((256 + 128, S), 65536 // S, np.int32),
        final_row=np.zeros(2, np.int64),
        apms=np.tile(SQUASH[_apm_grid() + LIMIT], (level.apms, APM_ROWS, 1)),
        apm_at=np.zeros((level.apms, 2), np.int64),
        rates=np.array([800, 500, 200, 255], np.int64),
        known=known or join([None] * K),
        extra=np.zeros(0, np.int32),
    )
    model.reg[predictor.C0] = 1
    model.reg[predictor.WIDTH] = 72
    predictor.start(model)
    return model


def primed_model(level: Level, length: int = 1 << 24, snapshot: Snapshot | None = None) -> Model:
    """A predictor that starts with what the snapshot knows."""
    snapshot = snapshot or shipped()
    model = empty_model(level, length, snapshot.known(level))
    restore(model, {k: snapshot.arrays[f"{level.name}/{k}"] for k in (*KEPT, "apms", "apm_rows")})
    return model


def restore(model: Model, kept: dict[str, np.ndarray]) -> None:
    """Put what `keep` took out of a trained model into a fresh one."""
    model.weights[:] = kept["weights"].astype(np.int32) * 8
    model.final[:] = kept["final"].astype(np.int32) * 8
    model.maps[:] = (kept["maps"].astype(np.uint32) << 16) | kept["counts"]
    model.direct[:] = (kept["direct"].astype(np.uint32) << 16) | 30
    model.match_maps[:] = (kept["match_maps"].astype(np.uint32) << 16) | 60
    rows = kept["apm_rows"].astype(np.int64)
    logits = _apm_grid() + kept["apms"].astype(np.int64) * APM_STEP
    cells = SQUASH[np.clip(logits, -LIMIT, LIMIT) + LIMIT]
    model.apms[rows // APM_ROWS, rows % APM_ROWS] = cells
    model.rates[0] = model.rates[1]  # no need to learn faster at first


def keep(model: Model) -> dict[str, np.ndarray]:
    """What a trained model passes on, in few bytes: see `restore`."""
    grid = SQUASH[_apm_grid() + LIMIT]
    rows = np.flatnonzero((model.apms != grid).any(axis=2).ravel())
    cells = model.apms.reshape(-1, 33)[rows]
    delta = (STRETCH[cells >> 4] - _apm_grid()) / APM_STEP
    delta = np.where(cells == grid, 0, np.clip(np.round(delta), -127, 127))
    return {
        "weights": np.clip(np.round(model.weights / 8), -32767, 32767).astype(np.int16),
        "final": np.clip(np.round(model.final / 8), -32767, 32767).astype(np.int16),
        "maps": (model.maps >> 16).astype(np.uint16),
        "counts": np.minimum(model.maps & 1023, 255).astype(np.uint8),
        "direct": (model.direct >> 16).astype(np.uint16),
        "match_maps": (model.match_maps >> 16).astype(np.uint16),
        "apms": delta.astype(np.int8),
        "apm_rows": rows.astype(np.uint32),
    }


def _apm_grid() -> np.ndarray:
    """(33,) logits at the columns of an APM."""
    return np.clip((np.arange(33) - 16) * 128, -2047, 2047)


def _history_odds() -> np.ndarray:
    """(256,) each bit history maps to the odds it shows."""
    history = [f"{h:b}"[1:] for h in range(256)]
    p = np.array([(h.count("1") + 0.4) / (len(h) + 0.8) for h in history])
    return (p * (1 << 22)).astype(np.uint32) << np.uint32(10)


def _match_odds() -> np.ndarray:
    """(128,) a match of length l is trusted 1 - 1/(2 l + 3); index 2 l + expected bit."""
    i = np.arange(128)
    hit = 1 - 0.5 / (i // 2 + 1.5)
    return (np.where(i % 2 == 1, hit, 1 - hit) * (1 << 22)).astype(np.uint32) << np.uint32(10)
