"""The interactive figures in chromium: the library's numbers, for mouse, finger and keyboard.

No test needs the built book: the figures stand on an empty page.
"""

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field

import browser as tool
import numpy as np
import pytest
from playwright.sync_api import Page, expect
from scipy import special
from scipy.stats import norm

from rslib import certificates, confidence, interactive
from rslib.interactive import _vote, _worst_case
from rslib.interactive.figure import asset, normals

pytestmark = [pytest.mark.slow, pytest.mark.browser]
FIGURES = ("vote", "worst_case", "bent_scale")
NUMBERS = re.compile(r'<span class="rsi-out" data-part="([\w-]+)">([^<]*)</span>')


@dataclass
class Sheet:
    """A page that holds figures, and what it logged or asked for."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def part(self, name: str):
        return self.page.locator(f'[data-part="{name}"]').first

    def says(self) -> dict[str, str]:
        """What the numbers of the first figure say, once it has drawn."""
        self.page.evaluate("() => new Promise(r => requestAnimationFrame(() => setTimeout(r)))")
        return self.page.evaluate(
            "() => Object.fromEntries([...document.querySelector('figure')"
            ".querySelectorAll('.rsi-out')].map(o => [o.dataset.part, o.textContent]))"
        )

    def slide(self, name: str, value: float) -> None:
        self.part(name).evaluate(
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); }",
            value,
        )

    def press(self, name: str, *keys: str) -> None:
        for key in keys:
            self.part(name).press(key)

    def place(self, name: str, a: float, b: float) -> tuple[float, float]:
        """Where a point of a picture, in its own units, is on the screen."""
        box = self.part(name).bounding_box()
        scale = box["width"] / 340
        return box["x"] + a * scale, box["y"] + b * scale

    def stroke(self, name: str, points: list[tuple[float, float]]) -> None:
        """Draw with the mouse."""
        mouse = self.page.mouse
        mouse.move(*self.place(name, *points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.place(name, *point), steps=4)
        mouse.up()


@pytest.fixture
def open_sheet(chromium):
    @contextmanager
    def opened(*names: str, **options):
        settings = {"viewport": {"width": 800, "height": 900}, "reduced_motion": "reduce"}
        context = chromium.new_context(**(settings | options))
        page = context.new_page()
        page.set_default_timeout(tool.PATIENCE)
        sheet = Sheet(page)
        page.on("console", lambda message: sheet.faults.append(message.text))
        page.on("pageerror", lambda error: sheet.faults.append(str(error)))
        page.on("request", lambda request: sheet.faults.append(request.url))
        style = "<style>body { margin: 24px; font-family: sans-serif }</style>"
        figures = "".join(getattr(interactive, name)().html for name in names)
        page.set_content(f"<!doctype html><html lang='en'>{style}<body>{figures}</body></html>")
        try:
            yield sheet
            assert not sheet.faults, "a figure logs nothing and asks nobody"
        finally:
            context.close()

    return opened


def stored(figure: interactive.Figure) -> dict[str, str]:
    return dict(NUMBERS.findall(figure.html))


# ------------------------------------------------------------------- the scripts' own functions


@pytest.fixture(scope="module")
def library(chromium):
    """Calls a function of the scripts for many arguments."""
    page = chromium.new_page()
    page.set_content("<!doctype html><title>functions</title>")
    # Infinities have no JSON.
    number = "v => Number.isFinite(v) ? v : String(v)"

    def call(expression: str, rows: list) -> np.ndarray:
        script = f"rows => {{ {asset('common.js')} return rows.map({expression}).map({number}); }}"
        return np.array([float(value) for value in page.evaluate(script, rows)])

    yield call
    page.close()


def test_the_normal_distribution(library):
    t = np.concatenate([np.linspace(-37, 8, 901), [-2.5, 2.5, 0, 1e-9]])
    # Far out SciPy itself is off by a relative 2e-13.
    assert np.allclose(library("Phi", t.tolist()), norm.cdf(t), rtol=1e-12, atol=0)
    assert np.allclose(library("upper", t.tolist()), norm.sf(t), rtol=1e-12, atol=0)
    assert np.allclose(library("phi", t.tolist()), norm.pdf(t), rtol=1e-13, atol=0)
    p = np.concatenate([np.logspace(-300, -1, 400), np.linspace(0.001, 0.999, 999), [1 - 1e-12]])
    quantiles = library("quantile", p.tolist())
    assert np.allclose(quantiles, special.ndtri(p), rtol=1e-12, atol=1e-15)
    assert library("quantile", [0, 1]).tolist() == [-np.inf, np.inf]


def test_the_bounds_of_clopper_and_pearson(library):
    rows = []
    for n in (1, 10, 33, 300, 1000, 10_000):
        counts = {0, 1, n // 10, n // 3, n // 2, n - n // 50, n - 1, n}
        rows += [(k, n, alpha) for k in sorted(counts) for alpha in (0.0005, 0.05, 0.4)]
    k, n, alpha = np.array(rows).T
    lower = library("row => lowerBound(...row)", rows)
    upper = library("row => upperBound(...row)", rows)
    assert np.allclose(lower, confidence.lower_bound(k, n, alpha), rtol=1e-9, atol=1e-14)
    assert np.allclose(upper, confidence.upper_bound(k, n, alpha), rtol=1e-9, atol=1e-14)


def test_the_radius_of_theorem_1(library):
    grid = np.linspace(0.02, 0.98, 25)
    rows = [(a, b, sigma) for a in grid for b in grid for sigma in (0.1, 0.5, 1.0)]
    found = library("row => radiusOf(...row)", rows)
    p_a, p_b, sigma = np.array(rows).T
    expected = certificates.certified_radius(p_a, sigma, p_b)
    assert np.allclose(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("seed", [0, 8, 123_456_789])
def test_the_noise_is_that_of_python(library, seed):
    rows = [(seed, i) for i in range(2000)]
    first = library("row => normals(row[0], row[1] + 1)[0][row[1]]", rows[:40])
    second = library("row => normals(row[0], row[1] + 1)[1][row[1]]", rows[:40])
    assert np.allclose(np.stack([first, second], axis=1), normals(seed, 40), rtol=1e-12)
    words = library("row => word(...row)", rows)
    assert len(set(words)) == len(words) and words.max() < 2**32


# ------------------------------------------------------------------------------ all three figures


@pytest.mark.parametrize("name", FIGURES)
def test_without_scripts_the_same_numbers_stand_there(open_sheet, name):
    """The script's first drawing changes no number and hardly a line of what Python drew."""
    expected = stored(getattr(interactive, name)())
    lines = (
        "() => [...document.querySelectorAll('svg [data-part]')].map(e => [e.dataset.part,"
        " ['d', 'cx', 'cy', 'r', 'x', 'width', 'transform'].map(a => e.getAttribute(a) ?? '')"
        ".join(' ')])"
    )
    drawn = []
    for scripts in (False, True):
        with open_sheet(name, java_script_enabled=scripts) as sheet:
            if scripts:
                assert sheet.says() == expected
                drawn.append(sheet.page.evaluate(lines))
            else:
                # Without scripts nothing can be evaluated: read the page as it was parsed.
                assert dict(NUMBERS.findall(sheet.page.content())) == expected
                assert sheet.page.locator("button:visible, input:enabled").count() == 0
    with open_sheet() as sheet:
        quiet = re.sub("<script>.*?</script>", "", getattr(interactive, name)().html, flags=re.S)
        sheet.page.set_content(quiet)
        drawn.insert(0, sheet.page.evaluate(lines))
    before, after = drawn
    assert [part for part, _ in before] == [part for part, _ in after]
    for (part, one), (_, two) in zip(before, after):
        numbers = [np.array(re.findall(r"-?\d+\.?\d*", text), dtype=float) for text in (one, two)]
        assert len(numbers[0]) == len(numbers[1]), part
        assert np.allclose(*numbers, atol=0.6 if part.startswith("dots") else 0.11), part


