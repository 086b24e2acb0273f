"""The command line: reads arguments, shows results, returns the documented exit codes. It decides nothing else."""
