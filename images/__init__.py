"""The edge for images: receive them from the machines by C-STORE, and send Manage a small copy of each."""
