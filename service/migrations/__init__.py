"""Steps from one schema of the ledger to the next; none is ever changed once released."""
