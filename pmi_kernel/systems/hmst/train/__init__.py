"""How the parts learn."""
