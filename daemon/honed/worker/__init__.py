"""The child process that runs one job, and the contract between it and the control plane (`honed.worker.contract`)."""
