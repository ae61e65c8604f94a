"""Models given away: programs that run without mmspec, and folders that other tools open."""
