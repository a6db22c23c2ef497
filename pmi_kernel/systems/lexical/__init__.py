"""A floor without a model: the likeliest words of the sentences that match the question best."""
