"""Parametric memory online injection on a search agent that follows the MEM1 protocol."""
