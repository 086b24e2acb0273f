"""The life of one plausible company, written into both embedded CRMs with a key of what is wrong.

Every record stands exactly where it has earned, except those in which a problem was planted on purpose.
The stage definitions are read here a second time, by hand (``tracks`` and ``verdicts``): nothing of the
product may be imported, so that a mistake in its reading shows up as a difference from the key.
"""
