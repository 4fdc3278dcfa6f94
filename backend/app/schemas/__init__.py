"""What goes in and out over HTTP, as the contract has it."""
