"""Interactive figures that need no kernel: HTML, SVG and a little JavaScript.

They work in the rendered page, offline, and in JupyterLab after the cell has run. Colours follow
the page, light or dark, and the first state makes sense where scripts are off.
"""

from __future__ import annotations

from string import Template

from rslib.certificates import certified_radius

__all__ = ["Figure", "theorem_1"]


class Figure:
    """A piece of HTML that notebooks display.

    Parameters
    ----------
    html : str
        A complete element, its style and script inside.
    """

    def __init__(self, html: str) -> None:
        self.html = html

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return "<interactive figure: open the page in a browser>"


# The quantile is Acklam's rational approximation (relative error below 1.2e-9), which is far
# better than a screen; every radius that a certificate rests on comes from Python.
_THEOREM_1 = Template("""\
<figure class="rslib-interactive" style="max-width:36rem;margin:1rem 0">
<svg viewBox="0 0 360 190" role="img" aria-label="A disc of the certified radius around x"
 style="width:100%;color:inherit">
<g stroke="currentColor" fill="none">
<line x1="20" y1="160" x2="340" y2="160"/>
<circle cx="180" cy="85" r="$disc" data-disc stroke-width="2" fill="currentColor"
 fill-opacity="0.12"/>
<circle cx="180" cy="85" r="$one_sigma" data-sigma stroke-dasharray="4 4"/>
</g>
<circle cx="180" cy="85" r="2.5" fill="currentColor"/>
<text x="180" y="182" text-anchor="middle" fill="currentColor" font-size="13"
 data-text>R = $radius (dashed: one σ)</text>
</svg>
<div style="display:grid;grid-template-columns:auto 1fr auto;gap:.3rem .8rem;align-items:center">
<label for="$name-a">lower bound on p<sub>A</sub></label>
<input id="$name-a" type="range" min="0.01" max="0.9999" step="0.0001" value="$p_a" data-a>
<output data-show-a>$p_a</output>
<label for="$name-b">upper bound on p<sub>B</sub></label>
<input id="$name-b" type="range" min="0.0001" max="0.5" step="0.0001" value="$p_b" data-b>
<output data-show-b>$p_b</output>
<label for="$name-s">σ (input units)</label>
<input id="$name-s" type="range" min="0.05" max="1" step="0.01" value="$sigma" data-s>
<output data-show-s>$sigma</output>
</div>
<script>
(() => {
  const root = document.currentScript.closest("figure");
  const one = key => root.querySelector(`[data-$${key}]`);
  const tail = (q, c, d) =>
    (((((c[0]*q+c[1])*q+c[2])*q+c[3])*q+c[4])*q+c[5]) / ((((d[0]*q+d[1])*q+d[2])*q+d[3])*q+1);
  const C = [-7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838,
    -2.549732539343734, 4.374664141464968, 2.938163982698783];
  const D = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
  const A = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.3577518672690,
    -30.66479806614716, 2.506628277459239];
  const B = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972,
    -13.28068155288572];
  const quantile = p => {
    if (p < 0.02425) return tail(Math.sqrt(-2*Math.log(p)), C, D);
    if (p > 1 - 0.02425) return -tail(Math.sqrt(-2*Math.log(1-p)), C, D);
    const q = p - 0.5, r = q*q;
    return (((((A[0]*r+A[1])*r+A[2])*r+A[3])*r+A[4])*r+A[5])*q
      / (((((B[0]*r+B[1])*r+B[2])*r+B[3])*r+B[4])*r+1);
  };
  const draw = () => {
    const [a, b, s] = ["a", "b", "s"].map(key => Number(one(key).value));
    const rival = Math.min(b, 1 - a);
    const radius = s / 2 * (quantile(a) - quantile(rival));
    one("show-a").value = a.toFixed(4);
    one("show-b").value = b > 1 - a ? `$${rival.toFixed(4)} (= 1 − p_A)` : b.toFixed(4);
    one("show-s").value = s.toFixed(2);
    one("disc").setAttribute("r", Math.min(400, Math.max(0, radius * $scale)));
    one("sigma").setAttribute("r", s * $scale);
    one("text").textContent = radius > 0
      ? `R = $${radius.toFixed(3)} (dashed: one σ)` : "nothing is certified";
  };
  root.addEventListener("input", draw);
  draw();
})();
</script>
</figure>
""")


def theorem_1(
    p_a: float = 0.8, p_b: float = 0.1, sigma: float = 0.25, name: str = "theorem-1"
) -> Figure:
    """The radius of Theorem 1 under three sliders.

    Parameters
    ----------
    p_a, p_b : float
        Where the sliders of the two bounds start; probabilities.
    sigma : float
        Where the slider of the noise starts, in input units.
    name : str
        Distinguishes several figures on one page; letters, digits and dashes.

    Returns
    -------
    Figure
        Shows the ball that is certified, and one sigma beside it.

    Raises
    ------
    ValueError
        If a number is out of range, or ``name`` has other characters.

    References
    ----------
    cohen2019, Theorem 1. Chapter 8.

    Examples
    --------
    >>> "R = 0.265" in theorem_1(0.8, 0.1, 0.25).html
    True
    """
    if not name.replace("-", "").isalnum():
        raise ValueError(f"name must consist of letters, digits and dashes, got {name!r}")
    radius = float(certified_radius(p_a, sigma, p_b))
    scale = 75
    return Figure(
        _THEOREM_1.substitute(
            p_a=f"{p_a:.4f}",
            p_b=f"{p_b:.4f}",
            sigma=f"{sigma:.2f}",
            radius=f"{radius:.3f}",
            disc=f"{max(0.0, radius) * scale:.1f}",
            one_sigma=f"{sigma * scale:.1f}",
            scale=scale,
            name=name,
        )
    )
