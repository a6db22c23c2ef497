"""The GPU check: every CUDA path against the CPU, and the benchmarks, in one command."""
