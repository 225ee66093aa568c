"""Pages for developers without Azure or a mammography machine: an emulated Manage clinic and an emulated unit."""
