"""The pages that people open: blocks, plots, pictures, sections that only show, the index of all days."""
