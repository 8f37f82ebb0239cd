"""Measures the window: how soon it opens, how long an update of its page takes, and what a run costs.

    PYTHONPATH=scripts python -m benchmark.window start
    PYTHONPATH=scripts python -m benchmark.window update [--records 100000]
    PYTHONPATH=scripts python -m benchmark.window run --folder PHOTOGRAPHS [--model demo]

Requires Linux, Chromium, on the path or in SPECIESNET_CHROMIUM, and the package playwright. Processor
seconds are those of a process and its children, so that they hardly depend on what else the computer
does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from documentation.chromium import chromium_path
from filelock import FileLock
from playwright.sync_api import Browser, Page, sync_playwright

from speciesnet.app.surveys import Survey
from speciesnet.images.instances import find_images
from speciesnet.predictions.appender import Appender
from speciesnet.predictions.layout import FOOTER, HEADER, encode_record

REPEATS = 5
WATCHED_SECONDS = 30
PAINT = """performance.timeOrigin
  + performance.getEntriesByName("first-contentful-paint")[0].startTime"""
ASK = """async (addresses) => {
  const start = performance.now();
  await Promise.all(addresses.map(async (one) => (await fetch(one)).json()));
  return performance.now() - start;
}"""


@dataclass
class Window:
    """A window that has started.

    Attributes:
        process: Its process.
        address: What it prints.
        started: When the process was started, in seconds of ``time.time``.
    """

    process: subprocess.Popen[str]
    address: str
    started: float

    @property
    def base(self) -> str:
        """The address of its first page."""
        return self.address.partition("/open/")[0]

    @property
    def cpu(self) -> float:
        """The processor seconds that it and its ended children have used."""
        return sum(psutil.Process(self.process.pid).cpu_times()[:4])

    @property
    def own_cpu(self) -> float:
        """The processor seconds that it has used itself."""
        return sum(psutil.Process(self.process.pid).cpu_times()[:2])

    @property
    def memory(self) -> str:
        """Its resident memory, now and at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        now, most = (
            int(re.findall(rf"{key}:\s+(\d+) kB", status)[0]) / 1024 for key in ("VmRSS", "VmHWM")
        )
        return f"{now:.0f} MiB, at most {most:.0f} MiB"


def cpu_of_tree(pid: int) -> float:
    """The processor seconds of a process and everything that it has started."""
    root, total = psutil.Process(pid), 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


@contextmanager
def window(data: Path) -> Iterator[Window]:
    """A window with its own data folder."""
    words = [sys.executable, "-m", "speciesnet", "app", "--nobrowser"]
    environment = {**os.environ, "SPECIESNET_DATA": str(data)}
    started = time.time()
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Window(process, process.stdout.readline().split()[-1], started)
        finally:
            process.send_signal(signal.SIGINT)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=["--no-sandbox"])
        yield browser
        browser.close()


def measure_start(browser: Browser) -> None:
    """From the start of the command to a page that can be used."""
    rows = []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as data, window(Path(data)) as opened:
            printed = time.time() - opened.started
            page = browser.new_context().new_page()
            responses: list[float] = []
            page.on(
                "response",
                lambda one, at=responses, base=opened.base: (
                    at.append(time.time()) if one.url == f"{base}/" else None
                ),
            )
            page.goto(opened.address)
            page.locator("#welcome").wait_for()
            usable = time.time() - opened.started
            paint = page.evaluate(PAINT)
            times = (printed, responses[0] - opened.started, paint / 1000 - opened.started, usable)
            rows.append((*times, opened.cpu))
            page.context.close()
    names = ("address", "first response", "first paint", "usable", "its processor time")
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        print(
            f"{name}: median {statistics.median(values):.2f} s, {min(values):.2f} to {max(values):.2f} s"
        )


def record_of(number: int, images: list[str]) -> bytes:
    """A record of one of 20 species."""
    kind = f"genus{number % 20};species"
    label = f"00000000-0000-0000-0000-000000000000;mammalia;carnivora;canidae;{kind};animal {number % 20}"
    box = {"category": "1", "label": "animal", "conf": 0.93, "bbox": [0.17, 0.51, 0.29, 0.31]}
    answer = {"prediction": label, "prediction_score": 0.97, "prediction_source": "classifier"}
    classes = {"classes": [label] * 5, "scores": [0.97, 0.01, 0.01, 0.005, 0.005]}
    return encode_record(
        {
            "filepath": images[number % len(images)],
            "classifications": classes,
            "detections": [box] * 2,
            **answer,
            "model_version": "constant",
        }
    )