def test_two_copies_leave_each_other_and_the_page_alone(open_sheet):
    with open_sheet() as sheet:
        before = set(sheet.page.evaluate("() => Object.keys(window)"))
    with open_sheet(*FIGURES, *FIGURES) as sheet:
        assert set(sheet.page.evaluate("() => Object.keys(window)")) == before
        assert sheet.page.locator("figure[data-live]").count() == 6
        assert sheet.page.locator("[id]").count() == 0
        texts = "() => [...document.querySelectorAll('figure')].map(f => f.textContent)"
        first = sheet.page.evaluate(texts)
        sheet.slide("sigma", 0.3)
        sheet.slide("p", 12)
        sheet.page.locator("[data-figure=bent_scale] [data-part=sigma]").first.fill("0.3")
        sheet.says()
        second = sheet.page.evaluate(texts)
        assert first[3:] == second[3:]
        assert all(one != two for one, two in zip(first[:3], second[:3]))
        # A cell that runs again puts a new copy in the place of the old one.
        sheet.page.evaluate(
            "() => { const old = document.querySelector('figure'), range = document.createRange();"
            " old.replaceWith(range.createContextualFragment(old.outerHTML)); }"
        )


@pytest.mark.parametrize("name", FIGURES)
def test_text_is_readable_and_fits_on_a_phone(open_sheet, name):
    sizes = (
        "() => [...document.querySelectorAll('figure svg text, figure p, figure dt, figure dd,"
        " figure th, figure td, figure button, figure label, figure .rsi-out')]"
        ".filter(e => e.getClientRects().length && !e.closest('.rsi-quiet')).map(e => {"
        " const svg = e.ownerSVGElement; const scale = svg ? e.getScreenCTM().a : 1;"
        " return scale * parseFloat(getComputedStyle(e).fontSize); })"
    )
    for width in (390, 800, 1280):
        with open_sheet(name, viewport={"width": width, "height": 844}) as sheet:
            assert min(sheet.page.evaluate(sizes)) >= 11, width
            beyond = "() => document.documentElement.scrollWidth - innerWidth"
            assert sheet.page.evaluate(beyond) <= 0, width
            cut = (
                "() => [...document.querySelectorAll('figure svg text')].filter(e => {"
                " const a = e.getBoundingClientRect();"
                " let s = e.ownerSVGElement; while (s.ownerSVGElement) s = s.ownerSVGElement;"
                " const b = s.getBoundingClientRect(); return a.left < b.left - 2"
                " || a.right > b.right + 2 || a.bottom > b.bottom + 4; }).map(e => e.textContent)"
            )
            assert sheet.page.evaluate(cut) == []


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("width", [390, 800])
def test_nothing_moves_under_the_finger(open_sheet, name, width):
    """Whatever is shown, controls stay where they are."""
    boxes = (
        "() => [...document.querySelectorAll('figure button, figure input, figure > *')]"
        ".filter(e => e.getClientRects().length)"
        ".map(e => { const b = e.getBoundingClientRect(); return [b.left, b.top + scrollY]; })"
    )
    with open_sheet(name, viewport={"width": width, "height": 844}) as sheet:
        before = sheet.page.evaluate(boxes)
        for slider in sheet.page.locator("input").all():
            for end in ("min", "max"):
                slider.evaluate(
                    "(e, end) => { e.value = e[end];"
                    " e.dispatchEvent(new Event('input', {bubbles: true})); }",
                    end,
                )
                sheet.says()
                assert sheet.page.evaluate(boxes) == before
        for button in sheet.page.locator("button").all():
            button.click()
            sheet.says()
            assert np.allclose(sheet.page.evaluate(boxes), before)


