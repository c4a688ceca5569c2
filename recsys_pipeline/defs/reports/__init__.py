"""Reports: figures with intervals, and the page of the day; one module per report."""
