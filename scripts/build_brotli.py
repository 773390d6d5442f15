"""Make the page's brotli encoder: `python scripts/build_brotli.py`.

The encoder in Brotli's source package and build_brotli.c, compiled to WebAssembly by the C compiler
in ziglang, go with their licence to book/_extra/lab/models/brotli.js, gzipped and in base64. pip
fetches both packages into a temporary folder (half a gigabyte). The same versions make the same
WebAssembly: its SHA-256 is in the file.
"""

import argparse
import base64
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aelib.writing import whole

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "book" / "_extra" / "lab" / "models"
BROTLI = "1.2.1"  # as in requirements.txt: the tests compare the page with Python's package
SHA256 = "02b2f7b5a83485efe448a44ddf7983def05c3bb1dcf917d4f7154070260e13de"  # of its source
ZIG = "0.17.1"
OPTIONS = [
    "--target=wasm32-wasi", "-mexec-model=reactor", "-Oz", "-DNDEBUG",
    "-DBROTLI_STATIC_INIT=1",  # tables of the dictionary are computed at the start, not stored
    "-Wl,--gc-sections,--strip-all",
]  # fmt: skip
HEAD = """/* The encoder of brotli {brotli}, in WebAssembly, made by scripts/build_brotli.py.

{licence}

Memory and logarithm are Zig's, Copyright (c) Zig contributors, under the same licence. */
"""


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


def source(folder: Path) -> Path:
    """The unpacked source package, after its checksum was compared."""
    pins = folder / "pins.txt"
    pins.write_text(f"brotli=={BROTLI} --hash=sha256:{SHA256}\n")
    pip("download", "--no-deps", "--no-binary=brotli", "--require-hashes",
        f"--requirement={pins}", f"--dest={folder}")  # fmt: skip
    with tarfile.open(folder / f"brotli-{BROTLI}.tar.gz") as package:
        package.extractall(folder, filter="data")
    return folder / f"brotli-{BROTLI}"


def compiled(code: Path, folder: Path) -> bytes:
    """The encoder as WebAssembly that imports nothing."""
    pip("install", "--no-deps", f"--target={folder / 'zig'}", f"ziglang=={ZIG}")
    caches = {f"ZIG_{name}_CACHE_DIR": str(folder / "cache") for name in ("GLOBAL", "LOCAL")}
    files = [Path(__file__).with_suffix(".c"), *sorted(code.glob("c/common/*.c"))]
    files += sorted(code.glob("c/enc/*.c"))
    made = folder / "brotli.wasm"
    command = [sys.executable, "-m", "ziglang", "cc", *OPTIONS, f"-I{code / 'c' / 'include'}"]
    subprocess.run(
        [*command, *map(str, files), "-o", str(made)],
        env={**os.environ, **caches, "PYTHONPATH": str(folder / "zig")},
        check=True,
    )
    return made.read_bytes()


def data(wasm: bytes) -> dict[str, Any]:
    return {
        "version": BROTLI,
        "ziglang": ZIG,
        "bytes": len(wasm),
        "sha256": hashlib.sha256(wasm).hexdigest(),
        "wasm": base64.b64encode(gzip.compress(wasm, mtime=0)).decode(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS)
    path = parser.parse_args().out / "brotli.js"
    with TemporaryDirectory() as name:
        code = source(Path(name))
        licence = (code / "LICENSE").read_text(encoding="utf-8").strip()
        known = data(compiled(code, Path(name)))
    body = json.dumps(known, separators=(",", ":"))
    with whole(path) as part:
        part.write_text(
            HEAD.format(brotli=BROTLI, licence=licence)
            + f'(globalThis.aelibData ??= {{}})["brotli"] = {body};\n'
        )
    known.pop("wasm")
    print(f"{path}: {path.stat().st_size:,} bytes", known)


if __name__ == "__main__":
    main()
