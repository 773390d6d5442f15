"""What the lossless codec trades: bits against speed, the snapshot's size, threads and memory.

speed      from two contexts to twenty-one, with an empty start; the three levels also primed.
           CPU seconds of one core, zpaq -m5 (if it is installed) in the same run
snapshots  bits with snapshots of other sizes: `scripts/train_codec.py --threshold N --out FILE`
segments   a few megabytes in segments of 16 MiB, 1 MiB and 256 KiB, by one thread and by two:
           seconds on the wall
start      from an empty process to a coded message of a hundred bytes: in Python, and the commands
memory     `aelib compress` and `decompress` of a file of --megabytes (the corpora, over and over):
           the most memory that each process held, with the libraries that it loads

    python benchmarks/frontier.py alice29.txt --snapshots small.npz large.npz
    python benchmarks/frontier.py --part memory --megabytes 200
    python benchmarks/frontier.py --quick
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import common

import aelib
from aelib import codec
from aelib.codec import levels, peers
from aelib.codec.container import decode_part, encode_part, unix_lines
from aelib.codec.levels import DEFAULT, FAST, MAX, Level, Snapshot
from aelib.codec.predictor import Model

Row = dict[str, Any]
PARTS = ("speed", "snapshots", "segments", "start", "memory")
STEPS = (
    replace(FAST, name="2 contexts", kinds=FAST.kinds[:2]),
    FAST,
    replace(DEFAULT, name="8 contexts, 4 mixers", kinds=DEFAULT.kinds[1:9], mixers=4, apms=3),
    replace(DEFAULT, name="12 contexts, 7 mixers", kinds=DEFAULT.kinds[:12]),
    DEFAULT,
    MAX,
)


def texts(options: Any) -> dict[str, bytes]:
    """The files given and the corpora's unread parts, line ends as LF, as one piece each."""
    found = {path.name: path.read_bytes() for path in options.files}
    for name in ("web", "sotu"):
        found[f"{name} test"] = aelib.data.load(name).text("test").encode()
    return {name: unix_lines(data)[0][: options.most] for name, data in found.items()}


def coded(data: bytes, make: Callable[[], Model]) -> tuple[int, float, float]:
    """(bytes, CPU seconds to encode, to decode); AssertionError if it does not come back."""
    model, t0 = make(), time.process_time()
    payload = encode_part(model, data)
    t1 = time.process_time()
    assert decode_part(make(), payload, len(data)) == data
    return len(payload), t1 - t0, time.process_time() - t1


def speed(found: dict[str, bytes]) -> Iterator[Row]:
    starts: list[tuple[str, Level, Any]] = [(s.name, s, levels.empty_model) for s in STEPS]
    starts += [(f"{s.name} primed", s, levels.primed_model) for s in levels.LEVELS.values()]
    for name, level, start in starts:
        coded(b"warm up", lambda s=start, v=level: s(v, 1000))
        sizes, into, out = zip(
            *(coded(d, lambda s=start, v=level, d=d: s(v, len(d))) for d in found.values()),
            strict=True,
        )
        yield speed_row(name, found, sum(sizes), sum(into), sum(out))
    results = [peers.measure_zpaq(data) for data in found.values()]
    if all(results):
        yield speed_row("zpaq -m5", found, sum(r.size for r in results),
                        sum(r.encode_s for r in results),
                        sum(r.decode_s for r in results))  # fmt: skip


def speed_row(name: str, found: dict[str, bytes], size: int, into: float, out: float) -> Row:
    total = sum(map(len, found.values()))
    return {
        "part": "speed", "codec": name, "bits_per_byte": 8 * size / total,
        "encode_kB_per_s": total / 1000 / into, "decode_kB_per_s": total / 1000 / out,
    }  # fmt: skip


