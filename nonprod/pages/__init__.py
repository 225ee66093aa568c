"""Pages for whoever has neither Azure nor a scanner: Manage's clinic and a mammography unit, played in a browser."""
