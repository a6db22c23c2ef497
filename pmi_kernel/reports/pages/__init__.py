"""Records as HTML, the same for the live views, a saved notebook and a page of its own."""
