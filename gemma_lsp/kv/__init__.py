"""How to get to a prompt cheaply: the ledger of what a sequence holds and the plan from there. Pure; no tensors."""
