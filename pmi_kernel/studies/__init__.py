"""Many runs for one question: recipes, accumulation, sweeps, grids, benchmarks."""
