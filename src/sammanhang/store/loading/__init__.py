"""The parts of `store.load`: plan (what there is to read), reading (lines and bundles into resources),
writing (resources into the record), working (processes), restoring (an export's other files)."""
