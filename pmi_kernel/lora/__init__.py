"""Low-rank updates as values: trained in batches, stacked, stored."""
