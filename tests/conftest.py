"""What the whole suite runs with."""

import gc

# Expressions are large trees that live long: looking through them again and again for garbage
# takes a sixth of the suite's time.
gc.set_threshold(50_000, 20, 50)
