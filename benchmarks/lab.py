"""The lab's pages in Chromium: what they weigh, how soon they work, how fast they compute.

    python benchmarks/lab.py        python benchmarks/lab.py --quick

Without the built site (`make book`) or Chromium nothing is measured. Weights are bytes of a first
visit: `gzip` as a static host sends them, `own` the lab's scripts and models as they are. Times are
CPU-seconds of the page's main thread, so that a busy machine gives the same figures: `start` from
navigation until the instrument is live, rates per CPU-second.

The rows of other runtimes were measured once, when the lab was designed, on a machine with two
cores, in Chromium with one thread, with models of 0.93 M (GRU) and 1 M parameters (GPT); this
script does not measure them again.
"""

import argparse
import functools
import gzip
import http.server
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import common

SITE = Path(
    os.environ.get("AELIB_SITE", Path(__file__).resolve().parent.parent / "_build" / "html")
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
RATES = {
    "writer": ("characters", """n => { const m = aelib.load("writer");
        m.generate("In the ", n, { temperature: 0.7, topP: 0.95 }); }""", 1000),
    "compressor": ("characters coded", """n => { const m = aelib.load("reader");
        const ids = m.tokenizer.encode(m.extra.example.text).slice(0, n);
        coder.finish(coder.compress(new coder.Network(m), ids)); }""", 300),
    "piano": ("sentences decoded", """n => { const m = aelib.load("sentences-vae");
        const z = m.encode(m.extra.pair[0]); for (let i = 0; i < n; i++) m.decode(z); }""", 30),
    "bottleneck": ("sentences decoded", """n => { const m = aelib.load("bottleneck-256");
        const z = m.encode(aelibData.bottleneck.sentence);
        for (let i = 0; i < n; i++) m.decode(z); }""", 30),
    "digits": ("epochs trained", """n => { const net = new tiny.Tiny("mse"), text = atob(
        aelibData.digits.images), xs = Array.from({ length: aelibData.digits.train }, (_, i) =>
        Float32Array.from({ length: 64 }, (_, j) => text.charCodeAt(64 * i + j) / 16));
        for (let i = 0; i < n; i++) net.epoch(xs); }""", 20),
    "restyle": ("sentences edited", """n => { const m = aelib.load("style");
        for (let i = 0; i < n; i++) m.edit("And he saith unto them, Ye know not.", 1, 1); }""", 30),
}  # fmt: skip

DESIGN = "alternatives, measured when the lab was designed"
ALTERNATIVES = [
    {"part": DESIGN, "runtime": runtime, "download_MB": size, "start_cpu_s": start,
     "gru_ms_a_token": gru, "gpt_ms_a_token": gpt, "opens_from_disk": disk}
    for runtime, size, start, gru, gpt, disk in (
        ("the lab's, with SIMD", 0.008, 0.08, 0.21, 0.78, "yes"),
        ("the same without SIMD", 0.006, 0.3, 1.5, 2.8, "yes"),
        ("onnxruntime-web 1.30 (wasm)", 14.3, "1.1 to 1.8", 0.83, 37.7, "no"),
        ("LiteRT.js 2.5", 9.7, 0.63, 0.76, 14.7, "no"),
        ("tfjs 4.22 (wasm)", 2.0, 0.9, 1.6, "fails", "no"),
    )
]  # fmt: skip


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def cpu(session: Any) -> float:
    """CPU-seconds that the page's main thread has spent in tasks."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(m["value"] for m in metrics if m["name"] == "TaskDuration")


def measure(browser: Any, base: str, name: str, repeats: int) -> dict[str, Any]:
    context = browser.new_context()
    page, asked = context.new_page(), []
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.on("request", lambda request: asked.append(request.url.split("?")[0]))
    page.goto(f"{base}/book/lab/{name}.html")
    page.locator(f'.lab[data-lab="{name}"]').scroll_into_view_if_needed()
    page.wait_for_selector(f'.lab[data-lab="{name}"][data-state="live"]', timeout=120_000)
    start = cpu(session)
    page.wait_for_timeout(1000)
    what, script, n = RATES[name]
    rates = []
    for _ in range(repeats):
        before = cpu(session)
        page.evaluate(script, n)
        rates.append(n / (cpu(session) - before))
    context.close()
    paths = [SITE / url.removeprefix(base + "/") for url in dict.fromkeys(asked)]
    paths = [path for path in paths if path.is_file()]
    own = [path for path in paths if path.is_relative_to(SITE / "lab")]
    return {
        "page": name,
        "gzip_bytes": sum(len(gzip.compress(path.read_bytes())) for path in paths),
        "own_bytes": sum(path.stat().st_size for path in own),
        "start_cpu_s": round(start, 2),
        "per_cpu_s": round(max(rates), 1),
        "of": what,
    }


def main() -> None:
    def more(_: argparse.ArgumentParser) -> None:
        pass

    options = common.arguments(__doc__, more)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or not (SITE / "index.html").exists():
        print("The lab is left out: it needs the built site (make book) and Chromium "
              "(apt-get install chromium)")  # fmt: skip
        return
    from playwright.sync_api import sync_playwright

    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            base = f"http://127.0.0.1:{server.server_port}"
            repeats = 1 if options.quick else 3
            rows = [measure(browser, base, name, repeats) for name in RATES]
            browser.close()
        server.shutdown()
    common.write("lab", options, rows + ALTERNATIVES)


if __name__ == "__main__":
    main()
