"""The interactive figure: its first state in Python, its script in a real browser."""

import os
import shutil

import pytest

from rslib import interactive
from rslib.certificates import certified_radius


def test_first_state_says_the_radius_of_theorem_1():
    figure = interactive.theorem_1(0.7, 0.2, 0.5)
    assert f"R = {certified_radius(0.7, 0.5, 0.2):.3f}" in figure.html == figure._repr_html_()
    assert "http" not in figure.html, "a page of the book asks no other host"
    assert "interactive figure" in repr(figure)


def test_bad_arguments():
    with pytest.raises(ValueError, match="name must consist of letters, digits and dashes"):
        interactive.theorem_1(name='"><script>')
    with pytest.raises(ValueError, match="sigma must be"):
        interactive.theorem_1(sigma=0.0)


@pytest.mark.slow
@pytest.mark.browser
def test_sliders_show_the_radius_of_the_library():
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        assert not os.environ.get("CI"), "CI needs chromium"
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        page = browser.new_page()
        page.set_content(f"<!doctype html><body>{interactive.theorem_1().html}</body>")
        for p_a, p_b, sigma in (
            (0.8, 0.1, 0.25),
            (0.9999, 0.5, 1.0),
            (0.6, 0.3, 0.5),
            (0.3, 0.4, 0.5),
        ):
            for key, value in (("a", p_a), ("b", p_b), ("s", sigma)):
                page.evaluate(
                    "([k, v]) => { const e = document.querySelector(`[data-${k}]`); e.value = v;"
                    " e.dispatchEvent(new Event('input', {bubbles: true})); }",
                    [key, value],
                )
            shown = page.text_content("[data-text]")
            radius = certified_radius(p_a, sigma, p_b)
            expected = f"R = {radius:.3f}" if radius > 0 else "nothing is certified"
            assert shown.startswith(expected)
        browser.close()
