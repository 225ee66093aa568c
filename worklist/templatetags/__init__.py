"""Tags of the worklist's templates."""
