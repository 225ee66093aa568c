"""Empty; removed once every mypy cache has forgotten this name."""
