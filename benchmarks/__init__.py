"""Side-by-side timings: ratios measured in one run, never asserted in tests."""
