"""The pages in headless Chromium: charts are there, switches work, nothing complains.

Chromium is driven by the WebDriver protocol of chromedriver, spoken with urllib.
"""

import json
import re
import shutil
import subprocess
import time
import urllib.request

import lifelines
import numpy as np
import pytest

pytest.importorskip("altair", reason="the page needs the extra `html`")
pytest.importorskip("vl_convert", reason="the page needs the extra `html`")
if not (shutil.which("chromedriver") and shutil.which("chromium")):
    pytest.skip("no chromium with chromedriver", allow_module_level=True)

from plateaus.report import cells, survival
from plateaus.report.page import claims, folders, writing

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
def claims_path(tmp_path_factory, claim_entries):
    """The page of four claims."""
    file = tmp_path_factory.mktemp("claims") / "claims.html"
    meanings = {"supported": "it is so", "open": "not yet", "not tested": "never"}
    file.write_text(claims.page(claim_entries, meanings, ["supported"]), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def path(tmp_path_factory, zipf_results, make_run_folder):
    """The page of 96 runs."""
    place = make_run_folder(tmp_path_factory.mktemp("browser") / "zipf", zipf_results)
    file = place / "report.html"
    file.write_text(writing.page([folders.read(place)]), encoding="utf-8")
    return file


# The steps of the Kaplan-Meier curve of setting 0 as the chart computed them: time, fraction, band.
SURVIVAL = """
const view = document.querySelector('.survival .chart').view;
const names = Object.keys(view.getState({data: () => true, signals: () => false}).data);
const rows = names.map(name => view.data(name)).find(rows => rows.some(row => 'spread' in row));
return rows.filter(row => row.s === 0).sort((a, b) => a.t - b.t).map(r => [r.t, r.f, r.l, r.h]);
"""


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


def test_a_curve_is_that_of_its_run(browser, path):
    results = folders.read(path.parent).results
    browser.open(path, 1400)
    script = """
const view = document.querySelector('.curves .chart').view;
const names = Object.keys(view.getState({data: () => true, signals: () => false}).data);
const rows = names.map(name => view.data(name)).find(rows => rows.some(row => row.v > 0));
return rows.filter(row => row.s === 2 && row.r === 5).map(row => [row.t, row.v]);
"""
    drawn = np.array(browser.run(script))
    steps = results["eval_step"].values
    loss, uninformed, best = (
        results[name].isel({"data.zipf_exponent": 2, "seed": 5}).values
        for name in ("test_loss", "uninformed_loss", "best_loss")
    )
    there = steps > 0
    np.testing.assert_array_equal(drawn[:, 0], steps[there])
    normal = (loss[there] - best) / (uninformed - best)
    np.testing.assert_allclose(drawn[:, 1], normal, rtol=1e-3, atol=1e-6)


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


def test_survival_is_of_the_seeds_that_are_chosen(browser, path, zipf_results):
    """As lifelines has it, with its band; and the dots of the ratios are of these seeds."""
    browser.open(path, 1400)
    seeds, times, escaped = cells.passages(zipf_results, (0,))
    dots = browser.run(count("seeds"))
    for left_out in ((), (2, 5, 11)):
        for seed in left_out:
            box = f"input[name=seeds][value='{seed}']"
            browser.run(f'document.querySelector("{box}").click()')
        kept = ~np.isin(seeds, left_out)
        browser.until(count("seeds"), dots - 5 * len(left_out))
        fit = lifelines.KaplanMeierFitter().fit(times[kept], escaped[kept])
        drawn = np.array(browser.run(SURVIVAL), np.float64)[1:]
        theirs = fit.survival_function_.to_numpy()[1:, 0]
        np.testing.assert_allclose(drawn[:, 0], fit.survival_function_.index[1:])
        np.testing.assert_allclose(drawn[:, 1], theirs, atol=1e-12)
        inside = (theirs > 0) & (theirs < 1)
        band = fit.confidence_interval_.to_numpy()[1:]
        assert inside.sum() > 5
        np.testing.assert_allclose(drawn[inside, 2:], band[inside], rtol=1e-6)
        assert np.isnan(drawn[theirs == 0, 2:]).all()
    few = seeds[: len(seeds) - survival.FEWEST_RUNS + 1].tolist()
    script = "for (const box of document.querySelectorAll('input[name=seeds]'))"
    browser.run(f"{script} if ({few}.includes(+box.value) === box.checked) box.click()")
    browser.until("return document.querySelectorAll('.band_marks path[d]').length", 0)


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


def test_claims_open_are_filtered_and_draw_their_charts(browser, claims_path):
    browser.open(claims_path, 1400)
    shown = (
        "return [...document.querySelectorAll('details.claim')]"
        ".filter(claim => claim.offsetParent).map(claim => claim.id)"
    )
    everything = ["claim-1.1", "claim-1.2", "claim-1.2a", "claim-2.1"]
    assert browser.run(shown) == everything and browser.run(count("runs")) == 0
    browser.press("[id='claim-1.1'] summary", " ")  # the space bar
    browser.until(count("runs"), 32)
    browser.until(count("fraction"), 2)
    titles = browser.run(
        "return [...document.querySelectorAll('.role-axis-title text')].map(t => t.textContent)"
    )
    assert titles[0].startswith("steps to escape, relative") and len(titles) == 5
    browser.press("[id='claim-1.1'] select", "accuracy")
    browser.until(
        "return document.querySelectorAll('.role-axis-title text')[2].textContent", "accuracy"
    )
    browser.click("[data-words]:nth-of-type(2)")  # decided only
    browser.until(shown, ["claim-1.1", "claim-1.2a"])
    told = browser.run("return document.querySelector('output').textContent")
    assert told == "Shown: 2 of 4 claims and parts of claims."
    browser.press("input[name=papers][value='1']", " ")
    browser.until(shown, [])
    browser.run("location.hash = '#claim-1.2a'")
    browser.until("return document.getElementById('claim-1.2a').open", True)
    browser.until("return document.querySelectorAll(\"[id='claim-1.2a'] svg\").length", 1)
    assert browser.run(shown) == ["claim-1.2a"]
    assert browser.complaints() == []


def test_the_page_of_claims_fits_a_telephone(browser, claims_path):
    browser.open(claims_path, 400)
    browser.click("[data-opened=all]")
    browser.until("return document.documentElement.dataset.drawn", "all")
    browser.until("return document.querySelectorAll('.chart svg').length", 4)
    wide = browser.run("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1] == 400
    rights = browser.run(
        "return [...document.querySelectorAll('.chart svg, .claim > *')]"
        ".map(part => part.getBoundingClientRect().right)"
    )
    assert max(rights) <= 400
    assert browser.complaints() == []
