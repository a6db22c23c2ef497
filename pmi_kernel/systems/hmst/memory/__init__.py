"""The tiers of memory beside the text at hand."""
