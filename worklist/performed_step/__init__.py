"""Receive performed steps (MPPS, PS3.4 Annex F): check a report, store the step, link it to items, set their status.

Reading order: mpps (the handler), report, create_and_set, linking, item_state, item_status_update; then
mpps_exceptions, superseding and abandoned_steps.
"""
