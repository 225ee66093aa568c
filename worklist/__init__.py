"""The edge towards the machines: worklist items, C-FIND and MPPS."""
