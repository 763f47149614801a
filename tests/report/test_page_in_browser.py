"""report.html in headless Chromium: charts are there, switches work, nothing complains.

Chromium is driven by the WebDriver protocol of chromedriver, spoken with urllib.
"""

import json
import re
import shutil
import subprocess
import time
import urllib.request

import pytest

pytest.importorskip("altair", reason="the page needs the extra `html`")
pytest.importorskip("vl_convert", reason="the page needs the extra `html`")
if not (shutil.which("chromedriver") and shutil.which("chromium")):
    pytest.skip("no chromium with chromedriver", allow_module_level=True)

from plateaus.report.page import folders, writing

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name of an element's number
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
CAPABILITIES = {
    "goog:loggingPrefs": {"browser": "ALL"},
    "goog:chromeOptions": {"args": ARGUMENTS},
}


class Browser:
    """A session of headless Chromium."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"
        asked = {"capabilities": {"alwaysMatch": CAPABILITIES}}
        self.base += f"/session/{self._ask('POST', '/session', asked)['sessionId']}"

    def _ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def run(self, script, *arguments):
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def command(self, name, **parameters):
        body = {"cmd": name, "params": parameters}
        return self._ask("POST", "/goog/cdp/execute", body)

    def until(self, script, wanted, seconds=20):
        """Wait until a script returns what is wanted."""
        end = time.monotonic() + seconds
        while (found := self.run(script)) != wanted:
            assert time.monotonic() < end, (script, found)
            time.sleep(0.05)

    def open(self, path, width):
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.command("Emulation.setDeviceMetricsOverride", **metrics)
        self._ask("POST", "/url", {"url": path.as_uri()})
        self.until("return document.documentElement.dataset.drawn", "all")

    def element(self, selector):
        body = {"using": "css selector", "value": selector}
        return self._ask("POST", "/element", body)[ELEMENT]

    def click(self, selector):
        self._ask("POST", f"/element/{self.element(selector)}/click", {})

    def press(self, selector, keys):
        self._ask("POST", f"/element/{self.element(selector)}/value", {"text": keys})

    def complaints(self):
        return self._ask("POST", "/se/log", {"type": "browser"})

    def end(self):
        self._ask("DELETE", "")


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests."""
    command = ["chromedriver", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as driver:
        try:
            for line in driver.stdout:
                if found := re.search(rb"started successfully on port (\d+)", line):
                    break
            session = Browser(int(found[1]))
            try:
                yield session
            finally:
                session.end()
        finally:
            driver.terminate()


@pytest.fixture(scope="module")
def path(tmp_path_factory, zipf_results, make_run_folder):
    """The page of 96 runs."""
    place = make_run_folder(tmp_path_factory.mktemp("browser") / "zipf", zipf_results)
    file = place / "report.html"
    file.write_text(writing.page([folders.read(place)]), encoding="utf-8")
    return file


def count(marks):
    """A script that counts the marks of a layer that is shown."""
    return f"return document.querySelectorAll('.{marks}_marks path').length"


def test_the_charts_are_there_and_nothing_complains(browser, path):
    browser.open(path, 1400)
    assert browser.complaints() == []
    assert browser.run(count("runs")) == 96 and browser.run(count("median")) == 6
    assert browser.run(count("fraction")) == 6
    assert browser.run(count("seeds")) > 50  # a dot each seed
    titles = browser.run(
        "return [...document.querySelectorAll('.chart')].map(c => "
        "[...c.querySelectorAll('.role-axis-title text')].map(t => t.textContent))"
    )
    assert titles[0] == ["optimiser steps", "normalised test loss (1: nothing learned, 0: all)"]
    assert titles[1] == ["optimiser steps", "fraction still on the plateau"]
    assert titles[2] == ["steps to escape, relative to the baseline"]
    named = browser.run(
        "return [...document.querySelectorAll('[role=graphics-document]')]"
        ".map(chart => chart.getAttribute('aria-label'))"
    )
    assert len(named) == 3 and all("data.zipf_exponent=0.75: " in name for name in named)


def test_it_is_drawn_within_a_second(browser, path):
    """Of a processor: other programs do not count."""
    browser.open(path, 1400)
    browser.command("Performance.enable", timeDomain="threadTicks")
    spent = []
    for _ in range(2):
        metrics = browser.command("Performance.getMetrics")["metrics"]
        spent.append(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))
        browser.open(path, 1400)
    browser.command("Performance.disable")
    assert 0.05 < spent[1] - spent[0] < 1


def test_settings_and_seeds_are_switched_by_mouse_and_by_keyboard(browser, path):
    browser.open(path, 1400)
    browser.click("input[name=settings][value='1']")
    browser.until(count("runs"), 80)
    browser.until(count("fraction"), 5)
    browser.click("details summary")
    browser.press("input[name=seeds][value='3']", " ")  # the space bar
    browser.until(count("runs"), 75)
    told = browser.run("return document.querySelector('output').textContent")
    assert told == "Shown: 5 of 6 settings, 15 of 16 seeds."
    browser.click("[data-uncheck=settings]")
    browser.until(count("runs"), 0)
    browser.click("[data-check=settings]")
    browser.until(count("runs"), 90)
    browser.until(count("median"), 6)
    assert browser.complaints() == []


def test_one_can_zoom_and_go_back(browser, path):
    browser.open(path, 1400)
    seen = "return document.querySelector('.curves .chart').view.scale('x').domain()"
    whole = browser.run(seen)
    assert whole == [500, 50_000]
    browser.press("[data-zoom=in]", "\ue007")  # the enter key
    browser.until(f"return ({seen.removeprefix('return ')})[0] > 1000", True)
    low, high = browser.run(seen)
    assert high / low == pytest.approx((whole[1] / whole[0]) ** 0.5)
    browser.click("[data-zoom=left]")
    browser.until(f"return ({seen.removeprefix('return ')})[0] < {low / 1.7}", True)
    browser.click("[data-zoom=whole]")
    browser.until(f"return JSON.stringify({seen.removeprefix('return ')})", "[500,50000]")
    assert browser.complaints() == []


def test_another_measure_is_shown(browser, path):
    browser.open(path, 1400)
    before = browser.run("return document.querySelector('.runs_marks path').getAttribute('d')")
    browser.press("select[name=measure]", "accuracy")
    title = "return document.querySelectorAll('.curves .role-axis-title text')[1].textContent"
    browser.until(title, "accuracy")
    after = browser.run("return document.querySelector('.runs_marks path').getAttribute('d')")
    assert after != before and browser.run(count("runs")) == 96


def test_it_fits_a_telephone_and_can_be_reached_by_keyboard(browser, path):
    browser.open(path, 400)
    wide = browser.run("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1] == 400
    charts = browser.run(
        "return [...document.querySelectorAll('.chart svg')]"
        ".map(svg => svg.getBoundingClientRect().right)"
    )
    assert len(charts) == 3 and max(charts) <= 400
    unreachable = browser.run(
        "return [...document.querySelectorAll('input, button, select, summary, a')]"
        ".filter(e => e.tabIndex < 0).length"
    )
    unnamed = browser.run(
        "return [...document.querySelectorAll('button')]"
        ".filter(e => !(e.textContent.trim() || e.ariaLabel)).length"
    )
    assert unreachable == 0 and unnamed == 0
    assert browser.complaints() == []
