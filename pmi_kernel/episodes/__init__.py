"""One episode: stepped, probed, asked, and run again otherwise."""
