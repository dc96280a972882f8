"""The manifest of a certificate file that the tests make."""


def manifest(**changes):
    """A manifest of 20 digits, with fields changed by name: noise__step for noise.step."""
    made = {
        "format": "rslib-certificates/1",
        "dataset": {
            "name": "digits",
            "split": "test",
            "step": "1/16",
            "shape": [1, 8, 8],
            "num_classes": 10,
            "size": 500,
        },
        "indices": list(range(20)),
        "model": {"name": "cnn", "file": "cnn.safetensors", "sha256": "0f" * 32},
        "sigma": "0.25",
        "n0": 100,
        "n": 1000,
        "alpha": "0.001",
        "two_sided": False,
        "noise": {"kind": "grid", "step": "1/16", "total_variation": "1.1e-15"},
        "seed": 0,
        "plan": {"backend": "eager", "rows": 1000},
        "versions": {"rslib": "0.1.0"},
        "device": "cpu",
        "command": "rslib certify digits",
        "date": "2026-11-22",
    }
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = made
        for parent in parents:
            place = place[parent]
        place[last] = value
    return made