def measure_update(browser: Browser, count: int) -> None:
    """The page of a run with many records, to which some are added."""
    images = [str(path) for path in find_images(["demo"])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "predictions.json"
        path.write_bytes(HEADER + FOOTER)
        appender = Appender(path, len(HEADER), len(HEADER))
        appender.append([record_of(number, images) for number in range(count)])
        appender.flush()
        survey = Survey(
            "1", "Many", [str(Path(images[0]).parent)], name, str(path), state="running"
        )
        stored = {"surveys": [asdict(survey)], "queue": [], "held": False}
        (folder / "surveys.json").write_text(json.dumps(stored))
        with FileLock(f"{path}.lock"), window(folder) as opened:
            page = browser.new_context().new_page()
            page.goto(opened.address)
            page.goto(f"{opened.base}/surveys/1")
            while page.evaluate(
                "async () => (await (await fetch('/api/surveys/1/progress')).json()).reading"
            ):
                time.sleep(0.5)
            page.wait_for_function("document.querySelectorAll('#latest li').length > 0")
            before = opened.cpu
            asked, drawn = watch(page, appender, images)
            used = opened.cpu - before
            print(f"{count} records, {len(asked)} updates:")
            print(
                f"both requests: median {statistics.median(asked):.0f} ms, at most {max(asked):.0f} ms"
            )
            print(f"the page's own work in {WATCHED_SECONDS} s: {drawn:.2f} s")
            print(f"the program's in {WATCHED_SECONDS} s: {used:.2f} s of the processor")
            print(f"memory of the program: {opened.memory}")
        appender.close()


def watch(page: Page, appender: Appender, images: list[str]) -> tuple[list[float], float]:
    """Milliseconds of requests while the file grows, and seconds in which the page's thread worked."""
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")

    def worked() -> float:
        metrics = client.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    asked, before, number = [], worked(), 0
    for _ in range(WATCHED_SECONDS):
        appender.append([record_of(number + one, images) for one in range(3)])
        appender.flush()
        number += 3
        time.sleep(1)
        asked.append(page.evaluate(ASK, ["/api/surveys/1", "/api/surveys/1/progress"]))
    return asked, worked() - before


def measure_run(browser: Browser, folder: Path, model: str) -> None:
    """The same run from the terminal and from the window, in turn."""
    for number in range(REPEATS):
        with tempfile.TemporaryDirectory() as name:
            output = f"{name}/predictions.json"
            words = ["--folders", str(folder), "--predictions_json", output, "--model", model]
            before = os.times()
            subprocess.run(
                [sys.executable, "-m", "speciesnet", *words], check=True, capture_output=True
            )
            after = os.times()
        terminal = after.children_user + after.children_system
        terminal -= before.children_user + before.children_system
        inside, own, shown = run_in_window(browser, folder, model)
        print(
            f"{number + 1}: terminal {terminal:.1f} s, window {inside:.1f} s, of which {own:.2f} s "
            f"({100 * own / (inside - own):.1f} % of the command) are its own; Chromium {shown:.1f} s",
            flush=True,
        )


def run_in_window(browser: Browser, folder: Path, model: str) -> tuple[float, float, float]:
    """The processor seconds of a run with its window, of the window alone, and of the browser."""
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        survey = Survey("1", "Run", [str(folder)], name, f"{name}/predictions.json", model=model)
        stored = {"surveys": [asdict(survey)], "queue": [], "held": False}
        (data / "surveys.json").write_text(json.dumps(stored))
        with window(data) as opened:
            page = browser.new_context(locale="en-GB").new_page()
            page.goto(opened.address)
            page.goto(f"{opened.base}/surveys/1")
            page.locator("#start").wait_for()
            before, own, shown = opened.cpu, opened.own_cpu, cpu_of_tree(os.getpid())
            page.click("#start")
            page.locator(".badge.done").wait_for(timeout=3_600_000)
            inside, own = opened.cpu - before, opened.own_cpu - own
            shown = cpu_of_tree(os.getpid()) - shown - inside
            page.context.close()
    return inside, own, shown


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("start", "update", "run"))
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="photographs of the run")
    parser.add_argument("--model", default="demo")
    options = parser.parse_args()
    with chromium() as browser:
        if options.what == "start":
            measure_start(browser)
        elif options.what == "update":
            measure_update(browser, options.records)
        else:
            measure_run(browser, options.folder, options.model)


if __name__ == "__main__":
    main()
