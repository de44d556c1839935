"""Work: orders become tasks that have an owner, a deadline and a way up. See README.md."""
