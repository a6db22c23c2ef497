"""The two bounds: the question alone, and the question with retrieved evidence in the prompt."""
