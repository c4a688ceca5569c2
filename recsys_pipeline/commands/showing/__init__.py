"""Trees, cards and tables that several verbs print."""
