"""Small fictional worlds, told in sentences and asked about."""
