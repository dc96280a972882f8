"""From counts to what they show: a class, a certified radius, or an abstention.

Pure arithmetic, without torch. Whoever has the counts, from a file or from a network of one's own,
gets from them what `rslib.smoothing.SmoothedClassifier` concludes.

A method of certifying is one class here, a `Method`. It knows when a run stops, what its counts
show, how it is written to the manifest of a certificate file and read back, what a row of such a
file may hold, and how the command line offers it. To add one is to write its class in
``methods.py`` and name it in `METHODS`; the verifier, which shares no code with it, must learn it
too.
"""

from rslib.decisions.conclusions import (
    ABSTAIN,
    Certificate,
    Decision,
    Setting,
    predict_from_counts,
)
from rslib.decisions.method import (
    Method,
    Option,
    Rule,
    check_alpha,
    check_radius,
    is_radius_text,
)
from rslib.decisions.methods import (
    METHODS,
    AllSamples,
    AtRadii,
    EarlyAbstain,
    RadiusLoss,
    TwoSided,
    method_from_options,
    read_method,
)

__all__ = [
    "ABSTAIN",
    "METHODS",
    "AllSamples",
    "AtRadii",
    "Certificate",
    "Decision",
    "EarlyAbstain",
    "Method",
    "Option",
    "RadiusLoss",
    "Rule",
    "Setting",
    "TwoSided",
    "check_alpha",
    "check_radius",
    "is_radius_text",
    "method_from_options",
    "predict_from_counts",
    "read_method",
]
