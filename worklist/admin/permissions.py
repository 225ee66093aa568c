"""Owns the names of the permissions that the worklist's pages ask for beside Django's own `view_…`."""

VIEW_PATIENT_DATA = "worklist.view_patient_data"
VIEW_OPERATOR = "worklist.view_operator"
VIEW_DATA_SET = "worklist.view_data_set"
VIEW_EXCEPTIONS = "worklist.view_mppsexception"
EXPORT = "worklist.export_worklist"
MAKE_TEST_ITEM = "worklist.make_test_item"
RESOLVE = "worklist.resolve_mppsexception"
