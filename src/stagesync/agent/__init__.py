"""The steps in order: pull, audit, plan, guard, apply; and the daemon that repeats them."""
