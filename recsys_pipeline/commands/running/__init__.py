"""How a verb runs a job in this process, and Dagster's UI in its own."""
