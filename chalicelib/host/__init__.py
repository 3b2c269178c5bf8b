"""What the process runs on: AWS unless the embedded mode sets something else."""