def snapshots(found: dict[str, bytes], files: list[Path]) -> Iterator[Row]:
    """Each text and three lengths of message, from an empty start and from each snapshot."""
    known = sorted((Snapshot(path) for path in [levels.SNAPSHOT, *files]), key=lambda s: s.size)
    for snapshot in [None, *known]:
        row: Row = {
            "part": "snapshots",
            "snapshot_kB": round(snapshot.size / 1000) if snapshot else 0,
        }
        for name, data in found.items():

            def make(d: bytes = data, s: Snapshot | None = snapshot) -> Model:
                return (
                    levels.primed_model(DEFAULT, len(d), s)
                    if s
                    else levels.empty_model(DEFAULT, len(d))
                )

            row[name] = 8 * coded(data, make)[0] / len(data)
        yield row


def segments(megabytes: float) -> Iterator[Row]:
    parts = [aelib.data.load(n).text(s) for n in ("sotu", "web") for s in ("test", "validation")]
    data = "\n".join(parts).encode()[: int(megabytes * 2**20)]
    for size in (1 << 24, 1 << 20, 1 << 18):
        for threads in (1, 2):
            t0 = time.perf_counter()
            blob = codec.compress(data, segment=size, threads=threads)
            t1 = time.perf_counter()
            assert codec.decompress(blob, threads=threads) == data
            t2 = time.perf_counter()
            yield {"part": "segments", "segment_KiB": size >> 10, "threads": threads,
                   "bytes": len(data), "bits_per_byte": 8 * len(blob) / len(data),
                   "encode_s": t1 - t0, "decode_s": t2 - t1}  # fmt: skip
            if size >= len(data):
                break  # a single segment cannot be shared out


def run(part: str, name: str, data: bytes, *arguments: str) -> Row:
    """Memory and time of a Python process."""
    began = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, *arguments], os.environ)
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, f"{name} failed"
    return {"part": part, "what": name, "file_MB": len(data) / 1e6,
            "most_MB": usage.ru_maxrss * 1024 / 1e6, "seconds": time.perf_counter() - began,
            "cpu_s": usage.ru_utime + usage.ru_stime}  # fmt: skip


def both_ways(part: str, data: bytes) -> Iterator[Row]:
    """`aelib compress` and `decompress` of a file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        plain, packed, back = (str(Path(folder) / n) for n in ("plain", "packed.aec", "back"))
        Path(plain).write_bytes(data)
        for verb, source, target in (("compress", plain, packed), ("decompress", packed, back)):
            yield run(part, f"aelib {verb}", data, "-m", "aelib", verb, source, "-o", target)
        assert Path(back).read_bytes() == data


def start() -> Iterator[Row]:
    message = aelib.data.load("web").text("test").encode()[:100]
    codec.compress(message)  # compiled code is on disk from here on
    there_and_back = f"from aelib import codec; codec.decompress(codec.compress({message!r}))"
    yield run("start", "codec.compress and decompress", message, "-c", there_and_back)
    yield from both_ways("start", message)


def memory(megabytes: float) -> Iterator[Row]:
    text = b"".join(aelib.data.load(n).text("train").encode() for n in ("web", "sotu", "pydoc"))
    size = int(megabytes * 1e6)
    yield from both_ways("memory", (text * (size // len(text) + 1))[:size])


def rows_of(part: str, options: Any) -> Iterator[Row]:
    if part == "speed":
        yield from speed(texts(options))
    elif part == "snapshots":
        yield from snapshots(texts(options), options.snapshots)
    elif part == "segments":
        yield from segments(0.5 if options.quick else 2.5)
    elif part == "start":
        yield from start()
    else:
        yield from memory(options.megabytes)


def options_of(parser: Any) -> None:
    parser.add_argument("files", type=Path, nargs="*", help="your own text files")
    parser.add_argument("--part", choices=PARTS, help="one part, with a result file of its own")
    parser.add_argument("--snapshots", type=Path, nargs="*", default=[], help="of other sizes")
    parser.add_argument("--most", type=int, default=300_000, help="bytes of each file")
    parser.add_argument("--megabytes", type=float, default=200.0, help="the file of part memory")


def main() -> None:
    options = common.arguments(__doc__, options_of)
    if options.quick:
        options.most, options.megabytes = 20_000, 0.5
    common.by_parts("frontier", options, PARTS, rows_of)


if __name__ == "__main__":
    main()