@pytest.mark.parametrize("name", FIGURES)
def test_the_keyboard_reaches_everything_and_is_told_what_happens(open_sheet, name):
    with open_sheet(name) as sheet:
        count = sheet.page.locator("[tabindex='0'], button, input").count()
        for _ in range(count):
            sheet.page.keyboard.press("Tab")
            focused = sheet.page.evaluate("() => document.activeElement.closest('figure') !== null")
            assert focused
        for handle in sheet.page.locator("[role=slider]").all():
            for name_ in ("aria-label", "aria-valuemin", "aria-valuemax", "aria-valuenow"):
                assert handle.get_attribute(name_)
            before = handle.get_attribute("aria-valuetext")
            handle.press("ArrowRight")
            sheet.says()
            assert handle.get_attribute("aria-valuetext") != before
        # Ten steps are announced once, when they are over.
        sheet.page.wait_for_timeout(1100)
        sheet.page.evaluate(
            "() => { window.heard = 0; new MutationObserver(() => { window.heard += 1; })"
            ".observe(document.querySelector('[role=status]'), {childList: true}); }"
        )
        for _ in range(10):
            sheet.page.locator("input").first.press("ArrowRight")
        sheet.page.wait_for_function("() => window.heard > 0")
        sheet.page.wait_for_timeout(1100)
        said = sheet.part("status").text_content()
        assert sheet.page.evaluate("() => window.heard") == 1 and len(said) > 20


