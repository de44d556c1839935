"""Work: what has to be done and by whom, and what has to reach others."""
