"""The networks: a mixture of experts, and what decides, checks and remembers."""