def test_dark_pages_get_light_lines(open_sheet):
    brightness = (
        "() => { const c = getComputedStyle(document.querySelector('[data-part=disc]')).stroke;"
        " return c.match(/[\\d.]+/g).slice(0, 3).reduce((s, v) => s + Number(v), 0) / 3; }"
    )
    with open_sheet("vote") as sheet:
        assert sheet.page.evaluate(brightness) < 60
        sheet.page.evaluate("() => { document.body.style.color = '#eee'; }")
        assert sheet.page.evaluate(brightness) > 200


# ------------------------------------------------------------------------------------- the vote


def test_the_vote_equals_the_library_over_a_grid(open_sheet):
    with open_sheet("vote") as sheet:
        x = [-0.2, -0.1]
        for sigma, place, keys in (
            (0.1, 300, ["Shift+ArrowRight", "ArrowUp"]),
            (0.25, 100, ["Shift+ArrowLeft", "Shift+ArrowUp", "Shift+ArrowUp"]),
            (0.5, 0, ["ArrowDown"]),
            (0.73, 237, ["Shift+ArrowUp"] * 6),
            (1.0, 300, ["Shift+ArrowRight"] * 12),
        ):
            for key in keys:
                far = 10 if key.startswith("Shift") else 1
                axis, sign = {"Right": (0, 1), "Left": (0, -1), "Up": (1, 1), "Down": (1, -1)}[
                    key.split("Arrow")[1]
                ]
                x[axis] = min(1.4, max(-1.4, x[axis] + 0.02 * far * sign))
            sheet.press("handle", *keys)
            sheet.slide("sigma", sigma)
            sheet.slide("n", place)
            n = round(10 * 10 ** (place / 100))
            expected = interactive.vote(sigma, n, tuple(x))
            assert sheet.says() == stored(expected), (sigma, n, x)
            counts = [sheet.part(f"count-{c}").text_content() for c in range(3)]
            assert counts == re.findall(r'count-\d"[^>]*>([\d,]+)', expected.html)


def test_the_disc_never_leaves_the_picture(open_sheet):
    with open_sheet("vote") as sheet:
        sheet.part("clear").click()
        for sigma, place, keys in ((1.0, 300, 20), (1.0, 150, 1), (0.3, 300, 1)):
            sheet.slide("sigma", sigma)
            sheet.slide("n", place)
            sheet.press("handle", *["Shift+ArrowRight"] * keys, "Shift+ArrowUp")
            says = sheet.says()
            n = round(10 * 10 ** (place / 100))
            p_a, p_b = confidence.runner_up_bounds([n, 0, 0], 0, 0.001)
            radius = certificates.certified_radius(p_a, sigma, p_b)
            assert float(says["radius"].removeprefix("R = ")) == np.floor(radius * 1000) / 1000
            disc = {key: float(sheet.part("disc").get_attribute(key)) for key in ("cx", "cy", "r")}
            assert disc["r"] > 20
            assert disc["cx"] + disc["r"] <= 340 and disc["cy"] - disc["r"] >= 0
            scale = sheet.part("world").get_attribute("transform").split("scale(")[1].split()[0]
            assert np.isclose(disc["r"], radius * float(scale), rtol=1e-9)


def ring(a: float, b: float, r: float) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, 25)
    return [(a + r * np.cos(t), b + r * np.sin(t)) for t in angles]


