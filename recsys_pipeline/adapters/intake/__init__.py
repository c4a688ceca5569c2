"""Intake: what a source gives becomes immutable files of days and hours, once, whatever comes late."""
