"""Answer what images ask of the worklist and the relay: the two edges do not know each other."""