def test_regions_drawn_by_hand_vote(open_sheet):
    with open_sheet("vote") as sheet:
        sheet.part("clear").click()
        assert sheet.says()["radius"].startswith("R = ")
        assert sheet.part("count-0").text_content() == "1,000"
        sheet.page.locator("[data-mode='1']").click()
        sheet.stroke("plane", ring(153, 178, 140))
        sheet.says()
        assert sheet.part("meaning").text_content() == "Inside the circle the vote stays orange."
        # What was drawn is what votes: read the line back and count in Python.
        path = sheet.page.locator("[data-part=world] path").get_attribute("d")
        polygon = np.array(re.findall(r"-?[\d.]+", path), dtype=float).reshape(-1, 2)
        points = [-0.2, -0.1] + 0.5 * normals(_vote.SEED, 1000)
        counts = np.bincount(_vote.labels(points, [(1, polygon)]), minlength=3)
        assert sheet.part("count-1").text_content() == f"{counts[1]:,}"
        # By keyboard: a disc around x.
        sheet.page.locator("[data-mode='2']").click()
        sheet.press("handle", "Enter")
        sheet.says()
        assert int(sheet.part("count-2").text_content()) > 100
        # A click without a line draws nothing, and the start comes back.
        sheet.stroke("plane", [(20, 20), (21, 20)])
        assert sheet.page.locator("[data-part=world] path").count() == 2
        sheet.part("reset").click()
        assert sheet.says() == stored(interactive.vote())


