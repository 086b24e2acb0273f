"""The documents are run: commands, YAML, sample output and links are held against the product."""
