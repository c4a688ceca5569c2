"""How a long computation says where it is."""

from collections.abc import Callable

Progress = Callable[[str, dict[str, float]], None]
"""Called with a short step label and metrics as training goes on; the caller shows or logs them."""
