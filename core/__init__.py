"""What a lead is worth: pure functions over the common model; no I/O, no clock, no vendor."""
