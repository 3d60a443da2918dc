"""The viewer in a headless Chromium, from the command to what is seen."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from chromium import Browser, chromium
from viewed import saved_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium here"),
]
ROOT = Path(__file__).resolve().parents[1]
IDLE = "typeof Bokeh != 'undefined' && Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle"
MODEL = "[...Bokeh.documents[0]._all_models.values()].find(m => {})"
SLIDER = MODEL.format("m.type == 'Slider' && m.title == '{}'")
TOLD = MODEL.format("m.name == 'told'") + ".text"


@pytest.fixture
def store(bare, numbered):
    return bare(numbered(20), name="a far dish.zarr")


def seen_in(words, cwd, look, monkeypatch):
    """Start the command, let `look` at its page, and stop it as Ctrl-C would; what it wrote."""
    monkeypatch.setenv("BOKEH_RESOURCES", "cdn")
    served = subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "view.py", *map(str, words), "browser=false"],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert served.stdout is not None
        line = served.stdout.readline()
        assert line, served.communicate()
        url = line.split()[0]

        async def visit():
            async with Browser(cwd / "profile", url) as browser:
                await browser.until(IDLE)
                await look(browser)
            return browser

        browser = asyncio.run(visit())
        served.send_signal(signal.SIGINT)
        _, complaints = served.communicate(timeout=30)
        assert served.returncode == 0, complaints
    finally:
        served.kill()
        served.communicate()
    assert browser.errors == []
    addresses = {url, url.replace("http", "ws")}
    asked = [r for r in browser.requests if not r.startswith(("data:", "blob:", "about:"))]
    assert asked
    assert [r for r in asked if not r.startswith(tuple(addresses))] == []
    return complaints


def test_a_movie_is_scrubbed_in_a_browser_that_asks_nobody_else(store, tmp_path, monkeypatch):
    async def look(browser):
        assert "frame 0 of 0 to 19" in await browser.value(TOLD)
        before = await browser.ask("Page.captureScreenshot")
        await browser.value(f"{SLIDER.format('frame')}.value = 7; 0")
        await browser.until(f"{TOLD}.includes('frame 7 of 0 to 19')")
        await browser.until(IDLE)
        image = MODEL.format("m.type == 'ColumnDataSource' && m.get_column('image')")
        held = f"{image}.get_column('image')[0]"
        assert await browser.until(f"{held}[0] == 8 && {held}.shape.join()") == "4,5"
        await asyncio.sleep(0.5)
        assert await browser.ask("Page.captureScreenshot") != before

    seen_in([store], tmp_path, look, monkeypatch)


def test_a_forecast_is_seen_beside_the_truth_in_a_browser(store, tmp_path, monkeypatch):
    run = saved_folder(tmp_path, store)

    async def look(browser):
        assert "frame 13 of 0 to 19 (val); test stays closed" in await browser.value(TOLD)
        await browser.value(f"{SLIDER.format('lead')}.value = 2; 0")
        await browser.until(f"{TOLD}.includes('lead 2: frame 14 of 0 to 19')")
        titles = (
            "[...Bokeh.documents[0]._all_models.values()].filter(m => m.type == 'Title')"
            ".map(m => m.text)"
        )
        assert {"truth", "forecast", "error: forecast − truth", "error of persistence"} <= set(
            await browser.value(titles)
        )

    seen_in([run], tmp_path, look, monkeypatch)
