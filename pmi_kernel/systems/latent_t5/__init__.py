"""T5 with a latent bottleneck, and T5 that reads its context: two systems, one kind of model."""