def test_x_follows_mouse_and_finger(open_sheet):
    with open_sheet("vote", has_touch=True) as sheet:
        scale = 85  # pixels of the picture for one unit, at sigma = 0.5
        sheet.stroke("plane", [(153, 178.5), (153 + 0.5 * scale, 178.5 - 0.25 * scale)])
        sheet.says()
        assert "x = (0.30, 0.15)" in sheet.part("handle").get_attribute("aria-valuetext")
        touch = sheet.page.context.new_cdp_session(sheet.page)
        sent = (
            ("touchStart", (170 + 0.3 * scale, 170 - 0.15 * scale)),
            ("touchMove", (170, 170)),
            ("touchMove", (170 - scale, 170)),
            ("touchEnd", None),
        )
        for kind, point in sent:
            points = []
            if point:
                x, y = sheet.place("plane", *point)
                points = [{"x": x, "y": y}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        handle = sheet.part("handle")
        expect(handle).to_have_attribute("aria-valuetext", re.compile(r"^x = \(−1.00, 0.00\)"))
        assert sheet.page.evaluate("() => scrollY") == 0
        sheet.page.touchscreen.tap(*sheet.place("plane", 170, 170 - 0.5 * scale))
        expect(handle).to_have_attribute("aria-valuetext", re.compile(r"^x = \(0.00, 0.50\)"))


def test_voting_goes_on_to_the_end_and_other_noise_is_other_noise(open_sheet):
    for motion in ("reduce", "no-preference"):
        with open_sheet("vote", reduced_motion=motion) as sheet:
            start = sheet.says()
            sheet.part("play").click()
            if motion == "reduce":
                assert sheet.says()["n-text"] == "10,000", "no animation where none is wanted"
            sheet.page.wait_for_function(
                "() => document.querySelector('[data-part=n-text]').textContent === '10,000'"
                " && document.querySelector('[data-part=play]').textContent.startsWith('▶')"
            )
            end = sheet.says()
            assert end == stored(interactive.vote(0.5, 10_000))
            assert float(end["lower"]) > float(start["lower"])
            sheet.part("noise").click()
            assert sheet.says()["lower"] != end["lower"]


# -------------------------------------------------------------------------------- the worst case


def test_the_half_space_wins_for_every_probability(open_sheet):
    with open_sheet("worst_case") as sheet:
        for filled in range(1, 20):
            sheet.slide("p", filled)
            before = sheet.says()
            limit = certificates.local_gradient_bound(filled / 20, 1.0)
            assert before["limit"] == f"{limit:.4f}"
            assert float(before["slope"].replace("−", "-")) < limit
            sheet.part("exchange").click()
            after = sheet.says()
            assert after["slope"] == after["limit"] and after["percent"] == "100%"
            assert after["p-text"] == f"{filled / 20:.2f}"
            sheet.page.locator("[data-shape=cloud]").click()


def test_painted_tiles_take_the_place_of_the_oldest(open_sheet):
    with open_sheet("worst_case") as sheet:
        tiles = _worst_case.cloud(120)
        column, row = 10, 10
        keys = [*["ArrowLeft"] * 3, " ", "ArrowUp", " ", *["ArrowDown"] * 9, "Enter", " "]
        for key in [*keys, "Shift+ArrowRight", " ", "Shift+ArrowUp", "Enter"]:
            sheet.press("cursor", key)
            far = 10 if key.startswith("Shift") else 1
            if "Arrow" in key:
                move = {"Right": (1, 0), "Left": (-1, 0), "Up": (0, 1), "Down": (0, -1)}
                a, b = move[key.split("Arrow")[1]]
                column, row = np.clip([column + far * a, row + far * b], 0, 19)
                continue
            tile = int(row * 20 + column)
            if tile in tiles:
                tiles.remove(tile)
            else:
                tiles.pop(0)
            tiles.append(tile)
            counts = _worst_case.column_counts(tiles)
            expected = _worst_case.slope(counts)
            assert sheet.says()["slope"] == f"{expected:.4f}".replace("-", "−"), key


def test_no_painting_beats_the_half_space(open_sheet):
    rng = np.random.default_rng(6)
    with open_sheet("worst_case") as sheet:
        limit = float(sheet.says()["limit"])
        for _ in range(6):
            sheet.stroke("plane", rng.uniform(2, 338, (6, 2)).tolist())
            says = sheet.says()
            assert abs(float(says["slope"].replace("−", "-"))) < limit
            assert says["p-text"] == "0.30"
        # The columns hold what the set holds: 2 pixels a tile.
        columns = sheet.part("columns").get_attribute("d")
        heights = 395 - np.array(re.findall(r"395V([\d.]+)H", columns), dtype=float)
        assert heights.sum() == 2 * 120
        for shape, sign in (("strip", 0), ("ball", 0), ("tails", 0), ("cloud", 1)):
            sheet.page.locator(f"[data-shape={shape}]").click()
            slope = float(sheet.says()["slope"].replace("−", "-"))
            assert slope > 0.1 if sign else abs(slope) < 0.01


# -------------------------------------------------------------------------------- the bent scale


def test_the_bent_scale_equals_the_library_over_a_grid(open_sheet):
    with open_sheet("bent_scale") as sheet:
        x = 0.9
        for preset in range(4):
            button = sheet.page.locator("[data-jumps]").nth(preset)
            jumps = json.loads(button.get_attribute("data-jumps"))
            button.click()
            for sigma in (0.25, 0.5, 1.0):
                sheet.slide("sigma", sigma)
                for key, step in (
                    ("Shift+ArrowLeft", -0.5),
                    ("ArrowRight", 0.05),
                    ("ArrowDown", -0.05),
                ):
                    sheet.press("handle", key)
                    x = min(3.0, max(-3.0, x + step))
                    says = sheet.says()
                    assert says == stored(interactive.bent_scale(sigma, x, jumps)), (sigma, x)
                    bent = float(says["bent-slope"].replace("−", "-"))
                    assert abs(bent) <= 1 / sigma + 0.0005
                    if preset == 0:
                        assert says["bent-slope"] == says["bent-limit"]
            sheet.press("handle", *["Shift+ArrowRight"] * 5)
            x = min(3.0, x + 2.5)


def test_x_and_jumps_can_be_dragged(open_sheet):
    with open_sheet("bent_scale") as sheet:
        twin = re.findall(r"[\d.]+", sheet.part("twin").get_attribute("transform"))
        a, b = map(float, twin)
        sheet.stroke("right", [(a, b), (a - 50, b)])
        sheet.says()
        assert "x = −0.10" in sheet.part("handle").get_attribute("aria-valuetext")
        jump = sheet.page.locator("[data-part=jumps] > g").nth(2)
        sheet.stroke("left", [(184 + 50 * 0.4, 232), (184 + 50 * 1.4, 232)])
        sheet.says()
        assert jump.get_attribute("aria-valuenow") == "1.40"
        assert sheet.says() == stored(interactive.bent_scale(0.5, -0.1, [-1.6, -0.5, 1.4]))
        jump.press("Shift+ArrowLeft")
        for _ in range(5):  # jumps stay in their order
            jump.press("Shift+ArrowLeft")
        sheet.says()
        assert jump.get_attribute("aria-valuenow") == "-0.45"
